"""From axes to runs: every cell of the grid as a validated experiment of its own."""

import builtins
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from momentumlab.errors import ConfigError
from momentumlab.experiment.axes import Axis, axis
from momentumlab.experiment.cells import NUMBERS, Cell, cell_of, examples, training
from momentumlab.experiment.keys import short_key
from momentumlab.experiment.matching import CriticalEtas, check_match, match_of_eta, matched
from momentumlab.experiment.regular import MOST_LINES, lattice
from momentumlab.experiment.schema import Experiment
from momentumlab.experiment.schema_optimizer import has_gamma
from momentumlab.memory import refuse_beyond_memory, share_that_fits

AxisValues = str | float | Sequence[object]

_OF_A_RUN = 600  # bytes: what becomes of it, until the tables of the result are written; as measured
_OF_AN_EXPERIMENT = 8000  # bytes of a cell that has to be made and validated by itself

_ALWAYS_COLUMNS = ("gamma", "eta", "seed")
_NO_AXES = ("zip", "match")  # what else stands in a sweep section
_ORDER = {"optimizer.gamma": 0, "optimizer.eta": 1, "seed": 3}  # all others are 2, as given


@dataclass(frozen=True)
class Grid:
    """The runs of a sweep in order, the axes that they come from, and notes for the user."""

    axes: tuple[Axis, ...]
    zipped: bool
    cells: Sequence[Cell]
    notes: tuple[str, ...]

    @property
    def columns(self) -> list[str]:
        """The dotted keys that are varied, beside gamma, eta and seed, which every table has."""
        return [key for key in self.cells[0].values if key not in _ALWAYS_COLUMNS]


def single(experiment: Experiment) -> Grid:
    """The grid of one run, without axes; a sweep section is left aside, and a note says so."""
    notes = ("the sweep section is left aside: momentumlab sweep trains it",) if experiment.sweep else ()
    return Grid((), False, (Cell(0, {}, experiment.settled(sweep=None)),), notes)


def expand(
    experiment: Experiment,
    *,
    gamma: AxisValues | None = None,
    eta: AxisValues | None = None,
    seed: AxisValues | None = None,
    vary: Mapping[str, AxisValues] = MappingProxyType({}),
    zip: bool = False,
    match: str | None = None,
    critical: CriticalEtas | None = None,
) -> Grid:
    """Every combination of the axes; with `zip` all axes but the seed advance together.

    Axes given here take the place of the experiment's sweep section. Texts are read as on the command line.
    `match` (eta, effective, critical) says what is held equal while γ varies, and `critical` knows how. Cells that are
    the same training are merged. Raises ConfigError with every problem.
    """
    short = {"gamma": gamma, "eta": eta, "seed": seed}
    options = {f"--{key}": (key, values) for key, values in short.items() if values is not None}
    options |= {f"--vary {key}": (key, values) for key, values in vary.items()}
    sweep = experiment.sweep or {}
    section = {f"sweep.{key}": (key, values) for key, values in sweep.items() if key not in _NO_AXES}
    zipped = zip or (not options and bool(sweep.get("zip")))
    match = match or (None if options else sweep.get("match"))
    axes = _axes(options or section)
    written = {key: value for key, value in experiment.written().items() if key not in {"sweep", "expect"}}
    _refuse_unequal_pairs(axes, zipped)
    _refuse_too_many(axes, zipped)
    said: list[str] = []
    if match is not None:
        axes, zipped, said = _matched(match, experiment, axes, zipped, critical)
    cells, notes = _regular(written, axes, zipped) or _general(written, axes, zipped)
    notes += said
    dropped = [key for key in sweep if key not in {*_NO_AXES, *(key for key, _ in options.values())}]
    if options and dropped:
        notes.insert(0, f"the axes given take the place of the sweep section, without its {', '.join(dropped)}")
    if any(axis.key == "seed" for axis in axes) and not any(_seed_decides(cell.experiment) for cell in examples(cells)):
        notes.append(
            "the seed decides nothing here (fixed start, no minibatches, no noise): all seeds give the same numbers"
        )
    if experiment.expect:
        notes.append("the expect section is left aside: momentumlab run checks it")
    return Grid(axes, zipped, cells, tuple(notes))


def _seed_decides(experiment: Experiment) -> bool:
    objective, model = experiment.objective, experiment.model
    if objective is not None:
        return objective.start == "random" or objective.noise > 0
    return model is None or model.start is None or experiment.train.batch_size != "full"


