"""The curvature of problems: exact, or within the error that it states."""

import numpy as np
import pytest
import torch

from momentumlab.experiment import load
from momentumlab.problems.build import build
from momentumlab.problems.curvature import curvature, sharpness
from tests.reference import case


def problem(**experiment):
    return build(load(experiment))


def table(tmp_path, samples, features, outputs=1, classes=None):
    """An npz of random data, as the data section of an experiment."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((samples, features))
    y = generator.integers(0, classes, samples) if classes else generator.standard_normal((samples, outputs))
    np.savez(tmp_path / "data.npz", x=x, y=y)
    return {"kind": "npz", "path": str(tmp_path / "data.npz")}


def whole_hessian(model, theta):
    """∇²J over all training data by torch's autograd, (parameter, parameter), in float64."""
    module, criterion = model.module().double(), model.criterion()
    names = [name for name, _ in module.named_parameters()]
    shapes = [parameter.shape for parameter in module.parameters()]
    y = model.y.double() if model.y.is_floating_point() else model.y

    def loss(flat):
        parts = torch.split(flat, [shape.numel() for shape in shapes])
        weights = {name: part.view(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
        return criterion(torch.func.functional_call(module, weights, (model.x.double(),)), y)

    return torch.autograd.functional.hessian(loss, torch.from_numpy(theta)).numpy()


def test_quadratics_are_exact_in_any_number_of_dimensions():
    found = curvature(problem(objective={"kind": "quadratic", "eigenvalues": [100, 1, 7]}))
    assert found.eigenvalues.tolist() == [1, 7, 100]
    assert found.complete
    assert found.quadratic
    assert (found.smallest, found.largest, found.condition) == (1, 100, 100)
    wide = curvature(problem(objective={"kind": "quadratic", "condition": 1000, "dimension": 5000}))
    assert wide.condition == pytest.approx(1000)
    booth = curvature(problem(objective={"kind": "booth"}))
    np.testing.assert_allclose(booth.eigenvalues, [2, 18], rtol=1e-14)


def test_flat_directions_and_saddles_have_no_condition_of_their_own():
    flat = curvature(problem(objective={"kind": "quadratic", "eigenvalues": [0, 2, 8]}))
    assert flat.bending.tolist() == [2, 8]
    assert flat.condition == 4
    assert curvature(problem(objective={"kind": "saddle"})).condition is None
    assert curvature(problem(objective={"kind": "plateau"})).condition is None


def test_other_objectives_bend_as_they_do_at_the_start_or_where_one_asks():
    reference = case("eos-toy")
    row = reference["expected"]["rows"][0]
    found = curvature(problem(objective={"kind": "product"}), [row["x"], row["y"]])
    assert not found.quadratic
    assert found.largest == pytest.approx(row["sharpness"], rel=0, abs=reference["tolerance"]["abs"])
    assert abs(found.largest - row["sharpness"]) <= found.errors[-1] + 1e-8  # x and y have some digits less
    assert curvature(problem(objective={"kind": "double_well"})).largest == pytest.approx(11)  # 3x² − 1 at 2


def test_where_there_is_no_landscape_there_is_no_curvature():
    assert curvature(problem(objective={"kind": "forces", "pushes": [[1]]})) is None


def test_linear_regression_is_exact():
    found = curvature(build(load("configs/linreg.yaml")))
    expected = case("regression-torch-seeded")["expected"]["rows"][0]["hessian_eigenvalues"]
    np.testing.assert_allclose(found.eigenvalues, expected, rtol=1e-6)  # linreg's data are rounded to float32
    assert found.quadratic


@pytest.mark.parametrize("batch", ["full", 7])
def test_least_squares_of_several_outputs_whatever_its_batches(tmp_path, batch):
    experiment = {"data": table(tmp_path, 20, 3, 2), "model": {"kind": "linear"}, "loss": "mse"}
    wide = problem(**experiment, train={"batch_size": batch, "dtype": "float64"})
    torchs = problem(**experiment, train={"batch_size": 7, "dtype": "float64"})
    expected = np.linalg.eigvalsh(whole_hessian(torchs, np.zeros(8)))
    np.testing.assert_allclose(curvature(wide).eigenvalues, expected, rtol=1e-12)
    assert sharpness(wide, np.zeros(8))[0] == pytest.approx(expected[-1])


MODELS = {
    "softmax": ({"kind": "softmax"}, "cross_entropy"),
    "mlp": ({"kind": "mlp", "hidden": [5], "activation": "tanh"}, "cross_entropy"),
    "regression": ({"kind": "mlp", "hidden": [5], "activation": "gelu"}, "mse"),
}


@pytest.mark.parametrize(("model", "loss"), MODELS.values(), ids=MODELS)
def test_models_bend_as_autograds_whole_hessian_says(tmp_path, model, loss, monkeypatch):
    monkeypatch.setattr("momentumlab.problems.curvature._SAMPLES", 13)  # of 40, in parts
    data = table(tmp_path, 40, 4, classes=3 if loss == "cross_entropy" else None)
    one = problem(data=data, model=model, loss=loss, optimizer={"eta": 0.1})
    theta = one.arrays.numpy(one.start([3]))[0].astype(np.float64)
    expected = np.linalg.eigvalsh(whole_hessian(one, theta))

    found = curvature(one, seed=3)
    again = curvature(one, seed=3)
    largest, error = sharpness(one, theta, tolerance=1e-3)

    assert not found.complete
    rounding = 1e-10 * expected[-1]
    assert np.abs(expected - found.smallest).min() <= found.errors[0] + rounding
    assert np.abs(expected - found.largest).min() <= found.errors[1] + rounding
    assert found.largest == pytest.approx(expected[-1], rel=1e-6)
    assert found.eigenvalues.tolist() == again.eigenvalues.tolist()
    assert abs(largest - expected[-1]) <= error + rounding
    assert error <= 1e-3 * 1.01 * max(expected[-1], -expected[0])
