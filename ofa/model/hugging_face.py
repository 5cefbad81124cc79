"""What Transformers reads of a folder: ``config.json``, and code for layers of other sizes than it knows.

Transformers 4 prunes heads as it builds a model (``pruned_heads``). Transformers 5 no longer does, and no version knows
layers that differ in neurons: for these, the folder carries ``modeling_ofa_bert.py``, which
``from_pretrained(folder, trust_remote_code=True)`` loads.
"""

from __future__ import annotations

import reprlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofa.errors import UserError
from ofa.supernet.subnet import EncoderShape, SubNet

if TYPE_CHECKING:
    from ofa.model.folder import Folder

MODELING = "modeling_ofa_bert.py"
PRUNED, NEURONS = "pruned_heads", "layer_intermediate_sizes"
SIZES = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "vocab_size")
DEFAULT_SIZES = {"max_position_embeddings": 512, "type_vocab_size": 2}  # where config.json says nothing


def config_of(folder: Folder) -> dict[str, Any]:
    """The content of ``config.json`` for the network that ``folder`` describes."""
    kind, subnet = folder.architecture, folder.subnet
    return {
        "architectures": [kind.classes[1]],
        "model_type": kind.name,
        **{key: getattr(folder.shape, key) for key in (*SIZES, *DEFAULT_SIZES)},
        "hidden_act": kind.fixed.get("hidden_act"),
        **folder.extra,
        **{key: size for key in kind.sizes if (size := getattr(folder.shape, key))},
        **({} if folder.pad == kind.pad else {"pad_token_id": folder.pad}),
        **({"problem_type": folder.problem_type} if folder.problem_type else {}),
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "layer_norm_eps": folder.layer_norm_eps,
        "id2label": {str(i): label for i, label in enumerate(folder.labels)},
        "label2id": {label: i for i, label in enumerate(folder.labels)},
        **(_cut(kind.classes[1], folder.shape, subnet) if subnet else {}),
    }


def _cut(classifier: str, shape: EncoderShape, subnet: SubNet) -> dict[str, Any]:
    """The keys that a cut network differs in; of heads it is said how many are gone, as the weights lack them."""
    most = shape.num_attention_heads
    pruned = {str(layer): list(range(heads, most)) for layer, heads in enumerate(subnet.heads) if heads < most}
    cut: dict[str, Any] = {PRUNED: pruned} if pruned else {}
    cut |= {NEURONS: list(subnet.neurons)} if len(set(subnet.neurons)) > 1 else {}
    code = {"auto_map": {"AutoModelForSequenceClassification": f"{MODELING[:-3]}.Ofa{classifier}"}} if cut else {}
    return {"intermediate_size": max(subnet.neurons), **cut, **code}


def write_code(folder: Path, config: Mapping[str, Any]) -> None:
    """Write the file that ``config`` names, if it names one."""
    if "auto_map" in config:
        shutil.copyfile(Path(__file__).with_name(MODELING), folder / MODELING)


def subnet_of(config_file: Path, config: Mapping[str, Any], shape: EncoderShape) -> SubNet | None:
    """The heads and neurons of each layer as ``config`` has them; None if all are there.

    Raises:
        UserError: if these are no heads or neurons of ``shape``.
    """
    full = SubNet.full(shape)
    pruned, neurons = config.get(PRUNED) or {}, config.get(NEURONS) or list(full.neurons)
    heads = list(full.heads)
    known = {str(layer): layer for layer in range(len(heads))}
    if not isinstance(pruned, dict) or not all(
        key in known
        and isinstance(gone, list)
        and all(type(head) is int and 0 <= head < full.heads[0] for head in gone)
        for key, gone in pruned.items()
    ):
        raise UserError(f'{config_file}: {PRUNED} is {reprlib.repr(pruned)}; allowed: heads by layer, {{"0": [2, 3]}}')
    for key, gone in pruned.items():
        heads[known[key]] -= len(set(gone))
    try:
        if any(type(size) is not int for size in neurons):
            raise ValueError
        found = SubNet(tuple(heads), tuple(neurons))
        fits = found.fits(full) and found.depth == full.depth
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise UserError(
            f"{config_file}: {PRUNED} leaves {reprlib.repr(heads)} heads, {NEURONS} is {reprlib.repr(neurons)}; "
            f"allowed: 1 to {full.heads[0]} and 1 to {full.neurons[0]} in each of {full.depth} layers"
        )
    return found if found != full else None
