"""How the speed of this project's distillation loop scales with widths, batch size and model size.

    python experiments/benchmark_distill/scaling.py --data-dir /data/glue --vocab /data/vocab.txt

Teachers have random weights: what a step costs does not depend on them. Writes the section ``scaling`` of
results.json.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from harness import OFA, prepare, record, run, summary

from ofa.supernet.subnet import EncoderShape
from ofa.system import process

TWELFTHS = [count / 12 for count in range(12, 0, -1)]
QUARTERS = [1.0, 0.75, 0.5]
# layers, hidden size, heads; twelve heads where twelve widths are wanted
TWELVE_HEADS = (4, 192, 12)
SIZES = {"4x128": (4, 128, 4), "4x256": (4, 256, 4), "6x384": (6, 384, 12), "12x768": (12, 768, 12)}
STEPS = {"4x128": 65, "4x256": 35, "6x384": 15, "12x768": 3}


def shape_of(size: tuple[int, int, int]) -> EncoderShape:
    """A BERT of so many layers, numbers per token and heads, with BERT's vocabulary and two classes."""
    layers, hidden, heads = size
    return EncoderShape(layers, hidden, heads, 4 * hidden, vocab_size=30522, max_position_embeddings=512, num_labels=2)


def teacher(folder: Path, size: tuple[int, int, int], vocab: Path) -> str:
    """A BERT with random weights, saved in ``folder``."""
    from ofa.data.tokenizer import plain
    from ofa.model import network as models

    models.save(models.build(shape_of(size)), folder, ("negative", "positive"), plain(vocab))
    return str(folder)


def settings() -> dict[str, tuple[tuple[int, int, int], int, list[object]]]:
    """Name -> size of the model, steps, options of the loop."""
    small = SIZES["4x128"]
    found: dict[str, tuple[tuple[int, int, int], int, list[object]]] = {}
    for count in (1, 2, 3, 4, 6, 8, 12):
        found[f"widths/{count}"] = (TWELVE_HEADS, 35, ["--widths", *TWELFTHS[:: 12 // count][:count]])
    found["widths/12 sandwich"] = (TWELVE_HEADS, 65, ["--widths", *TWELFTHS, "--sampling", "sandwich"])
    for size in (8, 16, 32, 64, 128):
        found[f"batch/{size}"] = (small, max(25, 2080 // size), ["--batch-size", size, "--widths", *QUARTERS])
    for name, size in SIZES.items():
        found[f"model/{name}"] = (size, STEPS[name], ["--widths", *QUARTERS])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", required=True, help="GLUE folder with SST-2")
    parser.add_argument("--vocab", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    process.prepare()
    process.set_device("cpu")
    rounds: dict[str, list[dict]] = {name: [] for name in settings()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare("sst2", args.data_dir, args.vocab, 128, folder)
        sizes = {size for size, _, _ in settings().values()}
        teachers = {size: teacher(folder / "x".join(map(str, size)), size, Path(args.vocab)) for size in sizes}
        for number in range(args.rounds):
            for name, (size, steps, options) in settings().items():
                warmup = ("--warmup-steps", min(5, steps - 2))
                plan = ("--steps", steps, "--seed", number, "--no-eval", *warmup)
                found = run(OFA, teachers[size], folder, *options, *plan)
                found["step_ms"] = found["step_ms"]["median"]
                rounds[name].append(found)
                print(f"round {number} {name}: {found['examples_per_second']:.1f} examples/s", flush=True)
    record(scaling={name: summary(of_name) for name, of_name in rounds.items()})


if __name__ == "__main__":
    main()
