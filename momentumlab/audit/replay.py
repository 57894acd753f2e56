"""Recorded updates computed again: rows of metrics.csv that are one step apart, all at once.

Every pair of rows is a run of a stack: from θ, ∇J and v of its first row the rule gives θ and v of its second.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from momentumlab.arrays import NumpyArrays
from momentumlab.audit.deviation import Deviation, Mask, Numbers, Rows, first_apart, rounding
from momentumlab.experiment import Cell
from momentumlab.experiment.schema_optimizer import AggmoOptimizer, FileOptimizer, RuleOptimizer
from momentumlab.optimizers.rules import RULES
from momentumlab.optimizers.schedules import as_schedule
from momentumlab.optimizers.update import Moment, Update
from momentumlab.optimizers.updates import changes_by_run, setting
from momentumlab.results.reader import Columns
from momentumlab.text import safe

VECTORS = ("theta", "gradient", "velocity")
VECTOR = re.compile(r"(?:theta|gradient|velocity)_(\d{1,6})", re.ASCII)


@dataclass(frozen=True)
class Pairs:
    """The rows of a run that are one step apart, as places in the columns of the metrics."""

    cell: Cell
    rows: Rows  # all of the run's
    width: int  # parameters, as far as they were recorded
    first: Rows
    second: Rows
    before: Rows  # the row one step before the first; at the start the first itself
    steps_per_epoch: int  # as recorded; 1 where that tells nothing
    updates: int  # how many updates the run was to make
    gap: str  # why some updates cannot be computed again; empty where all can

    @classmethod
    def of(cls, cell: Cell, rows: Rows, metrics: Columns) -> "Pairs":
        """The pairs among the rows of a run, which are in the order of its steps."""
        steps = metrics["step"][rows]
        names = [name for name in metrics if name.startswith("theta_") and VECTOR.fullmatch(name)] if len(rows) else []
        width = sum(not np.isnan(metrics[name][rows[:2]]).all() for name in names)
        next_to = np.flatnonzero(np.diff(steps) == 1)
        if getattr(cell.experiment.optimizer, "restart", None) == "function":  # it looks at the loss before, too
            next_to = next_to[(steps[next_to] == 0) | np.isin(next_to - 1, next_to)]
        length = _steps_per_epoch(metrics, rows)
        updates = cell.experiment.train.steps or (cell.experiment.train.epochs or 1) * length
        known = next_to[_memory_is_known(cell, steps[next_to], updates)]
        pairs = known if width else known[:0]
        before = np.where(steps[pairs] == 0, pairs, pairs - 1)
        gap = "" if width and len(pairs) == len(rows) - 1 else _gap(steps, width)
        return cls(cell, rows, width, rows[pairs], rows[pairs + 1], rows[before], length, updates, gap)


def rows_of(cells: Sequence[Cell], metrics: Columns) -> list[Rows]:
    """The rows of each cell's run by step, as places in the columns."""
    order = np.lexsort((metrics["step"], metrics["run"]))
    order = order[metrics["step"][order] >= 0]  # no update leads to or from any other
    runs = [cell.run for cell in cells]
    first, last = (np.searchsorted(metrics["run"][order], runs, side) for side in ("left", "right"))
    return [order[start:end] for start, end in zip(first, last, strict=True)]


@dataclass(frozen=True)
class Replay:
    """Updates that were computed again, and the first number of each vector that came out otherwise."""

    updates: int
    runs: int
    followed: str
    recurrence: str | None  # None where there is more to it than was recorded
    form: str | None
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
    with np.errstate(all="ignore"):
        terms = np.abs([before.theta, before.velocity, given["eta"] * before.gradient, velocity])
        after = list(_after(update, before, given, velocity, arrays))
    largest = np.where(np.isfinite(terms), terms, 0).max(axis=0)  # what is no number is near to none
    tolerance = rounding(arrays.dtype) * largest + np.finfo(arrays.dtype).tiny
    compared = (("velocity", 1, velocity), ("theta", 0, theta))  # of one row, what is wrong first
    deviations = [
        deviation
        for name, part, recorded in compared
        for deviation in _first_apart(name, [pair[part] for pair in after], recorded, tolerance, second, metrics)
    ]
    return Replay(len(first), len(runs), *_followed(runs[0]), tuple(deviations))


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
    """The first number of each parameter, in the order of the file, that none of the expected ones comes near."""
    near = [(np.abs(one - recorded) <= tolerance) & np.isfinite(recorded) for one in expected]
    overflown = ~np.isfinite(expected[0]) & ~np.isfinite(recorded)
    wrong = ~(np.any(near, axis=0) | overflown)
    for index in range(wrong.shape[1]):
        yield from first_apart(f"{name}_{index}", expected[0][:, index], wrong[:, index], rows, metrics)


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


def _steps_per_epoch(metrics: Columns, rows: Rows) -> int:
    if "epoch" not in metrics:
        return 1
    with np.errstate(divide="ignore", invalid="ignore"):
        lengths = metrics["step"][rows] / metrics["epoch"][rows]
    known = lengths[np.isfinite(lengths)]
    return max(1, round(float(np.median(known)))) if len(known) else 1


def _memory_is_known(cell: Cell, steps: Numbers, updates: int) -> Mask:
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
        return (
            "θ, ∇J and v were not recorded (record.vectors: true records them at up to 64 parameters), so norms, "
            "cosine and distance are taken as they are, too"
        )
    apart = int(np.diff(steps).max())
    if apart == 1:
        return "what is remembered after an update with η = 0 is not known, so the one after it cannot be checked"
    return f"rows are up to {apart} steps apart, and only neighbours can be checked"


def _followed(run: Pairs) -> tuple[str, str | None, str | None]:
    """What is followed in words, the name of the recurrence, and its form."""
    optimizer = run.cell.experiment.optimizer
    if isinstance(optimizer, AggmoOptimizer):
        count = len(optimizer.gammas)
        return f"θ moves by the recorded v (aggmo, whose {count} velocities are not recorded one by one)", None, None
    name = safe(Path(optimizer.path).name) if isinstance(optimizer, FileOptimizer) else optimizer.kind
    form = getattr(optimizer, "form", None) if optimizer.kind != "sgd" else None
    return f"θ and v follow {name}{f', {form} form' if form else ''}", name, form
