"""Model folders of the hub: found in the cache, or downloaded into it."""

from __future__ import annotations

from pathlib import Path

from ofa.errors import UserError
from ofa.model.folder import Folder, read_folder
from ofa.model.weights import INDEX, WEIGHTS
from ofa.settings.schema import ModelConfig
from ofa.system.redact import without_secrets

# Files of a tokenizer, as patterns.
OF_TOKENIZER = (
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "tokenizer*.json",
    "added_tokens.json",
    "special_tokens_map.json",
)


def find_folder(model: ModelConfig, cache_dir: Path) -> Folder | None:
    """The model folder the settings name, downloaded if need be; None for random weights."""
    if model.path:
        return read_folder(model.path)
    return read_folder(download(model.pretrained, cache_dir)) if model.pretrained else None


def folder_here(model: ModelConfig, cache_dir: Path) -> Folder | None:
    """The model folder the settings name, if it is on this machine already; nothing is fetched.

    Raises:
        UserError: if ``model.path`` is no such folder.
    """
    if model.path:
        return read_folder(model.path)
    kept = cache_dir / "models" / f"models--{(model.pretrained or '').replace('/', '--')}"
    if not model.pretrained or not kept.is_dir():
        return None
    from huggingface_hub import snapshot_download

    try:
        return read_folder(snapshot_download(model.pretrained, cache_dir=cache_dir / "models", local_files_only=True))
    except Exception:  # a download that broke off; whoever needs the model goes on with it, and says what is wrong
        return None


def download(name: str, cache_dir: Path) -> Path:
    """Fetch ``config.json``, safetensors weights and vocabulary of ``name`` into the cache.

    Only safetensors are fetched, never a pickle; the hub's client checks sizes and digests.
    """
    from huggingface_hub import snapshot_download

    try:
        wanted = ["config.json", WEIGHTS, INDEX, "model-*-of-*.safetensors", *OF_TOKENIZER]
        return Path(snapshot_download(name, allow_patterns=wanted, cache_dir=cache_dir / "models"))
    except Exception as error:  # the client raises many kinds, most of them meaning: no network
        reason = without_secrets(str(error).splitlines()[0])[:120]  # HF_ENDPOINT may hold a password
        raise UserError(
            f"model.pretrained: {name!r} is neither in {cache_dir / 'models'} nor could it be downloaded ({reason})\n"
            "give a local folder with model.path=..., a small model from scratch with model=bert_4x128, "
            "or try experiment=quickstart, which needs no download"
        ) from None
