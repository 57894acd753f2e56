"""Forces, by their arrows and paths."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.quiver import Quiver

from momentumlab.errors import ConfigError
from momentumlab.figures import draw, render
from momentumlab.figures.forces import _arrows
from momentumlab.figures.traces import traces
from tests.figures.simulated import cells, forces_result, line_result
from tests.figures.test_curves import head, legend_texts

EAST, SOUTH = [-1.0, 0.0], [0.0, 1.0]  # gradients: θ moves against them
ICE = [EAST] * 10 + [SOUTH] * 10


def arrows(figure: Figure, panel: int = 0) -> list[Quiver]:
    return [artist for artist in figure.axes[panel].collections if isinstance(artist, Quiver)]


@pytest.mark.parametrize("kind", ["sgd", "momentum", "nesterov"])
def test_both_arrows_together_are_the_step_that_follows(kind: str) -> None:
    gamma = 0.0 if kind == "sgd" else 0.9
    (trace,) = traces([forces_result(ICE, cells((gamma,), (0.1,)), 40, optimizer={"kind": kind})])

    inertia, push = _arrows(trace, 2)

    theta = np.column_stack([trace.column("theta_0"), trace.column("theta_1")])
    # One rounding in each of the three operations of an update of size one.
    assert np.allclose((inertia + push)[:-1], np.diff(theta, axis=0), rtol=0, atol=1e-14)


def test_each_of_few_runs_has_a_panel_with_inertia_and_push() -> None:
    figure = draw([forces_result(ICE, cells((0.5, 0.9), (0.1,)), 40)], "forces")

    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[0].startswith("γ = 0.5")
    assert [len(arrows(figure, panel)) for panel in (0, 1)] == [2, 2]
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == ["inertia −γ·v", "push −η·∇J", "start", "end"]


def test_without_momentum_there_is_no_inertia() -> None:
    assert len(arrows(draw([forces_result(ICE, cells((0.0,), (0.1,)), 40)], "forces"))) == 1


def test_both_axes_have_one_scale() -> None:
    figure = draw([forces_result(ICE, cells((0.9,), (0.1,)), 40)], "forces")
    render(figure)

    axes = figure.axes[0]
    size = axes.get_window_extent()
    width, height = (np.diff(limits)[0] for limits in (axes.get_xlim(), axes.get_ylim()))
    assert width / size.width == pytest.approx(height / size.height, rel=1e-3)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("θ₀", "θ₁")


def test_paths_of_very_different_length_have_scales_of_their_own() -> None:
    own = draw([forces_result(ICE, cells((0.0, 0.99), (0.1,)), 40)], "forces")
    common = draw([forces_result(ICE, cells((0.8, 0.9), (0.1,)), 40)], "forces")

    assert "each panel has its own scale" in head(own)
    assert "own scale" not in head(common)


def test_flat_paths_lie_above_each_other() -> None:
    pushes = [[-1.0, (-1.0) ** step] for step in range(40)]

    figure = draw([forces_result(pushes, cells((0.5, 0.9), (0.1,)), 40)], "forces")
    render(figure)

    upper, lower = (axes.get_window_extent() for axes in figure.axes)
    assert upper.y0 > lower.y1


def test_more_runs_share_one_panel_without_arrows() -> None:
    figure = draw([forces_result(ICE, cells((0.0, 0.3, 0.5, 0.8, 0.9), (0.1,)), 40)], "forces")

    assert not arrows(figure)
    assert legend_texts(figure) == ["γ = 0", "γ = 0.3", "γ = 0.5", "γ = 0.8", "γ = 0.9", "start", "end"]


def test_forty_runs_get_a_colour_bar() -> None:
    figure = draw([forces_result(ICE, cells(np.linspace(0, 0.9, 40), (0.1,)), 40)], "forces")

    assert figure.axes[-1].get_ylabel() == "γ"
    assert legend_texts(figure) == ["start", "end"]


def test_one_parameter_is_drawn_against_the_step() -> None:
    figure = draw([forces_result([[1.0], [-1.0]] * 5, cells((0.9,), (0.1,)), 15)], "forces")

    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("step k", "θ₀")
    assert len(arrows(figure)) == 2
    assert render(figure)


def test_no_push_at_all_can_be_drawn() -> None:
    assert render(draw([forces_result([[0.0, 0.0]], cells((0.9,), (0.1,)), 3)], "forces"))


def test_other_problems_are_refused_in_words() -> None:
    with pytest.raises(ConfigError, match=r"only scripted pushes .* not a model: draw curves"):
        draw([line_result(cells(), 2)], "forces")
