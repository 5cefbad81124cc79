"""Data sets of Hugging Face's hub: fetched once, and kept as ``datasets`` writes them (``arrow.py`` reads that)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ofa.errors import UserError
from ofa.system.files import put_in_place
from ofa.system.redact import without_secrets


def folder_of(name: str, cache_dir: Path) -> Path:
    """Where the data set is kept."""
    return cache_dir / "hub" / name.replace("/", "--").replace(":", "=")


def fetch(name: str, folder: Path) -> None:
    """Put every split of the data set ``name`` into ``folder``, which appears complete or not at all.

    A folder here would be taken for one, too: the rules of settings refuse its name.

    Raises:
        UserError: if there is none, or no network.
    """
    from datasets import load_dataset
    from huggingface_hub.utils import logging as of_client

    data_set, _, configuration = name.partition(":")
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    of_client.set_verbosity_error()  # a line for each of its tries
    try:
        found = load_dataset(data_set, configuration or None, cache_dir=str(beside / "cache"))
        found.save_to_disk(str(beside / "whole"))
        put_in_place(beside / "whole", folder)
    except Exception as error:  # of many kinds, most of them meaning: no network, or no such data set
        reason = without_secrets((str(error) or type(error).__name__).splitlines()[0])[:200]
        raise UserError(
            f"task.hub: {name!r} could not be fetched ({reason})\n"
            "allowed: owner/name or owner/name:configuration; without a network, local files: task.data_dir=<folder>"
        ) from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
