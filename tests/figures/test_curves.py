"""Curves, by their artists: lines, colours, labels, ends."""

import dataclasses
import time

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from momentumlab.errors import ConfigError
from momentumlab.figures import draw, render, style
from momentumlab.figures.thin import COLUMNS
from tests.figures.simulated import cells, forces_result, line_result, objective_result

FOUR = (0.0, 0.5, 0.9, 0.99)
QUADRATIC = {"kind": "quadratic", "eigenvalues": [1.0, 100.0]}


def curves(figure: Figure, panel: int = 0) -> list[Line2D]:
    """The lines of runs: neither the marks of ends nor the ticks."""
    drawn = figure.axes[panel].get_lines()
    return [line for line in drawn if line.get_gid() is None and line.get_linestyle() != "None"]


def crosses(figure: Figure) -> list[Line2D]:
    lines = figure.axes[0].get_lines()
    return [line for line in lines if line.get_marker() == "X" and line.get_linestyle() == "None"]


def legend_texts(figure: Figure) -> list[str]:
    legend = figure.axes[0].get_legend()
    return [text.get_text().replace("\n", " ") for text in legend.get_texts()] if legend else []


def head(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.texts)


def test_four_gammas_have_their_colours_dashes_and_names() -> None:
    figure = draw([line_result(cells(FOUR))], "curves")

    lines = curves(figure)
    assert [to_hex(line.get_color()).upper() for line in lines] == [
        style.BLUE,
        style.SKY,
        style.ORANGE,
        style.VERMILLION,
    ]
    assert len({str(line._unscaled_dash_pattern) for line in lines}) == 4  # type: ignore[attr-defined]
    assert legend_texts(figure) == ["γ = 0", "γ = 0.5", "γ = 0.9", "γ = 0.99"]


def test_title_and_axes_say_what_is_drawn() -> None:
    figure = draw([line_result(cells(FOUR))], "curves")

    assert figure.texts[0].get_text() == "linreg_of_mine: linear regression on a noisy line, 100 samples"
    assert figure.texts[1].get_text() == "momentum, classical form · η = 0.01"
    assert figure.axes[0].get_xlabel() == "step k"
    assert figure.axes[0].get_ylabel() == "loss J(θₖ)"
    assert (figure.get_size_inches() * figure.dpi).tolist() == [1600, 1000]


def test_the_lines_are_the_recorded_numbers() -> None:
    result = line_result(cells((0.9,)))

    (line,) = curves(draw([result], "curves"))

    assert np.array_equal(line.get_xdata(), result.metrics["step"])
    assert np.array_equal(line.get_ydata(), result.metrics["loss"])


def test_one_run_needs_no_legend_and_says_its_settings_above() -> None:
    figure = draw([line_result(cells((0.9,)))], "curves")

    assert legend_texts(figure) == []
    assert "γ = 0.9 · η = 0.01" in head(figure)


@pytest.mark.parametrize(("metric", "scale"), [("loss", "log"), ("theta_0", "linear"), ("gamma", "linear")])
def test_the_axis_is_logarithmic_where_it_serves(metric: str, scale: str) -> None:
    figure = draw([line_result(cells(FOUR))], "curves", metric=metric)

    assert figure.axes[0].get_yscale() == scale


def test_losses_within_a_decade_stay_linear() -> None:
    assert draw([line_result(cells((0.0,)), 5)], "curves").axes[0].get_yscale() == "linear"


def test_negative_losses_stay_linear() -> None:
    figure = draw([objective_result({"kind": "double_well"}, cells(FOUR, (0.05,)))], "curves")

    assert figure.axes[0].get_yscale() == "linear"


def test_a_diverged_run_ends_in_a_cross_and_is_named() -> None:
    figure = draw([objective_result(QUADRATIC, cells((0.0, 0.9), (0.025,)))], "curves")

    (cross,) = crosses(figure)
    assert to_hex(cross.get_color()).upper() == style.BLUE
    assert legend_texts(figure) == ["γ = 0, diverged at step 35", "γ = 0.9"]


def test_a_diverged_run_does_not_squash_the_others() -> None:
    figure = draw([objective_result(QUADRATIC, cells((0.0, 0.9), (0.025,)))], "curves")

    top = figure.axes[0].get_ylim()[1]
    (cross,) = crosses(figure)
    assert top == pytest.approx(1e3 * 50.5)  # a thousand times the start, ½(1 + 100)
    assert cross.get_ydata()[0] == pytest.approx(top)  # where it leaves the picture
    assert 0 < cross.get_xdata()[0] < 35
    assert "cut off above 50000" in head(figure)


def test_a_loss_that_falls_forever_does_not_squash_the_others() -> None:
    figure = draw([objective_result({"kind": "saddle"}, cells((0.0, 0.9), (0.05,)), 60)], "curves")

    assert figure.axes[0].get_ylim()[0] == pytest.approx(-10)  # ten times the start
    assert "cut off below −10" in head(figure)


def test_lines_on_top_of_each_other_are_both_seen() -> None:
    figure = draw([line_result(cells(optimizer__backend=("scratch", "torch")))], "curves")

    below, above = curves(figure)
    assert below.get_linewidth() > above.get_linewidth() + 2
    assert legend_texts(figure) == ["backend scratch", "backend torch"]


