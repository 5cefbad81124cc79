"""Write a network of a finished run for another program: ``ofa export RUN_OR_FOLDER --triton TARGET``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ofa.deploy import triton
from ofa.errors import UserError
from ofa.predict import chosen


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0, or 1 on a user's mistake."""
    parser = argparse.ArgumentParser(prog="ofa export", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path", type=Path, help="the folder of a run, or of one exported network")
    parser.add_argument("--network", help="e.g. w0.5; the recommended one if left out")
    parser.add_argument("--precision", choices=("fp32", "int8"), help="int8 where it is recommended, else fp32")
    parser.add_argument("--triton", type=Path, required=True, metavar="TARGET", help="a Triton model repository")
    parser.add_argument("--name", help="of the model in it; by default the folder's")
    options = parser.parse_args(arguments)
    try:
        folder, settings = chosen(options.path, options.network, options.precision)
        place = triton.write(folder, options.triton, options.name or folder.name, settings.get("precision", "fp32"))
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{place}: start Triton with --model-repository={options.triton}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
