"""From the folders of a run's stages to its results, and these to files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from ofa.errors import UserError
from ofa.hardware import engines_to_estimate, estimate, fastest_first
from ofa.results import advice, front, published
from ofa.results.figure import Latency
from ofa.results.figures import draw
from ofa.results.front import FRONT
from ofa.results.page import page
from ofa.results.record import NetworkResult, Results, Scored
from ofa.results.reduced import Reduced, slower
from ofa.results.remarks import remarks
from ofa.results.report import text
from ofa.results.timings import kept_timings, when, with_timings
from ofa.settings.schema import Config
from ofa.supernet.space import Network, teacher
from ofa.supernet.subnet import EncoderShape, count_params
from ofa.system.files import read_json, write_whole

WRITTEN = ("results.json", "report.md", "report.html", "figure.png")  # of a run, and of a sweep


def collect(
    config: Config,
    run_folder: Path,
    folders: Mapping[str, Path],
    shape: EncoderShape,
    networks: Mapping[str, Network],
    rows: Mapping[str, Mapping[str, int]],
) -> Results:
    """The results of a run from the folders of the stages that ran, and what was timed later.

    Args:
        folders: by the name of the stage.
        networks: the sub-networks of the job, by name.
        rows: split -> how many rows were ``used`` and ``left_out``.
    """
    results = Results(config.task.name, config.model.name, config.trainer.seed, run_folder.name)
    if "evaluate" not in folders:
        return results
    scores = _read(folders["evaluate"] / "scores.json")
    exports = _read(folders["export"] / "parity.json") if "export" in folders else {}
    int8: dict[str, Any] = {"networks": {}, "fast_cpu": True}
    if "quantize" in folders:
        int8 = _read(folders["quantize"] / "int8.json")
    entries = [entry for of_network in int8["networks"].values() for entry in of_network]
    results = replace(
        results,
        target=config.hardware.name,
        dev_rows=scores["rows"],
        rows={split: dict(counts) for split, counts in {**rows, **_augmented(folders)}.items()},
        learned=scores["learned"],
        teacher=Scored(**scores["teacher"]),
        networks=tuple(
            NetworkResult(
                name=name,
                **{**entry, "lost": tuple(entry["lost"])},
                **_exported(exports.get(name), _offered(int8, name)),
                latencies=tuple(estimates(config, shape, networks[name], _offered(int8, name))),
            )
            for name, entry in scores["networks"].items()
        ),
        reference=None if config.ofa.has_full else _reference(config, scores, exports, int8, shape),
        unnamed_engine=unnamed(config),
        alarms=(*scores["alarms"], *(alarm for entry in entries for alarm in entry["alarms"])),
        refused=_refused(int8["fast_cpu"], entries),
        vocabulary=scores.get("vocabulary", {}),
        export=deployed(folders).name if exports else None,
        published=published.expected(config),
        search=front.found(folders),
    )
    stage = [_read(folders["latency"] / "latency.json")] if "latency" in folders else []
    if stage and not stage[0]["timings"]:
        alarm = f"Nothing was timed: none of latency.engines has these precisions on this {stage[0]['where']}."
        results = replace(results, alarms=(*results.alarms, alarm))
    for record in sorted([*stage, *kept_timings(run_folder)], key=when):
        results = with_timings(results, record)
    return advised(results, run_folder, config, shape, networks)


def unnamed(config: Config) -> dict[str, str]:
    """The engines that the names of figures leave out: the first that is timed, and the first that is estimated."""
    estimated = engines_to_estimate(config.hardware, config.latency.estimate_engines)
    return {"measured": config.latency.engines[0], **({"estimated": estimated[0]} if estimated else {})}


def _augmented(folders: Mapping[str, Path]) -> dict[str, dict[str, int]]:
    return {"augmented": _read(folders["augment"] / "augmented.json")["counts"]} if "augment" in folders else {}


def _read(path: Path) -> Any:
    return json.loads(path.read_text())


def deployed(folders: Mapping[str, Path]) -> Path:
    """The folder with all that is deployed of every network, of the stages' folders by name."""
    return folders.get("quantize", folders["export"])


def _offered(int8: Mapping[str, Any], network: str) -> tuple[Reduced, ...]:
    """The network's graphs in reduced precision that score as it does."""
    return tuple(Reduced.of(entry) for entry in int8["networks"].get(network, ()) if entry["refused"] is None)


