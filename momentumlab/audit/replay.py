"""Recorded updates computed again: rows of metrics.csv that are one step apart, all at once.

Every pair of rows is a run of a stack: from θ, ∇J and v of its first row the rule gives θ and v of its second.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from momentumlab.arrays import NumpyArrays
from momentumlab.experiment import Cell
from momentumlab.experiment.schema_optimizer import AggmoOptimizer, RuleOptimizer
from momentumlab.optimizers.rules import RULES
from momentumlab.optimizers.schedules import as_schedule
from momentumlab.optimizers.update import Moment, Update
from momentumlab.optimizers.updates import changes_by_run, setting
from momentumlab.results.reader import Columns

ROUNDINGS = 64
"""A recomputed number may differ by so many roundings of the largest term in its formula: the memory is read back from
η·memory, and norms are summed in another order."""

_VECTORS = ("theta", "gradient", "velocity")
_VECTOR = re.compile(r"(?:theta|gradient|velocity)_(\d{1,6})", re.ASCII)

Numbers = npt.NDArray[Any]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Deviation:
    """A number of metrics.csv that is not what other numbers there say."""

    row: int  # 0-based, in the file
    run: int
    step: int
    column: str
    expected: float
    got: float

    def __str__(self) -> str:
        place = f"metrics.csv:{self.row + 2}: run {self.run}, step {self.step}"
        return f"{place}: {self.column} is {self.got!r}, and the other numbers give {self.expected!r}"


@dataclass(frozen=True)
class Pairs:
    """The rows of a run that are one step apart, as places in the columns of the metrics."""

    cell: Cell
    rows: Rows  # all of the run's
    width: int  # parameters, as far as they were recorded
    first: Rows
    second: Rows
    before: Rows  # the row one step before the first; at the start the first itself
    updates: int  # how many updates the run was to make
    gap: str  # why some updates cannot be computed again; empty where all can

    @classmethod
    def of(cls, cell: Cell, rows: Rows, metrics: Columns) -> "Pairs":
        """The pairs among the rows of a run, which are in the order of its steps."""
        steps = metrics["step"][rows]
        names = [name for name in metrics if name.startswith("theta_")] if len(rows) else []
        width = sum(not np.isnan(metrics[name][rows[0]]) for name in names)
        next_to = np.flatnonzero(np.diff(steps) == 1)
        if getattr(cell.experiment.optimizer, "restart", None) == "function":  # it looks at the loss before, too
            next_to = next_to[(steps[next_to] == 0) | np.isin(next_to - 1, next_to)]
        updates = _updates(cell, metrics, rows)
        known = next_to[_memory_is_known(cell, steps[next_to], updates)]
        pairs = known if width else known[:0]
        before = np.where(steps[pairs] == 0, pairs, pairs - 1)
        gap = "" if width and len(pairs) == len(rows) - 1 else _gap(steps, width)
        return cls(cell, rows, width, rows[pairs], rows[pairs + 1], rows[before], updates, gap)


def rows_of(cells: Sequence[Cell], metrics: Columns) -> list[Rows]:
    """The rows of each cell's run by step, as places in the columns."""
    order = np.lexsort((metrics["step"], metrics["run"]))
    runs = [cell.run for cell in cells]
    first, last = (np.searchsorted(metrics["run"][order], runs, side) for side in ("left", "right"))
    return [order[start:end] for start, end in zip(first, last, strict=True)]


@dataclass(frozen=True)
class Replay:
    """Updates that were computed again, and the first number of each vector that came out otherwise."""

    updates: int
    runs: int
    followed: str
    deviations: tuple[Deviation, ...]

    def __str__(self) -> str:
        runs = "1 run" if self.runs == 1 else f"{self.runs} runs"
        return f"{self.updates} updates of {runs}: {self.followed}"


def replayed(update: Update, runs: Sequence[Pairs], metrics: Columns) -> Replay:
    """Compute the updates of runs again that have one update, equally many parameters and one dtype."""
    arrays = NumpyArrays(runs[0].cell.experiment.train.dtype)
    first, second, last = (
        np.concatenate([getattr(run, name) for run in runs]) for name in ("first", "second", "before")
    )

    def vectors(name: str, rows: Rows) -> Numbers:
        """(pair, parameter)"""
        columns = [metrics[f"{name}_{index}"][rows] for index in range(runs[0].width)]
        return np.stack(columns, axis=1).astype(arrays.dtype)

    given = {name: _given(name, runs, metrics, arrays) for name in update.hyperparameters}
    before = Moment(
        theta=vectors("theta", first),
        gradient=vectors("gradient", first),
        memory=None,
        velocity=vectors("velocity", first),
        at_rest=metrics["step"][first][:, None] == 0,
        eta_before=arrays.column(_values([run.cell.experiment.optimizer.eta for run in runs], runs, metrics, ago=1)),
        loss=metrics["loss"][first] if "loss" in metrics else None,
        loss_before=metrics["loss"][last] if "loss" in metrics else None,
    )
    theta, velocity = vectors("theta", second), vectors("velocity", second)
    largest = np.abs([before.theta, before.velocity, given["eta"] * before.gradient, velocity]).max(axis=0)
    tolerance = _rounding(arrays.dtype) * largest + np.finfo(arrays.dtype).tiny
    with np.errstate(all="ignore"):
        after = list(_after(update, before, given, velocity, arrays))
    compared = (("theta", 0, theta), ("velocity", 1, velocity))
    deviations = [
        deviation
        for name, part, recorded in compared
        for deviation in _first_apart(name, [pair[part] for pair in after], recorded, tolerance, second, metrics)
    ]
    return Replay(len(first), len(runs), _followed(runs[0]), tuple(deviations))


