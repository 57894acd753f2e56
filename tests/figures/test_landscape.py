"""Landscapes, by their paths, marks, limits and words."""

import dataclasses

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from momentumlab.errors import ConfigError
from momentumlab.figures import draw, render, style
from momentumlab.figures.paths import Box, leaving, until_gone, view, widened
from tests.figures.simulated import cells, forces_result, line_result, objective_result
from tests.figures.test_curves import head, legend_texts

QUADRATIC = {"kind": "quadratic", "eigenvalues": [1.0, 100.0]}
FOUR = (0.0, 0.5, 0.9, 0.99)


def marked(figure: Figure, marker: str, axes: int = 0) -> list[Line2D]:
    lines = figure.axes[axes].get_lines()
    return [line for line in lines if line.get_marker() == marker and len(line.get_xdata()) == 1]


def ends(figure: Figure) -> list[Line2D]:
    return [line for line in marked(figure, "o") if line.get_markerfacecolor() != "white"]


def paths(figure: Figure, axes: int = 0) -> list[Line2D]:
    return [line for line in figure.axes[axes].get_lines() if len(line.get_xdata()) > 1]


def test_paths_start_end_and_minima_are_drawn() -> None:
    result = objective_result({"kind": "himmelblau"}, cells((0.0, 0.9), (0.003,)), 200)

    figure = draw([result], "landscape")

    thetas = [np.column_stack([result.rows(run)[f"theta_{place}"] for place in (0, 1)]) for run in (0, 1)]
    drawn = [np.column_stack(line.get_data()) for line in paths(figure)]
    assert all(any(np.array_equal(theta, line) for line in drawn) for theta in thetas)
    assert {tuple(np.ravel(line.get_data())) for line in ends(figure)} == {tuple(theta[-1]) for theta in thetas}
    assert len(marked(figure, "*")) == 4
    assert legend_texts(figure) == ["γ = 0", "γ = 0.9", "start", "end", "minimum"]


def test_a_gamma_has_the_colour_of_the_curves() -> None:
    result = objective_result({"kind": "rosenbrock"}, cells(FOUR, (2e-4,)), 300)

    colours = {to_hex(line.get_color()).upper() for line in paths(draw([result], "landscape"))}

    assert colours == {style.BLUE, style.SKY, style.ORANGE, style.VERMILLION}


def test_the_formula_stands_above_and_names_the_axes() -> None:
    figure = draw([objective_result({"kind": "booth"}, cells(etas=(0.01,)))], "landscape")

    formula = next(text for text in figure.texts if text.get_text().startswith("J = "))
    assert formula.get_parse_math()
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("θ₀ = x", "θ₁ = y")


def test_a_diverged_run_is_cut_and_crossed() -> None:
    result = objective_result(QUADRATIC, cells((0.0, 0.9), (0.025,)))

    figure = draw([result], "landscape")

    (cross,) = marked(figure, "X")
    low, high = figure.axes[0].get_ylim()
    assert low - 1e-9 <= cross.get_ydata()[0] <= high + 1e-9  # on the border of the view
    assert max(abs(limit) for limit in (low, high)) < 5
    assert legend_texts(figure)[0] == "γ = 0, diverged at step 35"


def test_runs_that_leave_are_counted_and_do_not_stretch_the_view() -> None:
    figure = draw([objective_result({"kind": "saddle"}, cells((0.0, 0.9), (0.2,)), 300)], "landscape")

    assert "2 runs left the picture" in head(figure)
    assert render(figure)
    assert max(map(abs, figure.axes[0].get_ylim())) < 10


def test_both_axes_have_one_scale_when_the_picture_is_drawn() -> None:
    figure = draw([objective_result({"kind": "himmelblau"}, cells((0.9,), (0.003,)))], "landscape")
    render(figure)

    axes = figure.axes[0]
    size = axes.get_window_extent()
    width, height = (np.diff(limits)[0] for limits in (axes.get_xlim(), axes.get_ylim()))
    assert width / size.width == pytest.approx(height / size.height, rel=1e-3)


def test_forty_paths_get_a_colour_bar() -> None:
    result = objective_result(QUADRATIC, cells(np.linspace(0, 0.95, 40), (0.01,)), 30)

    figure = draw([result], "landscape")

    assert figure.axes[-1].get_ylabel() == "γ"
    assert legend_texts(figure) == ["start", "end", "minimum"]


def test_one_parameter_shows_the_hill_and_the_way_in_time() -> None:
    result = objective_result({"kind": "double_well"}, cells((0.0, 0.9), (0.05,)), 60)

    figure = draw([result], "landscape")

    hill, time = figure.axes
    assert (hill.get_ylabel(), time.get_ylabel(), time.get_xlabel()) == ("J(θ)", "step k", "θ₀ = x")
    in_time = [np.asarray(line.get_xdata()) for line in paths(figure, 1)]
    assert any(np.array_equal(line, result.rows(1)["theta_0"]) for line in in_time)
    assert time.yaxis_inverted()
    assert len(marked(figure, "*")) == 2


