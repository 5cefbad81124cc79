"""Which commands there are, and how a mistyped one is answered."""

from __future__ import annotations

import difflib
import importlib
import sys
from dataclasses import dataclass
from functools import partial

from ofa import __version__
from ofa.system.command import MISTAKES, as_command


@dataclass(frozen=True)
class Entry:
    """A command: the module whose ``main(arguments)`` it is, what it does in a line, and words it puts in front."""

    module: str
    summary: str
    first: tuple[str, ...] = ()


COMMANDS = {
    "run": Entry("ofa.commands.run", "train, score, export and time every network: ofa run task=sst2"),
    "sweep": Entry("ofa.commands.run", "a job for each combination of values: ofa sweep task=cola,sst2", ("-m",)),
    "predict": Entry("ofa.predict", "labels and probabilities for texts, or for a file of them"),
    "serve": Entry("ofa.commands.serve", "answer over HTTP, on this machine"),
    "export": Entry("ofa.commands.export", "a network for another program: Triton"),
    "ui": Entry("ofa.commands.ui", "MLflow's pages of the output folder, on this machine only"),
    "plan": Entry("ofa.commands.plan", "sizes and estimated latency of a job's networks, without training"),
    "time": Entry("ofa.timing", "measure an earlier run's networks on this machine"),
    "store": Entry("ofa.commands.store", "list or clean the finished stages on disk"),
    "resend": Entry("ofa.tracking.__main__", "send what a tracking server missed"),
    "settings": Entry("ofa.commands.settings", "what each setting means, its type and default"),
}
USAGE = """usage: ofa COMMAND ...          ofa COMMAND --help tells more of one
       ofa KEY=VALUE ...        the same as ofa run KEY=VALUE ...

{commands}

Try:  ofa run experiment=quickstart        minutes on a CPU, nothing to download
      ofa settings [KEY]                   each setting, and what it means
      ofa run --help                       the values that a job has by default

OFA_OUTPUT and OFA_CACHE in the environment set output_dir and cache_dir.
In a checkout, python main.py is the same as ofa."""


def usage() -> str:
    return USAGE.format(commands="\n".join(f"  {name:<10}{entry.summary}" for name, entry in COMMANDS.items()))


@partial(as_command, mistakes=())
def start(arguments: list[str]) -> int:
    """Do what ``arguments`` ask for; returns the exit status.

    Without a command among :data:`COMMANDS` they are those of ``run``.
    """
    word = arguments[0] if arguments else "--help"
    if arguments == ["--version"]:
        print(f"ofa {__version__}")
        return 0
    if word in ("-h", "--help", "help") and len(arguments) < 2:
        print(usage())
        return 0
    if word.replace("-", "").isalpha() and word[0] != "-" and word not in COMMANDS:
        near = difflib.get_close_matches(word, COMMANDS, 3) or list(COMMANDS)
        print(f"{word}: no such command; did you mean {', '.join(near)}? See ofa --help", file=sys.stderr)
        return 2
    entry, rest = (COMMANDS[word], arguments[1:]) if word in COMMANDS else (COMMANDS["run"], arguments)
    main = importlib.import_module(entry.module).main
    # A run has said its mistakes already, unless debug=true asks for the traceback.
    mistakes = () if entry.module == COMMANDS["run"].module else MISTAKES
    return as_command(main, mistakes)([*entry.first, *rest])
