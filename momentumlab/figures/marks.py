"""The marks on a path: where a run starts, where it ends, where it diverges, where the minima are."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from momentumlab.figures import style
from momentumlab.figures.looks import Look
from momentumlab.figures.style import Colour
from momentumlab.figures.traces import Family, Numbers, ending

Point = Sequence[float] | Numbers
_START: dict[str, Any] = {
    "marker": "o",
    "markersize": 9,
    "markerfacecolor": "white",
    "markeredgecolor": style.INK,
}
_END: dict[str, Any] = {"marker": "o", "markersize": 9, "markeredgecolor": "white"}
_CROSS: dict[str, Any] = {"marker": "X", "markersize": 12, "markeredgecolor": "white"}
_MINIMUM: dict[str, Any] = {"marker": "*", "markersize": 17, "color": style.BLACK, "markeredgecolor": "white"}


def start(axes: Axes, point: Point) -> None:
    axes.plot(*_alone(point), zorder=4, **_START)


def end(axes: Axes, point: Point, colour: Colour, *, small: bool = False) -> None:
    look = _END | {"markersize": 5, "markeredgewidth": 0.4} if small else _END
    axes.plot(*_alone(point), color=colour, zorder=4.5, **look)


def cross(axes: Axes, point: Point, colour: Colour) -> None:
    axes.plot(*_alone(point), color=colour, zorder=5, clip_on=False, **_CROSS)


def minimum(axes: Axes, point: Point, *, size: float = 25) -> None:
    axes.plot(*_alone(point), zorder=3.5, **(_MINIMUM | {"markersize": size}))


def _alone(point: Point) -> tuple[list[float], list[float]]:
    return [float(point[0])], [float(point[1])]


def line(look: Look, *, long: bool = False) -> dict[str, Any]:
    """How a path is drawn: dashed, or with markers where it is so long that dashes would not be seen as such."""
    if not long:
        return {"color": look.colour, "linestyle": look.dash, "linewidth": 2.2}
    marker = {"marker": look.marker, "markersize": 6.5, "markeredgecolor": "white", "markeredgewidth": 0.6}
    return {"color": look.colour, "linewidth": 1.3} | marker


def entries(
    families: Sequence[Family], lines: Sequence[dict[str, Any]], *, minima: bool
) -> tuple[list[Line2D], list[str]]:
    """Handles and texts of a legend: the families, one for each of `lines`, then the marks."""
    handles = [Line2D([], [], **line) for line in lines]
    texts = [named(family) for family in families[: len(lines)]]
    handles += [
        Line2D([], [], linestyle="", **_START),
        Line2D([], [], linestyle="", color=style.QUIET, **_END),
    ]
    texts += ["start", "end"]
    if minima:
        handles.append(Line2D([], [], linestyle="", **_MINIMUM))
        texts.append("minimum")
    broken = [trace for family in families for trace in family.traces if trace.broken]
    if broken:
        handles.append(Line2D([], [], linestyle="", color=style.QUIET, **_CROSS))
        texts.append(ending(broken) + (f": {len(broken)}" if len(broken) > 1 else ""))
    return handles, texts


def named(family: Family) -> str:
    """A family and, where runs of it broke off, when the first did."""
    ended = [trace for trace in family.traces if trace.broken]
    parts = [family.label] if family.label else []
    if ended:
        first = min(ended, key=lambda trace: trace.last_step)
        seeds = len(family.traces)
        share = f"{len(ended)} of {seeds} seeds {ending(ended)}, the first" if seeds > 1 else first.status
        parts.append(f"{share} at step {first.last_step}")
    return ", ".join(parts)
