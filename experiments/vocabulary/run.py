"""How much smaller a network is with a vocabulary of its task's own size, and whether it answers as before.

    python experiments/vocabulary/run.py --data-dir GLUE --model FOLDER [--tasks cola mrpc sst2] [--rows 2000]
    python experiments/vocabulary/run.py --data-dir GLUE --teacher FOLDER [--output-dir DIR]

The first command cuts the vocabulary of a pretrained BERT of 6 layers x 384 to what the whole training file of each
task needs, cuts width 1/2, exports and quantises, by the functions that the stages of a job call. Files are as large
whatever a network has learned, so nothing is trained: this says nothing about scores. The second runs a job that asks
what a finished teacher of SST-2 loses by the cut alone. Each task, and the teacher, replaces its own entry of
``results.json``; the claims are in ``claims.py``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
REPO = HERE.parent.parent
sys.path[:0] = [str(REPO), str(HERE.parent)]

from claiming import show, write
from vocabulary.claims import TASKS

from ofa.settings.compose import compose, typed
from ofa.stages.inputs import Inputs, load_inputs
from ofa.system import machine, process

RESULTS = HERE / "results.json"
JOB = "experiment=glue_minilm ofa.widths=[1,0.5] ofa.vocabulary=seen hardware=cpu hardware.devices=1 tracking=none"


def part(task: str, options: argparse.Namespace) -> dict[str, Any]:
    """Tokens kept, bytes of every deployed file, and what is read and answered otherwise."""
    import paddle

    from ofa.data.seen_tokens import cut, kept_ids
    from ofa.model import network as models
    from ofa.stages.vocabulary import cut_embeddings
    from ofa.supernet import elastic

    places = [f"task.data_dir={options.data_dir}", f"model.path={options.model}", f"cache_dir={options.cache_dir}"]
    full = load_inputs(typed(compose([*JOB.split(), f"task={task}", *places])))
    kept = kept_ids(full.tokenizer, np.unique(full.distilled.input_ids))
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        paddle.seed(0)
        original = models.load_encoder(options.model, full.shape.num_labels, 0.0)
        models.save(original, place / "whole", ("negative", "positive"), full.tokenizer)
        cut_embeddings(place / "whole", place / "smaller", kept, cut(full.tokenizer, kept))
        smaller = full.with_tokenizer_of(place / "smaller")
        bits = answers(place, full, smaller, kept, options.rows)
        sizes = {"whole": deployed(original, place / "whole")}
        for name, network in smaller.networks.items():
            model = elastic.cut(models.load(place / "smaller")[0], network.subnet)
            sizes[name] = deployed(model, place / name)
    for one in sizes.values():
        one |= {f"{key}_share": one[key] / sizes["whole"]["fp32"] for key in ("fp32", "int8")}
    return {"tokens": len(kept), "of": full.tokenizer.size, "sizes": sizes, "rows": bits}


def deployed(model: Any, place: Path) -> dict[str, float]:
    """Bytes of ``model.onnx`` and ``model.int8.onnx`` of ``model``."""
    from ofa.deploy.export import export
    from ofa.deploy.graphs import ONNX_GRAPH
    from ofa.deploy.quantize import Source, write
    from ofa.supernet.blocks import blocks

    export(model, place)
    source = Source.prepare(place / ONNX_GRAPH, len(blocks(model)), [], False, place, 1)
    write(source, place / "int8.onnx", "dynamic")
    return {"fp32": (place / ONNX_GRAPH).stat().st_size, "int8": (place / "int8.onnx").stat().st_size}


def answers(place: Path, full: Inputs, smaller: Inputs, kept: np.ndarray, most: int | None) -> dict[str, Any]:
    """By split: the share of rows with a token that is gone; of the others, those compared and answered otherwise.

    Answered by the whole network with either vocabulary, in the same batches, to the bit.
    """
    from ofa.data.batches import collate, eval_batches
    from ofa.data.seen_tokens import rows_changed
    from ofa.model import network as models
    from ofa.model.network import forward_of

    networks = [forward_of(models.load(place / name)[0]) for name in ("whole", "smaller")]
    found = {}
    for split in ("train", *full.dev):
        old, new = full.encoded(split), smaller.encoded(split)
        gone, differ = rows_changed(old, kept), 0
        same = np.random.default_rng(0).permutation(np.flatnonzero(~gone))[:most]
        for rows in eval_batches(old.lengths[same], 64):
            batches = (collate(encoded, same[rows]) for encoded in (old, new))
            one, other = (run(b.input_ids, b.token_type_ids) for run, b in zip(networks, batches, strict=True))
            differ += int((one != other).any(axis=1).sum())
        found[split] = {"read_otherwise": float(gone.mean()), "compared": len(same), "answered_otherwise": differ}
    return found


def cost(options: argparse.Namespace) -> dict[str, Any]:
    """Dev score of a finished teacher of SST-2, and of the same network with the vocabulary of the training rows."""
    more = "task=sst2 ofa.widths=[1] trainer.distill.max_steps=1 model.finetuned=true stages=[evaluate]"
    places = [f"task.data_dir={options.data_dir}", f"model.path={options.teacher}", f"output_dir={options.output_dir}"]
    subprocess.run([sys.executable, "main.py", *JOB.split(), *more.split(), *places], cwd=REPO, check=True)
    (path,) = Path(options.output_dir).glob("runs/*/results.json")
    found = json.loads(path.read_text())
    scores = {"whole": found["teacher"]["score"], "smaller": found["widths"][0]["undistilled"]}
    return {"dev_rows": found["dev_rows"], "score": scores, "vocabulary": found["vocabulary"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", required=True, help="the folder with GLUE's tasks")
    parser.add_argument("--model", help="the folder of the pretrained BERT, 6 layers x 384")
    parser.add_argument("--teacher", help="the folder of a finished teacher of SST-2")
    parser.add_argument("--output-dir", default=str(REPO / "outputs" / "vocabulary"), help="of the teacher's job")
    parser.add_argument("--cache-dir", default="~/.cache/ofa")
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS)
    parser.add_argument("--rows", type=int, help="of a split that are answered at most; left out: all")
    options = parser.parse_args()
    process.prepare()
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"parts": {}, "teacher": None}
    parts = {key: before[key] for key in ("parts", "teacher")}
    record = {"machine": machine.machine(), "versions": machine.versions(), **parts}
    for task in options.tasks if options.model else []:
        record["parts"][task] = part(task, options)
        write(HERE, record)
    if options.teacher:
        record["teacher"] = cost(options)
        write(HERE, record)
    show(json.loads(RESULTS.read_text())["claims"])


if __name__ == "__main__":
    main()
