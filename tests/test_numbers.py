"""Numbers at the ends of what a float holds: a result with the right statuses, or words; never a warning."""

from typing import Any

import numpy as np
import pytest

from momentumlab import run, sweep
from momentumlab.errors import ConfigError

LINE = {"data": {"kind": "line"}, "model": {"kind": "linear"}, "train": {"epochs": 5}}
ROSENBROCK = {"objective": {"kind": "rosenbrock"}, "train": {"steps": 20}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.slope": 1e300}, "data: slope, intercept or noise makes numbers beyond float32"),
        ({"data.noise": 1e300, "train.dtype": "float64"}, "beyond float32, in which a line is drawn"),
        ({"data": {"kind": "moons", "noise": 1e308}, "model.kind": "softmax"}, r"data\.noise: makes numbers beyond"),
        ({"model.start": [1e39, 1.0]}, r"model\.start: .*got 1e\+39, which float32 rounds to inf: take train\.dtype"),
        ({"optimizer.eta": 1e-300}, "float32 rounds to 0"),
        ({"optimizer.gamma": 0.99999999}, "float32 rounds to 1"),
        ({"data.samples": 1, "train.batch_size": 2}, "there is 1 training sample: at most 1, or full"),
        ({"data.samples": 1, "data.test": 0.4}, "leaves none to test on"),
    ],
)
def test_numbers_that_cannot_be_are_refused_in_words(changes: dict[str, Any], message: str, tmp_path: Any) -> None:
    with pytest.raises(ConfigError, match=message):
        run(LINE, set=changes, runs=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("key", ["start", "pushes", "noise", "eigenvalues", "condition"])
def test_an_objective_beyond_float32_is_refused_there_and_trained_in_float64(key: str, tmp_path: Any) -> None:
    objectives: dict[str, Any] = {
        "start": {"kind": "rosenbrock", "start": [1e39, 1.0]},
        "pushes": {"kind": "forces", "pushes": [[1e39], [1.0]]},
        "noise": {"kind": "rosenbrock", "noise": 1e39},
        "eigenvalues": {"kind": "quadratic", "eigenvalues": [1e39, 1.0]},
        "condition": {"kind": "quadratic", "condition": 1e39},
    }
    data = {**ROSENBROCK, "objective": objectives[key]}
    with pytest.raises(ConfigError, match=rf"objective\.{key}.* float32 rounds to inf"):
        run(data, set={"train.dtype": "float32"}, runs=tmp_path)
    assert run(data, runs=tmp_path).runs["status"][0] in {"finished", "diverged"}


@pytest.mark.parametrize(
    "changes", [{"data.samples": 1}, {"data.samples": 1, "train.batch_size": 1}, {"data.slope": 0}]
)
def test_one_sample_and_batches_of_one_are_trained(changes: dict[str, Any], tmp_path: Any) -> None:
    changes = changes if "data.slope" not in changes else {"data.slope": 0.0, "data.noise": 0.0, "train.batch_size": 1}
    result = run(LINE, set=changes, runs=tmp_path)
    assert result.runs["status"][0] == "finished"
    assert np.isfinite(result.metrics["loss"]).all()


def test_a_loss_beyond_float32_has_diverged_at_the_start(tmp_path: Any) -> None:
    result = run(LINE, set={"data.slope": 1e30}, runs=tmp_path)
    assert result.runs["reason"][0] == "the loss is inf at step 0"


def test_eta_at_the_ends_of_float64_finishes_or_diverges(tmp_path: Any) -> None:
    result = sweep(ROSENBROCK, gamma=[0, 1 - 2**-53], eta=[5e-324, 1e-300, 1e300], runs=tmp_path)
    assert result.runs["status"].tolist() == 2 * ["finished", "finished", "diverged"]
    assert set(result.runs["reason"][2::3]) == {"the loss is inf at step 1"}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_loss_that_falls_without_end_diverges_only_where_theta_leaves_the_floats(dtype: str, tmp_path: Any) -> None:
    saddle = {"objective": {"kind": "saddle", "start": [0.0, 1e-5]}, "optimizer": {"gamma": 0.9, "eta": 0.1}}
    result = run(saddle, set={"train.dtype": dtype, "train.steps": 2000}, runs=tmp_path)
    assert result.runs["reason"][0].startswith("a parameter is not finite")
    assert result.runs["loss_best"][0] == -np.inf
