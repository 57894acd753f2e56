"""Heat maps, by their cells, hatches, ticks and words."""

import time

import numpy as np
import pytest
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch

from momentumlab.errors import ConfigError
from momentumlab.figures import draw, heatmap, kinds_for, render, vast
from tests.figures.simulated import cells, line_result, objective_result
from tests.figures.test_curves import head

QUADRATIC = {"kind": "quadratic", "eigenvalues": [1.0, 100.0]}
GAMMAS, ETAS = (0.0, 0.5, 0.9), (0.001, 0.01, 0.025, 0.1)


def values(figure: Figure, panel: int = 0) -> np.ndarray:
    return np.ma.getdata(figure.axes[panel].collections[0].get_array()).reshape(-1)


def hatched(figure: Figure, hatch: str = "////") -> int:
    """How many cells are hatched."""
    patches = [patch for patch in figure.axes[0].patches if isinstance(patch, PathPatch) and patch.get_hatch() == hatch]
    rectangles = [rectangle for patch in patches for rectangle in patch.get_path().vertices.reshape(-1, 5, 2)]
    return sum(round(float(np.ptp(rectangle[:, 0]))) for rectangle in rectangles)  # each a cell high


def legend_texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()] if figure.legends else []


def test_cells_hold_the_final_losses_and_diverged_ones_are_hatched() -> None:
    result = objective_result(QUADRATIC, cells(GAMMAS, ETAS))

    figure = draw([result], "heatmap")

    diverged = result.runs["status"] == "diverged"
    finals = np.ma.masked_array(result.runs["loss_last"], diverged).reshape(3, 4)
    array = figure.axes[0].collections[0].get_array()
    assert np.array_equal(np.ma.getmaskarray(array).reshape(3, 4), diverged.reshape(3, 4))
    assert np.allclose(array.compressed(), finals.compressed())
    assert hatched(figure) == diverged.sum() > 0
    assert f"diverged: {diverged.sum()} cells" in legend_texts(figure)


def test_eta_goes_across_and_gamma_upwards_with_true_values_as_ticks() -> None:
    axes = draw([objective_result(QUADRATIC, cells(GAMMAS, ETAS))], "heatmap").axes[0]

    assert (axes.get_xlabel(), axes.get_ylabel()) == ("η", "γ")
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0.001", "0.01", "0.025", "0.1"]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["0", "0.5", "0.9"]


def test_the_best_cell_is_framed_and_named() -> None:
    result = objective_result(QUADRATIC, cells(GAMMAS, ETAS))

    figure = draw([result], "heatmap")

    best = int(np.nanargmin(np.where(result.runs["status"] == "diverged", np.nan, result.runs["loss_last"])))
    row, column = divmod(best, len(ETAS))
    frame = figure.axes[0].patches[-1]
    assert frame.get_xy() == (column - 0.5, row - 0.5)
    assert legend_texts(figure)[0].startswith(f"best: γ = {GAMMAS[row]:g}, η = {ETAS[column]:g}, loss ")


def test_finals_over_decades_are_coloured_by_logarithm() -> None:
    figure = draw([objective_result(QUADRATIC, cells(GAMMAS, ETAS))], "heatmap")

    assert isinstance(figure.axes[0].collections[0].norm, LogNorm)


def test_few_cells_carry_their_numbers() -> None:
    assert len(draw([line_result(cells(GAMMAS, ETAS))], "heatmap").axes[0].texts) == 12
    assert not draw([line_result(cells(GAMMAS, np.geomspace(1e-3, 0.1, 13)), 5)], "heatmap").axes[0].texts


def test_seeds_give_their_median() -> None:
    result = line_result(cells((0.0, 0.9), (0.01, 0.02), seeds=range(3)), batch=8)

    figure = draw([result], "heatmap")

    assert np.allclose(values(figure), np.median(result.runs["loss_last"].reshape(4, 3), axis=1))
    assert "median of 3 seeds" in head(figure)


def test_a_cell_half_of_whose_seeds_diverged_is_hatched() -> None:
    result = line_result(cells((0.0, 0.9), (0.01, 0.02), seeds=range(2)), batch=8)
    result.runs["status"][1] = "diverged"

    assert hatched(draw([result], "heatmap")) == 1


