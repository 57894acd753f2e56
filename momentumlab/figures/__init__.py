"""Figures: results in, Matplotlib figures out. Nothing here imports torch, and nothing is shown or kept globally.

    groups, notes = by_problem(results)
    for group in groups:
        for kind in kinds_for(group):
            save(draw(group, kind), folder / f"{file_stem(kind)}.png")

Matplotlib is loaded by the first figure, not by this import.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from momentumlab.errors import ConfigError
from momentumlab.figures.choose import KINDS, kinds_for
from momentumlab.figures.group import Groups, by_problem, problem_key
from momentumlab.text import nearest, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from momentumlab.results.reader import Result

__all__ = ["KINDS", "Groups", "by_problem", "draw", "file_stem", "kinds_for", "render", "save"]


def draw(
    results: Sequence["Result"], kind: str, *, metric: str = "loss", x: str = "step", title: str | None = None
) -> "Figure":
    """One figure of results that share a problem: kind is curves, heatmap, landscape, forces or schedule.

    `metric` is any recorded one (curves, heatmap), `x` is step or epoch (curves, schedule). Raises ConfigError, in
    words, for what cannot be drawn of these results.
    """
    check_kind(kind)
    if len({problem_key(result) for result in results}) != 1:
        raise ConfigError("these results are of different problems: draw each group of by_problem(results) by itself")
    from momentumlab.figures import style

    # Each kind is loaded by itself: a command that draws curves does not wait for the others.
    with style.context():
        if kind == "curves":
            from momentumlab.figures import curves

            return curves.draw(results, metric, x, title)
        if kind == "heatmap":
            from momentumlab.figures import heatmap

            return heatmap.draw(results, metric, title)
        if kind == "landscape":
            from momentumlab.figures import landscape

            return landscape.draw(results, title)
        if kind == "schedule":
            from momentumlab.figures import schedule

            return schedule.draw(results, x, title)
        from momentumlab.figures import forces

        return forces.draw(results, title)


def check_kind(kind: str) -> None:
    """ConfigError for a kind of figure that there is not."""
    if kind not in KINDS:
        guess = nearest(kind, KINDS)
        meant = f" Did you mean {guess!r}?" if guess else ""
        raise ConfigError(f"kind must be one of {', '.join(KINDS)}, got {shown(kind)}.{meant}")


def file_stem(kind: str, metric: str = "loss") -> str:
    """What a figure's file is called, without its ending: curves by their metric, other kinds by their name."""
    if kind == "curves":
        return metric
    return f"heatmap-{metric}" if kind == "heatmap" and metric != "loss" else kind


def render(figure: "Figure", format: str = "png") -> bytes:
    """A figure as the bytes of a png, svg or pdf file; the same figure gives the same bytes."""
    from momentumlab.figures import export

    return export.render(figure, format)


def save(figure: "Figure", path: str | Path) -> Path:
    """Write a figure as png, svg or pdf, by the ending of `path`; a file of that name is replaced in one go."""
    from momentumlab.figures import export

    return export.save(figure, path)
