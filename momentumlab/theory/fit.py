"""What was measured, as numbers that theory also gives: the rate of a decay, and the steps to a target."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from momentumlab.theory.method import Numbers

_FLOOR = 1e-11  # of the first value: below it rounding makes the numbers
_FEWEST = 3


def rate_of(values: npt.ArrayLike, period: float = math.inf, *, floor: float = _FLOOR) -> float:
    """The factor per step by which a distance shrinks or grows: the slope of its logarithm.

    values: ‖θ_t − θ*‖, (step,), from the start; or √(J − J*), which falls as fast. period: the steps of one
    oscillation, 2π/φ (modes.period), over which the squares are summed, since a slope over parts of a period is that
    of the oscillation as well. The first half of the decay is left out, as faster directions are in it, and what lies
    below `floor` of the first value. A double root decays like t·rᵗ and not like rᵗ: without an oscillation that bend
    is fitted too. nan where too little is left to tell.
    """
    sizes = _clean(np.abs(np.asarray(values, np.float64)), floor)
    window = _window(period, len(sizes))
    sums = np.convolve(sizes**2, np.ones(window), "valid") if len(sizes) >= window else sizes[:0]
    steps = np.arange(len(sums)) + (window + 1) / 2
    late = slice(len(sums) // 2, None)
    if len(sums[late]) < _FEWEST or not (sums > 0).all():
        return math.nan
    swings = 2 < period < math.inf
    return math.exp(_slope(steps[late], 0.5 * np.log(sums[late]), bent=not swings))


def steps_to(values: npt.ArrayLike, target: float) -> int | None:
    """The first step at which values (step,) are at or below `target`; None where that never is."""
    reached = np.flatnonzero(np.asarray(values) <= target)
    return int(reached[0]) if reached.size else None


def settled(values: npt.ArrayLike, target: float) -> int | None:
    """The first step from which on values (step,) stay at or below `target` to their end; None where they do not."""
    above = np.flatnonzero(~(np.asarray(values) <= target))
    first = int(above[-1]) + 1 if above.size else 0
    return first if first < len(np.asarray(values)) else None


def _clean(sizes: Numbers, floor: float) -> Numbers:
    # Up to where rounding begins, or where it is no number any more.
    usable = np.isfinite(sizes) & (sizes < math.sqrt(np.finfo(np.float64).max) / 1e10)
    end = len(sizes) if usable.all() else int(np.argmin(usable))
    sizes = sizes[:end]
    large = np.flatnonzero(sizes > floor * sizes[0]) if end else np.empty(0, int)
    return sizes[: large[-1] + 1] if large.size else sizes[:0]


def _window(period: float, count: int) -> int:
    # Of |x| half a period repeats; the multiple of it that is nearest to a whole number of steps.
    if not math.isfinite(period):
        return 1
    multiples = np.arange(1, max(2, int(count / 3 / (period / 2)) + 1)) * period / 2
    misses = np.abs(multiples - np.round(multiples)) / multiples
    return max(1, round(float(multiples[int(misses.argmin())])))


def _slope(steps: Any, logarithms: Any, bent: bool) -> float:
    # logarithm = a + slope·t + bend·ln t, with a bend between 0, single roots, and 1, a double one. Among oscillations
    # it would follow them: there the roots are two, and no bend is looked for.
    columns = np.column_stack([np.ones(len(steps)), steps, np.log(steps)])
    bend = np.clip(np.linalg.lstsq(columns, logarithms)[0][2], 0, 1) if bent else 0
    return float(np.linalg.lstsq(columns[:, :2], logarithms - bend * columns[:, 2])[0][1])
