"""Compose the settings, check them, run the stages: `python main.py task=sst2 ofa.widths=[1,0.75,0.5]`."""

import logging
import os
import sys

# Let exceptions reach `main` below, where a user's mistake becomes one line.
os.environ.setdefault("HYDRA_FULL_ERROR", "1")

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ofa import config as schema
from ofa.errors import UserError
from ofa.explain import explain
from ofa.rules import check

schema.register()


failures: list[str] = []  # jobs of this command that ended with a user's mistake


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def job(composed: DictConfig) -> float:
    """Run one job; returns the score of the narrowest width, for sweepers that optimise.

    A job that fails is named and remembered, so that the other jobs of a sweep still run.
    """
    try:
        missing = sorted(OmegaConf.missing_keys(composed))
        if missing:
            raise UserError("\n".join(f"{key}: has no value; set it with {key}=..." for key in missing))
        config = OmegaConf.to_object(composed)
        check(config)
        from ofa.job import run_job  # heavy; only once the settings are known to be sound

        results = run_job(config, OmegaConf.to_yaml(composed, resolve=True))
    except UserError as error:
        failures.append(str(error))
        if composed.debug:
            logging.exception("%s", error)
        print(error, file=sys.stderr)
        return float("nan")
    return results["widths"][-1]["score"] if "widths" in results else float("nan")


def main() -> int:
    """Exit status: 0 on success, 1 on a user's mistake, 130 when stopped."""
    try:
        job()
    except (HydraException, OmegaConfBaseException) as error:
        if any(argument.lower() == "debug=true" for argument in sys.argv):
            raise
        print(explain(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. The same command goes on from the last checkpoint.", file=sys.stderr)
        return 130
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
