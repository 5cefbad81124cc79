"""Start the processes of a job on several devices of this machine: ``hardware.devices=2``.

Each process, a rank, runs the job; ``ofa.system.ranks`` brings their work together. Rank 0 has the terminal.
Unlike ``python -m paddle.distributed.launch``, which is for several machines, this writes no
environment variables to disk, shows progress as it happens and hands on Ctrl-C just once.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ofa.errors import UserError
from ofa.results.record import Results
from ofa.settings.explain import explain
from ofa.settings.schema import Config
from ofa.system import ranks
from ofa.system.files import expanded, watched
from ofa.system.logs import FORMAT, SHORT

STOPPED = 130  # exit status of a rank that saved and stopped as it was asked to
WAIT_S = 0.1
# For the others to end by themselves after one rank has: rank 0 closes its MLflow run and, if the job was
# stopped, its checkpoint; nothing is lost with the rest.
GRACE_S, GRACE_TO_SAVE_S, GRACE_OF_THE_REST_S = 20.0, 120.0, 3.0
TAIL = 15  # lines of a broken rank's output to show


def run(config: Config, yaml: str) -> Results:
    """Run a job, in this process or on as many devices as it asks for; returns its results.

    Raises:
        UserError: what stopped the first rank that failed, or if a launcher started another number of ranks.
        KeyboardInterrupt: if the job was stopped.
    """
    devices = config.hardware.devices or ranks.size()
    if ranks.size() > 1 and devices != ranks.size():
        raise UserError(f"hardware.devices: {devices}, but a launcher started {ranks.size()} processes; leave it out")
    if devices == ranks.size():
        from ofa.jobs.job import run_job

        return run_job(config, yaml)
    with tempfile.TemporaryDirectory(prefix="ofa-ranks-") as folder:
        group = RankGroup(devices, Path(folder))
        with group.signals():
            files = [handler.baseFilename for handler in logging.root.handlers if hasattr(handler, "baseFilename")]
            group.start(pickle.dumps((config, yaml, files)))
            group.wait()
        return group.results()


class RankGroup:
    """The ranks of one job as processes of this machine.

    Attributes:
        folder: where each rank leaves its outcome, and what all but the first write to the terminal.
        ended: exit statuses by rank, in the order in which they ended.
    """

    def __init__(self, size: int, folder: Path) -> None:
        self.size, self.folder = size, folder
        self.processes: list[subprocess.Popen] = []
        self.ended: dict[int, int] = {}
        self.asked = 0  # how often the user asked to stop

    def start(self, task: bytes) -> None:
        """Start every rank and hand it its ``task``. Its input stays open: when that ends, so did this process."""
        addresses = free_addresses(self.size)
        for number in range(self.size):
            process = subprocess.Popen(
                # -P: modules come from where this process has them, not from the folder it was started in.
                [sys.executable, "-P", "-m", "ofa.jobs.spawn", str(self.folder)],
                env={**os.environ, **environment(number, addresses)},
                stdin=subprocess.PIPE,
                stdout=None if number == 0 else self._output(number).open("wb"),
                stderr=None if number == 0 else subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches this process alone, which hands it on
            )
            self.processes.append(process)
            assert process.stdin is not None
            process.stdin.write(task)
            process.stdin.flush()

    def _output(self, number: int) -> Path:
        return self.folder / f"rank-{number}.txt"

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Hand Ctrl-C and SIGTERM on to the ranks."""

        def hand_on(number: int, _: Any) -> None:
            self.asked += 1
            self._send(signal.SIGKILL if number == signal.SIGINT and self.asked > 2 else number)

        before = {number: signal.signal(number, hand_on) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for process in self.processes:
                process.kill()
                process.wait()
                assert process.stdin is not None
                process.stdin.close()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _send(self, number: int) -> None:
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)

    def wait(self) -> None:
        """Until all have ended. After one has failed the others get a while for it, then are made to."""
        deadline, interrupted = float("inf"), False
        while len(self.ended) < self.size:
            time.sleep(WAIT_S)
            for number, process in enumerate(self.processes):
                status = process.poll()
                if status is not None and number not in self.ended:
                    self.ended[number] = status
                    if status != 0:
                        grace = GRACE_TO_SAVE_S if status == STOPPED else GRACE_S
                        grace = GRACE_OF_THE_REST_S if 0 in self.ended else grace
                        deadline = min(deadline, time.monotonic() + grace)
            if time.monotonic() > deadline and not interrupted:
                # Twice stops at once, wherever it is, and still closes what is open.
                interrupted, deadline = True, deadline + GRACE_S
                self._send(signal.SIGINT)
                time.sleep(WAIT_S)
                self._send(signal.SIGINT)
            elif time.monotonic() > deadline:
                self._send(signal.SIGKILL)

    def results(self) -> Results:
        """What rank 0 found.

        Raises:
            UserError: with the mistake of the first rank that met one, or which rank died, and how.
            KeyboardInterrupt: if they stopped as they were asked to.
        """
        outcomes = {number: self._outcome(number) for number in self.ended}
        failed = [number for number, status in self.ended.items() if status not in (0, STOPPED)]
        mistakes = [outcomes[number]["mistake"] for number in failed if "mistake" in outcomes[number]]
        if mistakes:
            raise UserError(mistakes[0])
        if failed and not self.asked:
            raise UserError(self._death(failed[0]))
        if any(self.ended.values()):
            raise KeyboardInterrupt
        return Results.from_json(outcomes[0]["results"])

    def _outcome(self, number: int) -> dict[str, Any]:
        path = self.folder / f"outcome-{number}.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def _death(self, number: int) -> str:
        status = self.ended[number]
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        words = f"hardware.devices: rank {number} of {self.size} {how}, which ended the job"
        if number == 0 or status < 0:  # rank 0 has said why, on the terminal
            return words
        said = self._output(number).read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL:]
        return "\n".join([f"{words}; it said:", *said])


