"""List or clean the finished stages on disk: ``ofa store list``, ``ofa store clean``."""

from __future__ import annotations

import argparse
import re
import sys
import time
from contextlib import suppress
from pathlib import Path

from ofa.store import Store, clean
from ofa.system.command import as_command
from ofa.system.files import expanded
from ofa.system.output import output_dir


def days(text: str) -> float:
    """``30d``, ``12h`` or ``90m`` in days."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([dhm])", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no age; allowed: a number with d, h or m, as 30d")
    return float(match[1]) / {"d": 1, "h": 24, "m": 1440}[match[2]]


def gigabytes(text: str) -> float:
    """``20`` in GB; what lies below 0 would keep nothing."""
    with suppress(ValueError):
        if (size := float(text)) >= 0:
            return size
    raise argparse.ArgumentTypeError(f"{text!r} is no size; allowed: a number from 0, as 20")


@as_command
def main(arguments: list[str]) -> int:
    """Exit status: 0, or 1 on what the disk refuses."""
    parser = argparse.ArgumentParser(prog="ofa store", description="List or clean the finished stages.")
    parser.add_argument("command", choices=("list", "clean"))
    parser.add_argument("--output-dir", type=Path, help="as output_dir of the runs; by default OFA_OUTPUT, or outputs")
    parser.add_argument("--older-than", type=days, help="clean: folders older than this, e.g. 30d")
    parser.add_argument("--keep-gb", type=gigabytes, help="clean: the oldest folders until the rest fits")
    options = parser.parse_args(arguments)
    store = Store(expanded(options.output_dir or output_dir()) / "store")
    limited = options.older_than is not None or options.keep_gb is not None
    if options.command == "clean" and not limited:
        parser.error("clean needs --older-than or --keep-gb")
    if options.command == "list" and limited:
        parser.error("list takes neither --older-than nor --keep-gb")
    shown = clean(store, options.older_than, options.keep_gb) if options.command == "clean" else store.entries()
    for entry in shown:
        age = (time.time() - entry.modified) / 86400
        print(f"{entry.size / 1e6:10.1f} MB  {age:6.1f} d  {entry.path.name:42}  {entry.what}")
    verb = "removed" if options.command == "clean" else "in all"
    print(f"{sum(entry.size for entry in shown) / 1e6:10.1f} MB  {verb}, {len(shown)} folders of {store.root}")
    if options.command == "clean" and (words := _kept(store)):
        print(words)
    return 0


def _kept(store: Store) -> str | None:
    """How much is kept for finished runs, and how to free it; None if there is none."""
    linked = store.linked()
    sizes = [entry.size for entry in store.entries() if entry.path.name in linked]
    if not sizes:
        return None
    what = f"{sum(sizes) / 1e6:10.1f} MB  kept, {len(sizes)} folders with the networks of finished runs"
    return f"{what}; to free one, remove the folders of its runs in {store.root.parent / 'runs'} first"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