def test_a_failed_run_leaves_no_result() -> None:
    result = line_result(cells((0.0, 0.9), (0.01, 0.02)))
    result.runs["status"][0] = "failed"

    figure = draw([result], "heatmap")

    assert hatched(figure, "..") == 1
    assert "no result: 1 cell" in legend_texts(figure)


def test_what_else_differs_makes_panels() -> None:
    made = [cell | {"optimizer.kind": kind} for kind in ("momentum", "nesterov") for cell in cells(GAMMAS, ETAS)]

    figure = draw([objective_result(QUADRATIC, made)], "heatmap")

    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == ["momentum", "Nesterov"]


def test_any_two_settings_that_vary_make_a_heat_map() -> None:
    made = cells((0.9,), (0.01, 0.02), model__activation=("relu", "tanh"))

    axes = draw([line_result(made)], "heatmap").axes[0]

    assert (axes.get_xlabel(), axes.get_ylabel()) == ("η", "activation")
    assert [text.get_text() for text in axes.get_yticklabels()] == ["relu", "tanh"]


def test_of_speeds_none_is_the_best() -> None:
    figure = draw([objective_result(QUADRATIC, cells(GAMMAS, (0.001, 0.01)))], "heatmap", metric="velocity_norm")

    assert not figure.legends
    assert "better" not in figure.axes[1].get_ylabel()


def test_a_single_axis_is_refused_with_what_to_type() -> None:
    with pytest.raises(ConfigError, match=r"only γ varies. Sweep two, for example --gamma"):
        draw([line_result(cells(GAMMAS))], "heatmap")
    with pytest.raises(ConfigError, match="nothing varies"):
        draw([line_result(cells())], "heatmap")


def test_too_many_panels_are_refused() -> None:
    made = cells(GAMMAS, ETAS, train__batch_size=(1, 2, 4, 8, 16))

    with pytest.raises(ConfigError, match="batch size would make 5"):
        draw([line_result(made, 2)], "heatmap")


def test_a_grid_where_everything_diverged_can_be_drawn() -> None:
    figure = draw([objective_result(QUADRATIC, cells((0.0, 0.5), (0.5, 0.6)))], "heatmap")

    assert render(figure)
    assert hatched(figure) == 4


def test_a_large_grid_has_readable_ticks_and_is_drawn_fast() -> None:
    made = cells(1 - np.geomspace(1, 0.003, 64), np.geomspace(1e-3, 1, 64))
    result = line_result(made, 0)

    began = time.process_time()
    figure = draw([result], "heatmap")
    picture = render(figure)

    assert time.process_time() - began < 3  # half a second on a quiet machine
    assert picture
    axes = figure.axes[0]
    assert len(axes.get_xticks()) <= 10
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert len(labels) == len(set(labels)) <= 14


def test_diverged_cells_do_not_stretch_the_colours() -> None:
    result = objective_result(QUADRATIC, cells((0.0, 0.9), (0.01, 0.0201)), 200)
    figure = draw([result], "heatmap")

    assert figure.axes[0].collections[0].norm.vmax <= 10 * 50.5 * 1.001


def test_a_vast_grid_is_drawn_from_its_outcomes_as_from_its_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    result = objective_result(QUADRATIC, cells(GAMMAS, ETAS, seeds=(0, 1)))
    result.runs["status"][3] = "failed"
    expected = draw([result], "heatmap")
    monkeypatch.setattr(vast, "MOST_TRACES", 1)
    monkeypatch.setattr(heatmap, "traces", lambda _: pytest.fail("there would be millions"))
    assert kinds_for([result]) == ["heatmap"]
    figure = draw([result], "heatmap")
    np.testing.assert_array_equal(values(figure), values(expected))
    assert hatched(figure) == hatched(expected) > 0
    assert legend_texts(figure) == legend_texts(expected)
    assert [text.get_text() for text in figure.texts] == [text.get_text() for text in expected.texts]
    assert figure.axes[-1].get_ylim() == expected.axes[-1].get_ylim()


def test_of_a_vast_result_without_two_numbers_nothing_is_drawn_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vast, "MOST_TRACES", 1)
    assert kinds_for([objective_result(QUADRATIC, cells(GAMMAS), 3)]) == []