def test_seeds_become_a_median_and_a_band() -> None:
    result = line_result(cells((0.0, 0.9), seeds=range(5)), batch=8)

    figure = draw([result], "curves")

    stacked = np.stack([result.rows(run)["loss"] for run in range(5)])
    assert np.array_equal(curves(figure)[0].get_ydata(), np.median(stacked, axis=0))
    assert len([artist for artist in figure.axes[0].collections if isinstance(artist, PolyCollection)]) == 2
    assert "median of 5 seeds, band from lowest to highest" in head(figure)
    assert legend_texts(figure) == ["γ = 0", "γ = 0.9"]


def test_many_seeds_are_banded_by_quartiles() -> None:
    figure = draw([line_result(cells(seeds=range(8)), batch=8)], "curves")

    assert "band from lower to upper quartile" in head(figure)


def test_seeds_that_diverge_are_counted() -> None:
    noisy = {**QUADRATIC, "noise": 30.0}
    figure = draw([objective_result(noisy, cells((0.9,), (0.02, 0.05), seeds=range(3)), 100)], "curves")

    assert any("3 of 3 seeds diverged, the first at step" in text for text in legend_texts(figure))


def test_forty_runs_get_a_colour_bar_and_no_forty_lines_of_legend() -> None:
    gammas = 1 - np.geomspace(1, 0.003, 40)

    figure = draw([line_result(cells(gammas))], "curves")

    axes, bar = figure.axes
    (lines,) = [artist for artist in axes.collections if isinstance(artist, LineCollection)]
    assert len(lines.get_paths()) == 40
    assert bar.get_ylabel() == "γ"
    assert legend_texts(figure) == ["best at the end: γ = 0.7745"]
    assert np.allclose(lines.get_colors()[0][:3], style.gamma_colour(gammas[0]))


def test_many_runs_over_two_settings_are_spread_over_panels() -> None:
    made = cells(FOUR, np.geomspace(1e-3, 0.1, 10))

    figure = draw([objective_result(QUADRATIC, made)], "curves")

    titles = [axes.get_title(loc="left") for axes in figure.axes[:4]]
    assert titles[0].startswith("γ = 0: best η = ")
    assert titles[0].endswith(", 3 of 10 ×")
    assert "× diverged" in head(figure)


def test_many_runs_that_differ_in_words_alone_are_grey_around_the_best() -> None:
    figure = draw([line_result(cells(model__activation=[f"kind{place}" for place in range(14)]))], "curves")

    assert legend_texts(figure) == ["best at the end: activation = kind0", "13 others"]


def test_many_runs_that_all_diverge_can_be_drawn() -> None:
    figure = draw([objective_result(QUADRATIC, cells(np.linspace(0.0, 0.3, 14), (0.5,)))], "curves")

    assert render(figure)
    assert legend_texts(figure) == ["diverged: 14 of 14"]


def test_long_lines_are_thinned_and_keep_their_spikes() -> None:
    result = line_result(cells((0.9,)), 9_000)
    spiked = result.metrics["loss"].copy()
    spiked[4_321] = 3.0

    (line,) = curves(draw([dataclasses.replace(result, metrics=result.metrics | {"loss": spiked})], "curves"))

    assert len(line.get_xdata()) <= 2 * COLUMNS + 2
    assert (4_321, 3.0) in set(zip(line.get_xdata(), line.get_ydata(), strict=True))


