"""Hydra's side of a sweep: what its name is, which jobs it has, and which of them this process runs.

With ``commands/run.py`` and ``settings/compose.py`` the third and last place that knows Hydra: a callback has to
be a class that the settings name (``hydra.callbacks`` in ``conf/config.yaml``). What a sweep is and does is in
``sweep.py``.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from ofa.errors import UserError
from ofa.jobs.preflight import problems
from ofa.jobs.sweep import Sweep, SweepJob, full_name
from ofa.limits import figure_at_once
from ofa.settings.compose import check_words, register, typed
from ofa.settings.explain import explain
from ofa.settings.fields import how_keys
from ofa.settings.places import kept_secrets, no_path
from ofa.settings.schema import Config, job_name
from ofa.system import ranks
from ofa.system.files import expanded, unusable
from ofa.system.redact import without_secrets

register()  # here, as a job's own process loads this module and not main.py
# Overrides that say where and how a sweep runs, not what it computes: the same sweep with or without them. Which
# stages its jobs run, and what they are worth to a search, makes another sweep of it.
HOW = {"hydra", "launch", "hardware.threads", *how_keys(Config)} - {"stages", "objective"}
# Launchers that run one job at a time, or as many as sweep.parallel_jobs says, which has a rule of its own.
ONE_AFTER_ANOTHER = (".BasicLauncher", ".JoblibLauncher")
OF_SWEEP = ("output_dir", "stages")  # jobs that differ in their stages alone have one run between them
NAME = re.compile(r"\w[\w.+-]*")
launched: Sweep | None = None  # the sweep this process has launched


def named(arguments: list[str]) -> list[str]:
    """The command's ``arguments``; those of a sweep without a name get one that the same command will get again."""
    sweep = {"-m", "--multirun", "hydra.mode=MULTIRUN"} & set(arguments)
    overrides = [text for text in arguments if "=" in text and not text.startswith("-")]
    keys = [text.partition("=")[0].lstrip("+~") for text in overrides]
    if not sweep or "sweep.name" in keys:
        return arguments
    ignored = tuple(f"{key}." for key in HOW)
    what = sorted(text for text, key in zip(overrides, keys, strict=True) if not f"{key}.".startswith(ignored))
    digest = hashlib.sha256("\n".join(what).encode()).hexdigest()[:6]
    preset = next((text.partition("=")[2] for text in what if text.startswith("experiment=")), "")
    preset = preset if NAME.fullmatch(preset) else "sweep"  # of several, or of a pattern, there is no one name
    # Beside the other overrides: Hydra takes them in one piece.
    place = arguments.index(overrides[0]) if overrides else len(arguments)
    return [*arguments[:place], f"sweep.name={preset}-{digest}", *arguments[place:]]


def current_job(composed: DictConfig) -> SweepJob | None:
    """The job of a sweep that this process is running now; None if it is no sweep.

    Where it differs from others in more than task and seed, its run in MLflow is named so, too.
    """
    settings = HydraConfig.get()
    if settings.mode != RunMode.MULTIRUN:
        return None
    folder = Path(settings.runtime.output_dir)
    overrides = _own(given(settings))
    short = job_name(composed)
    name = full_name(short, overrides, folder.parent)
    if name != short and composed.tracking.run_name is None:
        composed.tracking.run_name = name
    log = folder / f"{settings.job.name}.log"
    return SweepJob(folder, settings.job.num, name, overrides, log, searched=not _is_grid(settings.sweeper))


def given(settings: Any) -> list[str]:
    """The command's overrides, as they stand in Hydra's own ``settings``: references in them as they were written."""
    return OmegaConf.to_container(settings.overrides.task, resolve=False)  # type: ignore[return-value]


def _own(overrides: Sequence[str]) -> list[str]:
    """Those a user gave."""
    return [text for text in overrides if not text.startswith("sweep.name=")]