def _refused(fast_cpu: bool, entries: list[dict[str, Any]]) -> tuple[str, ...]:
    slow = "The CPU that quantised the networks has neither VNNI nor AMX: INT8 gains little on it."
    sentences = [f"{entry['refused']}." for entry in entries if entry["refused"] and not entry["alarms"]]
    return tuple(sentences + [slow] * (not fast_cpu))


def _exported(entry: dict[str, Any] | None, offered: tuple[Reduced, ...]) -> dict[str, Any]:
    if entry is None:
        return {}
    parity = (*entry["parity"], *(one.parity for one in offered))
    return {"bytes": entry["bytes"]["model.onnx"], "parity": parity, "reduced": offered}


def _reference(
    config: Config, scores: dict[str, Any], exports: dict[str, Any], int8: dict[str, Any], shape: EncoderShape
) -> NetworkResult:
    """The teacher as a network: what the speed of the others is compared with where none of them is the full one."""
    full = teacher(shape)
    offered = _offered(int8, full.name)
    tokens = scores.get("vocabulary", {}).get("tokens", shape.vocab_size)  # it is exported with the networks' own
    return NetworkResult(
        name=full.name,
        width=full.width,
        depth=full.depth,
        heads=shape.num_attention_heads,
        neurons=shape.intermediate_size,
        **{**scores["teacher"], "params": count_params(replace(shape, vocab_size=tokens))},
        **_exported(exports.get(full.name), offered),
        latencies=tuple(estimates(config, shape, full, offered)),
    )


def estimates(
    config: Config, shape: EncoderShape, network: Network, offered: tuple[Reduced, ...] = ()
) -> list[Latency]:
    """Estimated latencies of the settings' target, in each of their engines, precisions, batch sizes and lengths.

    Args:
        offered: its graphs in reduced precision; INT8 is estimated for no other engine.
    """
    target, found = config.hardware, []
    for engine, precision, batch, length in ways(config, offered):
        one = estimate(target, engine, precision, shape, network.subnet, batch, length)
        found.append(Latency(target.name, engine, precision, batch, length, "estimated", one.ms, one.evidence))
    return found


def ways(config: Config, offered: tuple[Reduced, ...] = ()) -> Iterator[tuple[str, str, int, int]]:
    """Engine, precision, batch size and length of each of these estimates."""
    settings, target = config.latency, config.hardware
    for engine in engines_to_estimate(target, settings.estimate_engines):
        int8 = any(one.what == (engine, "int8") for one in offered)
        precisions = [precision for precision in settings.precisions if precision != "int8" or int8]
        yield from product(
            [engine], fastest_first(target, engine, precisions), settings.batch_sizes, settings.seq_lengths
        )


def advised(
    results: Results, run_folder: Path, config: Config, shape: EncoderShape, networks: Mapping[str, Network]
) -> Results:
    """``results`` with the recommendation and the warnings that follow from their figures."""
    results = replace(results, search=front.checked(results))
    found = remarks(results, run_folder, config, shape, networks)
    return replace(
        results,
        recommended=advice.recommend(results, config.ofa.tolerance),
        warnings=(*results.alarms, *results.refused, *front.remarks(results), *slower(results), *found),
    )


def write(folder: Path, results: Results) -> list[Path]:
    """Write results.json and, once networks are scored, the reports and the figures; returns their paths.

    What an earlier start with the same settings has scored stays, if this one stopped at an earlier stage.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scored = results.teacher is not None
    files = {"results.json": json.dumps(results.to_json(), indent=1) + "\n"}
    if not scored and (folder / "report.md").exists():
        files = {}
    if scored:
        draw(results, folder / "figure.png")
        if results.search:
            front.draw(results, folder / FRONT)
        files["report.md"] = text(results)
        files["report.html"] = page(files["report.md"], folder)
    for name, content in files.items():
        write_whole(folder / name, content)
    return [path for name in (*WRITTEN, FRONT) if (path := folder / name).exists()]


def read(folder: Path) -> Results:
    """The results that a run left in its ``folder``."""
    return Results.from_json(read_json(folder / "results.json"))


def read_given(folder: Path) -> Results:
    """The same of a ``folder`` that a user named.

    Raises:
        UserError: if it is not that of a finished run.
    """
    try:
        return read(folder)
    except (UserError, OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{folder}: no results.json; give the folder of a finished run, outputs/runs/<name>") from None
