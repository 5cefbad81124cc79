"""Compose the settings, check them, run the stages: `python main.py task=sst2 ofa.widths=[1,0.75,0.5]`."""

import logging
import os
import sys
from pathlib import Path

# Let exceptions reach `main` below, where a user's mistake becomes one line.
os.environ.setdefault("HYDRA_FULL_ERROR", "1")

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ofa import config as schema
from ofa import launcher, ranks
from ofa.disk import watched
from ofa.errors import UserError
from ofa.explain import explain, unknown_keys
from ofa.rules import check

schema.register()

# What a user can mend: settings, data, checkpoints, folders and disks.
MISTAKES = (UserError, HydraException, OmegaConfBaseException, OSError)
started = False  # whether a job of this command has begun: until then only settings can be wrong
failures: list[str] = []  # jobs of this command that ended with a user's mistake


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def job(composed: DictConfig) -> float:
    """Run one job; returns the score of the narrowest width, for sweepers that optimise.

    A job that fails is named and remembered, so that the other jobs of a sweep still run.
    """
    global started
    started = True
    try:
        config = typed(composed)
        check(config)
        with watched(Path(config.output_dir).expanduser()):
            results = launcher.run(config, OmegaConf.to_yaml(composed, resolve=True))
    except MISTAKES as error:
        failures.append(explain(error))
        if composed.debug:
            logging.exception("%s", error)
        print(failures[-1], file=sys.stderr)
        if ranks.size() > 1:
            sys.exit(1)  # the other ranks must not meet this one in the next job
        return float("nan")
    return results["widths"][-1]["score"] if "widths" in results else float("nan")


def typed(composed: DictConfig) -> schema.Config:
    """The settings as dataclasses.

    Raises:
        UserError: with a line for every setting without a value, and for every one added with ``+``
            that no dataclass has, which would be ignored in silence.
    """
    found = [f"{key}: has no value; set it with {key}=..." for key in sorted(OmegaConf.missing_keys(composed))]
    found += unknown_keys(OmegaConf.to_container(composed))
    if found:
        raise UserError("\n".join(found))
    return OmegaConf.to_object(composed)  # type: ignore[return-value]


def main() -> int:
    """Exit status: 0 on success, 1 on a user's mistake, 130 when stopped."""
    try:
        job()
    except KeyboardInterrupt:
        print("Stopped. The same command goes on from the last checkpoint.", file=sys.stderr)
        return 130
    except Exception as error:
        debug = any(argument.lower() == "debug=true" for argument in sys.argv)
        if debug or (started and not isinstance(error, MISTAKES)):
            raise
        # All that Hydra itself writes is output_dir, before the first job.
        key = "output_dir: " if isinstance(error, OSError) and error.errno and not started else ""
        print(f"{key}{explain(error)}", file=sys.stderr)
        return 1
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
