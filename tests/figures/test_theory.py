"""What theory draws into curves and heat maps of results that were trained."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import momentumlab
from momentumlab.figures import draw
from momentumlab.results.reader import Result

LINE = {"data": {"kind": "line"}, "model": {"kind": "linear", "start": [0.1, 0.9]}, "train": {"epochs": 60}}
RAVINE = {"objective": {"kind": "quadratic", "condition": 100}, "train": {"steps": 120}}


def dashed(figure: Figure) -> list[Line2D]:
    """The lines that lie behind the runs."""
    return [line for line in figure.axes[0].lines if line.get_zorder() == 1.9]


def legend(figure: Figure) -> list[str]:
    texts = figure.axes[0].get_legend() or figure.legends[0]
    return [text.get_text() for text in texts.get_texts()]


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return momentumlab.sweep(LINE, gamma=[0, 0.5, 0.9, 0.99], eta=[0.01], runs=tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def map_of_ravine(tmp_path_factory: pytest.TempPathFactory) -> Result:
    etas = np.geomspace(0.005, 0.08, 15).tolist()
    return momentumlab.sweep(RAVINE, gamma=[0, 0.3, 0.6, 0.9], eta=etas, runs=tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize("x", ["step", "epoch"])
def test_runs_that_oscillate_stay_below_the_dashes_of_their_colour(line: Result, x: str) -> None:
    figure = draw([line], "curves", x=x)
    bounds = dashed(figure)
    assert len(bounds) == 2  # γ = 0 and 0.5 do not oscillate at this η
    for bound, run in zip(bounds, (2, 3), strict=True):
        (curve,) = (one for one in figure.axes[0].lines if one.get_color() == bound.get_color() and one is not bound)
        rows = line.rows(run)
        above = np.interp(rows[x], np.asarray(bound.get_xdata()), np.asarray(bound.get_ydata()))
        assert (rows["loss"] <= above * (1 + 1e-5)).all()  # float32 losses
        assert len(np.asarray(curve.get_xdata())) > 2
    assert legend(figure)[-1] == "theory: envelope"
    assert legend(figure).count("theory: envelope") == 1


def test_the_run_alone_is_named_beside_its_envelope(tmp_path: Path) -> None:
    figure = draw([momentumlab.run(LINE, gamma=0.9, eta=0.01, runs=tmp_path)], "curves")
    assert legend(figure) == ["measured", "theory: envelope"]


def test_of_many_runs_and_of_other_metrics_no_envelope_is_drawn(line: Result, tmp_path: Path) -> None:
    assert not dashed(draw([line], "curves", metric="velocity_norm"))
    many = momentumlab.sweep(LINE, gamma=np.linspace(0.5, 0.9, 9).tolist(), eta=[0.05], runs=tmp_path)
    assert not dashed(draw([many], "curves"))
    assert not dashed(draw([momentumlab.run("rosenbrock", runs=tmp_path)], "curves"))


def test_results_side_by_side_have_each_their_own(line: Result, tmp_path: Path) -> None:
    other = momentumlab.run(LINE, gamma=0.95, eta=0.01, runs=tmp_path)
    assert len(dashed(draw([line, other], "curves"))) == 3


def edge(figure: Figure) -> list[Line2D]:
    return [line for line in figure.axes[0].lines if line.get_gid() == "edge"]


def test_the_edge_parts_what_converges_from_what_does_not(map_of_ravine: Result) -> None:
    figure = draw([map_of_ravine], "heatmap")
    (line,) = edge(figure)
    across, upwards = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    etas, gammas = np.unique(map_of_ravine.runs["eta"]), np.unique(map_of_ravine.runs["gamma"])
    found = np.exp(np.interp(across[1:-1], np.arange(15), np.log(etas)))
    np.testing.assert_allclose(found, 2 * (1 + gammas) / 100, rtol=1e-12)
    np.testing.assert_array_equal(upwards, [-0.5, 0, 1, 2, 3, 3.5])
    assert "edge (theory)" in legend(figure)
    diverged = map_of_ravine.runs["status"] == "diverged"
    beyond = map_of_ravine.runs["eta"] > 2 * (1 + map_of_ravine.runs["gamma"]) / 100
    assert diverged.any()
    assert not (diverged & ~beyond).any()


def test_an_edge_outside_the_map_or_unknown_is_not_drawn(map_of_ravine: Result, tmp_path: Path) -> None:
    slow = momentumlab.sweep(RAVINE, gamma=[0, 0.5], eta=[0.001, 0.002], runs=tmp_path)
    old = dataclasses.replace(map_of_ravine, manifest={"state": "finished"})
    for result in (slow, old):
        figure = draw([result], "heatmap")
        assert not edge(figure)
        assert "edge (theory)" not in legend(figure)


def test_only_a_part_of_the_edge_may_lie_inside(tmp_path: Path) -> None:
    result = momentumlab.sweep(RAVINE, gamma=[0, 0.9], eta=[0.03, 0.04], runs=tmp_path)  # 0.02 and 0.038
    (line,) = edge(draw([result], "heatmap"))
    assert np.isnan(np.asarray(line.get_xdata())).tolist() == [True, True, False, False]
