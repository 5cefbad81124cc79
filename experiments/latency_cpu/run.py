"""Does the time of an exported network fall as its MACs do? 4 layers x 256, batch 16, length 128, CPU.

    python experiments/latency_cpu/run.py [--rounds 5]

Latency does not depend on the weights, so they are random. Every round times all widths in turns with
every engine and precision of this machine; ``results.json`` holds, for each width, the median over rounds of
its time as a share of full width's, beside the share of MACs, and begins with the claims.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent.parent), str(HERE.parent), str(HERE)]

import claiming
from claims import ALLOWED

from ofa.deploy.engines import load_engine, runnable
from ofa.deploy.export import export
from ofa.deploy.latency import measure
from ofa.model import network as models
from ofa.supernet import elastic
from ofa.supernet.subnet import EncoderShape, SubNet, count_macs
from ofa.system import machine, process

process.prepare()


SHAPE = EncoderShape(4, 256, 4, 1024, max_position_embeddings=128)
WIDTHS = (1.0, 0.75, 0.5, 0.25)
BATCH, LENGTH = 16, 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    process.set_device("cpu")
    full_macs = count_macs(SHAPE, seq_length=LENGTH)
    macs = {w: count_macs(SHAPE, SubNet.at(w, 1.0, SHAPE), LENGTH) / full_macs for w in WIDTHS}
    with tempfile.TemporaryDirectory() as name:
        folders = {width: Path(name) / str(width) for width in WIDTHS}
        for width, folder in folders.items():
            export(elastic.cut(models.build(SHAPE), SubNet.at(width, 1.0, SHAPE)), folder)
        found: dict[str, dict] = {}
        for engine, precision in runnable(folders[1.0], "cpu"):
            networks = {w: load_engine(f, engine, precision, "cpu", machine.cores()) for w, f in folders.items()}
            rounds = [measure(networks, BATCH, LENGTH, SHAPE.vocab_size, 3, 20, seed) for seed in range(args.rounds)]
            ms = {w: statistics.median(r[w].median_ms for r in rounds) for w in WIDTHS}
            share = {w: statistics.median(r[w].median_ms / r[1.0].median_ms for r in rounds) for w in WIDTHS}
            found[f"{engine}_{precision}"] = {
                str(w): {
                    "median_ms": ms[w],
                    "time_share": share[w],
                    "mac_share": macs[w],
                    "ratio": share[w] / macs[w],
                }
                for w in WIDTHS
            }
            print(f"{engine} {precision}: full width {ms[1.0]:.1f} ms")
            for w in WIDTHS[1:]:
                verdict = "within" if share[w] <= ALLOWED * macs[w] else "OVER"
                print(f"  width {w}: {share[w]:.3f} of the time, {macs[w]:.3f} of the MACs, {verdict} {ALLOWED}")
    record = {"machine": machine.machine(), "versions": machine.versions(), "rounds": args.rounds, "engines": found}
    claiming.write(HERE, {**json.loads((HERE / "results.json").read_text()), **record})  # the other study's stays


if __name__ == "__main__":
    main()
