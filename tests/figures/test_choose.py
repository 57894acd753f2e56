"""Which kinds of figure are drawn unasked."""

import numpy as np
import pytest

from momentumlab.errors import ConfigError
from momentumlab.figures import draw, file_stem, kinds_for
from tests.figures.simulated import cells, forces_result, line_result, objective_result

QUADRATIC = {"kind": "quadratic", "eigenvalues": [1.0, 100.0]}
GRID = cells((0.0, 0.9), (0.01, 0.02))


@pytest.mark.parametrize(
    ("result", "kinds"),
    [
        (line_result(cells((0.0, 0.9)), 5), ["curves"]),
        (line_result(GRID, 5), ["curves", "heatmap"]),
        (line_result(cells(model__activation=("relu", "tanh"), train__batch_size=(8, 16)), 5), ["curves"]),
        (objective_result(QUADRATIC, GRID, 5), ["curves", "heatmap", "landscape"]),
        (objective_result({"kind": "plateau", "width": 1.0}, cells(), 5), ["curves", "landscape"]),
        (objective_result({"kind": "quadratic", "eigenvalues": [1.0, 2.0, 3.0]}, cells(), 5), ["curves"]),
        (objective_result({"kind": "plateau", "width": 1.0}, cells(objective__width=(1.0, 2.0)), 5), ["curves"]),
        (forces_result([[1.0, 0.0]], cells(), 3), ["forces"]),
    ],
)
def test_the_kinds_that_make_sense_are_chosen(result, kinds) -> None:  # type: ignore[no-untyped-def]
    assert kinds_for([result]) == kinds
    for kind in kinds:
        assert draw([result], kind).axes


def test_paired_settings_are_no_grid() -> None:
    pairs = [{"gamma": g, "eta": e, "seed": 0} for g, e in zip((0.0, 0.5, 0.9), (0.1, 0.05, 0.01), strict=True)]

    assert kinds_for([line_result(pairs, 5)]) == ["curves"]


def test_an_unknown_kind_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        ConfigError, match=r"curves, heatmap, landscape, forces, schedule, got 'heat-map'. Did you mean 'heatmap'\?"
    ):
        draw([line_result(cells(), 2)], "heat-map")


def test_different_problems_are_not_drawn_together() -> None:
    with pytest.raises(ConfigError, match="different problems"):
        draw([line_result(cells(), 5), line_result(cells(), 6)], "curves")


def test_a_result_without_rows_is_refused() -> None:
    result = line_result(cells(), 2)
    result.metrics.update({key: np.empty(0, values.dtype) for key, values in result.metrics.items()})

    with pytest.raises(ConfigError, match="no run has a recorded step yet"):
        draw([result], "curves")


def test_files_are_named_after_the_metric_or_the_kind() -> None:
    assert [file_stem("curves"), file_stem("curves", "test_loss")] == ["loss", "test_loss"]
    assert [file_stem("heatmap"), file_stem("heatmap", "test_loss")] == ["heatmap", "heatmap-test_loss"]
    assert [file_stem("landscape"), file_stem("forces", "distance")] == ["landscape", "forces"]
