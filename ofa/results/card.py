"""The model card of a network: what it is, what it scores and costs, and how to load it, in its own folder."""

from __future__ import annotations

from ofa.results.record import NetworkResult, Results
from ofa.results.reduced import MAIN
from ofa.results.report import human, markdown

HEADER = """---
library_name: paddlenlp
pipeline_tag: text-classification
license: other
license_name: that-of-the-origin
tags: [dynabert, once-for-all, compressed]
---
"""
USE = """## Use

```bash
ofa predict . "a text"      # or: ofa serve .
```

```python
import ofa                                      # ONNX Runtime, no Paddle
ofa.load(".")(["a text"])

from transformers import AutoModelForSequenceClassification, AutoTokenizer
AutoTokenizer.from_pretrained(".")
AutoModelForSequenceClassification.from_pretrained(".", trust_remote_code=True)  # Transformers 4 needs no trust

from optimum.onnxruntime import ORTModelForSequenceClassification
ORTModelForSequenceClassification.from_pretrained(".", file_name="model.onnx")
```

PaddleNLP reads a copy with zeros in the place of what was cut: `ofa export . --padded TARGET`.
"""


def text(results: Results, network: NetworkResult) -> str:
    """The card of one of the networks of ``results``, in Markdown."""
    assert results.teacher is not None
    parts = [f"# {results.task}: {network.label} of {results.model}"]
    parts.append(
        f"Cut from a supernet that was distilled from a finetuned {results.model} (DynaBERT's method), seed "
        f"{results.seed}. Its licence is that of the model and of the data it was made of."
    )
    parts.append(markdown([["", "this network", "teacher"], *_scores(results, network)]))
    if network.latencies:
        rows = [["latency", "ms per batch", "speed-up", "rests on"]]
        speedups = results.speedups(network)
        for latency in network.latencies:
            name = latency.name(results.unnamed_engine)
            faster = f"{speedups[name]:.2f}x" if name in speedups else ""
            rows.append(
                [latency.setting + f", {latency.seq_length} tokens", f"{latency.ms:.2f}", faster, latency.basis]
            )
        parts.append(markdown(rows))
    return "\n\n".join([HEADER + "\n" + parts[0], *parts[1:], USE])


def _scores(results: Results, network: NetworkResult) -> list[list[str]]:
    teacher = results.teacher
    assert teacher is not None
    rows = [[metric, f"{value:.4f}", f"{teacher.metrics[metric]:.4f}"] for metric, value in network.metrics.items()]
    low, high = network.lost or (None, None)
    sure = f" (90% interval {0.0 - high:+.1f} to {0.0 - low:+.1f})" if low is not None and high is not None else ""
    rows.append(["points from the teacher", f"{100 * (network.score - teacher.score):+.2f}{sure}", ""])
    small = network.in_precision(*MAIN)
    if small:
        rows.append(["in INT8", f"{small.score:.4f}", ""])
    rows += [
        ["rows scored", f"{results.dev_rows:,}", f"{results.dev_rows:,}"],
        ["parameters", human(network.params), human(teacher.params)],
        ["MACs per row", human(network.macs), human(teacher.macs)],
    ]
    sizes = [("model.onnx", network.bytes), ("model.int8.onnx", small.bytes if small else None)]
    return rows + [[name, human(size) + "B", ""] for name, size in sizes if size is not None]
