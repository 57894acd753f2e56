"""A triangle of numbers instead of the samples: the same loss and gradient, in every case of least squares."""

import numpy as np
import pytest
import torch

from momentumlab.arrays import NumpyArrays
from momentumlab.engine.plan import groups
from momentumlab.experiment import expand, load, single
from momentumlab.problems.build import build
from momentumlab.problems.least_squares import LeastSquares
from momentumlab.problems.models import ModelProblem


@pytest.fixture
def table(tmp_path):
    """Writes a data set and gives the experiment of a linear model on it."""

    def write(x, y, dtype="float64", **more):
        np.savez(tmp_path / "data.npz", x=x, y=y)
        data = {"kind": "npz", "path": str(tmp_path / "data.npz")}
        train = {"steps": 20, "batch_size": "full", "dtype": dtype}
        return load({"data": data, "model": {"kind": "linear"}, "optimizer": {"eta": 0.01}, "train": train, **more})

    return write


def drawn(samples, features, outputs, scale=1.0):
    generator = np.random.default_rng(0)
    x = generator.standard_normal((samples, features)) * scale
    return x, generator.standard_normal((samples, outputs)) + 5 * x[:, :1]


def both_ways(experiment, theta):
    """(J, ∇J) by the triangle and by torch over all samples, (run,) and (run, parameter)."""
    problem = build(experiment)
    assert isinstance(problem, LeastSquares)
    torchs = build(load(experiment.written(), set={"optimizer.backend": "torch"}))
    assert isinstance(torchs, ModelProblem)
    loss, gradient = problem.feed([0]).loss_and_gradient(problem.arrays.array(theta), 0)
    expected = []
    for one in theta:
        model, criterion = torchs.module(), torchs.criterion()
        torch.nn.utils.vector_to_parameters(torchs.arrays.array(one), model.parameters())
        value = criterion(model(torchs.x), torchs.y)
        value.backward()
        slope = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
        expected.append((value.item(), slope.numpy()))
    losses, gradients = zip(*expected, strict=True)
    return (loss, gradient), (np.array(losses), np.array(gradients))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("samples", "features", "outputs"), [(100, 1, 1), (50, 3, 2), (2, 5, 1), (1, 1, 1), (1, 2, 2), (7, 7, 1)]
)
def test_the_triangle_gives_the_loss_and_gradient_of_all_samples(table, samples, features, outputs, dtype):
    theta = np.random.default_rng(1).standard_normal((3, (features + 1) * outputs))
    (loss, gradient), (losses, gradients) = both_ways(table(*drawn(samples, features, outputs), dtype), theta)
    # Sums of up to a hundred squares up to about 100, in either order: some tens of roundings of the largest number.
    rounding = 100 * np.finfo(dtype).eps
    np.testing.assert_allclose(loss, losses, rtol=rounding)
    np.testing.assert_allclose(gradient, gradients, rtol=rounding, atol=rounding * 100)
    assert loss.dtype == gradient.dtype == dtype


def test_constant_features_and_features_of_other_sizes_lose_no_digits(table):
    x, y = drawn(40, 3, 1)
    x[:, 1] = 1.0  # the bias twice: no single minimum
    x[:, 2] = 1e6 + x[:, 2]
    theta = np.array([[0.5, -1.0, 2e-6, 0.25], [5.0, 1.0, 1e-6, -1.0]])
    (loss, gradient), (losses, gradients) = both_ways(table(x, y), theta)
    # The normal equations would square the 1e6 and lose twelve digits of the sixteen; a QR loses six of ∇J at most.
    np.testing.assert_allclose(loss, losses, rtol=1e-9)
    np.testing.assert_allclose(gradient, gradients, rtol=1e-8)


def test_an_exact_fit_has_no_loss_left(table):
    x = np.arange(10.0)[:, None]
    (loss, gradient), _ = both_ways(table(x, 3 * x + 2), np.array([[3.0, 2.0]]))
    # 1e-28 is a rounding of numbers up to 30, squared
    assert loss.item() < 1e-28
    assert np.abs(gradient).max() < 1e-12


def test_a_run_has_the_same_bits_alone_and_among_others(table):
    experiment = table(*drawn(30, 2, 2), "float32")
    problem = build(experiment)
    theta = problem.arrays.array(np.random.default_rng(2).standard_normal((9, 6)))
    loss, gradient = problem.loss_and_gradient(theta, 0)
    for row in range(9):
        one_loss, one_gradient = problem.loss_and_gradient(theta[row : row + 1], 0)
        assert one_loss[0] == loss[row]
        np.testing.assert_array_equal(one_gradient[0], gradient[row])


def test_evaluation_is_over_the_training_and_the_test_data(table):
    experiment = table(*drawn(40, 1, 1), data={"kind": "line", "samples": 40, "test": 0.25})
    problem = build(experiment)
    theta = np.array([[1.0, 0.5]])
    measured = problem.evaluate(problem.arrays.array(theta))
    dataset = problem._model.dataset
    for part, x, y in (("train", dataset.x, dataset.y), ("test", dataset.test_x, dataset.test_y)):
        expected = np.mean((x * 1.0 + 0.5 - y) ** 2)
        np.testing.assert_allclose(measured[f"{part}_loss"], [expected], rtol=1e-12)  # a few tens of roundings


def test_it_starts_where_the_model_starts(table):
    problem = build(table(*drawn(20, 2, 1), "float32"))
    assert isinstance(problem.arrays, NumpyArrays)
    np.testing.assert_array_equal(problem.start([3, 4]), problem._model.start([3, 4]).numpy())


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer.backend": "torch"},
        {"train.batch_size": 8},
        {"data": {"kind": "moons", "samples": 20}, "model": {"kind": "softmax"}, "loss": "cross_entropy"},
    ],
    ids=["torch", "minibatches", "softmax"],
)
def test_everything_else_keeps_its_samples(changes):
    experiment = load("linreg", set={**changes, "model.start": None} if "model" not in changes else changes)
    assert isinstance(build(experiment), ModelProblem)


def test_more_parameters_than_a_narrow_stack_has_keep_their_samples(table):
    assert isinstance(build(table(*drawn(30, 8, 1))), ModelProblem)


def test_both_backends_of_one_sweep_train_the_same(table):
    experiment = table(*drawn(30, 1, 1))
    sections = [{"eta": 0.05}, {"backend": "torch", "form": "torch", "eta": 0.05}]
    kinds = [type(group.problem) for group in groups(expand(experiment, vary={"optimizer": sections}))]
    assert kinds == [LeastSquares, ModelProblem]
    assert [type(group.problem) for group in groups(single(experiment))] == [LeastSquares]
