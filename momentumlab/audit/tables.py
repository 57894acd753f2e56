"""runs.csv and parameters.npz against the experiment and metrics.csv: labels, outcomes and final parameters."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from momentumlab.audit.deviation import Deviation, Mask, Numbers, Rows
from momentumlab.audit.measures import has_loss
from momentumlab.audit.replay import Pairs
from momentumlab.errors import ResultError
from momentumlab.experiment import Grid
from momentumlab.foreign import array_size, opened
from momentumlab.results.outcomes import Outcomes
from momentumlab.results.reader import Columns, Result
from momentumlab.results.table import read_table
from momentumlab.text import safe

EVALUATIONS = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
DIVERGED = 1e12
"""A run has diverged where J exceeds this many times max(1, |J₀|)."""


@dataclass(frozen=True)
class Final:
    """The final parameters of a result."""

    theta: Numbers  # (run, parameter), nan behind the end of a run with fewer
    finite: Mask  # (run,), whether all of a run's own are

    @classmethod
    def read(cls, result: Result, grid: Grid) -> Self:
        """Out of parameters.npz. Raises ResultError where that cannot be read, or lacks a run."""
        path = result.folder / "parameters.npz"
        place = safe(path)
        try:
            with opened(path) as raw, np.load(raw, allow_pickle=False) as file:
                theta: Numbers = _array(file, "parameters")
                layout = _array(file, "layout") if "layout" in file else np.zeros(len(theta), np.int64)
                kinds = [f"shapes_{kind}" for kind in range(len(grid.cells))] if "layout" in file else ["shapes"]
                sizes = np.array([sum(map(_size, _array(file, kind))) for kind in kinds if kind in file])
                own = np.arange(theta.shape[1]) < sizes[layout, None]
                finite: Mask = np.all(np.isfinite(theta) | ~own, axis=1)
        except Exception:  # numpy and zipfile have a dozen classes for what is no file of theirs
            raise ResultError(f"{place}: this is not a file of parameters.") from None
        if len(theta) != len(grid.cells):
            raise ResultError(f"{place}: parameters of {len(theta)} runs, expected {len(grid.cells)}.")
        return cls(theta, finite)


def labels(result: Result, grid: Grid) -> Iterator[Deviation]:
    """Where runs.csv says of a run's hyperparameters what the experiment does not say; the first of each column.

    Raises ResultError where a column or a row of it is missing.
    """
    place = safe(result.folder / "runs.csv")
    expected = read_table("".join(Outcomes(grid).table()), place)
    if missing := [name for name in expected if name not in result.runs]:
        raise ResultError(f"{place}:1: the columns {', '.join(map(safe, missing))} are missing.")
    rows, cells = len(result.runs["run"]), len(grid.cells)
    if rows != cells:
        raise ResultError(f"{place}: {rows} rows, expected {cells}: each run has one.")
    for name in list(expected)[: list(expected).index("status")]:
        yield from _unlike(name, expected[name], range(cells), result, grid)


def outcomes(result: Result, grid: Grid, runs: Sequence[Pairs], final: Final | None) -> Iterator[Deviation]:
    """Where runs.csv does not say how the runs ended as metrics.csv does; the first of each column.

    A run that was interrupted is passed over: its row may be older than what it left.
    """
    status = result.runs["status"]
    trained = [number for number, run in enumerate(runs) if len(run.rows)]
    if result.finished:
        said = np.array(["failed"] * len(runs), object)
        finite = np.asarray(status != "diverged" if final is None else final.finite)
        said[trained] = _statuses(result, [runs[number] for number in trained], finite[trained])
        yield from _unlike("status", said, range(len(runs)), result, grid)
    ended = [number for number in trained if status[number] in ("finished", "diverged")]
    if not ended:
        return
    ends = _ends([runs[number] for number in ended], result)
    for name, expected in ends.items():
        yield from _unlike(name, expected, ended, result, grid)
    whole = [number for number in ended if status[number] == "finished"]
    yield from _unlike("steps", np.array([runs[number].updates for number in whole]), whole, result, grid)


def ended_at(final: Final, runs: Sequence[Pairs], result: Result) -> Iterator[Deviation]:
    """The first final parameter that is not the run's last recorded θ, where θ was recorded."""
    ends = [(number, run) for number, run in enumerate(runs) if run.width]
    for index in range(max((run.width for _, run in ends), default=0)):
        numbers = [number for number, run in ends if run.width > index]
        those = [runs[number] for number in numbers]
        expected = _as_trained(result.metrics[f"theta_{index}"][_last(those)], those)
        got = final.theta[numbers, index] if index < final.theta.shape[1] else np.full(len(numbers), np.nan)
        for place in np.flatnonzero((expected != got) & ~(np.isnan(expected) & np.isnan(got)))[:1]:
            number = numbers[place]
            values = float(expected[place]), float(got[place])
            yield Deviation("parameters.npz", number, runs[number].cell.run, None, f"theta_{index}", *values)


