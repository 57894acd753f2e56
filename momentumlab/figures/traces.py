"""What figures draw: every run of some results with its settings, and families of runs that differ by seed alone."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from momentumlab.errors import ConfigError
from momentumlab.figures import labels
from momentumlab.figures.labels import Value
from momentumlab.text import nearest, safe

if TYPE_CHECKING:
    from momentumlab.results.reader import Result

Numbers = npt.NDArray[np.float64]
Columns = Mapping[str, npt.NDArray[Any]]

_OWN = {"run", "gamma", "eta", "seed"}
_RENAMED = {"optimizer.kind": "rule", "optimizer.form": "form", "optimizer.backend": "backend"}
_NOT_THE_TRAINING = {"name", "record", "expect", "sweep", "train.device", "train.threads", "train.target"}
_ORDER = ("rule", "form", "backend", "gamma", "gamma schedule", "eta", "eta schedule")
_NOT_METRICS = {"run", "step", "epoch"}
_ENOUGH = 4  # rows in an epoch of which a mean is taken
EPOCH_MEANS = "loss: the mean of each epoch's minibatches"


@dataclass(frozen=True)
class Trace:
    """One run: what it was told, what became of it, and its rows of the metrics."""

    origin: str  # the result it comes from, as a user knows it
    run: int
    settings: Mapping[str, Value]
    status: str
    columns: Columns  # the metrics of its whole result
    rows: npt.NDArray[np.intp]  # its own rows of them, by step

    def column(self, name: str) -> Numbers:
        return np.asarray(self.columns[name][self.rows], np.float64)

    def has(self, name: str) -> bool:
        """Whether there is a finite number in one of its rows; most often there is one in the first."""
        return name in self.columns and any(
            bool(np.isfinite(self.columns[name][rows]).any()) for rows in (self.rows[:1], self.rows)
        )

    def along(self, x: str, metric: str) -> tuple[Numbers, Numbers]:
        """x and metric where both are finite."""
        across, values = self.column(x), self.column(metric)
        kept = np.isfinite(values) & np.isfinite(across)
        return (across, values) if kept.all() else (across[kept], values[kept])

    def course(self, x: str, metric: str) -> tuple[Numbers, Numbers]:
        """x and metric as they are drawn: `along`, but of the losses of minibatches the mean of every epoch.

        What a single minibatch says is mostly noise. Where a run broke off its last loss stays, as it was.
        """
        across, values = self.along(x, metric)
        if not self.by_epochs(metric):
            return across, values
        numbers = np.floor(self.along("epoch", metric)[0])
        ends = not self.broken and numbers[-1] > numbers[-2]  # the batch that would come next
        across, values, numbers = (part[: len(part) - ends] for part in (across, values, numbers))
        _, of, counts = np.unique(numbers, return_inverse=True, return_counts=True)
        means = [np.bincount(of, part) / counts for part in (across, values)]
        last = [across[-1:], values[-1:]] if self.broken else [across[:0], values[:0]]
        return np.append(means[0], last[0]), np.append(means[1], last[1])

    def by_epochs(self, metric: str) -> bool:
        """Whether the metric is the loss of minibatches, of which enough were recorded in an epoch for a mean."""
        if metric != "loss" or self.settings.get("train.batch_size", "full") == "full":
            return False
        epochs = self.along("epoch", metric)[0] if "epoch" in self.columns else np.empty(0)
        return len(epochs) > _ENOUGH * max(float(epochs[-1]), 1.0) if len(epochs) > 1 else False

    @property
    def broken(self) -> bool:
        """Whether it ended before its time: diverged or failed."""
        return self.status in {"diverged", "failed"}

    @property
    def last_step(self) -> int:
        return int(self.columns["step"][self.rows[-1]])


@dataclass(frozen=True)
class Family:
    """Runs that differ by their seed alone, and what tells them from other families."""

    label: str
    settings: Mapping[str, Value]
    traces: tuple[Trace, ...]


def ending(runs: Sequence[Trace]) -> str:
    """How those that broke off ended: `diverged`, `failed`, or `diverged or failed`."""
    return " or ".join(sorted({trace.status for trace in runs if trace.broken}))


def traces(results: Sequence["Result"]) -> list[Trace]:
    """Every run that has a recorded row, finished results first; a training that is there twice comes once."""
    found: dict[frozenset[tuple[str, Value]], Trace] = {}
    for result in sorted(results, key=lambda result: not result.finished):
        for trace in _of(result):
            found.setdefault(frozenset(trace.settings.items()), trace)
    return list(found.values())


def example(result: "Result") -> Trace:
    """The first run of a result, without its rows."""
    settings = shared_settings(result) | own_settings(result, 0)
    number, status = int(result.runs["run"][0]), str(result.runs["status"][0])
    return Trace(origin(result), number, settings, status, {}, np.empty(0, np.intp))


def origin(result: "Result") -> str:
    """A result as a user knows it: its folder's name."""
    return safe(result.folder.name if result.folder else result.name)


