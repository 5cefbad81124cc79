"""Start the job of composed settings, as the command does and as Python does."""

from __future__ import annotations

import logging

from omegaconf import DictConfig, OmegaConf

from ofa.jobs import spawn
from ofa.jobs.preflight import check
from ofa.results.record import Results
from ofa.settings import compose
from ofa.settings.explain import naming_setting
from ofa.settings.schema import Config
from ofa.settings.unread import unread
from ofa.system.files import expanded, watched
from ofa.system.logs import shown
from ofa.system.process import find_homes

log = logging.getLogger(__name__)


def run(composed: DictConfig) -> tuple[Config, Results]:
    """Check the composed settings and run their job.

    Raises:
        UserError: if they break a rule, with a line for each, or for what stopped the job.
        OSError: with a note that names the setting whose path could not be used.
        KeyboardInterrupt: if the job was stopped.
    """
    config = compose.typed(composed)
    check(config)
    find_homes(expanded(config.cache_dir))
    with shown(), naming_setting(config), watched(expanded(config.output_dir)):
        for line in [*unread(config), *_forced_in_vain(config)]:
            log.warning(line)
        return config, spawn.run(config, OmegaConf.to_yaml(composed, resolve=True))


def _forced_in_vain(config: Config) -> list[str]:
    """A line for each stage that is to run again and is not among those of this job."""
    if not config.force:
        return []
    from ofa.stages.pipeline import wanted_stages

    names = [stage.name for stage in wanted_stages(config)]
    rest = f"changes nothing in this job; its stages are {', '.join(names)}"
    return [f"force: {name} {rest}" for name in config.force if name not in names]
