"""Send what a tracking server missed: ``ofa resend RUN_FOLDER``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ofa.errors import UserError
from ofa.settings.explain import explain
from ofa.system.command import as_command
from ofa.system.output import run_folder
from ofa.tracking.journal import Busy, Journal
from ofa.tracking.sender import Sender
from ofa.tracking.server import Server
from ofa.tracking.tracker import now_ms


def resend(folder: Path) -> int:
    """Send what the journal under a run's ``folder`` still holds; returns how much is left.

    Raises:
        UserError: if there is no journal, or it does not say where to send to.
    """
    if not (folder / "tracking.jsonl").exists():
        raise UserError(
            f"{folder}: no tracking.jsonl here; give the folder of a run that was tracked, e.g. outputs/runs/<name>"
        )
    try:
        journal = Journal(folder)
    except Busy:
        raise UserError(f"{folder}: its job is running, and sends by itself") from None
    try:
        state = journal.state
        if "uri" not in state:
            raise UserError(f"{folder}: the journal does not say where to send to; run the job again")
        server = Server.of_journal(state)
        if server is None:
            raise UserError(
                f"{state['uri']}: this address came with a password or options, which are not kept on disk; "
                "give it whole as MLFLOW_TRACKING_URI"
            )
        if journal.status == "RUNNING":  # the job was killed before it could say so
            journal.add({"op": "end", "status": "KILLED", "ms": now_ms()})
        Sender(journal, server).send(now=True)
        return journal.unsent
    finally:
        journal.close()


@as_command
def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="ofa resend", description="Send what a tracking server missed of a run.")
    parser.add_argument(
        "run_folder", type=Path, nargs="+", help="outputs/runs/<name>, or the name of a run in OFA_OUTPUT"
    )
    left = 0
    for given in parser.parse_args(arguments).run_folder:
        try:
            remaining = resend(run_folder(given))
        except (UserError, OSError) as error:
            print(explain(error), file=sys.stderr)
            remaining = 1
        else:
            print(f"{given}: {remaining} entries left" if remaining else f"{given}: all sent")
        left += remaining
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
