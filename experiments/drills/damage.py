"""Drill: files of finished stages and of checkpoints are damaged; the same command ends as if nothing had happened.

    python experiments/drills/damage.py

One job finishes. Then, file by file, something of its store is flipped, cut, emptied or edited, and the same
command is given again: the damaged stage must be named in one line, set aside and made again, ``results.json`` be
the same to the byte, and no run in MLflow stay unfinished. Another job is stopped in the middle; its newest
checkpoint is damaged, then both: it must go on from the one before, then start afresh, and end the same.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tracking_common import compare, conclude, start_job, wait_for

STAGES = ("stages=[evaluate]", "trainer.finetune.save_steps=8", "trainer.distill.save_steps=8")


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGES: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "a bit of the teacher": ("finetune-*/model/model.safetensors", flip),
    "the teacher cut": ("finetune-*/model/model.safetensors", lambda content: content[:-1000]),
    "half a vocabulary": ("finetune-*/model/vocab.txt", lambda content: content[: len(content) // 2]),
    "an empty finetune.json": ("finetune-*/finetune.json", lambda content: b""),
    "a bit of a width": ("distill-*/widths/w1/model.safetensors", flip),
    "distill.json of nothing": ("distill-*/distill.json", lambda content: b"{}"),
    "edited scores": ("evaluate-*/scores.json", lambda content: content.replace(b"0.", b"9.")),
    "a broken stage.json": ("reorder-*/stage.json", lambda content: content[:40]),
}
STATES: dict[str, Callable[[dict], object]] = {
    "a list": lambda state: [state],
    "no progress": lambda state: {"step": state["step"], "sha256": state["sha256"]},
    "a step in words": lambda state: {**state, "step": "many"},
    "no checksums": lambda state: {**state, "sha256": {}},
}


def finish(out: Path) -> tuple[str, str]:
    """Run to the end; what was said and the text of results.json."""
    status = start_job(out, *STAGES).wait()
    said = max(out.glob("[0-9]*.log"), key=lambda path: int(path.stem)).read_text()
    if status:
        raise SystemExit(f"{out}: status {status}\n{said[-2000:]}")
    (results,) = (out / "runs").glob("*/results.json")
    return said, results.read_text()


def sound(out: Path) -> bool:
    """Whether MLflow has every run of the job once, finished."""
    (folder,) = (out / "runs").iterdir()
    count = compare(folder, f"sqlite:///{out / 'mlflow.db'}")
    return count["lost"] == count["doubled"] == count["not_finished"] == 0


def damage_store(out: Path, expected: str) -> dict[str, bool]:
    verdicts = {}
    for name, (pattern, spoil) in DAMAGES.items():
        (path,) = (path for path in (out / "store").glob(pattern) if ".damaged" not in str(path))
        path.write_bytes(spoil(path.read_bytes()))
        said, results = finish(out)
        lines = [line for line in said.splitlines() if "is damaged (" in line]
        verdicts[name] = len(lines) == 1 and "made again" in lines[0] and results == expected and sound(out)
        print(f"{name}: {'ok' if verdicts[name] else 'FAILED'}; {lines}", flush=True)
    return verdicts


def damage_checkpoints(root: Path, expected: str) -> dict[str, bool]:
    verdicts = {}
    for number, (name, change) in enumerate(STATES.items()):
        for damaged in (1, 2):
            out = root / f"stopped{number}-{damaged}"
            folders = _killed(out)
            for folder in folders[-damaged:]:
                state = json.loads((folder / "state.json").read_text())
                (folder / "state.json").write_text(json.dumps(change(state)))
                os.truncate(folder / "weights.safetensors", 1000)
            said, results = finish(out)
            words = "starting afresh" if damaged == len(folders) else "trying the one before it"
            key = f"{name}, {'both' if damaged == 2 else 'the newest'}"
            verdicts[key] = "is damaged (" in said and words in said and results == expected and sound(out)
            print(f"checkpoint {key}: {'ok' if verdicts[key] else 'FAILED'}", flush=True)
    return verdicts


def _killed(out: Path) -> list[Path]:
    """Kill a job once it has two checkpoints; their folders, the older first."""
    job = start_job(out, *STAGES)
    wait_for("the second checkpoint", lambda: len(_checkpoints(out)) > 1 or job.poll() is not None, 300)
    job.send_signal(signal.SIGKILL)
    job.wait()
    return _checkpoints(out)


def _checkpoints(out: Path) -> list[Path]:
    return sorted(path.parent for path in out.glob("store/finetune-*.part/work/step-????????/state.json"))


def main() -> int:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()  # any argument would be a mistake
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        _, expected = finish(root / "whole")
        found = {"store": damage_store(root / "whole", expected), "checkpoints": damage_checkpoints(root, expected)}
    passed = all(all(verdicts.values()) for verdicts in found.values())
    return conclude("damage", {"passed": passed, **found})


if __name__ == "__main__":
    sys.exit(main())
