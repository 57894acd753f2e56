"""Columns of metrics.csv that follow from others: places, epochs, γ and η, lengths, cosines and distances."""

from collections.abc import Iterator, Sequence

import numpy as np

from momentumlab.audit.deviation import Deviation, Mask, Numbers, Rows, first_apart, in_metrics, rounding
from momentumlab.audit.replay import VECTOR, VECTORS, Pairs
from momentumlab.experiment import Cell
from momentumlab.optimizers.schedules import as_schedule
from momentumlab.problems.objectives import build
from momentumlab.results.reader import Columns

Minima = tuple[tuple[float, ...], ...]


def absent(cells: Sequence[Cell], metrics: Columns) -> list[str]:
    """The columns that an audit needs, and that the metrics of these cells do not have."""
    indices = [int(index[1]) for name in metrics if (index := VECTOR.fullmatch(name))]
    needed = ["run", "step", "gradient_norm", "velocity_norm", "cosine", "gamma", "eta"]
    needed += [f"{vector}_{index}" for vector in VECTORS for index in range(max(indices, default=-1) + 1)]
    if any(cell.experiment.objective is None for cell in cells):
        needed.append("epoch")
    if any(has_loss(cell) for cell in cells):
        needed.append("loss")
    if any(_minima(cells)):
        needed.append("distance")
    return [name for name in needed if name not in metrics]


def has_loss(cell: Cell) -> bool:
    """Whether the runs of a cell have a landscape."""
    return getattr(cell.experiment.objective, "kind", None) != "forces"


def strangers(cells: Sequence[Cell], metrics: Columns) -> Iterator[Deviation]:
    """The first row that is of no run."""
    runs = [cell.run for cell in cells]
    known = "0" if len(runs) == 1 else f"one of {runs[0]} to {runs[-1]}"
    places = np.flatnonzero(~np.isin(metrics["run"], runs))
    yield from (in_metrics("run", row, known, metrics) for row in places[:1])


def places(runs: Sequence[Pairs], metrics: Columns) -> Iterator[Deviation]:
    """Where a run's rows are not as far apart as they are recorded, or its epochs not the share of steps."""
    in_file = [np.sort(run.rows) for run in runs]
    apart = np.concatenate([np.diff(metrics["step"][rows])[:-1] for rows in in_file])
    usual = float(np.median(apart)) if len(apart) else np.inf
    for run, rows in zip(runs, in_file, strict=True):
        steps = metrics["step"][rows]
        every = run.cell.experiment.record.every
        stride = usual if every == "auto" else every
        expected = np.concatenate([[0.0], np.arange(1, len(steps)) * stride])[: len(steps)]
        wrong = steps != expected
        if len(steps) > 1:  # the last row may come sooner
            wrong[-1] &= not 0 < steps[-1] - steps[-2] <= stride
        yield from first_apart("step", expected, wrong, rows, metrics)
        if "epoch" in metrics:
            length = run.steps_per_epoch if run.cell.experiment.objective is None else np.nan
            yield from _unlike("epoch", steps / length, rows, metrics)


def rates(runs: Sequence[Pairs], metrics: Columns) -> Iterator[Deviation]:
    """Where the recorded γ or η of a run is not what the experiment says for that update; the first of each."""
    for run in runs:
        if len(run.rows) < 2 and run.cell.experiment.train.steps is None:
            continue  # how long it was to be, which decides its schedule, cannot be told
        for name in ("gamma", "eta"):
            schedule = as_schedule(getattr(run.cell.experiment.optimizer, name), run.updates)
            said = np.array([schedule(step) for step in metrics["step"][run.rows].tolist()], np.float64)
            yield from _unlike(name, said, run.rows, metrics)