def test_of_a_long_rough_line_an_area_reaches_every_lowest_and_highest_point() -> None:
    result = line_result(cells((0.9,)), 40_000)
    losses = np.exp(0.3 * np.random.default_rng(0).normal(size=len(result.metrics["loss"])))
    losses[21_000] = 50.0

    figure = draw([dataclasses.replace(result, metrics=result.metrics | {"loss": losses})], "curves")

    [area] = [found for found in figure.axes[0].collections if isinstance(found, PolyCollection)]
    x, y = area.get_paths()[0].vertices.T
    assert (21_000.0, 50.0) in set(zip(x, y, strict=True))
    edges = np.linspace(0, 40_000, COLUMNS // 10, endpoint=False)  # of ten columns of pixels
    column, drawn = np.digitize(np.arange(len(losses)), edges), np.digitize(x, edges)
    for place in np.unique(column):
        here, there = losses[column == place], y[drawn == place]
        assert there.min() <= here.min()  # the next column's, a pixel further, may be lower still
        assert there.max() >= here.max()
    assert set(y) <= set(losses)


def test_rough_lines_have_markers_in_place_of_dashes() -> None:
    figure = draw([objective_result(QUADRATIC, cells((0.9, 0.99), (0.025,)), 200)], "curves")

    assert [line.get_linestyle() for line in curves(figure)] == ["-", "-"]
    assert len({line.get_marker() for line in curves(figure)}) == 2


def test_few_points_are_shown_as_points() -> None:
    assert [line.get_marker() for line in curves(draw([line_result(cells((0.0, 0.9)), 10)], "curves"))] == ["o", "s"]


def test_results_of_one_problem_share_the_axes_and_only_what_differs_is_named() -> None:
    mine = line_result(cells((0.9,)), folder="a")
    other = line_result(cells((0.9,), (0.02,)), folder="b", optimizer={"kind": "nesterov"})

    figure = draw([mine, other], "curves")

    assert legend_texts(figure) == ["momentum, η = 0.01", "Nesterov, η = 0.02"]
    assert [to_hex(line.get_color()).upper() for line in curves(figure)] == [style.ORANGE, style.GREEN]


def test_sgd_is_named_without_a_gamma_and_has_its_colour() -> None:
    made = [
        {"gamma": 0.0, "eta": 0.01, "seed": 0, "optimizer.kind": "sgd"},
        {"gamma": 0.9, "eta": 0.01, "seed": 0, "optimizer.kind": "momentum"},
        {"gamma": 0.9, "eta": 0.01, "seed": 0, "optimizer.kind": "nesterov"},
    ]

    figure = draw([line_result(made)], "curves")

    assert legend_texts(figure) == ["SGD", "momentum, γ = 0.9", "Nesterov, γ = 0.9"]
    assert to_hex(curves(figure)[0].get_color()).upper() == style.BLUE
    assert len({str(line._unscaled_dash_pattern) for line in curves(figure)}) == 3  # type: ignore[attr-defined]


def test_epochs_are_an_axis_for_models_alone() -> None:
    assert draw([line_result(cells())], "curves", x="epoch").axes[0].get_xlabel() == "epoch"
    with pytest.raises(ConfigError, match="no epochs"):
        draw([objective_result(QUADRATIC, cells())], "curves", x="epoch")


def test_an_unknown_x_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'epoch'"):
        draw([line_result(cells())], "curves", x="epochs")


def test_a_metric_that_was_not_recorded_is_refused_with_those_that_were() -> None:
    with pytest.raises(ConfigError, match=r"'los' was not recorded .* Recorded are loss, .* Did you mean 'loss'\?"):
        draw([line_result(cells())], "curves", metric="los")
    with pytest.raises(ConfigError, match="'loss' was not recorded"):
        draw([forces_result([[1.0, 0.0]], cells(), 3)], "curves")


def test_runs_without_the_metric_are_left_out_and_counted() -> None:
    whole = line_result(cells((0.0,)), folder="a")
    lame = line_result(cells((0.9,)), folder="b")
    lame = dataclasses.replace(lame, metrics={key: lame.metrics[key] for key in ("run", "step", "epoch", "theta_0")})

    figure = draw([whole, lame], "curves")

    assert len(curves(figure)) == 1
    assert "1 run without loss left out" in head(figure)


def test_a_speed_that_starts_from_zero_has_a_logarithmic_axis() -> None:
    figure = draw([objective_result(QUADRATIC, cells((0.0,), (0.01,)))], "curves", metric="velocity_norm")

    assert figure.axes[0].get_yscale() == "log"
    assert curves(figure)[0].get_ydata()[0] > 0


@pytest.mark.parametrize("value", [0.0, 3.0, 1e-300, 1e300])
def test_a_constant_loss_can_be_drawn(value: float) -> None:
    result = line_result(cells((0.0, 0.9)))
    constant = {"loss": np.full(len(result.metrics["step"]), value)}

    assert render(draw([dataclasses.replace(result, metrics=result.metrics | constant)], "curves"))


@pytest.mark.parametrize("steps", [0, 1])
def test_runs_that_have_just_begun_can_be_drawn(steps: int) -> None:
    result = line_result(cells((0.0, 0.9)), steps, state="running")
    result.runs["status"][:] = "interrupted"

    figure = draw([result], "curves")

    assert render(figure)
    assert "2 runs not finished yet" in head(figure)


def test_runs_that_all_diverge_can_be_drawn() -> None:
    figure = draw([objective_result(QUADRATIC, cells((0.0, 0.5), (0.5,)))], "curves")

    assert render(figure)
    assert len(crosses(figure)) == 2


def test_huge_numbers_can_be_drawn() -> None:
    result = objective_result({"kind": "saddle"}, cells((0.0, 0.9), (0.3,)), 1500)

    for metric in ("loss", "theta_1", "gradient_norm"):
        assert render(draw([result], "curves", metric=metric))


def test_names_from_elsewhere_are_shown_as_they_are() -> None:
    made = cells(model__activation=("$x_1$", "_under", "中文", "\x1b[31m"))

    figure = draw([line_result(made, name="$\\frac$ _evil\x07 中文")], "curves")

    assert render(figure)  # no warning for letters that no font has, no mathematics
    texts = legend_texts(figure)
    assert "activation = $x_1$" in texts
    assert "activation = _under" in texts
    assert "activation = \\x1b[31m" in texts
    assert figure.texts[0].get_text().startswith("$\\frac$ _evil\\x07 ")


def test_the_default_picture_is_drawn_at_once() -> None:
    result = line_result(cells(FOUR), 100)
    render(draw([result], "curves"))

    began = time.process_time()
    render(draw([result], "curves"))

    assert time.process_time() - began < 1  # 0.15 s on a quiet machine
