"""The record of a run as types: its networks, their scores, sizes and latencies; ``results.json`` is its text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from ofa.results.figure import Latency
from ofa.results.reduced import Reduced, entries, of_entries, unsound
from ofa.supernet.space import SEARCHED

UNNAMED = {"measured": "paddle", "estimated": "paddle"}  # of results.json files that do not say


@dataclass(frozen=True)
class Scored:
    """What every network has: scores from 0 to 1 on the dev rows and on test rows, parameters, and MACs per row."""

    score: float
    metrics: dict[str, float]
    params: int
    macs: int
    test: dict[str, float] | None = None


@dataclass(frozen=True, kw_only=True)
class NetworkResult(Scored):
    """One sub-network.

    Attributes:
        heads, neurons: kept in every layer; a list where layers differ.
        bytes: size of the FP32 graph that is deployed, ``model.onnx``; None if it was not exported.
        last: score at the last step of distillation, whichever step was kept.
        undistilled: score of the same sub-network cut from the reordered teacher, before distillation.
        lost: ends of the 90% interval of the points lost against the teacher, over the dev rows.
        parity: how far each exported file is from the network that was scored.
        reduced: its graphs in INT8 and FP16 that score as it does.
    """

    name: str
    width: float
    depth: float
    heads: int | list[int]
    neurons: int | list[int]
    bytes: int | None = None
    last: float | None = None
    undistilled: float | None = None
    lost: tuple[float, float] | None = None
    parity: tuple[dict[str, Any], ...] = ()
    latencies: tuple[Latency, ...] = ()
    reduced: tuple[Reduced, ...] = ()

    def in_precision(self, engine: str, precision: str) -> Reduced | None:
        """Its graph in reduced precision for ``engine``; None if that runs the graph that was scored."""
        return next((one for one in self.reduced if one.what == (engine, precision)), None)

    @property
    def searched(self) -> bool:
        """Whether a search found it: its layers differ, and its width is their mean."""
        return self.name.startswith(SEARCHED)

    @property
    def label(self) -> str:
        """``width 0.75``, or ``search1``, as tables and sentences call it."""
        shares = f"width {self.width:.4g}" + (f", depth {self.depth:.4g}" if self.depth != 1 else "")
        return self.name if self.searched else shares

    def to_json(self, unnamed: Mapping[str, str], reference: NetworkResult) -> dict[str, Any]:
        """Its entry in results.json; ``reference`` is what speed-ups are against."""
        sizes, further = ("width", "depth", "heads", "neurons"), ("last", "undistilled", "lost", "test")
        shown = ("name", *sizes, "score", "metrics", "params", "macs", *further)
        entry = {key: value for key in shown if (value := getattr(self, key)) is not None}
        entry["latency_ms"] = {latency.name(unnamed): latency.ms for latency in self.latencies}
        if self.bytes is not None:
            entry |= {"bytes": self.bytes, "parity": list(self.parity), **entries(self.reduced)}
        return entry | {"speedup": self.speedups(unnamed, reference)}

    @classmethod
    def from_json(
        cls, entry: Mapping[str, Any], unnamed: Mapping[str, str], evidence: Mapping[str, str]
    ) -> NetworkResult:
        """A network from its entry; entries made before networks had names are understood."""
        values = {"name": f"w{entry['width']:.4g}", "depth": 1.0, **entry}
        values["latencies"] = tuple(
            replace(Latency.parse(name, ms, unnamed), evidence=evidence.get(name, ""))
            for name, ms in entry.get("latency_ms", {}).items()
        )
        values["parity"] = tuple(entry.get("parity", ()))
        values["reduced"] = of_entries(entry)
        values["lost"] = tuple(entry["lost"]) if "lost" in entry else None
        return cls(**{key: values[key] for key in cls.__dataclass_fields__ if key in values})

    def speedups(self, unnamed: Mapping[str, str], reference: NetworkResult) -> dict[str, float]:
        """How many times faster than ``reference`` it is, by the name of the figure."""
        base = {latency.name(unnamed): latency.ms for latency in reference.latencies}
        own = {latency.name(unnamed): latency.ms for latency in self.latencies}
        return {name: base[name] / ms for name, ms in own.items() if name in base}


@dataclass(frozen=True)
class Recommendation:
    """Which network to take, how to run it, and why, in words too.

    Attributes:
        name: None where there is nothing to recommend; ``words`` says why.
        width, depth: of the network.
        tolerance: points of score that it may lose against the teacher.
        figure: the name of the latency it was chosen by; None where it was chosen by its parameters.
        engine, precision, batch_size: of that latency.
        evidence: what that latency rests on, e.g. ``measured on t4``.
    """

    words: str
    tolerance: float
    name: str | None = None
    width: float | None = None
    depth: float | None = None
    figure: str | None = None
    engine: str | None = None
    precision: str | None = None
    batch_size: int | None = None
    evidence: str | None = None


@dataclass(frozen=True)
class Results:
    """All that is known of a run; of one that stopped before its networks were scored, its first fields.

    Attributes:
        run: the name of its folder.
        target: the device the networks are for, ``hardware.name``.
        dev_rows: how many rows the scores are of.
        rows: split -> rows ``used`` and malformed ones ``left_out`` (task.bad_rows=skip); of ``unlabelled`` ones also
            those ``repeated`` and those ``in_dev``.
        learned: whether the teacher is better than a constant answer.
        reference: the teacher as a network, where no network of the job is the full one.
        unnamed_engine: kind of figure -> the engine that the names of its figures leave out.
        alarms: results that look wrong; ``warnings`` has these and what else is worth knowing.
        refused: graphs in reduced precision that are not offered, and why, in sentences.
        published: metric -> published scores of ``[BERT, its width 2/3]``, where the recipe is theirs.
        measured_on: device -> what it was, and its ``tokenizer_ms`` by batch size and length, on top of each figure.
        unsteady: names of measured figures that varied so much that the machine was busy.
        vocabulary: of networks with a smaller one, its ``tokens``, ``of`` how many, and the share of rows ``changed``.
        export: the name of the folder of exported networks in the store.
        search: what a search left: its limits, its front by name, and the uniform networks beside it.
    """

    task: str
    model: str
    seed: int
    run: str | None = None
    target: str = ""
    dev_rows: int = 0
    rows: dict[str, dict[str, int]] = field(default_factory=dict)
    learned: bool = True
    teacher: Scored | None = None
    networks: tuple[NetworkResult, ...] = ()
    reference: NetworkResult | None = None
    unnamed_engine: dict[str, str] = field(default_factory=lambda: dict(UNNAMED))
    alarms: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    measured_on: dict[str, dict[str, Any]] = field(default_factory=dict)
    unsteady: tuple[str, ...] = ()
    vocabulary: dict[str, Any] = field(default_factory=dict)
    export: str | None = None
    recommended: Recommendation | None = None
    warnings: tuple[str, ...] = ()
    published: dict[str, list[float]] = field(default_factory=dict)
    search: dict[str, Any] | None = None

    @property
    def largest(self) -> NetworkResult:
        """The network that the others' speed-ups are against."""
        return self.reference or max(self.networks, key=lambda network: (network.macs, network.width))

    @property
    def figures(self) -> dict[str, Latency]:
        """Every latency figure by name: the full network's, and what others have where it has no such graph."""
        found: dict[str, Latency] = {}
        for network in (self.largest, *self.networks) if self.networks else ():
            for latency in network.latencies:
                found.setdefault(latency.name(self.unnamed_engine), latency)
        return found

    @property
    def exported(self) -> tuple[NetworkResult, ...]:
        """What is deployed, as far as a job exports: its networks and, where none is the full one, the teacher."""
        return (*self.networks, self.reference) if self.reference else self.networks

    def network(self, name: str | None) -> NetworkResult | None:
        return next((network for network in self.exported if network.name == name), None)

    @property
    def headlines(self) -> list[Latency]:
        """The figures that tables and charts show, of the full network: one for the target, one for each other device.

        The target's measured figures come before its estimates. Of a device's figures, it is the one that a search
        limited, else the fastest at its first batch size and length that keeps the scores.
        """
        limited = (self.search or {}).get("figure")
        groups: dict[str, list[Latency]] = {}
        for latency in self.largest.latencies if self.networks else ():
            groups.setdefault(latency.where, []).append(latency)
        ordered = sorted(groups, key=lambda where: where != self.target)
        named = {one.where: one for one in chain(*groups.values()) if one.name(self.unnamed_engine) == limited}
        return [named.get(where) or min(self.comparable(groups[where]), key=lambda one: one.ms) for where in ordered]

    def comparable(self, latencies: Sequence[Latency]) -> list[Latency]:
        """Those of one device's figures that one may choose among: measured if any is, at the first size, and sound."""
        measured = [latency for latency in latencies if latency.kind == "measured"] or list(latencies)
        first = (measured[0].batch_size, measured[0].seq_length)
        sized = [latency for latency in measured if (latency.batch_size, latency.seq_length) == first]
        wary = unsound(self.networks, sized)
        return [latency for latency in sized if (latency.engine, latency.precision) not in wary] or sized

    def speedups(self, network: NetworkResult) -> dict[str, float]:
        return network.speedups(self.unnamed_engine, self.largest)

    def latency(self, network: NetworkResult, figure: str | None) -> Latency | None:
        """The latency of ``network`` by the name of the figure; None if it has none, as without an INT8 graph."""
        return next((one for one in network.latencies if one.name(self.unnamed_engine) == figure), None)

    def ms(self, network: NetworkResult, figure: str) -> float | None:
        """Milliseconds per batch of ``network`` by the name of the figure, if it has that."""
        return found.ms if (found := self.latency(network, figure)) else None

    def to_json(self) -> dict[str, Any]:
        """The content of results.json."""
        found: dict[str, Any] = {"run": self.run} if self.run else {}
        found |= {"task": self.task, "model": self.model, "seed": self.seed}
        if self.teacher is None:
            return found
        found |= {"target": self.target, "dev_rows": self.dev_rows, "rows": self.rows, "learned": self.learned}
        found["teacher"] = {key: value for key, value in vars(self.teacher).items() if value is not None}
        found["widths"] = [network.to_json(self.unnamed_engine, self.largest) for network in self.networks]
        found |= {"alarms": list(self.alarms), "unnamed_engine": self.unnamed_engine}
        found |= {"measured_on": self.measured_on, "unsteady": list(self.unsteady)} if self.measured_on else {}
        estimates = {name: latency for name, latency in self.figures.items() if latency.kind == "estimated"}
        about = {name: {"engine": latency.engine, "evidence": latency.evidence} for name, latency in estimates.items()}
        more: dict[str, Any] = {"refused": list(self.refused), "estimated_for": about, "vocabulary": self.vocabulary}
        more |= {"export": self.export, "search": self.search, "published": self.published}
        more["reference"] = self.reference.to_json(self.unnamed_engine, self.reference) if self.reference else None
        more["recommended"] = vars(self.recommended) if self.recommended else None
        return found | {key: value for key, value in more.items() if value} | {"warnings": list(self.warnings)}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Results:
        """A run's results from the content of its results.json, of an earlier version too."""
        unnamed = found.get("unnamed_engine", UNNAMED)
        evidence = {name: about["evidence"] for name, about in found.get("estimated_for", {}).items()}
        networks = tuple(NetworkResult.from_json(entry, unnamed, evidence) for entry in found.get("widths", ()))
        results = cls(found["task"], found["model"], found["seed"], found.get("run"), networks=networks)
        if "teacher" not in found:
            return results
        recommended = found.get("recommended")
        if recommended:
            chosen = next((network.name for network in networks if network.width == recommended["width"]), None)
            recommended = Recommendation(**{"name": chosen, **recommended})
        return replace(
            results,
            reference=NetworkResult.from_json(found["reference"], unnamed, evidence) if "reference" in found else None,
            teacher=Scored(**{key: found["teacher"].get(key) for key in Scored.__dataclass_fields__}),
            target=found.get("target", ""),
            dev_rows=found.get("dev_rows", 0),
            learned=found.get("learned", True),
            unnamed_engine=dict(unnamed),
            alarms=tuple(found.get("alarms", ())),
            refused=tuple(found.get("refused", ())),
            unsteady=tuple(found.get("unsteady", ())),
            export=found.get("export"),
            recommended=recommended,
            warnings=tuple(found.get("warnings", ())),
            **{key: found.get(key, {}) for key in ("rows", "measured_on", "vocabulary", "published")},
            search=found.get("search"),
        )