def _of(result: "Result") -> list[Trace]:
    runs, metrics = result.runs, result.metrics
    if "run" not in metrics:
        return []
    common, source = shared_settings(result), origin(result)
    return [
        Trace(source, int(number), common | own_settings(result, row), str(runs["status"][row]), metrics, rows)
        for row, (number, rows) in enumerate(zip(runs["run"], _rows_of(metrics["run"], runs["run"]), strict=True))
        if len(rows)
    ]


def _rows_of(numbers: npt.NDArray[Any], runs: npt.NDArray[Any]) -> list[npt.NDArray[np.intp]]:
    """The rows of each run, of which `numbers` are the runs."""
    steps, rest = divmod(len(numbers), len(runs))
    if not rest and bool((numbers.reshape(steps, len(runs)) == runs).all()):  # no run broke off: nothing to sort
        return list(np.arange(len(numbers)).reshape(steps, len(runs)).T)
    small = numbers.astype(np.min_scalar_type(int(runs.max())))  # numpy counts 16 bits, sorts 64
    order = np.argsort(small, kind="stable")
    starts, ends = (np.searchsorted(small[order], runs, side) for side in ("left", "right"))
    return [order[start:end] for start, end in zip(starts, ends, strict=True)]


def varied(result: "Result") -> list[str]:
    """The columns of runs.csv that were varied besides γ, η and seed: dotted keys."""
    names = list(result.runs)
    return [name for name in names[: names.index("status")] if name not in _OWN]


def shared_settings(result: "Result") -> dict[str, Value]:
    """The settings of a result's experiment and the version; a file counts by what stands in it."""
    flat = settings(result.experiment)
    checksums = result.manifest.get("data") or {}
    for key in ("data.path", "optimizer.path"):
        if flat.get(key) in checksums:
            flat[key] = checksums[flat[key]]
    if "version" in result.manifest:
        flat["version"] = str(result.manifest["version"])
    return flat


def own_settings(result: "Result", row: int) -> dict[str, Value]:
    """What one run was told otherwise than its experiment: γ, η, seed and whatever was varied."""
    keys = ["gamma", "eta", "seed", *varied(result)]
    own = {_RENAMED.get(key, key): _value(result.runs[key][row]) for key in keys}
    for name in ("gamma", "eta"):
        said = {key.rpartition(".")[2]: value for key, value in own.items() if key.startswith(f"optimizer.{name}.")}
        if said:
            own[f"{name} schedule"] = labels.schedule_words(_schedule(result, name) | said)
    return own


def _schedule(result: "Result", name: str) -> dict[str, Any]:
    """The schedule of γ or η in a result's experiment; empty where it is a number."""
    schedule = (result.experiment.get("optimizer") or {}).get(name)
    return dict(schedule) if isinstance(schedule, Mapping) else {}


def settings(experiment: Mapping[str, Any]) -> dict[str, Value]:
    """Everything that decides the numbers of a training, flat: `rule`, `gamma`, `train.batch_size`, `data.noise` …"""
    flat = {key: value for key, value in _flat(experiment).items() if not _left_out(key)}
    optimizer = experiment.get("optimizer") or {}
    for name in ("gamma", "eta"):
        flat = {key: value for key, value in flat.items() if not key.startswith(f"optimizer.{name}")}
        flat[f"{name} schedule"] = labels.schedule_words(optimizer.get(name))
    return {_RENAMED.get(key, key): value for key, value in flat.items()}


def _left_out(key: str) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in _NOT_THE_TRAINING)


def _flat(section: Mapping[str, Any], prefix: str = "") -> dict[str, Value]:
    flat: dict[str, Value] = {}
    for key, value in section.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif value is not None:
            flat[f"{prefix}{key}"] = _value(value)
    return flat


