"""What was measured, as numbers that theory also gives: the rate of a decay, and the steps to a target."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from momentumlab.theory.method import Numbers

_FLOOR = 1e-13  # of the first value: below it rounding makes the numbers
_FEWEST = 3
_STILL = 100  # what turns that slowly does not turn: of critical damping rounding makes such an oscillation
_SEEN = 3  # turns of the squares: in fewer a part of an oscillation would pass for a decay, or for growth
_ROUNDS = 4
_SETTLED = 1e-2  # of what the last round changed over a period: the next one changes the square of that


def rate_of(
    values: npt.ArrayLike,
    periods: npt.ArrayLike = math.inf,
    *,
    lasting: npt.ArrayLike = False,
    every: int = 1,
    floor: float = _FLOOR,
) -> float:
    """The factor per step by which a distance shrinks or grows in the end: the slope of its logarithm.

    values: ‖θ_t − θ*‖ of each step or of `every` so many, (step,), from the start; or √(J − J*), which falls as fast.
    periods: the steps of an oscillation (modes.period), one or (direction,). Squares are summed over whole periods,
    since a slope over parts of one is that of the oscillation as well; a period too long to be seen is left alone. Left
    out are the first half, where directions that are faster still count, and what lies below `floor` of the first
    value. A double root decays like t·rᵗ and not like rᵗ: where nothing oscillates that bend is fitted too. nan where
    too little is left to tell, and where an oscillation that is `lasting`, as many as periods, is not seen long enough.
    """
    sizes = _clean(np.abs(np.asarray(values, np.float64)), floor)
    turns = _turns(np.atleast_1d(np.asarray(periods, np.float64)) / every)
    partly = (turns * _SEEN > len(sizes)) & (turns < _STILL * len(sizes))
    if (partly & np.asarray(lasting)).any():
        return math.nan
    widths = _widths(turns, len(sizes))
    late = sizes[(len(sizes) - sum(widths)) // 2 :] if widths else sizes[len(sizes) // 2 :]
    steps = np.arange(len(sizes) - len(late), len(sizes), dtype=np.float64)
    if len(late) < _FEWEST or not late.any():
        return math.nan
    squares, slope = (late / late.max()) ** 2, 0.0
    boxes = [np.full(width, 1 / width) for width in widths]
    lost = sum(widths) - len(widths)
    times = steps[: len(steps) - lost] + lost / 2
    for _ in range(_ROUNDS):  # level, so that a sum over a period is one of an oscillation and not of its decay
        level = squares * np.exp(-2 * slope * (steps - steps[0])) if slope else squares
        for box in boxes:
            level = np.correlate(level, box, "valid")
        if not (level > 0).all():
            return math.nan
        change = _slope(times, 0.5 * np.log(level), bent=not widths)
        slope += change
        if abs(change) * max(widths, default=0) < _SETTLED:
            break
    return math.exp(slope / every)


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


def _turns(periods: Any) -> Numbers:
    """The steps in which the square of each oscillation repeats, as steps can show it; 0 where nothing turns."""
    turned = 4 * np.pi / periods % (2 * np.pi)  # of x² in a step, which repeats twice as often
    turned = np.minimum(turned, 2 * np.pi - turned)
    turns: Numbers = np.divide(2 * np.pi, turned, out=np.zeros_like(turned), where=turned > 0)
    return turns


def _widths(turns: Numbers, count: int) -> list[int]:
    """The whole numbers of steps around each of the turns, as many as fit into two thirds of `count`."""
    widths: list[int] = []
    for turn in sorted(turns[turns > 0]):
        # Between the two the oscillation cancels, though it takes no whole number of steps.
        both = [math.floor(turn), math.ceil(turn)]
        if sum(widths) + sum(both) <= 2 * count / 3:
            widths += [width for width in both if width > 1]
    return widths


def _slope(steps: Any, logarithms: Any, bent: bool) -> float:
    # logarithm = a + slope·t + bend·ln t, with a bend between 0, single roots, and 1, a double one. Among oscillations
    # it would follow them: there the roots are two, and no bend is looked for. Least squares, written out: a library's
    # takes ten times as long for so few columns, and thousands of runs are fitted.
    times, heights = steps - steps.mean(), logarithms - logarithms.mean()
    spread, rise = (times * times).sum(), (times * heights).sum()
    if bent:
        curve = np.log(steps)
        curve -= curve.mean()
        both, length, along = (curve * times).sum(), (curve * curve).sum(), (curve * heights).sum()
        bend = (along * spread - rise * both) / (length * spread - both * both)
        rise -= min(max(bend, 0.0), 1.0) * both
    return float(rise / spread)
