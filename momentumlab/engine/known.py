"""What theory knows exactly of the runs of a plan: exact quadratics, rules that are linear, constant γ and η."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from momentumlab.engine.plan import Group
from momentumlab.experiment import column, examples
from momentumlab.optimizers.methods import beyond_theory, method_of
from momentumlab.problems.quadratic import MOST_DIRECTIONS, Quadratic, quadratic
from momentumlab.results.rates import Expected, Theory
from momentumlab.theory.method import Method, Numbers
from momentumlab.theory.modes import period, spectral_radius
from momentumlab.theory.stability import rate

_MOST_RUNS = 2**14  # of a sweep whose rates are looked at
_MOST_METHODS = 2**10  # of runs that differ in more than γ and η: each has its own
_NUMBERS = {"gamma", "eta", "seed"}
_EQUAL = 1e-9  # directions whose rates differ by less are as slow as each other
_CLEAR = 10  # a rate is fitted to what stands so far above what rounding does
_ROUNDINGS = 4  # of half a unit in the last place that an update, or a loss, is made of


def known(groups: Sequence[Group]) -> Theory | None:
    """What is known of the runs of a grid; None where that is nothing, or where the runs are too many to be asked."""
    if sum(len(group.cells) for group in groups) > _MOST_RUNS:
        return None
    with np.errstate(all="ignore"):  # what is beyond all floats is told as such, and is no warning
        landscapes = [_quadratic(group) for group in groups]
        pairs = zip(groups, landscapes, strict=True)
        expected = [_expected(group, landscape) for group, landscape in pairs if landscape is not None]
        found = tuple(some for some in expected if some is not None)
        return Theory(found, _shared(groups, landscapes)) if found else None


def _quadratic(group: Group) -> Quadratic | None:
    experiment = group.experiment
    if not group.problem.has_loss or experiment.train.batch_size not in (None, "full"):
        return None
    model = experiment.model
    linear = model is not None and model.kind == "linear" and experiment.loss == "mse"
    return quadratic(group.problem, least_squares=linear)


def _expected(group: Group, landscape: Quadratic) -> Expected | None:
    method = _method(group)
    if method is None or ("weight_decay" in method.hyperparameters and landscape.minimum.any()):
        return None  # a decay draws θ towards 0, and away from a minimum that lies elsewhere
    bending = landscape.bending
    ends = bending if len(bending) <= MOST_DIRECTIONS else bending[[0, -1]]
    rates = np.broadcast_to(rate(method, ends), len(group.cells)).astype(np.float64)
    directions = ends.reshape(-1, *[1] * len(method.shape))
    shape = (len(ends), len(group.cells))
    periods, radius = (
        np.broadcast_to(of(method, directions).reshape(len(ends), -1), shape) for of in (period, spectral_radius)
    )
    upright = len(bending) == len(landscape.curvature)  # otherwise a distance has parts that never change
    return Expected(
        runs=column(group.cells, "run"),
        rates=np.where(np.isfinite(rates), rates, np.nan),
        periods=periods,
        lasting=radius > (1 - _EQUAL) * rates,
        floors=_floors(group, landscape, rates, distance=upright and bool(group.problem.minima)),
        column="distance" if upright and group.problem.minima else "loss",
        minimum=landscape.loss,
        every=group.plan.every,
    )


def _method(group: Group) -> Method | None:
    """That of all runs together, its numbers (run,); None where theory does not reach one of them."""
    cells, some = group.cells, examples(group.cells)
    scheduled = (
        hasattr(getattr(one.experiment.optimizer, name, None), "schedule") for one in some for name in ("gamma", "eta")
    )
    if any(scheduled):
        return None
    alone = set(cells[0].values) <= _NUMBERS
    asked = [cells[0]] if alone else cells[: _MOST_METHODS + 1]
    if len(asked) > _MOST_METHODS or any(beyond_theory(cell.experiment.optimizer) for cell in asked):
        return None
    methods = [method_of(cell.experiment.optimizer, group.plan.steps) for cell in asked]
    if alone:
        numbers = {name: column(cells, name) for name in ("gamma", "eta") if name in methods[0].hyperparameters}
    else:
        names = methods[0].hyperparameters
        numbers = {name: [one.hyperparameters[name] for one in methods] for name in names}
    method = methods[0].at(**{name: _together(values) for name, values in numbers.items()})
    # A rule of somebody's own may be linear for some γ alone.
    return None if method.why_not_linear() else method


def _together(values: Sequence[Any]) -> Any:
    # A list of numbers in every run becomes a list of arrays, (run,).
    if isinstance(values[0], list | tuple):
        return [np.array(one, np.float64) for one in zip(*values, strict=True)]
    return np.array(values, np.float64)


def _floors(group: Group, landscape: Quadratic, rates: Numbers, *, distance: bool) -> Numbers:
    """(run,): from where on rounding makes the numbers, and no rate shows in them any more.

    θ is rounded in every update by a part of ‖θ*‖, and the gradient by a part of λ_max·‖θ*‖: what adds up until a run
    has forgotten it is that over 1 − rate, or times κ. A loss is rounded by a part of J*. Squares below the smallest
    number lose their digits, wherever the minimum lies.
    """
    precision = np.finfo(group.problem.arrays.dtype)
    bending = landscape.bending
    lasting = np.maximum(1 / np.where(rates < 1, 1 - rates, 1), bending[-1] / bending[0])
    tiny = np.sqrt(float(precision.tiny))
    near = _ROUNDINGS * float(precision.eps) * np.linalg.norm(landscape.minimum) * lasting
    if distance:
        return np.asarray(_CLEAR * np.maximum(near, tiny), np.float64)
    loss = _ROUNDINGS * float(precision.eps) * abs(landscape.loss)
    return np.asarray(_CLEAR * np.maximum(np.sqrt(loss + 0.5 * bending[-1] * near**2), tiny), np.float64)


def _shared(groups: Sequence[Group], landscapes: Sequence[Quadratic | None]) -> dict[str, Any] | None:
    """The landscape of all runs as the manifest has it; None where they have not the same."""
    first = landscapes[0]
    if first is None or any(other is None or not _alike(first, other) for other in landscapes):
        return None
    curvature = first.curvature if first.vectors is not None else first.curvature[[0, -1]]
    starts = {start.tobytes(): start for group in groups for start in _starts(group)}
    shared = next(iter(starts.values())) if len(starts) == 1 else None
    along = None if shared is None else first.distances(shared)
    return {
        "curvature": curvature.tolist(),
        **({} if along is None else {"start": along.tolist()}),
        "loss_minimum": first.loss,
    }


def _alike(one: Quadratic, other: Quadratic) -> bool:
    return one is other or all(
        np.array_equal(mine, theirs)
        for mine, theirs in ((one.curvature, other.curvature), (one.minimum, other.minimum))
    )


def _starts(group: Group) -> Numbers:
    seeds = list(dict.fromkeys(column(group.cells, "seed")))
    starts: Numbers = np.asarray(group.problem.arrays.numpy(group.problem.start(seeds)), np.float64)
    return starts
