"""Compose the settings, check them, run the stages: ``ofa run task=sst2 'ofa.widths=[1,0.75,0.5]'``."""

import os
import sys
from itertools import pairwise

# Let exceptions reach `main` below, where a user's mistake becomes one line.
os.environ.setdefault("HYDRA_FULL_ERROR", "1")

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from ofa.errors import UserError
from ofa.jobs import hydra_callback, start
from ofa.results.advice import objective
from ofa.settings import compose
from ofa.settings.explain import explain
from ofa.settings.groups import CONF
from ofa.settings.words import as_typed

# Options of Hydra's that the next word belongs to.
VALUED = {"-c", "--cfg", "-p", "--package", "-cp", "--config-path", "-cn", "--config-name", "-cd", "--config-dir"}
VALUED |= {"-i", "--info", "--experimental-rerun"}
# What a user can mend: settings, data, checkpoints, folders and disks.
MISTAKES = (UserError, HydraException, OmegaConfBaseException, OSError)


class Command:
    """One command: its job, or each job of its sweep that runs in this process.

    Attributes:
        started: whether a job has begun; until then only settings can be wrong.
        mistake: what ended the job of this command.
    """

    def __init__(self) -> None:
        self.started = False
        self.mistake: Exception | None = None

    def job(self, composed: DictConfig) -> float:
        """Run one job; returns its value for sweepers that search, nan if a sweep goes on after its failure."""
        self.started = True
        sweep_job = hydra_callback.current_job(composed)
        if sweep_job is not None:
            return sweep_job.attempt(lambda: run(composed), composed.sweep.stop_on_failure, composed.debug)
        try:
            settings = HydraConfig.get()
            compose.check_words(str(settings.job.config_name), hydra_callback.given(settings))
            return run(composed)[1]
        except MISTAKES as error:  # Hydra would print more about it than its own line or two
            self.mistake = error
            return float("nan")

    def status(self) -> int:
        """Run the command; returns its exit status. What ends it early is said in a line or two."""
        try:
            hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(self.job)()
            if self.mistake:
                raise self.mistake
        except KeyboardInterrupt:
            print("Stopped. The same command goes on from the last checkpoint.", file=sys.stderr)
            return 130
        except Exception as error:
            debug = any(argument.lower() == "debug=true" for argument in sys.argv)
            # In a sweep, a job's own exceptions are in its log; this one is the sweeper's, e.g. that no trial
            # has a value.
            if debug or (self.started and not hydra_callback.launched and not isinstance(error, MISTAKES)):
                raise
            print(explain(error), file=sys.stderr)
            return 1
        return 0


def options_first(arguments: list[str]) -> list[str]:
    """The settings behind the options: Hydra's parser refuses those that follow an option among them."""
    options: list[str] = []
    settings: list[str] = []
    for before, word in pairwise(["", *arguments]):
        (options if word.startswith("-") or before in VALUED else settings).append(word)
    return [*options, *settings]


def run(composed: DictConfig) -> tuple[str, float]:
    """Run the job of the composed settings; returns the name of its run folder, and its value."""
    config, results = start.run(composed)
    return str(results.run), objective(results, config.objective)


def main(arguments: list[str]) -> int:
    """Exit status: 0 on success, 1 on a user's mistake or a failed job of a sweep, 130 when stopped."""
    sys.argv[1:] = map(as_typed, hydra_callback.named(options_first(arguments)))  # where Hydra reads them
    try:
        status = Command().status()
    finally:
        failures = hydra_callback.launched.close() if hydra_callback.launched else 0
    return status or int(failures > 0)
