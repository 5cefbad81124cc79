"""The same distillation written in plain PyTorch, as a practised user would: an optional yardstick.

Shared weights and leading slices, importance and reordering, the recipe's losses, all widths on
every random batch, gradients summed over the widths, one AdamW step; the teacher runs once per batch
without gradients, and attention is PyTorch's fused one. Run it with an interpreter that has torch,
numpy and safetensors.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
import torch.nn.functional as F
from common import (
    HIDDEN_WEIGHT,
    LOGIT_WEIGHT,
    PAD_ID,
    Batch,
    Rows,
    StepClock,
    importance_rows,
    ordered_batches,
    parse_args,
    peak_rss_mb,
    random_batches,
    read_rows,
    read_teacher,
    score,
    write_result,
)
from torch import Tensor, nn

RENAMED = (  # Hugging Face's names -> the modules below
    ("bert.", ""),
    ("encoder.layer.", "layers."),
    ("attention.self.", ""),
    ("attention.output.dense", "attention_output"),
    ("attention.output.LayerNorm", "norm1"),
    ("intermediate.dense", "linear1"),
    ("output.dense", "linear2"),
    ("output.LayerNorm", "norm2"),
    ("pooler.dense", "pooler"),
    ("LayerNorm", "norm"),
)


class Embeddings(nn.Module):
    """Word, position and token type embeddings, summed and normalised: [B, S] -> [B, S, H]."""

    def __init__(self, config: dict):
        super().__init__()
        hidden = config["hidden_size"]
        self.word_embeddings = nn.Embedding(config["vocab_size"], hidden)
        self.position_embeddings = nn.Embedding(config["max_position_embeddings"], hidden)
        self.token_type_embeddings = nn.Embedding(config["type_vocab_size"], hidden)
        self.norm = nn.LayerNorm(hidden, eps=config["layer_norm_eps"])
        self.dropout = nn.Dropout(config["hidden_dropout_prob"])

    def forward(self, input_ids: Tensor, token_type_ids: Tensor) -> Tensor:
        positions = self.position_embeddings.weight[: input_ids.shape[1]]
        words = self.word_embeddings(input_ids) + self.token_type_embeddings(token_type_ids)
        return self.dropout(self.norm(words + positions))


class ElasticLayer(nn.Module):
    """A BERT layer that runs on its first heads and its first feed-forward neurons."""

    def __init__(self, config: dict):
        super().__init__()
        hidden, inner = config["hidden_size"], config["intermediate_size"]
        self.num_heads, self.head_size = config["num_attention_heads"], hidden // config["num_attention_heads"]
        self.query, self.key, self.value = (nn.Linear(hidden, hidden) for _ in range(3))
        self.attention_output = nn.Linear(hidden, hidden)
        self.linear1, self.linear2 = nn.Linear(hidden, inner), nn.Linear(inner, hidden)
        self.norm1, self.norm2 = (nn.LayerNorm(hidden, eps=config["layer_norm_eps"]) for _ in range(2))
        self.dropout = nn.Dropout(config["hidden_dropout_prob"])
        self.attention_dropout = config["attention_probs_dropout_prob"]

    def forward(self, x: Tensor, mask: Tensor, width: float, head_mask: Tensor | None = None) -> Tensor:
        """x [B, S, H], mask [B, 1, 1, S] (True: attend), head_mask [A] -> [B, S, H]."""
        inner, neurons = round(width * self.num_heads) * self.head_size, round(width * self.linear1.out_features)
        q, k, v = (
            F.linear(x, part.weight[:inner], part.bias[:inner]).unflatten(-1, (-1, self.head_size)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        dropout = self.attention_dropout if self.training else 0.0
        context = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)  # [B, A, S, D]
        if head_mask is not None:
            context = context * head_mask[:, None, None]
        context = context.transpose(1, 2).flatten(2)
        attended = F.linear(context, self.attention_output.weight[:, :inner], self.attention_output.bias)
        x = self.norm1(x + self.dropout(attended))
        neuron = F.gelu(F.linear(x, self.linear1.weight[:neurons], self.linear1.bias[:neurons]))
        return self.norm2(x + self.dropout(F.linear(neuron, self.linear2.weight[:, :neurons], self.linear2.bias)))


class ElasticBert(nn.Module):
    """BERT with a classifier, at any width."""

    def __init__(self, config: dict, num_labels: int):
        super().__init__()
        self.embeddings = Embeddings(config)
        self.layers = nn.ModuleList(ElasticLayer(config) for _ in range(config["num_hidden_layers"]))
        self.pooler = nn.Linear(config["hidden_size"], config["hidden_size"])
        self.dropout = nn.Dropout(config["hidden_dropout_prob"])
        self.classifier = nn.Linear(config["hidden_size"], num_labels)

    def forward(
        self, input_ids: Tensor, token_type_ids: Tensor, width: float = 1.0, head_mask: Tensor | None = None
    ) -> tuple[list[Tensor], Tensor]:
        """Ids [B, S], head_mask [L, A] -> hidden states (embeddings, layers) [B, S, H], logits [B, C]."""
        mask = (input_ids != PAD_ID)[:, None, None, :]
        hidden = [self.embeddings(input_ids, token_type_ids)]
        for index, layer in enumerate(self.layers):
            hidden.append(layer(hidden[-1], mask, width, None if head_mask is None else head_mask[index]))
        pooled = torch.tanh(self.pooler(hidden[-1][:, 0]))
        return hidden, self.classifier(self.dropout(pooled))


def build_teacher(folder: str) -> ElasticBert:
    """The BERT of a Hugging Face folder, for inference."""
    config, weights = read_teacher(folder)
    model = ElasticBert(config, num_labels=len(weights["classifier.bias"]))
    state = {}
    for name, value in weights.items():
        for old, new in RENAMED:
            name = name.replace(old, new)
        state[name] = torch.from_numpy(value)
    model.load_state_dict(state)
    return model.eval()


def tensors(batch: Batch) -> tuple[Tensor, Tensor]:
    """input_ids and token_type_ids [B, S]."""
    return torch.from_numpy(batch.input_ids), torch.from_numpy(batch.token_type_ids)


def importance(model: ElasticBert, rows: Rows) -> tuple[Tensor, Tensor]:
    """Head scores [L, A] and neuron scores [L, F]: |gradient of a mask| summed over the batches of ``rows``."""
    layers = model.layers
    head_mask = torch.ones(len(layers), layers[0].num_heads, requires_grad=True)
    heads = torch.zeros_like(head_mask)
    neurons = torch.zeros(len(layers), layers[0].linear1.out_features)
    for batch in ordered_batches(rows):
        _, logits = model(*tensors(batch), head_mask=head_mask)
        labels = torch.from_numpy(batch.labels)
        loss = F.mse_loss(logits[:, 0], labels.float()) if logits.shape[1] == 1 else F.cross_entropy(logits, labels)
        model.zero_grad()
        head_mask.grad = None
        loss.backward()
        heads += head_mask.grad.abs()
        for index, layer in enumerate(layers):
            w1, b1, w2 = layer.linear1.weight, layer.linear1.bias, layer.linear2.weight
            neurons[index] += ((w1 * w1.grad).sum(1) + b1 * b1.grad).abs().detach()
            neurons[index] += (w2 * w2.grad).sum(0).abs().detach()
    return heads, neurons


@torch.no_grad()
def reorder(model: ElasticBert, heads: Tensor, neurons: Tensor) -> None:
    """Put the most important heads and neurons first; the full network's outputs stay the same."""
    for layer, head_scores, neuron_scores in zip(model.layers, heads, neurons, strict=True):
        head_order = head_scores.argsort(descending=True)
        rows = (head_order[:, None] * layer.head_size + torch.arange(layer.head_size)).flatten()
        order = neuron_scores.argsort(descending=True)
        for part, index in ((layer.query, rows), (layer.key, rows), (layer.value, rows), (layer.linear1, order)):
            part.weight.copy_(part.weight[index])
            part.bias.copy_(part.bias[index])
        layer.attention_output.weight.copy_(layer.attention_output.weight[:, rows])
        layer.linear2.weight.copy_(layer.linear2.weight[:, order])


