"""Families as lines."""

import numpy as np
import pytest

from momentumlab.figures.series import Limits, Series, coincide, limits, rough, series, visible
from momentumlab.figures.traces import Family, families, traces
from tests.figures.simulated import cells, line_result

NOBODY = Family("", {}, ())


def line(y: list[float], *, broken: bool = False) -> Series:
    return Series(NOBODY, np.arange(len(y), dtype=float), np.array(y), None, None, broken)


def test_a_median_goes_on_while_half_of_the_seeds_do() -> None:
    result = line_result(cells(seeds=(0, 1, 2)), 20, batch=8)
    keep = (result.metrics["run"] != 0) | (result.metrics["step"] <= 5)
    columns = {key: values[keep] for key, values in result.metrics.items()}
    result.metrics.update(columns)
    result.runs["status"][0] = "diverged"
    (family,) = families(traces([result]))[1]

    drawn = series(family, "step", "loss")

    assert drawn is not None
    assert not drawn.broken
    assert len(drawn.x) == 21
    alive = np.stack([result.rows(run)["loss"] for run in (1, 2)])[:, 10]
    assert drawn.y[10] == alive.max()  # the diverged one is above both
    assert drawn.high is not None
    assert np.isinf(drawn.high[10])


def test_a_median_ends_where_half_of_the_seeds_diverged() -> None:
    result = line_result(cells(seeds=(0, 1)), 20, batch=8)
    keep = (result.metrics["run"] != 0) | (result.metrics["step"] <= 5)
    result.metrics.update({key: values[keep] for key, values in result.metrics.items()})
    result.runs["status"][0] = "diverged"

    drawn = series(families(traces([result]))[1][0], "step", "loss")

    assert drawn is not None
    assert drawn.broken
    assert drawn.x[-1] == 5


def test_a_family_without_numbers_has_no_line() -> None:
    result = line_result(cells(), 3)
    result.metrics["cosine"] = np.full(4, np.nan)

    assert series(families(traces([result]))[1][0], "step", "cosine") is None


@pytest.mark.parametrize("exponent", [-300, 0, 300])
def test_limits_hold_every_calm_line(exponent: int) -> None:
    values = [float(f"{mantissa}e{exponent}") for mantissa in (5, 3, 1, 0.01)]

    reach = limits([line(values)], "loss")

    assert reach.inside(np.array(values)).all()
    assert reach.cut == (None, None)


def test_a_single_line_that_grows_is_not_cut_below_its_thousandfold() -> None:
    assert limits([line([1.0, 900.0])], "loss").cut == (None, None)
    assert limits([line([1.0, 1e6])], "loss").cut == (None, 1e3)


def test_a_parameter_that_starts_near_zero_is_seen_whole() -> None:
    assert limits([line([0.0, 1.0, 2.0])], "theta_0").cut == (None, None)
    assert limits([line([1e-6, -0.7])], "loss").cut == (None, None)


def test_a_broken_line_ends_where_it_leaves() -> None:
    reach = Limits(0.01, 100.0, True, (None, 100.0))

    x, y = visible(line([1.0, 10.0, 1000.0, 1e5], broken=True), reach)

    assert x.tolist() == pytest.approx([0, 1, 1.5])  # half way by logarithm
    assert y.tolist() == pytest.approx([1, 10, 100])


def test_a_broken_line_that_never_was_inside_is_a_point_at_the_edge() -> None:
    x, y = visible(line([1e9, 1e10], broken=True), Limits(0.0, 1.0, False, (None, 1.0)))

    assert (len(x), y.tolist()) == (1, [1.0])


def test_roughness_is_the_way_up_and_down() -> None:
    reach = Limits(0.0, 1.0, False, (None, None))

    assert rough(line([0.0, 1.0] * 6), reach)
    assert not rough(line(np.linspace(0, 1, 50).tolist()), reach)


def test_long_lines_on_each_other_coincide_whichever_of_their_rows_were_kept() -> None:
    reach = Limits(0.0, 1.0, False, (None, None))
    one = line(np.linspace(0.2, 0.8, 100).tolist())
    same = Series(NOBODY, one.x[::3], one.y[::3], None, None, False)
    spike = Series(NOBODY, one.x, one.y + np.eye(100)[50] * 0.1, None, None, False)

    assert one.x[-1] == same.x[-1]
    assert coincide(one, same, reach)
    assert not coincide(one, spike, reach)
    assert not coincide(same, spike, reach)
