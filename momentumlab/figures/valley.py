"""A landscape of one parameter: the runs on the curve of J, and below it their way in time, on the same θ axis."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from momentumlab.figures import legends, marks, style
from momentumlab.figures.looks import MANY, Look, Scale, bar_key, looks
from momentumlab.figures.paths import Box, leaving, path, until_gone, view
from momentumlab.figures.traces import Family, Numbers, Trace
from momentumlab.figures.words import Head
from momentumlab.problems.objectives import Objective


def draw(objective: Objective, keys: Sequence[str], groups: Sequence[Family], head: Head) -> Figure:
    """J(θ) with every run's way along it, each a little above the last so that none hides; below, time runs down."""
    minima = np.array(objective.minima).reshape(-1, 1)
    box = view(Box(*np.array(objective.domain).T), [path(trace, 1) for trace in _all(groups)], minima)
    settled = _settled(groups, box)
    still = f"after step {settled} nothing moves visibly" if settled else ""
    notes = head.notes("below: the same runs in time, from top to bottom", still)
    figure = style.canvas(head.title, notes, f"J = {objective.formula}")
    hill, time = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.15))
    low, high = _reach(objective, box, groups, minima)
    _hill(hill, objective, box, minima, low=low - 0.15 * (high - low))
    scale = _scale(keys, groups)
    drawn = [Look(scale.colour(family.settings[scale.key])) for family in groups] if scale else looks(keys, groups)
    gap = 0.06 * (high - low)
    for place, (family, look) in enumerate(zip(groups, drawn, strict=True)):
        for trace in family.traces:
            if len(groups) <= MANY:
                _along(hill, objective, trace, look, box, lift=(place + 1) * gap)
            else:
                _at_the_end(hill, objective, trace, look, box)
            _in_time(time, trace, look, box, crowded=len(groups) > MANY or len(family.traces) > 1)
    _dress(hill, time, box, minima, top=high + 0.1 * (high - low) + (min(len(groups), MANY) + 1) * gap)
    if settled:
        time.set_ylim(settled, -0.02 * settled)
    if scale:
        scale.bar(figure, [hill, time])
    lines = [marks.line(look) for look in drawn] if 1 < len(groups) <= MANY else []
    legends.beside(hill, *marks.entries(groups, lines, minima=bool(len(minima))))
    return figure


def _scale(keys: Sequence[str], groups: Sequence[Family]) -> Scale | None:
    key = bar_key(keys, groups) if len(groups) > MANY else None
    return Scale(key, [family.settings[key] for family in groups]) if key else None


def _reach(objective: Objective, box: Box, groups: Sequence[Family], minima: Numbers) -> tuple[float, float]:
    """The lowest and the highest ground that runs have seen: walls that nobody climbed would flatten the valley."""
    points = np.concatenate([*(path(trace, 1) for trace in _all(groups)), minima])
    seen = points[box.holds(points)]
    if not len(seen):
        seen = np.array([box.low, box.high])
    walked = np.linspace(seen.min(), seen.max(), 300)[:, None]
    heights = np.asarray(objective.value(walked, np), np.float64)
    low, high = float(heights.min()), float(heights.max())
    return low, high if high > low else low + 1.0


def _all(groups: Sequence[Family]) -> list[Trace]:
    return [trace for family in groups for trace in family.traces]


def _hill(axes: Axes, objective: Objective, box: Box, minima: Numbers, *, low: float) -> None:
    """The curve of J over the view, the ground below it filled."""
    x = np.linspace(float(box.low[0]), float(box.high[0]), 600)
    heights = np.asarray(objective.value(x[:, None], np), np.float64)
    axes.fill_between(x, heights, min(low, float(heights.min())), color="#E4E8EC", linewidth=0, zorder=0)
    axes.plot(x, heights, color=style.INK, linewidth=1.4, zorder=1)
    axes.set_ylim(bottom=low)
    for point, height in zip(minima, objective.value(minima, np) if len(minima) else (), strict=True):
        if box.holds(point):
            marks.minimum(axes, (float(point[0]), float(height)), size=20)


def _along(axes: Axes, objective: Objective, trace: Trace, look: Look, box: Box, *, lift: float) -> None:
    """A run on the curve: its way as a line above the ground, its places as points while they can be told apart."""
    points = path(trace, 1)
    seen = points[box.holds(points)]
    if not len(seen):
        return
    walked = np.linspace(float(seen.min()), float(seen.max()), 300)
    over = np.asarray(objective.value(walked[:, None], np)) + lift
    axes.plot(walked, over, color=look.colour, linestyle=look.dash, linewidth=2.0, zorder=2)
    places = seen[:: max(1, len(seen) // 60)]
    axes.plot(
        places[:, 0], np.asarray(objective.value(places, np)) + lift, linestyle="", marker=".", markersize=6,
        color=look.colour, zorder=2.5,
    )  # fmt: skip
    height = np.asarray(objective.value(seen[[0, -1]], np)) + lift
    marks.start(axes, (float(seen[0, 0]), float(height[0])))
    if not trace.broken and box.holds(points[-1]):
        marks.end(axes, (float(seen[-1, 0]), float(height[1])), look.colour)


def _at_the_end(axes: Axes, objective: Objective, trace: Trace, look: Look, box: Box) -> None:
    last = path(trace, 1)[-1:]
    if not trace.broken and box.holds(last)[0]:
        marks.end(axes, (float(last[0, 0]), float(objective.value(last, np)[0])), look.colour, small=True)


def _in_time(axes: Axes, trace: Trace, look: Look, box: Box, *, crowded: bool) -> None:
    points = path(trace, 1)
    drawn = until_gone(box, points) if trace.broken else points
    steps = trace.column("step")[: len(drawn)]
    line = marks.line(look) | ({"linewidth": 1.0} if crowded else {})
    axes.plot(box.near(drawn)[:, 0], steps, zorder=2, **line)
    strip = Box(np.array([box.low[0], -np.inf]), np.array([box.high[0], np.inf]))
    way = np.column_stack((drawn[:, 0], steps))
    crossing = leaving(strip, way)
    if trace.broken and (crossing is not None or strip.holds(way[-1])):
        marks.cross(axes, way[-1] if crossing is None else crossing, look.colour)


def _settled(groups: Sequence[Family], box: Box) -> int:
    """The step from which every run stays within a hundredth of the view from its end, if that comes early; else 0."""
    last, moving = 0, 0
    for trace in _all(groups):
        points = path(trace, 1)
        drawn = until_gone(box, points) if trace.broken else points
        steps = trace.column("step")[: len(drawn)]
        away = np.flatnonzero(np.abs(drawn - drawn[-1])[:, 0] > 0.01 * box.size[0])
        last = max(last, int(steps[-1]))
        moving = max(moving, int(steps[away[-1]]) if len(away) else 0)
    shown = max(10, round(1.25 * moving))
    return shown if shown < 0.6 * last else 0


def _dress(hill: Axes, time: Axes, box: Box, minima: Numbers, *, top: float) -> None:
    hill.set_ylim(top=top)
    hill.set_ylabel("J(θ)")
    hill.tick_params(bottom=False)
    time.set(xlim=(float(box.low[0]), float(box.high[0])), xlabel="θ₀ = x", ylabel="step k")
    time.margins(y=0.02)
    time.invert_yaxis()
    style.grid(time)
    for minimum in minima[box.holds(minima)][:, 0]:
        for axes in (hill, time):
            axes.axvline(float(minimum), color=style.MIST, linewidth=1.0, linestyle=(0, (2, 3)), zorder=0.5)
