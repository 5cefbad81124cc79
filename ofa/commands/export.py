"""Write a network of a run for other programs: ``ofa export RUN_OR_FOLDER --triton TARGET``, or ``--padded``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ofa.chosen import chosen
from ofa.deploy import triton
from ofa.errors import UserError
from ofa.model.padded import write_padded
from ofa.system.command import as_command
from ofa.system.files import expanded


@as_command
def main(arguments: list[str]) -> int:
    """Exit status: 0, or 1 on a user's mistake."""
    parser = argparse.ArgumentParser(prog="ofa export", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path", type=Path, help="the folder of a run, or of one exported network")
    parser.add_argument("--network", help="e.g. w0.5; the recommended one if left out")
    parser.add_argument("--precision", choices=("fp32", "int8"), help="int8 where it is recommended, else fp32")
    targets = parser.add_mutually_exclusive_group(required=True)
    targets.add_argument("--triton", type=Path, metavar="TARGET", help="a Triton model repository")
    targets.add_argument(
        "--padded", type=Path, metavar="TARGET", help="a plain model that loads anywhere, zeros for what is cut"
    )
    parser.add_argument("--name", help="of the model in it; by default the folder's")
    options = parser.parse_args(arguments)
    if options.padded and options.precision == "int8":
        raise UserError("--precision: int8 is a graph, a padded copy has weights; allowed with --padded: fp32")
    target = expanded(options.padded or options.triton)
    folder, settings = chosen(options.path, options.network, options.precision)
    if options.padded:
        write_padded(folder, target)
        print(f"{target}: AutoModelForSequenceClassification.from_pretrained({str(target)!r})")
        return 0
    place = triton.write(folder, target, options.name or folder.name, settings["precision"])
    print(f"{place}: start Triton with --model-repository={target}")
    print(f"It runs in ONNX Runtime, {settings['precision']}, whichever engine and GPU precision its run recommends.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