class SweepCallback(Callback):
    """Checks every job of a sweep before the first one begins, and notes the sweep for its end in ``main.py``.

    The jobs of a search are not known beforehand: what all of them share is checked.
    The end is not left to ``on_multirun_end``: Hydra turns what a callback raises into warnings, does not call it
    after Ctrl-C, and the exit status has to know.
    """

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Before a single job: make output_dir, as Hydra does next, and end (SystemExit) if it cannot be made."""
        if found := list(no_path("output_dir", config.output_dir)):
            sys.exit(found[0])
        try:
            expanded(config.output_dir).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            sys.exit(f"output_dir: {error.filename}: {error.strerror}; allowed: a folder that can be written to")
        if unusable(Path(config.hydra.run.dir)):  # preflight says so, unless the job has finished and is only shown
            with read_write(config), open_dict(config):
                config.hydra.job_logging.handlers.pop("file", None)
                config.hydra.job_logging.root.handlers = ["console"]

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """In the launching process. Ends it (SystemExit) if the settings of a job break a rule."""
        global launched
        try:
            several = ranks.size() > 1
        except UserError as error:  # Hydra would make a warning of it
            sys.exit(str(error))
        if several:
            sys.exit("-m: a sweep starts its jobs' processes itself; use hardware.devices, not a launcher of ranks")
        jobs = _jobs(config)
        if not jobs:
            sys.exit(_empty(config))
        shared = sorted(set.intersection(*map(set, map(_own, jobs))))
        at_once = not config.hydra.launcher._target_.endswith(ONE_AFTER_ANOTHER)
        if found := [*_of_all(config)] or [*_refused(jobs, shared, at_once)]:
            sys.exit("\n".join([*found, "No job was started."]))
        settings: Any = OmegaConf.to_object(config.tracking)
        total = len(jobs) if _is_grid(config.hydra.sweeper) else None
        try:
            sweep = Sweep(Path(config.hydra.sweep.dir), expanded(config.output_dir), settings, total, shared)
            sweep.begin()
        except (UserError, OSError) as error:  # Hydra would make a warning of it
            sys.exit(f"{explain(error)}\nNo job was started.")
        launched = sweep


def _is_grid(sweeper: DictConfig) -> bool:
    """Whether ``hydra.sweeper`` is Hydra's own, which knows all jobs beforehand; others search."""
    return sweeper._target_.endswith(".BasicSweeper")


def _jobs(config: DictConfig) -> list[list[str]]:
    """The overrides of every job; of a search, which finds its jobs as it goes, those that all of them share."""
    overrides = _overrides(config)
    if not _is_grid(config.hydra.sweeper):
        fixed = (override for override in overrides if not override.is_sweep_override())
        # As the sweeper will write them for each job: 1e-3 is 0.001 there.
        return [[f"{one.get_key_element()}={one.get_value_element_as_str()}" for one in fixed]]
    sweeper: Any = get_class(config.hydra.sweeper._target_)
    (jobs,) = sweeper.split_arguments(overrides, None)
    return jobs


def _overrides(config: DictConfig) -> list[Override]:
    """Those of a sweep: its settings' own (of a grid), then the command's."""
    grid = _is_grid(config.hydra.sweeper)
    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()] if grid else []
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())
    return parser.parse_overrides([*params, *given(config.hydra)])


def _empty(config: DictConfig) -> str:
    """Why a sweep has no jobs: an override without a value, as a pattern that matches no file or an empty range."""
    loader: Any = GlobalHydra.instance().config_loader()
    overrides = [override for override in _overrides(config) if override.is_sweep_override()]
    empty = next(override for override in overrides if not list(override.sweep_string_iterator()))
    options = loader.get_group_options(empty.key_or_group)
    return f"{empty.input_line}: no value, so this sweep has no jobs; allowed: {', '.join(options) or 'at least one'}"


def _of_all(config: DictConfig) -> Iterator[str]:
    """In words, several values where a sweep has one: its end looks for the jobs' records and runs in one place."""
    for override in _overrides(config):
        key = override.key_or_group
        if override.is_sweep_override() and (key in OF_SWEEP or key.startswith("sweep.")):
            yield f"{override.input_line}: several values, and a sweep has one {key} for all of its jobs; allowed: one"


def _refused(jobs: list[list[str]], shared: Sequence[str], at_once: bool) -> Iterator[str]:
    """In words, every broken rule once, with the first job that breaks it if others do not.

    Args:
        at_once: whether a launcher runs the jobs at once.
    """
    breaking: dict[str, list[int]] = {}
    for number, overrides in enumerate(jobs):
        for line in _problems(overrides, at_once):
            breaking.setdefault(line, []).append(number)
    for line, numbers in breaking.items():
        yield line
        if len(numbers) < len(jobs):
            own = " ".join(text for text in _own(jobs[numbers[0]]) if text not in shared)
            more = f" and {len(numbers) - 1} more" if len(numbers) > 1 else ""
            yield f"  in job {numbers[0]} ({without_secrets(own)}){more}"


def _problems(overrides: list[str], at_once: bool) -> list[str]:
    try:
        check_words("config", overrides)
        composed = compose("config", overrides)
        kept = kept_secrets(OmegaConf.to_container(composed, resolve=False))
        settings = typed(composed)
        found = [*kept, *problems(settings)]
        return found or [*(figure_at_once(settings) if at_once else ())]
    except Exception as error:  # Hydra's and OmegaConf's: of many kinds, all of them mistakes in the settings
        return [explain(error)]
