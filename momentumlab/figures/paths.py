"""Paths of runs through the plane or along the line of their parameters."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from momentumlab.errors import ConfigError
from momentumlab.figures.traces import Numbers, Trace

FAR = 50.0
"""Points further than so many views away are drawn at that distance: Matplotlib stumbles over 1e300."""


@dataclass(frozen=True)
class Box:
    """A rectangle (or an interval): `low` and `high` of every coordinate."""

    low: Numbers
    high: Numbers

    @property
    def size(self) -> Numbers:
        return self.high - self.low

    def grown(self, share: float) -> "Box":
        return Box(self.low - share * self.size, self.high + share * self.size)

    def grown_by(self, factors: Numbers) -> "Box":
        """The same centre, every side multiplied."""
        more = (factors - 1) / 2 * self.size
        return Box(self.low - more, self.high + more)

    def holds(self, points: Numbers) -> npt.NDArray[np.bool_]:
        """Which of the points (…, coordinate) lie inside."""
        inside = (points >= self.low) & (points <= self.high)
        return np.asarray(inside.all(axis=-1))

    def near(self, points: Numbers) -> Numbers:
        """The points, those far outside brought to where they can be drawn."""
        return np.clip(points, self.low - FAR * self.size, self.high + FAR * self.size)


def path(trace: Trace, dimension: int) -> Numbers:
    """θ at the recorded steps, (step, coordinate), up to the first that is not finite."""
    points = np.stack([trace.column(f"theta_{place}") for place in range(dimension)], axis=-1)
    whole = np.isfinite(points).all(axis=-1)
    return points if whole.all() else points[: int(whole.argmin())]


def need_paths(runs: Sequence[Trace], dimension: int) -> list[Trace]:
    """The runs whose θ was recorded; ConfigError that says how to record it when there is none."""
    names = [f"theta_{place}" for place in range(dimension)]
    found = [trace for trace in runs if all(name in trace.columns for name in names)]
    found = [trace for trace in found if len(path(trace, dimension))]
    if not found:
        raise ConfigError(f"paths need {' and '.join(names)}, which were not recorded: set record.vectors to true")
    return found


def view(domain: Box, paths: Sequence[Numbers], minima: Numbers) -> Box:
    """What to show of a landscape: the domain as far as paths and minima need it, never less than 40 % of it."""
    allowed = domain.grown(0.25)
    points = np.concatenate([*paths, minima])
    used = points[allowed.holds(points)]
    if not len(used):
        return domain
    tight = Box(used.min(axis=0), used.max(axis=0)).grown(0.12)
    missing = np.maximum(0.4 * domain.size - tight.size, 0) / 2
    low, high = tight.low - missing, tight.high + missing
    return Box(np.maximum(low, allowed.low), np.minimum(high, allowed.high))


def widened(box: Box, ratio: float, most: float = 2.5) -> Box | None:
    """The box grown to `ratio` of width to height, so that both axes have one scale; None if that takes too much."""
    width, height = box.size
    factors = np.array([max(1.0, ratio * height / width), max(1.0, width / (ratio * height))])
    return box.grown_by(factors) if factors.max() <= most else None


def leaving(box: Box, points: Numbers) -> Numbers | None:
    """Where a path crosses the border for the last time on its way out; None when it ends inside or never was in."""
    inside = np.flatnonzero(box.holds(points))
    if not len(inside) or inside[-1] == len(points) - 1:
        return None
    start, end = points[inside[-1]], points[inside[-1] + 1]
    way = end - start
    borders = np.where(way > 0, box.high, box.low)
    shares = (borders[way != 0] - start[way != 0]) / way[way != 0]
    return np.asarray(start + float(shares.min()) * way, np.float64)


def until_gone(box: Box, points: Numbers) -> Numbers:
    """A path up to the first point after the last one inside: what follows of a diverging run would cross it all."""
    inside = np.flatnonzero(box.holds(points))
    return points[: int(inside[-1]) + 2] if len(inside) else points[:1]


def length(box: Box, points: Numbers) -> float:
    """How long a path is, in widths and heights of the box."""
    ways = np.diff(box.near(points), axis=0) / box.size
    return float(np.sqrt((ways * ways).sum(axis=1)).sum())
