"""A family as one line: its median and band over seeds, where it ends, and how far the axis reaches."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt

from momentumlab.figures import labels
from momentumlab.figures.thin import thinned
from momentumlab.figures.traces import Family, Numbers, Trace


@dataclass(frozen=True)
class Series:
    """One line of a figure, ready to be drawn."""

    family: Family
    x: Numbers
    y: Numbers  # median over seeds; finite
    low: Numbers | None  # the band, None for a single run; +inf where a run of the family has diverged
    high: Numbers | None
    broken: bool  # the line ends before its time

    @property
    def last(self) -> float:
        return float(self.y[-1])


def series(family: Family, x: str, metric: str) -> Series | None:
    """The line of a family, thinned to what can be seen; None when it has no finite value."""
    lines = [(trace, *trace.course(x, metric)) for trace in family.traces]
    lines = [line for line in lines if len(line[1])]
    if not lines:
        return None
    if len(lines) == 1:
        trace, across, values = lines[0]
        across, values = thinned(across, values)
        return Series(family, across, values, None, None, trace.broken)
    across, stacked = _together(lines, above=not labels.signed(metric))
    return _with_band(family, across, stacked)


def _together(lines: Sequence[tuple[Trace, Numbers, Numbers]], *, above: bool) -> tuple[Numbers, Numbers]:
    """x and (seed, x) on the x that all share. After a run has diverged it is `above` every number, or nan."""
    ends = [float(across[-1]) if trace.broken else np.inf for trace, across, _ in lines]
    everything = reduce(np.union1d, [across for _, across, _ in lines])
    stacked = np.full((len(lines), len(everything)), np.nan)
    shared = np.ones(len(everything), bool)
    for row, (_, across, values) in enumerate(lines):
        places = np.searchsorted(everything, across)
        stacked[row, places] = values
        over = everything > ends[row]
        stacked[row, over] = np.inf if above else np.nan
        shared &= ~np.isnan(stacked[row]) | over
    if not shared.any():
        shared[:] = True
    return everything[shared], stacked[:, shared]


def _with_band(family: Family, across: Numbers, stacked: Numbers) -> Series:
    there = ~np.isnan(stacked).all(axis=0)
    across, stacked = across[there], stacked[:, there]
    low_share, high_share = band_shares(len(family.traces))
    ordered = np.sort(stacked, axis=0)  # nan last
    counts = (~np.isnan(ordered)).sum(axis=0)
    middle = (_rank(ordered, (counts - 1) // 2) + _rank(ordered, counts // 2)) / 2
    low, high = (_rank(ordered, np.round(share * (counts - 1)).astype(int)) for share in (low_share, high_share))
    alive = int(np.argmin(np.isfinite(middle))) if not np.isfinite(middle).all() else len(middle)
    ended = alive < len(middle) or all(trace.broken for trace in family.traces)
    across, middle, low, high = thinned(*(part[:alive] for part in (across, middle, low, high)))
    return Series(family, across, middle, low, high, ended)


def _rank(ordered: Numbers, places: "np.ndarray[tuple[int, ...], np.dtype[np.intp]]") -> Numbers:
    taken: Numbers = np.take_along_axis(ordered, places[None, :], axis=0)[0]
    return taken


def band_shares(seeds: int) -> tuple[float, float]:
    """What a band spans: all seeds up to seven, from eight on the middle half of them."""
    return (0.25, 0.75) if seeds >= 8 else (0.0, 1.0)


def band_words(seeds: int) -> str:
    return "lower to upper quartile" if seeds >= 8 else "lowest to highest"


@dataclass(frozen=True)
class Limits:
    """How far the y axis reaches, and what it leaves out."""

    low: float
    high: float
    logarithmic: bool
    cut: tuple[float | None, float | None]  # the values below and above which curves are cut off

    def inside(self, values: Numbers) -> npt.NDArray[np.bool_]:
        return (values >= self.low) & (values <= self.high)

    def height(self, values: Numbers) -> Numbers:
        """Where values stand on the axis, from 0 at its lower to 1 at its upper end; far outside, somewhere there."""
        values = self.near(values)
        if not self.logarithmic:
            return (values - self.low) / (self.high - self.low)
        return np.asarray(np.log(values / self.low) / np.log(self.high / self.low), np.float64)

    def near(self, values: Numbers) -> Numbers:
        """The values, those far outside brought to where they can be computed with and drawn."""
        if self.logarithmic:
            return np.clip(values, self.low * 1e-6, self.high * 1e6)
        span = self.high - self.low
        return np.clip(values, self.low - 1e3 * span, self.high + 1e3 * span)


def limits(lines: Sequence[Series], metric: str) -> Limits:
    """A y axis on which runs that fly away do not squash the others."""
    values = np.concatenate([*(line.y for line in lines), *(_band_reach(line) for line in lines)])
    if labels.signed(metric) or not _spans_decades(lines):
        return _linear(lines, values, metric)
    return _logarithmic(lines, values)


def _band_reach(line: Series) -> Numbers:
    """How far the axis should reach for a band: most of it, not its last spike."""
    if line.low is None or line.high is None:
        return np.empty(0)
    tops = line.high[np.isfinite(line.high)]
    return np.array([np.quantile(line.low, 0.05), *(np.quantile(tops, [0.95]) if len(tops) else ())])


def _spans_decades(lines: Sequence[Series]) -> bool:
    """Whether values are positive (zeros apart) and reach over more than one and a half decades."""
    values = np.concatenate([line.y for line in lines])
    positive = values[values > 0]
    return bool(len(positive)) and values.min() >= 0 and bool(np.ptp(np.log10(positive)) > 1.5)


def _logarithmic(lines: Sequence[Series], values: Numbers) -> Limits:
    positive = values[values > 0]
    starts = [line.y[line.y > 0][:1] for line in lines]
    start = float(np.concatenate(starts).max())
    low, high = float(positive.min()), float(positive.max())
    ceiling, floor = min(high, 1e3 * start), max(low, min(high, 1e3 * start) * 1e-30)
    room = (ceiling / floor) ** 0.04
    cut = (floor if low < floor else None, ceiling if high > ceiling else None)
    return Limits(floor if cut[0] else floor / room, ceiling if cut[1] else ceiling * room, True, cut)


def _linear(lines: Sequence[Series], values: Numbers, metric: str) -> Limits:
    """All of the runs that ended well, of the others as much again; ten times the usual size bounds everything."""
    if metric.endswith("accuracy"):
        return Limits(max(0.0, float(values.min()) - 0.03), min(1.02, float(values.max()) + 0.03), False, (None, None))
    calm = [line.y for line in lines if not line.broken] or [line.y[:1] for line in lines]
    inner = np.concatenate([*calm, *(line.y[:1] for line in lines)])
    scale = 10 * _usual_size(lines, metric)
    low, high = max(float(inner.min()), -scale), min(float(inner.max()), scale)
    around = (high - low) or abs(high) or 1.0
    if any(line.broken for line in lines):
        low, high = max(low - around, float(values.min())), min(high + around, float(values.max()))
    room = 0.05 * ((high - low) or abs(high) or 1.0)
    cut = (low if values.min() < low else None, high if values.max() > high else None)
    return Limits(low if cut[0] is not None else low - room, high if cut[1] is not None else high + room, False, cut)


def _usual_size(lines: Sequence[Series], metric: str) -> float:
    """What most values stay within: for a loss about its start (J → −∞ is no divergence), for θ and v half of the runs.

    Where every run flies away, a multiple of the start bounds it.
    """
    sizes = [float(np.abs(line.y).max()) for line in lines if not line.broken] or [1.0]
    start = max(abs(float(line.y[0])) for line in lines)
    if labels.signed(metric):
        return min(float(np.median(sizes)), 1e6 * max(start, 1.0))
    return max(start, min(*sizes, 100 * max(start, 1.0)))


def visible(line: Series, reach: Limits) -> tuple[Numbers, Numbers]:
    """A line as it is drawn; one that broke is cut where it leaves the axes for good, so that its end can be marked."""
    first = int(np.argmax(line.y > 0)) if reach.logarithmic else 0  # a speed starts from zero, which has no logarithm
    x, y = line.x[first:], reach.near(line.y[first:])
    if not line.broken or reach.inside(y[-1:])[0]:
        return x, y
    inside = np.flatnonzero(reach.inside(y))
    if not len(inside):
        return x[:1], np.clip(y[:1], reach.low, reach.high)
    last = int(inside[-1])
    edge = reach.high if y[last + 1] > reach.high else reach.low
    before, there, after = reach.height(np.array([y[last], edge, y[last + 1]]))
    crossing = x[last] + (there - before) / (after - before) * (x[last + 1] - x[last])
    return np.append(x[: last + 1], crossing), np.append(y[: last + 1], edge)


def coincide(one: Series, other: Series, reach: Limits) -> bool:
    """Whether two lines lie on each other all along, so that one would hide the other."""
    if one.x[0] != other.x[0] or one.x[-1] != other.x[-1]:
        return False
    both = np.union1d(one.x, other.x)  # which rows were kept of a long line is its own
    heights = [reach.height(np.interp(both, line.x, line.y)) for line in (one, other)]
    return bool(np.abs(heights[0] - heights[1]).max() < 0.004)


def rough(line: Series, reach: Limits) -> bool:
    """Whether a line goes up and down so often that dashes would fall apart: more than eight axes' heights in all."""
    heights = np.clip(reach.height(line.y), 0.0, 1.0)
    return bool(np.abs(np.diff(heights)).sum() > 8)
