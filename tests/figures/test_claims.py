"""The pictures of the claims: nothing cut, nothing on anything else, and what was measured is what is drawn."""

import itertools

import numpy as np
import pytest
from matplotlib.transforms import Bbox

from momentumlab.figures import render
from momentumlab.figures.claims import draw
from tests.claims.found import experiment, found
from tests.figures.test_layout import extent


@pytest.mark.parametrize("claim", [1, 2, 3, 4])
def test_nothing_is_cut_and_nothing_overlaps(claim):
    figure = draw(found(claim))
    render(figure)
    boxes = [(text.get_text()[:20], text.get_window_extent()) for text in figure.texts]
    boxes += [(f"axes {place}", extent(axes)) for place, axes in enumerate(figure.axes)]
    boxes += [("legend", legend.get_window_extent()) for legend in figure.legends]

    page = Bbox([[-1, -1], [1601, 1001]])
    assert [what for what, box in boxes if not (page.contains(*box.min) and page.contains(*box.max))] == []
    smaller = [(what, Bbox([box.min + 1.5, box.max - 1.5])) for what, box in boxes]
    assert [(a, b) for (a, one), (b, other) in itertools.combinations(smaller, 2) if one.overlaps(other)] == []
    assert found(claim).verdict in figure.texts[0].get_text()


def test_the_floors_that_were_measured_lie_on_the_lines_of_theory():
    left, right = draw(found(4)).axes
    for axes, key in ((left, "var_theta"), (right, "var_v")):
        lines = [line for line in axes.lines if line.get_gid() is None]
        for (theory, points), name in zip(
            zip(lines[::2], lines[1::2], strict=True), ("the same η =", "the same η/("), strict=True
        ):
            measured = list(experiment(4, name).of(key).values())
            assert list(points.get_ydata()) == measured
            expected = np.interp(points.get_xdata(), theory.get_xdata(), theory.get_ydata())
            np.testing.assert_allclose(measured, expected, rtol=0.05)  # four errors of the means
