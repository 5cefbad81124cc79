"""Drill: the MLflow server is killed in the middle of a job and comes back; everything arrives, once.

    python experiments/drills/tracking_server_down.py        (about three minutes; loopback only)

1. A job with no tracking, for its results.
2. The same job reporting to a server that is killed while it trains and started again before it ends.
3. The same job reporting to a server that stays away to the end; one command sends what was kept.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tracking_common import REPO, Server, compare, conclude, start_job, wait_for

LIMIT_S = 300.0  # for each job


def run_folder(out: Path) -> Path:
    return next((out / "runs").iterdir())


def reported(out: Path, text: str) -> bool:
    journals = list(out.glob("runs/*/tracking.jsonl"))
    return bool(journals) and text in journals[0].read_text()


def job(out: Path, server: Server, comes_back: bool) -> dict:
    """One job whose server is killed in the middle; returns what became of it."""
    server.start()
    started = time.monotonic()
    process = start_job(out, f"tracking.uri={server.url}")
    wait_for("finetuning", lambda: reported(out, '"finetune/loss"') or process.poll() is not None, LIMIT_S)
    time.sleep(2)  # something of it is at the server
    server.kill()
    sent = json.loads((run_folder(out) / "tracking.json").read_text())["sent"]
    if comes_back:
        wait_for("distillation", lambda: reported(out, '"distill/loss"') or process.poll() is not None, LIMIT_S)
        time.sleep(2)  # something of it is not
        server.start()
    status = process.wait(LIMIT_S)
    seconds = time.monotonic() - started
    said = next(out.glob("*.log")).read_text()
    record = {"exit_status": status, "seconds": round(seconds, 1), "sent_before_the_kill": sent}
    record["said_once"] = said.count("The tracking server is not available") == 1
    if not comes_back:
        record["command_named"] = f"ofa resend {run_folder(out)}" in said
        server.start()
        command = [sys.executable, "-m", "ofa.tracking", str(run_folder(out))]
        record["resend_status"] = subprocess.run(command, cwd=REPO, timeout=120).returncode
    record |= compare(run_folder(out), server.url)
    server.kill()
    return record


def main() -> int:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()  # any argument would be a mistake
    base = Path(tempfile.mkdtemp(prefix="drill-tracking-"))
    started = time.monotonic()
    plain = start_job(base / "plain", "tracking=none")
    plain_status = plain.wait(LIMIT_S)
    seconds = round(time.monotonic() - started, 1)
    server = Server.tracking(base / "server")
    try:
        cases = {
            "comes_back": job(base / "back", server, comes_back=True),
            "stays_away": job(base / "away", server, comes_back=False),
        }
    finally:
        server.kill()
    results = {name: (run_folder(base / name) / "results.json").read_bytes() for name in ("plain", "back", "away")}
    same = len(set(results.values())) == 1
    good = all(
        case["exit_status"] == case["lost"] == case["doubled"] == case["not_finished"] == 0
        and case["runs"] == 4
        and case["models"] == 3
        and case["said_once"]
        and case.get("resend_status", 0) == 0
        for case in cases.values()
    )
    record = {"passed": bool(good and same and plain_status == 0), "seconds_without_tracking": seconds}
    record |= {"same_results_as_without_tracking": same, **cases}
    if record["passed"]:
        shutil.rmtree(base)
    else:
        print(f"kept for a look: {base}")
    return conclude("tracking_server_down", record)


if __name__ == "__main__":
    sys.exit(main())