def free_addresses(size: int) -> list[str]:
    """Addresses of this machine that nobody listens at."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(size)]  # all at once, so that they differ
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in held]


def environment(number: int, addresses: list[str]) -> dict[str, str]:
    """What tells a process its rank, in the names Paddle's own launcher uses."""
    here = str(Path(__file__).parents[2])
    return {
        "PADDLE_TRAINER_ID": str(number),
        "PADDLE_TRAINERS_NUM": str(len(addresses)),
        "PADDLE_LOCAL_SIZE": str(len(addresses)),
        "PADDLE_MASTER": addresses[0],
        "PADDLE_CURRENT_ENDPOINT": addresses[number],
        "PADDLE_TRAINER_ENDPOINTS": ",".join(addresses),
        "FLAGS_selected_gpus": str(number),
        "PYTHONPATH": os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])]),
    }


def main(folder: Path) -> int:
    """One rank: takes its job from standard input; returns the exit status."""
    config, yaml, log_files = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    terminal = logging.StreamHandler(sys.stdout)
    terminal.setFormatter(SHORT)
    of_files = [logging.FileHandler(path, encoding="utf-8") for path in (log_files if ranks.is_main() else ())]
    logging.basicConfig(level=logging.INFO, format=FORMAT, handlers=[terminal, *of_files])
    outcome: dict[str, Any] = {}
    status = 0
    try:
        with watched(expanded(config.output_dir)):
            outcome["results"] = run(config, yaml).to_json()
    except (UserError, OSError) as error:
        outcome["mistake"], status = explain(error), 1
        if config.debug:
            logging.exception("%s", error)
    except KeyboardInterrupt:
        status = STOPPED
    (folder / f"outcome-{ranks.rank()}.json").write_text(json.dumps(outcome))
    return status


def _end_with_parent() -> None:
    """End of file on standard input means that the parent process has died; exit."""
    while os.read(0, 1):  # not sys.stdin, which must not be in use when the interpreter ends
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