def test_runs_on_the_hill_lie_above_each_other() -> None:
    result = objective_result({"kind": "double_well"}, cells((0.0, 0.5), (0.01,)), 60)

    hill = draw([result], "landscape").axes[0]
    starts = [line.get_ydata()[0] for line in hill.get_lines() if line.get_markerfacecolor() == "white"]

    assert len(set(starts)) == 2


def test_a_settled_valley_is_not_drawn_to_its_last_step() -> None:
    figure = draw([objective_result({"kind": "inflection"}, cells((0.0, 0.5), (0.5,)), 1000)], "landscape")

    assert figure.axes[1].get_ylim()[0] < 600
    assert "nothing moves visibly" in head(figure)


def test_a_run_that_diverges_along_the_line_is_crossed() -> None:
    figure = draw([objective_result({"kind": "inflection"}, cells((0.0, 0.9), (0.9,)), 50)], "landscape")

    assert len(marked(figure, "X", 1)) == 1
    assert render(figure)


def test_forty_runs_along_a_line_get_a_colour_bar_and_their_ends() -> None:
    figure = draw([objective_result({"kind": "double_well"}, cells(np.linspace(0, 0.9, 40), (0.05,)))], "landscape")

    assert figure.axes[-1].get_ylabel() == "γ"
    assert len(ends(figure)) == 40
    assert render(figure)


def test_a_plateau_whose_runs_never_leave_it_can_be_drawn() -> None:
    result = objective_result({"kind": "plateau", "width": 1.0, "start": [0.5]}, cells((0.0, 0.9)), 5)
    result.metrics["theta_0"][:] = 0.5

    assert render(draw([result], "landscape"))


def test_runs_that_were_never_in_the_domain_can_be_drawn() -> None:
    for described in ({"kind": "booth"}, {"kind": "inflection"}):
        result = objective_result(described, cells((0.0, 0.9), (2.0,)), 20)
        for name in ("theta_0", "theta_1"):
            if name in result.metrics:
                result.metrics[name] = result.metrics[name] * 1e200 + 1e200
        assert render(draw([result], "landscape"))


def test_a_long_formula_stands_on_its_own_line() -> None:
    noisy = {"kind": "ackley", "noise": 0.5}
    figure = draw([objective_result(noisy, cells(seeds=range(3)), 5)], "landscape", title="A title " * 20)

    formula = next(text for text in figure.texts if text.get_text().startswith("J = "))
    notes = figure.texts[-1].get_window_extent()
    assert not formula.get_window_extent().overlaps(notes)
    assert render(figure)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (line_result(cells(), 2), "trains a model"),
        (forces_result([[1.0, 0.0]], cells(), 2), "forces has no landscape"),
        (objective_result({"kind": "quadratic", "eigenvalues": [1.0, 2.0, 3.0]}, cells(), 2), "this objective has 3"),
    ],
)
def test_what_has_no_landscape_is_refused_in_words(result, words) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match=words):
        draw([result], "landscape")


def test_paths_that_were_not_recorded_are_asked_for() -> None:
    result = objective_result(QUADRATIC, cells(), 5)
    lame = dataclasses.replace(result, metrics={key: result.metrics[key] for key in ("run", "step", "loss")})

    with pytest.raises(ConfigError, match=r"theta_0 and theta_1, .* set record.vectors to true"):
        draw([lame], "landscape")


def test_landscapes_of_different_shape_are_not_drawn_together() -> None:
    made = cells((0.9,), objective__width=(1.0, 2.0))

    with pytest.raises(ConfigError, match=r"differ in objective.width"):
        draw([objective_result({"kind": "plateau", "width": 1.0}, made, 5)], "landscape")


UNIT = Box(np.array([0.0, 0.0]), np.array([1.0, 1.0]))


def test_a_view_holds_what_paths_use_and_not_where_they_fly_to() -> None:
    flight = np.array([[0.5, 0.5], [0.6, 0.6], [1e200, -1e200]])

    box = view(UNIT, [flight], np.empty((0, 2)))

    assert box.holds(flight[:2]).all()
    assert (box.size >= 0.4 - 1e-12).all()
    assert (box.size <= 1.5).all()


def test_a_box_is_widened_to_a_ratio_or_not_at_all() -> None:
    wide = widened(UNIT, 2.0)

    assert wide is not None
    assert wide.size.tolist() == [2.0, 1.0]
    assert widened(UNIT, 10.0) is None


def test_a_path_leaves_where_it_crosses_the_border() -> None:
    out = np.array([[0.5, 0.5], [1.5, 1.0], [9.0, 9.0]])

    crossing = leaving(UNIT, out)

    assert crossing is not None
    assert crossing.tolist() == [1.0, 0.75]
    assert len(until_gone(UNIT, out)) == 2
    assert leaving(UNIT, out[:1]) is None
    assert leaving(UNIT, out[2:]) is None
