"""The landscape of an objective with the paths of all runs: contours in the plane, a curve for one parameter."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap
from matplotlib.figure import Figure

from momentumlab.figures import labels, legends, marks, style, valley, words
from momentumlab.figures.looks import MANY, Look, Scale, bar_key, looks
from momentumlab.figures.paths import Box, leaving, length, need_paths, path, until_gone, view, widened
from momentumlab.figures.terrain import landscape_of, one_landscape
from momentumlab.figures.traces import Family, Numbers, Trace, families, traces
from momentumlab.figures.words import Head
from momentumlab.problems.objectives import Objective

if TYPE_CHECKING:
    from momentumlab.results.reader import Result

_GROUND = LinearSegmentedColormap.from_list("ground", ["#FFFFFF", "#D5DCE3", "#9AA9B8", "#66788A"])
_LEVELS = 14
_BEYOND = 0.15  # so much of the view on every side, the ground is drawn beyond it
_LONG = 6  # views: longer paths have markers in place of dashes


def draw(results: Sequence["Result"], title: str | None = None) -> Figure:
    """J with the paths of all runs on it; ConfigError where there is no objective of one or two parameters."""
    objective = landscape_of(results[0].experiment)
    every = traces(results)
    runs = need_paths(every, objective.dimension)
    one_landscape(runs)
    keys, groups = families(runs)
    head = words.head(results, keys, every, runs, missing="path", title=title)
    if objective.dimension == 1:
        return valley.draw(objective, keys, groups, head)
    return _plane(objective, keys, groups, head)


def _plane(objective: Objective, keys: Sequence[str], groups: Sequence[Family], head: Head) -> Figure:
    paths = [path(trace, 2) for family in groups for trace in family.traces]
    minima = np.array(objective.minima).reshape(-1, 2)
    box = view(Box(*np.array(objective.domain).T), paths, minima)
    gone = sum(not trace.broken and not box.holds(path(trace, 2)[-1]) for family in groups for trace in family.traces)
    notes = head.notes(f"{labels.counted(gone, 'run')} left the picture" if gone else "")
    figure = style.canvas(head.title, notes, f"J = {objective.formula}")
    texts = marks.entries(groups, [{}] * len(groups) if 1 < len(groups) <= MANY else [], minima=True)[1]
    ratio = _ratio(figure, texts, bar=len(groups) > MANY)
    box = widened(box, ratio) or box
    axes = figure.add_subplot()
    _ground(figure, axes, objective, box)
    for point in minima[box.holds(minima)]:
        marks.minimum(axes, point)
    lines = _paths(figure, axes, keys, groups, box)
    _frame(axes, box, equal=bool(np.isclose(box.size[0] / box.size[1], ratio)))
    legends.beside(axes, *marks.entries(groups, lines if 1 < len(groups) <= MANY else [], minima=bool(len(minima))))
    return figure


def _ratio(figure: Figure, texts: Sequence[str], *, bar: bool) -> float:
    """Width to height, about, of the room that the colour bars, the legend and the labels leave to the axes."""
    width = style.WIDTH - 2.2 - legends.width(texts) - (1.3 if bar else 0.0)
    return width / (style.height_left(figure) - 0.75)


def _ground(figure: Figure, axes: Axes, objective: Objective, box: Box) -> None:
    """Filled contours of J, low ground light."""
    drawn = box.grown(_BEYOND)
    sides = zip(drawn.low, drawn.high, (220, 160), strict=True)
    x, y = (np.linspace(low, high, count) for low, high, count in sides)
    points = np.stack(np.meshgrid(x, y), axis=-1)
    heights = objective.value(points.reshape(-1, 2), np).reshape(points.shape[:2])
    levels = _levels(objective, heights)
    ground = axes.contourf(x, y, heights, levels, cmap=_GROUND, norm=BoundaryNorm(levels, 256), zorder=0)
    axes.contour(x, y, heights, levels[1:-1], colors="white", linewidths=0.8, linestyles="solid", zorder=0.5)
    bar = figure.colorbar(ground, ax=axes, location="left", pad=0.02, aspect=28)
    shown = levels[:: max(1, len(levels) // 7)]
    bar.set_ticks(list(shown), labels=labels.distinct(shown.tolist(), 2))
    bar.minorticks_off()
    bar.set_label("J(θ)", fontsize=style.LABEL)
    bar.outline.set_edgecolor(style.PALE)
    x_name, y_name = ("θ₀ = x", "θ₁ = y") if "y" in objective.formula else ("θ₀", "θ₁")
    axes.set(xlabel=x_name, ylabel=y_name)


def _frame(axes: Axes, box: Box, *, equal: bool) -> None:
    """Show the box. With equal scales one axis reaches further, as the room is; the ground has a margin for that."""
    axes.dataLim.set_points(np.array([box.low, box.high]))
    axes.margins(0)
    axes.autoscale_view()
    if equal:
        axes.set_aspect("equal", adjustable="datalim")


def _levels(objective: Objective, heights: Numbers) -> Numbers:
    """Heights of the contours: equal factors above the lowest ground where J spans decades, else equal steps."""
    minima = np.array(objective.minima).reshape(-1, objective.dimension)
    floor = float(min([heights.min(), *objective.value(minima, np)]))
    top = float(heights.max()) - floor
    floor = 0.0 if 0 <= floor < 1e-4 * top else floor
    usual = float(np.quantile(heights - floor, 0.03))
    if top > 100 * usual:
        return np.concatenate([[floor], floor + np.geomspace(max(usual, 1e-5 * top), top, _LEVELS - 1)])
    return floor + np.linspace(0.0, top or 1.0, _LEVELS)


def _paths(figure: Figure, axes: Axes, keys: Sequence[str], groups: Sequence[Family], box: Box) -> list[dict[str, Any]]:
    """Every run's path, the longest below the others; how each family's line looks comes back."""
    key = bar_key(keys, groups) if len(groups) > MANY else None
    scale = Scale(key, [family.settings[key] for family in groups]) if key else None
    drawn = [Look(scale.colour(family.settings[scale.key])) for family in groups] if scale else looks(keys, groups)
    lengths = [max(length(box, _seen(trace, box)) for trace in family.traces) for family in groups]
    small = len(groups) > MANY
    lines = [
        {"color": look.colour, "linewidth": 0.9} if small else marks.line(look, long=far > _LONG)
        for look, far in zip(drawn, lengths, strict=True)
    ]
    from_below = np.argsort(lengths, kind="stable")[::-1]
    for order, place in enumerate(from_below):
        if not small:  # where paths lie on each other the lower one is wider, so both are seen
            covered = sum(_coincide(groups[place], groups[above], box) for above in from_below[order + 1 :])
            lines[place]["linewidth"] += 2.4 * covered
        for trace in groups[place].traces:
            _path(axes, trace, lines[place] | {"zorder": 2 + order / len(groups)}, box, small=small)
    if scale:
        scale.bar(figure, axes)
    return lines


def _coincide(one: Family, other: Family, box: Box) -> bool:
    paths = [box.near(path(family.traces[0], 2)) for family in (one, other)]
    if len(paths[0]) != len(paths[1]):
        return False
    apart = np.abs(paths[0] - paths[1]) / (np.array(box.high) - np.array(box.low))
    return bool(apart.max() < 0.004)


def _seen(trace: Trace, box: Box) -> Numbers:
    points = path(trace, 2)
    return until_gone(box, points) if trace.broken else points


def _path(axes: Axes, trace: Trace, line: dict[str, Any], box: Box, *, small: bool) -> None:
    points = path(trace, 2)
    drawn = box.near(_seen(trace, box))
    axes.plot(*drawn.T, markevery=max(len(drawn) // 12, 1), **line)
    marks.start(axes, box.near(points[0]))
    crossing = leaving(box, points)
    last = points[-1] if crossing is None else crossing
    if trace.broken and (crossing is not None or box.holds(last)):
        marks.cross(axes, last, line["color"])
    elif not trace.broken and crossing is None:
        marks.end(axes, box.near(last), line["color"], small=small)
