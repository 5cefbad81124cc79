"""Classifiers of BERT and its kin whose layers may have fewer heads and neurons each, for Transformers 4 and 5.

Copied into the folders of cut networks, and used there alone:
``AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)``. The sizes are those that
``pruned_heads`` and ``layer_intermediate_sizes`` of config.json leave.
"""

from torch import nn
from transformers import (
    BertForSequenceClassification,
    ElectraForSequenceClassification,
    ErnieForSequenceClassification,
    RobertaForSequenceClassification,
)


class Cut(nn.Module):
    """What makes the layers of a classifier, which have the same parts in each of these families, as small as it is."""

    def __init__(self, config):
        super().__init__(config)
        hidden, most, layers = config.hidden_size, config.num_attention_heads, config.num_hidden_layers
        pruned = {int(layer): set(heads) for layer, heads in (getattr(config, "pruned_heads", None) or {}).items()}
        neurons = getattr(config, "layer_intermediate_sizes", None) or [config.intermediate_size] * layers
        for number, layer in enumerate(self.base_model.encoder.layer):
            attention = layer.attention.self
            attention.num_attention_heads = most - len(pruned.get(number, ()))
            inner = attention.all_head_size = attention.num_attention_heads * attention.attention_head_size
            for name in ("query", "key", "value"):
                setattr(attention, name, nn.Linear(hidden, inner))
            layer.attention.output.dense = nn.Linear(inner, hidden)
            layer.intermediate.dense = nn.Linear(hidden, neurons[number])
            layer.output.dense = nn.Linear(neurons[number], hidden)


class OfaBertForSequenceClassification(Cut, BertForSequenceClassification):
    pass


class OfaErnieForSequenceClassification(Cut, ErnieForSequenceClassification):
    pass


class OfaRobertaForSequenceClassification(Cut, RobertaForSequenceClassification):
    pass


class OfaElectraForSequenceClassification(Cut, ElectraForSequenceClassification):
    pass
