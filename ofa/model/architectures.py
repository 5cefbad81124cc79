"""What differs between kinds of encoders: what config.json must say, and the names of tensors in both layouts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

# Hugging Face's name of a part -> Paddle's; in a block, of what comes after its number.
_NAMES = {
    "embeddings.LayerNorm": "embeddings.layer_norm",
    "attention.self.query": "self_attn.q_proj",
    "attention.self.key": "self_attn.k_proj",
    "attention.self.value": "self_attn.v_proj",
    "attention.output.dense": "self_attn.out_proj",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "linear1",
    "output.dense": "linear2",
    "output.LayerNorm": "norm2",
}
_OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
_WRAPPED = re.compile(r"^(?:module\.|_orig_mod\.)+")  # saved from within DataParallel or torch.compile
_UNUSED = re.compile(r".*(position_ids|token_type_ids|\.num_batches_tracked)$")  # what a module counts for itself


@dataclass(frozen=True)
class Architecture:
    """What one kind of encoder differs in; the rest is shared.

    Attributes:
        name: ``model_type`` in config.json, and the prefix of the encoder's tensors in both layouts.
        classes: names of PaddleNLP's configuration and classifier.
        fixed: what config.json must say where it says anything; otherwise it describes another network.
        names: Hugging Face's name of a part -> Paddle's.
        pad: token id of padding.
        choices: further keys of config.json that the network needs, each with the values that it may have, the first
            where config.json has none.
        sizes: further sizes in config.json, each with its value where that has none.
        pretraining: pattern of the tensors of a pretraining checkpoint that a classifier has no use for.
        output: name of the classifier's last layer, which has a column for each class.
        after_pad: whether positions are counted from the one after the padding token's id, and not from 0.
        token_types: of a network of random weights; that of a folder says how many it has.
        byte_level: whether the vocabulary that is trained for random weights is byte-level BPE, and not WordPiece.
    """

    name: str
    classes: tuple[str, str]
    fixed: Mapping[str, object]
    names: Mapping[str, str] = field(default_factory=lambda: _NAMES)
    pad: int = 0
    choices: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    pretraining: str = r"cls\."
    output: str = "classifier"
    after_pad: bool = False
    token_types: int = 2
    byte_level: bool = False

    @property
    def defaults(self) -> dict[str, object]:
        """Of :attr:`choices`, the values where config.json has none."""
        return {key: allowed[0] for key, allowed in self.choices.items()}

    def further_sizes(self, extra: Mapping[str, object]) -> Mapping[str, int]:
        """Of :attr:`sizes`, those that a network has of which ``extra`` is said: an ERNIE without tasks has none."""
        return self.sizes if extra.get("use_task_id", True) else {}

    def paddle_name(self, name: str) -> str | None:
        """Paddle's name of a tensor from either layout, with the prefix of the encoder; None if unused."""
        name = _WRAPPED.sub("", name)
        if _UNUSED.match(name) or re.match(self.pretraining, name.removeprefix(f"{self.name}.")):
            return None
        for old, new in _OLD_NAMES.items():
            name = name.replace(old, new)
        if not name.startswith((f"{self.name}.", "classifier.")):
            name = f"{self.name}.{name}"  # saved from the bare encoder
        return self._renamed(name, "layer", "layers", self.names)

    def hugging_name(self, name: str) -> str:
        """Hugging Face's name of one of Paddle's tensors."""
        return self._renamed(name, "layers", "layer", {paddle: hugging for hugging, paddle in self.names.items()})

    def _renamed(self, name: str, stack: str, new_stack: str, names: Mapping[str, str]) -> str:
        parts = re.fullmatch(rf"{self.name}\.(?:encoder\.{stack}\.(\d+)\.)?(.+)\.(weight|bias)", name)
        if not parts or parts[2] not in names:
            return name
        block = f"encoder.{new_stack}.{parts[1]}." if parts[1] else ""
        return f"{self.name}.{block}{names[parts[2]]}.{parts[3]}"


BERT = Architecture(
    name="bert",
    classes=("BertConfig", "BertForSequenceClassification"),
    fixed={
        "hidden_act": "gelu",
        "pool_act": "tanh",
        "position_embedding_type": "absolute",
        "is_decoder": False,
    },
)
# ERNIE 1 to 3.0: a BERT of another activation; 3.0 adds embeddings of the pretraining task, of which number 0 is used.
ERNIE = Architecture(
    name="ernie",
    classes=("ErnieConfig", "ErnieForSequenceClassification"),
    fixed={"pool_act": "tanh", "position_embedding_type": "absolute", "is_decoder": False, "task_id": 0},
    choices={"hidden_act": ("gelu", "relu"), "use_task_id": (False, True)},
    sizes={"task_type_vocab_size": 3},
)
# RoBERTa: no pooler, two layers for a classifier, and positions that padding has no part in.
ROBERTA = Architecture(
    name="roberta",
    classes=("RobertaConfig", "RobertaForSequenceClassification"),
    fixed={"hidden_act": "gelu", "position_embedding_type": "absolute", "is_decoder": False},
    pad=1,
    pretraining=r"cls\.|lm_head\.|pooler\.",
    output="classifier.out_proj",
    after_pad=True,
    token_types=1,
    byte_level=True,
)
# ELECTRA's discriminator: as RoBERTa's head, with GELU in it; embeddings of a size of their own.
ELECTRA = Architecture(
    name="electra",
    classes=("ElectraConfig", "ElectraForSequenceClassification"),
    fixed={"hidden_act": "gelu", "position_embedding_type": "absolute", "is_decoder": False},
    sizes={"embedding_size": 128},
    pretraining=r"(discriminator|generator)_",
    output="classifier.out_proj",
)
ARCHITECTURES = {architecture.name: architecture for architecture in (BERT, ERNIE, ROBERTA, ELECTRA)}


def is_linear(paddle_key: str) -> bool:
    """Whether a Paddle tensor is the weight of a linear layer, stored transposed by PyTorch."""
    return paddle_key.endswith("weight") and "_embeddings." not in paddle_key and "norm" not in paddle_key
