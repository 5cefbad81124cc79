"""The command ``ofa`` of an installed package; ``main.py`` of a checkout and ``python -m ofa`` are the same."""

from __future__ import annotations

import sys

from ofa.commands import table


def main() -> int:
    """Exit status: 0 on success, 1 on a user's mistake or a failed job of a sweep, 2 on bad usage, 130 when stopped."""
    return table.start(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
