"""Nothing is cut, nothing lies on anything else: checked on the boxes that are drawn."""

import itertools

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from momentumlab.figures import draw, render
from tests.figures.simulated import cells, forces_result, line_result, objective_result

QUADRATIC = {"kind": "quadratic", "eigenvalues": [1.0, 100.0]}
FOUR, NINE = (0.0, 0.5, 0.9, 0.99), (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
FORTY = np.linspace(0.0, 0.99, 40)
ICE = [[-1.0, 0.0]] * 10 + [[0.0, 1.0]] * 10
LONG = "A question that is so long that it takes more than one line: does anything of it get lost or lie on the rest?"
RULES = [
    cell | {"optimizer.kind": kind} for kind in ("momentum", "nesterov") for cell in cells(FOUR, (0.001, 0.01, 0.1))
]

PICTURES = {
    "one run": (lambda: line_result(cells()), "curves"),
    "nine runs": (lambda: line_result(cells(NINE)), "curves"),
    "nine flown away": (lambda: objective_result(QUADRATIC, cells(NINE, (0.2,))), "landscape"),
    "nine seeds flown away": (
        lambda: objective_result({**QUADRATIC, "noise": 1.0}, cells(NINE, (0.2,), seeds=(0, 1)), 20),
        "curves",
    ),
    "nine diverged": (lambda: objective_result(QUADRATIC, cells(NINE, (0.2,))), "curves"),
    "forty runs": (lambda: line_result(cells(FORTY)), "curves"),
    "panels": (lambda: objective_result(QUADRATIC, cells(FOUR, np.geomspace(1e-3, 0.1, 10))), "curves"),
    "seeds": (lambda: line_result(cells(FOUR, seeds=range(3)), batch=8), "curves"),
    "grid": (lambda: objective_result(QUADRATIC, cells(NINE, np.geomspace(1e-3, 0.1, 12))), "heatmap"),
    "large grid": (lambda: line_result(cells(FORTY, np.geomspace(1e-3, 0.5, 40)), 0), "heatmap"),
    "two grids": (lambda: objective_result(QUADRATIC, RULES), "heatmap"),
    "ravine": (lambda: objective_result(QUADRATIC, cells(NINE, (0.025,))), "landscape"),
    "long formula": (lambda: objective_result({"kind": "ackley"}, cells(NINE), 10), "landscape"),
    "forty paths": (lambda: objective_result({"kind": "himmelblau"}, cells(FORTY, (0.001,)), 30), "landscape"),
    "valley": (lambda: objective_result({"kind": "double_well"}, cells(NINE, (0.05,))), "landscape"),
    "one body": (lambda: forces_result(ICE, cells((0.9,), (0.1,)), 40), "forces"),
    "two bodies": (lambda: forces_result(ICE, cells((0.0, 0.9), (0.1,)), 40), "forces"),
    "three bodies": (
        lambda: forces_result([[1.0, (-1.0) ** k] for k in range(9)], cells(FOUR[:3], (0.1,)), 20),
        "forces",
    ),
    "four bodies": (lambda: forces_result(ICE, cells(FOUR, (0.1,)), 40), "forces"),
    "forty bodies": (lambda: forces_result(ICE, cells(FORTY, (0.1,)), 40), "forces"),
}
INSIDE = {"forty runs"}  # its legend lies on the axes


def extent(axes: Axes) -> Bbox:
    """The box of axes with their ticks, names and title."""
    parts = [axes.get_window_extent(), axes.xaxis.get_tightbbox(), axes.yaxis.get_tightbbox()]
    title = axes.title if axes.title.get_text() else axes._left_title  # type: ignore[attr-defined]
    parts += [title.get_window_extent()] if title.get_text() else []
    return Bbox.union([part for part in parts if part is not None])


@pytest.mark.parametrize("name", PICTURES)
def test_nothing_is_cut_and_nothing_overlaps(name: str) -> None:
    make, kind = PICTURES[name]
    figure = draw([make()], kind, title=LONG)
    render(figure)

    boxes = [(text.get_text()[:20], text.get_window_extent()) for text in figure.texts]
    boxes += [(f"axes {place}", extent(axes)) for place, axes in enumerate(figure.axes) if axes.axison]
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
    boxes += [("legend", legend.get_window_extent()) for legend in legends if legend and name not in INSIDE]

    page = Bbox([[-1, -1], [1601, 1001]])
    outside = [what for what, box in boxes if not (page.contains(*box.min) and page.contains(*box.max))]
    assert outside == []
    smaller = [(what, Bbox([box.min + 1.5, box.max - 1.5])) for what, box in boxes]
    touching = [(a, b) for (a, one), (b, other) in itertools.combinations(smaller, 2) if one.overlaps(other)]
    assert touching == []