def _value(value: Any) -> Value:
    """A setting as something that can be compared: numpy's numbers as Python's, lists as tuples, "32" as 32.

    None where a run has no such setting: an empty cell, or the γ of a rule that has none.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, list | tuple):
        return tuple(_value(item) for item in value)
    if isinstance(value, str):
        if value.startswith("["):
            return _listed(value)
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _listed(text: str) -> Value:
    """A list in a cell, as a tuple."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return _value(found) if isinstance(found, list) and "{" not in text else text


def recorded(runs: Sequence[Trace]) -> list[str]:
    """The metrics that at least one run has numbers of."""
    names: dict[str, None] = {}
    for columns in {id(trace.columns): trace.columns for trace in runs}.values():
        names |= dict.fromkeys(columns)
    return [name for name in names if name not in _NOT_METRICS]


def having(runs: Sequence[Trace], metric: str) -> list[Trace]:
    """The runs that recorded `metric`; ConfigError that names what was recorded when there is none."""
    found = [trace for trace in runs if trace.has(metric)]
    if found:
        return found
    if not runs:
        raise ConfigError("nothing to draw: no run has a recorded step yet")
    if any(metric in trace.columns for trace in runs):
        raise ConfigError(f"{safe(metric)}: no run has a finite value of it, so there is nothing to draw")
    known = recorded(runs)
    guess = nearest(metric, known)
    meant = f" Did you mean {guess!r}?" if guess else ""
    where = labels.listed(sorted({trace.origin for trace in runs})[:3])
    raise ConfigError(f"metric {safe(metric)!r} was not recorded in {where}. Recorded are {', '.join(known)}.{meant}")


def differing(runs: Sequence[Trace]) -> list[str]:
    """The settings, seed aside, in which the runs differ: rule and form first, then γ, η and the others."""
    seen: dict[str, set[Value]] = {}
    for trace in runs:
        for key, value in trace.settings.items():
            seen.setdefault(key, set()).add(value)
    for key, values in seen.items():
        if key != "form" and any(key not in trace.settings for trace in runs):  # some rules have one form only
            values.add(None)
    backends = {(trace.settings.get("rule"), trace.settings.get("backend")) for trace in runs}
    told = {"seed", *(["backend"] if len(backends) == len(seen.get("rule", ())) else [])}
    told |= {key for key in seen if key.startswith(("optimizer.gamma.", "optimizer.eta."))}  # γ schedule says it
    keys = [key for key, values in seen.items() if len(values) > 1 and key not in told]
    return sorted(keys, key=lambda key: _ORDER.index(key) if key in _ORDER else len(_ORDER))


def families(runs: Sequence[Trace]) -> tuple[list[str], list[Family]]:
    """The keys that tell families apart, and the families in order of rule, γ, η …

    Where every family is a single run and their seeds differ too, the seed is one more key.
    """
    keys = differing(runs)
    groups = _grouped(runs, keys)
    if len(groups) > 1 and all(len(group) == 1 for group in groups):
        seeds = {trace.settings.get("seed") for trace in runs}
        keys = [*keys, "seed"] if len(seeds) > 1 else keys
    texts = {key: _texts(runs, key) for key in keys}
    made = [Family(_label(group[0], keys, texts), group[0].settings, tuple(group)) for group in groups]
    # SGD, momentum, Nesterov last among the keys when γ leads, so that a legend goes up in γ.
    leads = "gamma" in keys and gamma_leads([family.settings for family in made])
    order = sorted(keys, key=lambda key: key == "rule") if leads else keys
    return keys, sorted(made, key=lambda family: [sort_key(key, family.settings.get(key)) for key in order])


def gamma_leads(settings: Sequence[Mapping[str, Value]]) -> bool:
    """Whether γ varies as much as the rule, or more: a legend goes by it then, otherwise by rules."""
    pairs = {(one.get("rule"), one.get("gamma")) for one in settings if one.get("rule") != "sgd"}
    rules, gammas = {rule for rule, _ in pairs}, {gamma for _, gamma in pairs if gamma is not None}
    return len(gammas) > 1 and len(gammas) >= len(rules) and len(pairs) > len(rules)


def _grouped(runs: Sequence[Trace], keys: Sequence[str]) -> list[list[Trace]]:
    groups: dict[tuple[Value, ...], list[Trace]] = {}
    for trace in runs:
        groups.setdefault(tuple(trace.settings.get(key) for key in keys), []).append(trace)
    return list(groups.values())


def sort_key(key: str, value: Value) -> tuple[int, float, str]:
    """An order for values of any kind: missing ones, numbers by size, words by letter, rules from simple to complex."""
    if value is None:
        return (0, 0.0, "")
    if key == "rule" and value in labels.RULE_ORDER:
        return (1, labels.RULE_ORDER.index(value), "")
    if isinstance(value, int | float):
        return (1, float(value), "")
    return (2, 0.0, str(value))


def is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _texts(runs: Sequence[Trace], key: str) -> dict[Value, str]:
    values = list(dict.fromkeys(trace.settings.get(key) for trace in runs))
    return dict(zip(values, labels.distinct(values), strict=True))


def _label(trace: Trace, keys: Sequence[str], texts: Mapping[str, Mapping[Value, str]]) -> str:
    said = {key: trace.settings.get(key) for key in keys}
    if said.get("rule") == "sgd":  # it has no γ and knows no form
        said |= {"gamma": None, "form": None}
    for name in ("gamma", "eta"):
        if said.get(name) is not None and said.get(f"{name} schedule") == "constant":
            said[f"{name} schedule"] = None  # a number says it
    parts = [
        # γ = 0.9, Demon: not the symbol twice
        texts[key][value]
        if said.get(key.removesuffix(" schedule")) is not None and key.endswith(" schedule")
        else labels.setting(key, value, texts[key][value])
        for key, value in said.items()
        if value is not None
    ]
    return ", ".join(parts or [f"no {labels.symbol(key)}" for key in keys])