def _ends(runs: Sequence[Pairs], result: Result) -> dict[str, Numbers]:
    """What metrics.csv says of ended runs, by column of runs.csv: (run,)."""
    metrics, first, last = result.metrics, _first(runs), _last(runs)
    places = [run.cell.run for run in runs]
    rows = np.concatenate([run.rows for run in runs])
    starts = np.cumsum([0, *(len(run.rows) for run in runs)])[:-1]
    expected = {"steps": metrics["step"][last]}
    if "loss" in metrics:
        expected |= {"loss_first": metrics["loss"][first], "loss_last": metrics["loss"][last]}
        best, said = np.fmin.reduceat(metrics["loss"][rows], starts), _numbers(result.runs["loss_best"][places])
        every = np.array([len(run.rows) for run in runs]) > metrics["step"][last]
        expected["loss_best"] = np.where(~every & (said <= best), said, best)  # the best may not have been recorded
        if "steps_to_target" in result.runs:
            first, said = _first_at_target(runs, metrics), _numbers(result.runs["steps_to_target"][places])
            expected["steps_to_target"] = np.where(~every & ((said <= first) | np.isnan(first)), said, first)
    for name in EVALUATIONS:
        if name in metrics and name in result.runs:
            values, said = metrics[name][rows], _numbers(result.runs[name][places])
            known = np.maximum.reduceat(np.where(np.isnan(values), -1, np.arange(len(rows))), starts)
            none = (known < 0) | np.isnan(said) & np.isnan(metrics[name][last])  # beyond all bounds it may be nan
            expected[name] = np.where(none, np.nan, values[known])
    return expected


def _first_at_target(runs: Sequence[Pairs], metrics: Columns) -> Numbers:
    """(run,): the step of each run's first row whose loss is at or below its target; nan where there is none."""
    first = np.full(len(runs), np.nan)
    for number, run in enumerate(runs):
        target, dtype = run.cell.experiment.train.target, np.dtype(run.cell.experiment.train.dtype).type
        if target is not None:
            with np.errstate(over="ignore"):
                reached = run.rows[metrics["loss"][run.rows].astype(dtype) <= dtype(target)]
            first[number] = metrics["step"][reached[0]] if len(reached) else np.nan
    return first


def _statuses(result: Result, runs: Sequence[Pairs], finite: Mask) -> list[str]:
    """How the runs ended, by their last rows; `finite`: whether θ was finite there."""
    metrics, landscape = result.metrics, np.array([has_loss(run.cell) for run in runs], np.bool_)
    if not landscape.any():
        return ["finished"] * len(runs)
    first, last = (_as_trained(metrics["loss"][rows], runs) for rows in (_first(runs), _last(runs)))
    with np.errstate(invalid="ignore"):
        healthy = (last < np.inf) & (last <= DIVERGED * np.maximum(1, np.abs(first))) & finite
    return ["finished" if well else "diverged" for well in healthy | ~landscape]


def _size(shape: str) -> int:
    return math.prod(map(int, filter(None, shape.split("x"))))


def _array(file: Any, name: str) -> Numbers:
    # Written uncompressed: what it takes in memory is not more than the file itself.
    array_size(file.zip, name, packed=False)
    array: Numbers = file[name]
    return array


def _first(runs: Sequence[Pairs]) -> Rows:
    return np.array([run.rows[0] for run in runs], np.intp)


def _last(runs: Sequence[Pairs]) -> Rows:
    return np.array([run.rows[-1] for run in runs], np.intp)


def _as_trained(values: Numbers, runs: Sequence[Pairs]) -> Numbers:
    """(run,): numbers of metrics.csv with the bits that they had in the training."""
    short = np.array([run.cell.experiment.train.dtype == "float32" for run in runs])
    with np.errstate(over="ignore"):
        rounded: Numbers = np.where(short, values.astype(np.float32), values)
    return rounded


def _unlike(name: str, expected: Numbers, numbers: Sequence[int], result: Result, grid: Grid) -> Iterator[Deviation]:
    """The first cell of a column of runs.csv, in the rows of these numbers, that is not the expected one."""
    got = result.runs[name][list(numbers)]
    for number, wanted, found in zip(numbers, map(_value, expected), map(_value, got), strict=True):
        if wanted != found and not (_is_nan(wanted) and _is_nan(found)):
            yield Deviation("runs.csv", number, grid.cells[number].run, None, name, wanted, found)
            return


def _is_nan(value: float | str) -> bool:
    return not isinstance(value, str) and math.isnan(value)


def _value(cell: Any) -> float | str:
    """A cell of a table: the number that it is, or else the word."""
    value = cell.item() if isinstance(cell, np.generic) else cell
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return str(value)


def _numbers(values: Numbers) -> Numbers:
    read = [_value(value) for value in values]
    return np.array([np.nan if isinstance(value, str) else value for value in read], np.float64)