def absent(cells: Sequence[Cell], metrics: Columns) -> list[str]:
    """The columns that an audit needs, and that the metrics of these cells do not have."""
    indices = [int(index[1]) for name in metrics if (index := _VECTOR.fullmatch(name))]
    needed = ["run", "step", "gradient_norm", "velocity_norm", "gamma", "eta"]
    needed += [f"{vector}_{index}" for vector in _VECTORS for index in range(max(indices, default=-1) + 1)]
    if any(cell.experiment.train.steps is None for cell in cells):
        needed.append("epoch")
    if any(getattr(cell.experiment.optimizer, "restart", None) == "function" for cell in cells):
        needed.append("loss")
    return [name for name in needed if name not in metrics]


def lengths(cells: Sequence[Cell], metrics: Columns) -> Iterator[Deviation]:
    """Where the length of a recorded vector is not the recorded length; the first of each kind."""
    dtypes = {cell.experiment.train.dtype for cell in cells}
    dtype = "float32" if "float32" in dtypes else "float64"
    for name in ("gradient", "velocity"):
        length = metrics[f"{name}_norm"]
        parts = [values for column, values in metrics.items() if column.startswith(f"{name}_") and values is not length]
        if parts:
            wrong = ~_is_length(length, np.array(parts), dtype) & ~np.isnan(parts[0])
            yield from (
                _deviation(f"{name}_norm", row, _whole(parts)[row], metrics) for row in np.flatnonzero(wrong)[:1]
            )


def _is_length(length: Numbers, parts: Numbers, dtype: str) -> npt.NDArray[np.bool_]:
    """(row,): whether this is the length of the vector whose parts, (parameter, row), stand beside it."""
    with np.errstate(over="ignore", invalid="ignore"):
        whole = _whole(parts).astype(dtype)
        near = np.abs(whole - length) <= _rounding(dtype) * whole + np.finfo(dtype).tiny
    alike = np.isinf(whole) & ~np.isfinite(length) | np.isnan(length) & np.isnan(parts).any(axis=0)
    close: npt.NDArray[np.bool_] = np.where(np.isfinite(whole), near, False) | alike
    return close


def _whole(parts: npt.ArrayLike) -> Numbers:
    # Not by squares, which could vanish. A run with fewer parameters has nan in the others' columns.
    lengths: Numbers = np.hypot.reduce(np.nan_to_num(parts, posinf=np.inf, neginf=-np.inf), axis=0)
    return lengths


def rates(run: Pairs, metrics: Columns) -> Iterator[Deviation]:
    """Where the recorded γ or η of a run is not what the experiment says for that update; the first of each."""
    if len(run.rows) < 2 and run.cell.experiment.train.steps is None:
        return  # how long it was to be, which decides its schedule, cannot be told
    for name in ("gamma", "eta"):
        schedule = as_schedule(getattr(run.cell.experiment.optimizer, name), run.updates)
        said = np.array([schedule(step) for step in metrics["step"][run.rows].tolist()])
        wrong = np.flatnonzero((said != metrics[name][run.rows]) & ~np.isnan(said))
        yield from (_deviation(name, run.rows[place], said[place], metrics) for place in wrong[:1])


def _rounding(dtype: str) -> float:
    return ROUNDINGS * float(np.finfo(dtype).eps)


def _after(
    update: Update, before: Moment, given: Mapping[str, Numbers], moved: Numbers, arrays: NumpyArrays
) -> Iterator[tuple[Numbers, Numbers]]:
    """(θ, v) after the updates; several where the memory is known by η·memory alone, to a rounding."""
    memory = update.rule.remembered(before.velocity, before.eta_before)
    if memory is None:  # several velocities, of which the sum was recorded: θ must have moved by it
        shrink = given["eta"] * given["weight_decay"] if update.weight_decay == "decoupled" else 0
        yield before.theta * (1 - shrink) - moved, moved
        return
    rounding = 4 * np.finfo(arrays.dtype).eps
    for nudge in (0, rounding, -rounding) if update.rule.eta_outside else (0,):
        # An update may work in place.
        now = replace(before, theta=before.theta.copy(), memory=memory * memory.dtype.type(1 + nudge))
        theta, remembered = update(now, given, arrays)
        yield theta, update.rule.velocity(remembered, given)