# ---- axes --------------------------------------------------------------------------------------------------


def _axes(described: Mapping[str, tuple[str, Any]]) -> tuple[Axis, ...]:
    """The axes in their order; `described` holds (key, values) by what a message calls them."""
    if not described:
        raise ConfigError("nothing is varied: add for example --gamma 0,0.5,0.9,0.99, or use run for a single training")
    axes: list[Axis] = []
    lines: list[str] = []
    for label, (key, values) in described.items():
        try:
            axes.append(axis(key, values))
        except ConfigError as error:
            lines += [f"{label}: {problem}" for problem in error.problems]
    lines += _clashes(axes)
    if lines:
        raise ConfigError(lines)
    return _in_order(axes)


def _matched(
    match: str, experiment: Experiment, axes: tuple[Axis, ...], zipped: bool, critical: CriticalEtas | None
) -> tuple[tuple[Axis, ...], bool, list[str]]:
    """The axes, whether they are paired, and the note on what is equal."""
    try:
        check_match(match)
    except ConfigError as error:
        raise ConfigError([f"--match: {problem}" for problem in error.problems]) from None
    if match == "eta":
        return axes, zipped, [match_of_eta(experiment, axes)]
    axes, note = matched(match, experiment, axes, zipped, critical)
    return _in_order(axes), True, [note]


def _in_order(axes: Iterable[Axis]) -> tuple[Axis, ...]:
    return tuple(sorted(axes, key=lambda axis: _ORDER.get(axis.key, 2)))


def _clashes(axes: list[Axis]) -> Iterator[str]:
    """Keys that two axes would set."""
    for first, second in itertools.combinations(axes, 2):
        if first.key == second.key:
            yield f"{short_key(first.key)} is varied twice: keep one of the two axes"
    for outer, inner in itertools.permutations(axes, 2):
        name = inner.key.removeprefix(f"{outer.key}.")
        if name != inner.key and any(isinstance(value, dict) and name in value for value in outer.values):
            yield f"{inner.key} is varied, and also set by an entry of {outer.key}: keep one of the two"


def _refuse_unequal_pairs(axes: tuple[Axis, ...], zipped: bool) -> None:
    others = [axis for axis in axes if axis.key != "seed"]
    if zipped and len({len(axis.values) for axis in others}) > 1:
        lengths = ", ".join(f"{short_key(axis.key)} has {len(axis.values)}" for axis in others)
        raise ConfigError(f"--zip pairs the values one to one, but {lengths}: give each axis as many")


def _refuse_too_many(axes: tuple[Axis, ...], zipped: bool) -> None:
    """Raise ConfigError, before a cell is made, for more of them than memory holds."""
    lengths = {axis.key: len(axis.values) for axis in axes}
    seeds = lengths.pop("seed", 1)
    runs = seeds * (max(lengths.values(), default=1) if zipped else math.prod(lengths.values()))
    made = math.prod(count for key, count in lengths.items() if key not in NUMBERS)
    needed = runs * _OF_A_RUN + min(made, runs) * _OF_AN_EXPERIMENT
    fit = int(runs * share_that_fits(needed))
    refuse_beyond_memory(needed, f"a sweep of {runs:,} runs", f"at most about {fit:,} runs")


def _combinations(axes: tuple[Axis, ...], zipped: bool) -> list[dict[str, Any]]:
    """The values of each cell by full key, the seed fastest."""
    others = [axis for axis in axes if axis.key != "seed"]
    seeds = next((axis.values for axis in axes if axis.key == "seed"), None)
    values = [axis.values for axis in others]
    rows = builtins.zip(*values, strict=True) if zipped and others else itertools.product(*values)
    combinations = [dict(builtins.zip((axis.key for axis in others), row, strict=True)) for row in rows]
    if seeds is None:
        return combinations
    return [combination | {"seed": seed} for combination in combinations for seed in seeds]


# ---- cells -------------------------------------------------------------------------------------------------


def _regular(written: dict[str, Any], axes: tuple[Axis, ...], zipped: bool) -> tuple[Sequence[Cell], list[str]] | None:
    others = [axis for axis in axes if axis.key not in NUMBERS]
    found = lattice(written, axes, zipped, lambda templates: _labelled(templates, others, axes))
    return found and (found[0], [note for note in [_note(found[1], "")] if note])