def distil(student: ElasticBert, teacher: ElasticBert, train: Rows) -> dict[str, object]:
    """The training loop; returns the speed of its steps."""
    optimizer = torch.optim.AdamW(student.parameters(), lr=ARGS.learning_rate, weight_decay=0.0, fused=True)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.0, 1 - step / ARGS.steps))
    student.train()
    clock = StepClock(ARGS.warmup_steps)
    for batch in random_batches(train, ARGS.batch_size, ARGS.steps, ARGS.seed):
        inputs = tensors(batch)
        with torch.no_grad():
            targets, teacher_logits = teacher(*inputs)
            probabilities = F.softmax(teacher_logits, dim=-1)
        for width in ARGS.widths:
            hidden, logits = student(*inputs, width=width)
            rep_loss = sum(F.mse_loss(a, b) for a, b in zip(hidden, targets, strict=True))
            logit_loss = F.cross_entropy(logits, probabilities)  # soft; zero for a single output
            (HIDDEN_WEIGHT * rep_loss + LOGIT_WEIGHT * logit_loss).backward()
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        clock.lap(len(batch))
    return clock.summary()


@torch.no_grad()
def evaluate(model: ElasticBert, dev: Rows, width: float) -> float:
    """Dev score of the sub-network of ``width``."""
    model.eval()
    outputs = [model(*tensors(batch), width=width)[1].numpy() for batch in ordered_batches(dev)]
    return score(ARGS.metric, np.concatenate(outputs), dev.labels)


def main() -> None:
    train, dev = read_rows(ARGS.train), read_rows(ARGS.dev)
    torch.set_num_threads(ARGS.threads)
    torch.manual_seed(ARGS.seed)
    teacher = build_teacher(ARGS.teacher)
    student = copy.deepcopy(teacher)
    reorder(student, *importance(student, importance_rows(train, dev, ARGS.importance)))
    student.zero_grad()
    speed = distil(student, teacher, train)
    speed["peak_rss_mb"] = peak_rss_mb()  # before evaluation, which is no part of the loop
    scores = {} if ARGS.no_eval else {str(width): evaluate(student, dev, width) for width in ARGS.widths}
    write_result(ARGS, "pytorch", speed, torch.get_num_threads(), ("torch", "numpy"), scores)


if __name__ == "__main__":
    ARGS = parse_args("The OFA recipe on BERT in plain PyTorch")
    main()
