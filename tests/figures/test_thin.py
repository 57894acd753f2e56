"""Long lines with few points: the picture of all of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from momentumlab.figures.thin import COLUMNS, Numbers, thinned


def columns_of(x: Numbers, count: int) -> list[np.ndarray]:
    """The rows of each column that has some: equal widths of x, the last with its end."""
    edges = np.linspace(x[0], x[-1], count, endpoint=False)
    of = np.searchsorted(edges, x, "right") - 1
    return [np.flatnonzero(of == column) for column in np.unique(of)]


@given(
    some.lists(some.tuples(some.floats(-1e9, 1e9), some.integers(0, 40)), min_size=1, max_size=300),
    some.integers(1, 50),
)
def test_each_column_keeps_its_lowest_and_highest_point(drawn: list[tuple[float, int]], columns: int) -> None:
    values, strides = np.array([value for value, _ in drawn]), np.array([stride for _, stride in drawn])
    steps = np.cumsum(strides + 1.0)  # ascends unevenly

    x, y = thinned(steps, values, columns=columns)

    assert len(x) <= max(2 * columns + 2, 4)
    assert (np.diff(x) > 0).all()
    assert set(zip(x, y, strict=True)) <= set(zip(steps, values, strict=True))
    assert (x[0], y[0], x[-1], y[-1]) == (steps[0], values[0], steps[-1], values[-1])
    for rows in columns_of(steps, columns):
        here = y[np.isin(x, steps[rows])]
        assert (here.min(), here.max()) == (values[rows].min(), values[rows].max())


@pytest.mark.parametrize("logarithmic", [False, True])
def test_one_spike_among_a_million_points_is_drawn(logarithmic: bool) -> None:
    steps = np.arange(1e6)
    smooth = np.exp(-steps / 1e5) if logarithmic else 1 - steps / 1e6
    for height in (1e-12, 7.0):
        spiked = smooth.copy()
        spiked[654_321] = height

        x, y = thinned(steps, spiked)

        assert len(x) <= 2 * COLUMNS + 2
        assert (654_321.0, height) in set(zip(x, y, strict=True))


def test_a_band_keeps_the_extremes_of_both_its_edges_on_one_x() -> None:
    steps = np.arange(10_000.0)
    low, high = np.sin(steps), np.where(steps == 5_000, np.inf, 2 + np.cos(steps))

    x, below, above = thinned(steps, low, high)

    assert len(x) == len(below) == len(above) <= 4 * COLUMNS + 2
    assert (below.min(), above.max()) == (low.min(), np.inf)


def test_short_lines_stay_as_they_are() -> None:
    steps = np.arange(2.0 * COLUMNS)
    x, y = thinned(steps, -steps)

    assert x is steps
    assert np.array_equal(y, -steps)
