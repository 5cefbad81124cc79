"""Addresses and paths among the settings: which of them takes which, and no password said or kept on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ofa.errors import UserError
from ofa.settings.schema import Config
from ofa.system.files import expanded
from ofa.system.redact import QUOTING, UNCLEAR, is_clear, without_secrets


def url_problems(url: str | None) -> Iterable[str]:
    """An address that nothing is fetched from, or whose password ends where two libraries could disagree."""
    if url is None or url.startswith("file://"):
        return
    if not url.startswith(("https://", "http://")):
        yield f"task.url: {without_secrets(url)!r} is not an https, http or file address"
    elif not is_clear(url):
        yield f"task.url: {UNCLEAR}; {QUOTING}"


def path_problems(config: Config) -> Iterable[str]:
    """What is no path where one is meant: s3://bucket would be made as a folder s3: beside the user."""
    task, model = config.task, config.model
    paths = {"output_dir": config.output_dir, "cache_dir": config.cache_dir, "task.data_dir": task.data_dir}
    paths |= {"model.path": model.path, "model.vocab": model.vocab, "task.train": task.train, "task.test": task.test}
    paths |= {f"task.dev.{split}": file for split, file in task.dev.items()}
    further = {"task.unlabelled": task.unlabelled, "ofa.vocabulary_files": config.ofa.vocabulary_files}
    for key, files in further.items():
        paths |= {f"{key}[{number}]": file for number, file in enumerate(files)}
    for key, value in paths.items():
        yield from no_path(key, value)
    yield from no_address("task.hub", task.hub, "a name of the hub, as owner/name")
    yield from no_address("model.pretrained", model.pretrained, "a name of the model hub, as bert-base-uncased")


def no_path(key: str, value: str | None) -> Iterable[str]:
    """What is no path of this machine: an address, or what is in the home folder of nobody."""
    yield from no_address(key, value, "a path on this machine")
    try:
        expanded(value or "")
    except UserError as error:
        yield f"{key}: {error}"


def no_address(key: str, value: str | None, allowed: str) -> Iterable[str]:
    if value is not None and "://" in value:
        yield f"{key}: {without_secrets(value)!r} is an address; allowed: {allowed}"


def kept_secrets(values: Any, key: str = "") -> Iterator[str]:
    """In words, every address with a password or options among the settings of a sweep, which Hydra writes to disk.

    Args:
        values: nested, with references ``${...}`` as they were written.
    """
    if isinstance(values, dict | list):
        pairs = values.items() if isinstance(values, dict) else enumerate(values)
        for name, value in pairs:
            yield from kept_secrets(value, f"{key}.{name}".lstrip("."))
    elif isinstance(values, str) and without_secrets(values) != values:
        instead = "MLFLOW_TRACKING_URI" if key == "tracking.uri" else f"{key}='${{oc.env:NAME}}' and NAME"
        yield (
            f"{key}: Hydra writes a sweep's settings to disk, and this address has a password or options\n"
            f"leave it out and give {instead} in the environment"
        )