def measured(runs: Sequence[Pairs], metrics: Columns) -> Iterator[Deviation]:
    """Where a length, cosine or distance is not that of the vectors beside it; the first of each."""
    together: dict[tuple[str, int, Minima], list[Pairs]] = {}
    for run, minima in zip(runs, _minima([run.cell for run in runs]), strict=True):
        if run.width:
            together.setdefault((run.cell.experiment.train.dtype, run.width, minima), []).append(run)
    for (dtype, width, minima), alike in together.items():
        rows = np.concatenate([run.rows for run in alike])
        theta, gradient, velocity = (
            np.array([metrics[f"{name}_{index}"][rows] for index in range(width)]).astype(dtype) for name in VECTORS
        )
        for name, parts in (("velocity", velocity), ("gradient", gradient)):
            yield from _lengths(name, parts, rows, dtype, metrics)
        cosine, got = _cosines(gradient, velocity), metrics["cosine"][rows]
        wrong = ~((np.abs(cosine - got) <= rounding(dtype)) | np.isnan(cosine) & np.isnan(got))
        yield from first_apart("cosine", cosine, wrong, rows, metrics)
        if "distance" in metrics:
            distance, got = _distances(theta, minima), metrics["distance"][rows]
            yield from first_apart("distance", distance, ~_near(distance, got, dtype), rows, metrics)


def _minima(cells: Sequence[Cell]) -> list[Minima]:
    # Thousands of cells may share one objective.
    known: dict[int, Minima] = {}
    for cell in cells:
        objective = cell.experiment.objective
        if id(objective) not in known:
            known[id(objective)] = build(objective).minima if objective is not None and has_loss(cell) else ()
    return [known[id(cell.experiment.objective)] for cell in cells]


def _unlike(column: str, expected: Numbers, rows: Rows, metrics: Columns) -> Iterator[Deviation]:
    """The first number that is not the expected one to the bit."""
    got = metrics[column][rows]
    yield from first_apart(column, expected, (expected != got) & ~(np.isnan(expected) & np.isnan(got)), rows, metrics)


def _lengths(name: str, parts: Numbers, rows: Rows, dtype: str, metrics: Columns) -> Iterator[Deviation]:
    """The first part, (parameter, row), that is no number though the length is one; the first length that is wrong."""
    length = metrics[f"{name}_norm"][rows]
    lost = ~np.isfinite(parts) & np.isfinite(length)
    for index in range(len(parts)):
        yield from first_apart(f"{name}_{index}", np.full(len(rows), "a finite number"), lost[index], rows, metrics)
    whole = _whole(parts)
    yield from first_apart(f"{name}_norm", whole, ~_near(whole, length, dtype) & ~lost.any(axis=0), rows, metrics)


def _near(expected: Numbers, got: Numbers, dtype: str) -> Mask:
    """(row,): whether lengths are the same up to rounding, or both beyond what the dtype holds."""
    with np.errstate(over="ignore", invalid="ignore"):
        held = expected.astype(dtype)
        near = np.abs(held - got) <= rounding(dtype) * held + np.finfo(dtype).tiny
    alike: Mask = np.where(np.isfinite(held), near, ~np.isfinite(got))
    return alike


def _whole(parts: Numbers) -> Numbers:
    # Not by squares, which could vanish.
    lengths: Numbers = np.hypot.reduce(parts.astype(np.float64), axis=0)
    return lengths


def _cosines(one: Numbers, other: Numbers) -> Numbers:
    """(row,): of vectors (parameter, row), nan where one of them is zero or beyond all bounds."""
    with np.errstate(all="ignore"):
        first, second = (
            parts.astype(np.float64) / np.abs(parts).max(axis=0).astype(np.float64) for parts in (one, other)
        )
        cosines: Numbers = (first * second).sum(axis=0) / (_whole(first) * _whole(second))
    return cosines.clip(-1, 1)


def _distances(theta: Numbers, minima: Minima) -> Numbers:
    """(row,): from θ, (parameter, row), to the nearest of the minima; nan where none is known."""
    if not minima:
        return np.full(theta.shape[1], np.nan)
    with np.errstate(all="ignore"):
        ways = [theta - np.array(minimum, theta.dtype)[:, None] for minimum in minima]
    nearest: Numbers = np.min([_whole(way) for way in ways], axis=0)
    return nearest