def _first_apart(
    name: str, expected: Sequence[Numbers], recorded: Numbers, tolerance: Numbers, rows: Rows, metrics: Columns
) -> Iterator[Deviation]:
    """The first number, in the order of the file, that none of the expected ones comes near."""
    near = [(np.abs(one - recorded) <= tolerance) & np.isfinite(recorded) for one in expected]
    overflown = ~np.isfinite(expected[0]) & ~np.isfinite(recorded)
    wrong = ~(np.any(near, axis=0) | overflown)
    pairs = np.flatnonzero(wrong.any(axis=1))
    if len(pairs):
        pair = pairs[np.argmin(rows[pairs])]
        index = int(np.argmax(wrong[pair]))
        yield _deviation(f"{name}_{index}", rows[pair], expected[0][pair, index], metrics)


def _deviation(column: str, row: int, expected: float, metrics: Columns) -> Deviation:
    run, step, got = (metrics[name][row] for name in ("run", "step", column))
    return Deviation(int(row), int(run), int(step), column, float(expected), float(got))


def _given(name: str, runs: Sequence[Pairs], metrics: Columns, arrays: NumpyArrays) -> Any:
    """What the updates take under this name: a column (pair, 1), a list of columns, or a word as it is."""
    settings = [setting(run.cell.experiment.optimizer, name) for run in runs]
    return _columns(settings, runs, metrics, arrays)


def _columns(settings: Sequence[Any], runs: Sequence[Pairs], metrics: Columns, arrays: NumpyArrays) -> Any:
    if isinstance(settings[0], list):
        return [_columns(numbers, runs, metrics, arrays) for numbers in zip(*settings, strict=True)]
    if not changes_by_run(settings[0]):
        return settings[0]
    return arrays.column(_values(settings, runs, metrics))


def _values(settings: Sequence[Any], runs: Sequence[Pairs], metrics: Columns, ago: int = 0) -> Numbers:
    """(pair,): what the runs' settings were in the update from each first row, or in the one `ago` updates earlier."""
    values = []
    for run, given in zip(runs, settings, strict=True):
        schedule = as_schedule(given, run.updates)
        values += [schedule(max(step - ago, 0)) for step in metrics["step"][run.first].tolist()]
    return np.array(values, np.float64)


def _updates(cell: Cell, metrics: Columns, rows: Rows) -> int:
    """How many updates the run was to make: for each epoch as many as a recorded epoch took."""
    train = cell.experiment.train
    if train.steps is not None or len(rows) < 2:
        return train.steps or 1
    assert train.epochs is not None
    return round(train.epochs * float(metrics["step"][rows[-1]]) / float(metrics["epoch"][rows[-1]]))


def _memory_is_known(cell: Cell, steps: Numbers, updates: int) -> npt.NDArray[np.bool_]:
    """(step,): whether the memory after so many updates can be read from v; from η·memory not where η was 0."""
    optimizer, train = cell.experiment.optimizer, cell.experiment.train
    rule = RULES.get(optimizer.rule) if isinstance(optimizer, RuleOptimizer) else None
    if rule is None or not rule.eta_outside or rule.many:
        return np.ones(len(steps), np.bool_)
    eta = as_schedule(optimizer.eta, updates)
    before = np.array([eta(max(step - 1, 0)) for step in steps.tolist()], np.float64)
    return before >= np.finfo(train.dtype).tiny  # below that, η and v have lost their digits


def _gap(steps: Numbers, width: int) -> str:
    if len(steps) < 2:
        return "no update was recorded"
    if not width:
        return "θ, ∇J and v were not recorded (record.vectors: true records them at up to 64 parameters)"
    apart = int(np.diff(steps).max())
    if apart == 1:
        return "what is remembered after an update with η = 0 is not known, so the one after it cannot be checked"
    return f"rows are up to {apart} steps apart, and only neighbours can be checked"


def _followed(run: Pairs) -> str:
    optimizer = run.cell.experiment.optimizer
    if isinstance(optimizer, AggmoOptimizer):
        return (
            f"θ moves by the recorded v (aggmo, whose {len(optimizer.gammas)} velocities are not recorded one by one)"
        )
    form = f", {optimizer.form} form" if hasattr(optimizer, "form") and optimizer.kind != "sgd" else ""
    return f"θ and v follow {optimizer.kind}{form}"
