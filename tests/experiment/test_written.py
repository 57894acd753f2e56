"""experiment.yaml repeats the result: read again, it makes the same runs."""

from pathlib import Path
from typing import Any

import pytest

from momentumlab.experiment import expand, load, repeated_by

BOWL = {"objective": {"kind": "quadratic"}}
LINEAR = {"schedule": "linear", "value": 0.1}
BETAS = {"betas": [0.8, 0.99]}

SWEEPS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "betas": ({"kind": "Adam"}, {"vary": {"optimizer.arguments.betas": [[0.5, 0.9], [0.8, 0.99]]}}),
    "betas over betas": (
        {"kind": "Adam", "arguments": BETAS},
        {"vary": {"optimizer.arguments.betas": [[0.5, 0.9], [0.8, 0.99]]}},
    ),
    "betas or not": (
        {"kind": "Adam", "arguments": BETAS},
        {"vary": {"optimizer.arguments": [{}, {"betas": [0.5, 0.9]}, {"eps": 0.1}]}},
    ),
    "gamma beside beta2": (
        {"kind": "Adam", "arguments": {"betas": [None, 0.99]}},
        {"gamma": [0.5, 0.9], "vary": {"optimizer.arguments.eps": [1e-8, 1e-3]}},
    ),
    "kinds": ({"gamma": 0.7}, {"vary": {"optimizer": [{"kind": "Adam", "arguments": BETAS}, {"kind": "lion"}]}}),
    "shapes": ({"eta": LINEAR}, {"vary": {"optimizer.eta.schedule": ["linear", "cosine", "one_cycle"]}}),
    "decay or none": ({"weight_decay": 0.1}, {"vary": {"optimizer.weight_decay": [None, 0.0, 0.2]}}),
    "gamma and eta": ({"kind": "qhm", "eta": LINEAR}, {"gamma": [0.5, 0.9], "eta": [0.1, 0.2]}),
}


@pytest.mark.parametrize(("optimizer", "axes"), SWEEPS.values(), ids=SWEEPS)
def test_the_sweep_that_is_written_makes_the_same_runs(
    optimizer: dict[str, Any], axes: dict[str, Any], tmp_path: Path
) -> None:
    experiment = load({**BOWL, "name": "again", "optimizer": optimizer})
    grid = expand(experiment, **axes)
    assert len(grid.cells) > 1
    file = tmp_path / "again.yaml"
    file.write_text(repeated_by(experiment, grid), encoding="utf-8")
    again = expand(load(file))
    assert [cell.values for cell in again.cells] == [cell.values for cell in grid.cells]
    assert [cell.experiment.resolved() for cell in again.cells] == [cell.experiment.resolved() for cell in grid.cells]


def test_an_axis_of_very_many_values_is_written_as_it_was_typed(tmp_path: Path) -> None:
    experiment = load("rosenbrock")
    grid = expand(experiment, eta="log:1e-6:1e-3:50000", seed="0..1")
    text = repeated_by(experiment, grid)
    assert "eta: log:1e-6:1e-3:50000\n" in text
    file = tmp_path / "experiment.yaml"
    file.write_text(text, encoding="utf-8")
    assert expand(load(file)).axes == grid.axes
