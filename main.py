"""Compose the settings, check them, run the stages: `python main.py task=sst2 ofa.widths=[1,0.75,0.5]`."""

import os
import sys
from pathlib import Path

# Let exceptions reach `main` below, where a user's mistake becomes one line.
os.environ.setdefault("HYDRA_FULL_ERROR", "1")

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ofa.errors import UserError
from ofa.jobs import hydra_callback, spawn
from ofa.jobs.preflight import check
from ofa.results.advice import objective
from ofa.settings import compose
from ofa.settings.explain import explain, naming_setting
from ofa.settings.words import as_typed
from ofa.system.files import watched
from ofa.system.process import find_homes

# What a user can mend: settings, data, checkpoints, folders and disks.
MISTAKES = (UserError, HydraException, OmegaConfBaseException, OSError)
started = False  # whether a job of this command has begun: until then only settings can be wrong
mistakes: list[Exception] = []  # what ended the job of this command


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def job(composed: DictConfig) -> float:
    """Run one job; returns its value for sweepers that search, nan if a sweep goes on after its failure."""
    global started
    started = True
    sweep_job = hydra_callback.current_job(composed)
    if sweep_job is not None:
        return sweep_job.attempt(lambda: run(composed), composed.sweep.stop_on_failure, composed.debug)
    try:
        settings = HydraConfig.get()
        compose.check_words(settings.job.config_name, hydra_callback.given(settings))
        return run(composed)[1]
    except MISTAKES as error:  # Hydra would print more about it than its own line or two
        mistakes.append(error)
        return float("nan")


def run(composed: DictConfig) -> tuple[str, float]:
    """Run the job of the composed settings; returns the name of its run folder, and its value."""
    config = compose.typed(composed)
    check(config)
    find_homes(Path(config.cache_dir).expanduser())
    with naming_setting(config), watched(Path(config.output_dir).expanduser()):
        results = spawn.run(config, OmegaConf.to_yaml(composed, resolve=True))
    return str(results.run), objective(results, config.objective)


def main() -> int:
    """Exit status: 0 on success, 1 on a user's mistake or a failed job of a sweep, 130 when stopped."""
    sys.argv[1:] = map(as_typed, hydra_callback.named(sys.argv[1:]))
    try:
        status = _status()
    finally:
        failures = hydra_callback.launched.close() if hydra_callback.launched else 0
    return status or int(failures > 0)


def _status() -> int:
    """Run the command; what ends it early is said in a line or two."""
    try:
        job()
        for mistake in mistakes:
            raise mistake
    except KeyboardInterrupt:
        print("Stopped. The same command goes on from the last checkpoint.", file=sys.stderr)
        return 130
    except Exception as error:
        debug = any(argument.lower() == "debug=true" for argument in sys.argv)
        # In a sweep, a job's own exceptions are in its log; this one is the sweeper's, e.g. that no trial has a value.
        if debug or (started and not hydra_callback.launched and not isinstance(error, MISTAKES)):
            raise
        print(explain(error), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