def _general(written: dict[str, Any], axes: tuple[Axis, ...], zipped: bool) -> tuple[Sequence[Cell], list[str]]:
    kept, notes = _merged(_cells(written, _combinations(axes, zipped)))
    return _labelled(kept, axes, axes), notes


def _cells(written: dict[str, Any], combinations: list[dict[str, Any]]) -> list[Cell]:
    cells: list[Cell] = []
    lines: dict[str, None] = {}  # the same mistake is in many cells: each line once, in order
    for combination in combinations:
        try:
            named = {key: value for key, value in combination.items() if key not in NUMBERS} or combination
            cells.append(cell_of(len(cells), written, combination, named))
        except ConfigError as error:
            lines |= dict.fromkeys(error.problems)
    if lines:
        more = [f"and {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else []
        raise ConfigError([*list(lines)[:MOST_LINES], *more])
    return cells


def _merged(cells: list[Cell]) -> tuple[list[Cell], list[str]]:
    """The cells but for those that are the same training as an earlier one, renumbered, and notes on it."""
    kept: dict[str, Cell] = {}
    without_gamma: list[str] = []
    repeated = 0
    for cell in cells:
        text = training(cell)
        if text not in kept:
            kept[text] = replace(cell, run=len(kept))
        elif cell.values.get("optimizer.gamma") != kept[text].values.get("optimizer.gamma"):
            without_gamma.append(cell.experiment.optimizer.kind)
        else:
            repeated += 1
    kinds = list(dict.fromkeys(without_gamma))
    have = f" ({' and '.join(kinds)} {'has' if len(kinds) == 1 else 'have'} no γ)"
    notes = [_note(len(without_gamma), have), _note(repeated, "")]
    return list(kept.values()), [note for note in notes if note]


def _note(count: int, reason: str) -> str:
    are = "1 cell is" if count == 1 else f"{count} cells are"
    return f"{are} the same training as another{reason}: merged" if count else ""


# ---- what a cell is called ---------------------------------------------------------------------------------


def _labelled(cells: list[Cell], axes: Sequence[Axis], every: Sequence[Axis]) -> tuple[Cell, ...]:
    """The cells with values of `axes` by short key; of an axis of whole sections, the keys in which they differ.

    `every` axis of the grid tells what it varies by itself.
    """
    labels: list[dict[str, Any]] = [{} for _ in cells]
    taken = {varied.key for varied in every}
    for varied in axes:
        whole = any(isinstance(value, dict) for value in varied.values)
        values = _differing(cells, varied.key, taken) if whole else [_value(cell, varied.key) for cell in cells]
        for label, value in builtins.zip(labels, values, strict=True):
            label.update(value)
    return tuple(replace(cell, values=label) for cell, label in builtins.zip(cells, labels, strict=True))


def _value(cell: Cell, key: str) -> dict[str, Any]:
    optimizer = cell.experiment.optimizer
    without_gamma = key == "optimizer.gamma" and not has_gamma(optimizer.kind)
    return {short_key(key): optimizer.gamma if without_gamma else cell.values[key]}


def _differing(cells: list[Cell], section: str, taken: set[str]) -> list[dict[str, Any]]:
    every = [dict(_leaves(_within(cell.experiment.resolved(), section), section)) for cell in cells]
    names = dict.fromkeys(name for leaves in every for name in leaves if name not in taken)
    differ = [
        name
        for name in names
        if any(leaves.get(name) != every[0].get(name) for leaves in every) and not _told_by_the_kind(name, every)
    ]
    return [{short_key(name): leaves.get(name) for name in differ} for leaves in every]


def _within(data: dict[str, Any], key: str) -> dict[str, Any]:
    for name in key.split("."):
        data = data[name]
    return data


def _told_by_the_kind(name: str, every: list[dict[str, Any]]) -> bool:
    """Whether the rule's kind says it already: a form that some rules do not have, the backend of torch's classes."""
    if name == "optimizer.form":
        return len({leaves[name] for leaves in every if name in leaves}) == 1
    kinds = {leaves.get("optimizer.kind") for leaves in every}
    return name == "optimizer.backend" and len({(leaves["optimizer.kind"], leaves[name]) for leaves in every}) == len(
        kinds
    )


def _leaves(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """The values inside a section by dotted key; a schedule's value stands for the schedule."""
    if not isinstance(value, dict):
        yield key.removesuffix(".value"), value
        return
    for name, inner in value.items():
        yield from _leaves(inner, f"{key}.{name}")
