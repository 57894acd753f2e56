"""Scripted pushes: the way a body takes, and at some steps the two arrows that its next step is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from momentumlab.errors import ConfigError
from momentumlab.figures import legends, marks, style, words
from momentumlab.figures.looks import MANY, Look, Scale, bar_key, looks
from momentumlab.figures.paths import Box, need_paths, path
from momentumlab.figures.traces import Family, Numbers, Trace, families, traces
from momentumlab.figures.words import Head
from momentumlab.text import safe

if TYPE_CHECKING:
    from momentumlab.results.reader import Result

PANELS = 4
_TOO_UNLIKE = 12  # paths whose sizes differ more than so many times do not share a scale
_ARROWS = 12  # so many steps of a path carry arrows
_INERTIA, _PUSH = style.BLACK, style.PURPLE


@dataclass(frozen=True)
class Way:
    """A run in the plane of the figure: where it is at every recorded step, and the arrows of some steps."""

    trace: Trace
    points: Numbers  # (step, 2)
    dimension: int  # of θ: 2, or 1 where the first coordinate is the step
    places: Numbers  # (arrow, 2): where arrows start
    inertia: Numbers  # (arrow, 2)
    push: Numbers  # (arrow, 2)


def draw(results: Sequence["Result"], title: str | None = None) -> Figure:
    """The path of every run in the plane of θ₀ and θ₁; of one parameter, θ₀ against the step.

    Up to four runs have a panel each, with arrows: θ_{k+1} − θ_k is inertia, −γ·v_k, plus push, −η·∇J(θ_k). More runs
    share one panel, without arrows. ConfigError where the objective is not of kind `forces`.
    """
    kind = (results[0].experiment.get("objective") or {}).get("kind")
    if kind != "forces":
        raise ConfigError(
            f"only scripted pushes (objective kind forces) are drawn as forces, not {safe(kind or 'a model')}: "
            "draw curves"
        )
    every = traces(results)
    dimension = 2 if any("theta_1" in trace.columns for trace in every) else 1
    runs = need_paths(every, dimension)
    keys, groups = families(runs)
    head = words.head(results, keys, every, runs, missing="path", title=title)
    ways = [[_way(trace, dimension) for trace in family.traces] for family in groups]
    if len(runs) > PANELS:
        return _together(keys, groups, ways, head)
    looked = looks(keys, groups)
    alone = [(_name(family, trace), look, way) for family, look, row in zip(groups, looked, ways, strict=True)
             for trace, way in zip(family.traces, row, strict=True)]  # fmt: skip
    return _apart(alone, head)


def _name(family: Family, trace: Trace) -> str:
    seed = f"seed = {trace.settings.get('seed')}" if len(family.traces) > 1 else ""
    return ", ".join(part for part in (family.label, seed) if part)


def _way(trace: Trace, dimension: int) -> Way:
    theta = path(trace, dimension)
    chosen = np.unique(np.linspace(0, max(len(theta) - 2, 0), _ARROWS).round().astype(int))
    inertia, push = (arrows[chosen] for arrows in _arrows(trace, dimension))
    if dimension == 2:
        return Way(trace, theta, 2, theta[chosen], inertia, push)
    steps = trace.column("step")[: len(theta)]
    points = np.column_stack((steps, theta[:, 0]))
    inertia, push = (np.column_stack((0 * arrow, arrow)) for arrow in (inertia, push))
    return Way(trace, points, 1, points[chosen], inertia, push)


def _arrows(trace: Trace, dimension: int) -> tuple[Numbers, Numbers]:
    """What the step after each row is made of, (step, coordinate): what is kept of the velocity, and the new push.

    Nesterov pushes twice: at θ, and in the look-ahead along the new velocity, −(γ·(γ·v + η·∇J) + η·∇J).
    """
    velocity, gradient = (
        np.stack([trace.column(f"{name}_{place}") for place in range(dimension)], axis=-1)
        for name in ("velocity", "gradient")
    )
    gamma, eta = (trace.column(name)[:, None] for name in ("gamma", "eta"))
    if trace.settings.get("rule") == "nesterov":
        return -gamma * gamma * velocity, -(1 + gamma) * eta * gradient
    return -gamma * velocity, -eta * gradient


def _apart(alone: Sequence[tuple[str, Look, Way]], head: Head) -> Figure:
    """A panel for each run: to one scale, unless the smallest path could then not be read."""
    ways = [way for _, _, way in alone]
    sizes = [float(np.ptp(way.points[:, -way.dimension :], axis=0).max()) for way in ways]
    own = max(sizes) > _TOO_UNLIKE * min(sizes)
    figure = style.canvas(head.title, head.notes("each panel has its own scale" if own else ""))
    flat = ways[0].dimension == 2 and all(size[0] > 2.5 * size[1] for size in (_box([way], 1).size for way in ways))
    panels = style.panels(figure, len(alone), shared=False, flat=flat)
    for axes, (name, look, way) in zip(panels, alone, strict=True):
        shown = [way] if own else ways
        longer = _longer(shown)
        _dress(axes, _box(shown, longer), way.dimension, flat=flat)
        heading = [*([name] if name else []), *([f"arrows ×{longer}"] if longer > 1 else [])]
        axes.set_title(style.plain(" · ".join(heading)), fontsize=style.LABEL, loc="left", parse_math=False)
        _path(axes, way, look, dots=True)
        _arrows_of(axes, way, _box(shown, longer), longer)
    handles, texts = marks.entries([], [], minima=False)
    arrow: dict[str, Any] = {"marker": ">", "markersize": 9, "linewidth": 2.4}
    arrows = [Line2D([], [], color=colour, **arrow) for colour in (_INERTIA, _PUSH)]
    legends.below(figure, [*arrows, *handles], ["inertia −γ·v", "push −η·∇J", *texts])
    return figure


def _longer(ways: Sequence[Way]) -> int:
    """How many times as long arrows are drawn: the longest shall be a fifth of the picture; 1, 2, 3, 5, 10 …"""
    points = np.concatenate([way.points[:, -way.dimension :] for way in ways])
    arrows = np.concatenate([np.concatenate((way.inertia, way.push)) for way in ways])
    longest = float(np.abs(arrows).max())
    wanted = 0.2 * float(np.ptp(points, axis=0).max()) / longest if longest > 0 else 1.0
    return max((step for step in (1, 2, 3, 5, 10, 20, 30, 50, 100) if step <= wanted), default=1)


def _box(ways: Sequence[Way], longer: int) -> Box:
    """Everything that is drawn, tips of arrows included, with a margin."""
    tips = [way.places + longer * arrow for way in ways for arrow in (way.inertia, way.push)]
    points = np.concatenate([*(way.points for way in ways), *tips])
    box = Box(points.min(axis=0), points.max(axis=0))
    flat = np.where(box.size > 0, 0.0, 0.5 * (float(box.size.max()) or 1.0))
    return Box(box.low - flat, box.high + flat).grown(0.06)


def _dress(axes: Axes, box: Box, dimension: int, *, flat: bool = False) -> None:
    """Limits and names; in the plane both axes have one scale, so that one of them reaches further than the box."""
    axes.update_datalim([tuple(box.low), tuple(box.high)])
    axes.margins(0)
    if dimension == 2:
        axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel("θ₀" if dimension == 2 else "step k")
    axes.set_ylabel("θ₁" if dimension == 2 else "θ₀", rotation=0, ha="right", va="center")
    axes.locator_params("y", nbins=3 if flat else 6)
    axes.locator_params("x", nbins=6)
    style.grid(axes)


def _path(axes: Axes, way: Way, look: Look, *, dots: bool) -> None:
    line = marks.line(look) | ({"marker": ".", "markersize": 7} if dots else {})
    axes.plot(*way.points.T, zorder=2, **line)
    marks.start(axes, way.points[0])
    marks.end(axes, way.points[-1], look.colour)


def _arrows_of(axes: Axes, way: Way, box: Box, longer: int) -> None:
    """Both arrows of the chosen steps, left and right of where the body is: often they point the same way."""
    aside = _aside(way, box)
    for arrows, colour, shift in ((way.inertia, _INERTIA, aside), (way.push, _PUSH, -aside)):
        seen = longer * np.hypot(*(arrows / box.size).T) > 0.004
        if seen.any():
            axes.quiver(
                *(way.places + shift)[seen].T, *(longer * arrows[seen]).T, angles="xy", scale_units="xy", scale=1.0,
                color=colour, width=0.028, units="inches", headwidth=4.5, headlength=5.5, zorder=3,
            )  # fmt: skip


def _aside(way: Way, box: Box) -> Numbers:
    """A little to the left of each step, (arrow, 2); against the step k, a little earlier."""
    if way.dimension == 1:
        return np.tile([-0.006 * box.size[0], 0.0], (len(way.places), 1))
    step = way.inertia + way.push
    lengths = np.hypot(*step.T)[:, None]
    left = np.column_stack((-step[:, 1], step[:, 0])) / np.where(lengths > 0, lengths, 1.0)
    return np.asarray(0.007 * float(box.size.max()) * left, np.float64)


def _together(keys: Sequence[str], groups: Sequence[Family], ways: Sequence[Sequence[Way]], head: Head) -> Figure:
    """All paths in one panel, without arrows."""
    figure = style.canvas(head.title, head.notes())
    axes = figure.add_subplot()
    flat = [way for row in ways for way in row]
    _dress(axes, _box(flat, 0), flat[0].dimension)
    key = bar_key(keys, groups) if len(groups) > MANY else None
    scale = Scale(key, [family.settings[key] for family in groups]) if key else None
    drawn = [Look(scale.colour(family.settings[scale.key])) for family in groups] if scale else looks(keys, groups)
    for look, row in zip(drawn, ways, strict=True):
        for way in row:
            _path(axes, way, look, dots=False)
    if scale:
        scale.bar(figure, axes)
    lines: list[dict[str, Any]] = [marks.line(look) for look in drawn] if 1 < len(groups) <= MANY else []
    legends.beside(axes, *marks.entries(groups, lines, minima=False))
    return figure
