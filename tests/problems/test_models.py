"""The closed-form gradients beside autograd, and a run alone beside a run in a stack."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from momentumlab.problems import models
from momentumlab.problems.data import Dataset
from momentumlab.problems.layers import ACTIVATIONS
from momentumlab.problems.models import ModelProblem

SHAPES = [
    # sizes, loss, batch, samples: the article's, real ones, and every shape with a 1 in it
    ((1, 1), "mse", "full", 100),
    ((30, 1), "mse", "full", 500),
    ((3, 5, 2), "mse", 7, 50),
    ((1, 8, 1), "mse", 64, 900),
    ((64, 10), "cross_entropy", 64, 1437),
    ((64, 128, 10), "cross_entropy", 64, 193),  # a last batch of one sample
    ((64, 32, 16, 10), "cross_entropy", 17, 100),
]


def problem(sizes, loss, batch, samples, dtype="float64", activation="tanh", start=None):
    rng = np.random.default_rng(0)
    classes = sizes[-1] if loss == "cross_entropy" else None
    x = rng.standard_normal((samples, sizes[0]))
    y = rng.integers(0, classes, samples) if classes else rng.standard_normal((samples, sizes[-1]))
    dataset = Dataset(x=x, y=y, test_x=x[:7], test_y=y[:7], feature_names=(), target_names=(), classes=classes)
    model = SimpleNamespace(start=start, hidden=sizes[1:-1], activation=activation)
    train = SimpleNamespace(dtype=dtype, device="cpu", batch_size=batch, threads=1)
    return ModelProblem(model, loss, dataset, train)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def by_autograd(model, theta, x, y):
    module = model.module()
    torch.nn.utils.vector_to_parameters(theta, module.parameters())
    loss = model.criterion()(module(x), y)
    loss.backward()
    return loss.detach(), torch.cat([parameter.grad.flatten() for parameter in module.parameters()])


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_loss_and_gradient_are_those_of_autograd(shape, activation):
    model = problem(*shape, activation=activation)
    seeds = [0, 1, 2]
    theta, feed = model.start(seeds), model.feed(seeds)
    loss, gradient = feed.loss_and_gradient(theta, step=3)
    x, y = feed.batch(3)
    for run in range(len(seeds)):
        expected_loss, expected = by_autograd(model, theta[run], x[run], y[run])
        torch.testing.assert_close(loss[run], expected_loss, rtol=1e-14, atol=0)
        torch.testing.assert_close(gradient[run], expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("same_seed", [True, False])
@pytest.mark.parametrize("shape", [*SHAPES, ((2, 17, 5, 2), "cross_entropy", "full", 69)], ids=str)
def test_a_runs_bits_are_the_same_alone_and_in_any_stack(shape, same_seed, dtype, activation):
    model = problem(*shape, dtype=dtype, activation=activation)
    seeds = [3] * 20 if same_seed else list(range(20))
    theta = model.start(list(range(20)))
    loss, gradient = model.feed(seeds).loss_and_gradient(theta, step=5)
    evaluation = model.evaluate(theta)
    for rows in ([0], [19], [3, 4], [5, 6, 7], list(range(4, 20))):
        part_loss, part_gradient = model.feed([seeds[row] for row in rows]).loss_and_gradient(theta[rows], step=5)
        assert torch.equal(part_loss, loss[rows])
        assert torch.equal(part_gradient, gradient[rows])
        for name, values in model.evaluate(theta[rows]).items():
            assert torch.equal(values, evaluation[name][rows])


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("same_seed", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_arrays_that_are_used_again_keep_nothing_of_what_was_computed_before(shape, same_seed, activation):
    model = problem(*shape, dtype="float32", activation=activation)
    seeds = [3, 3] if same_seed else [3, 4]
    theta, feed = model.start([0, 1]), model.feed(seeds)
    losses, expected_losses = [], []
    last = model.steps_per_epoch - 1  # a smaller batch
    for step in (0, last, last + 1, 2 * last + 1, 0):
        loss, gradient = feed.loss_and_gradient(theta, step)
        expected_loss, expected = model.feed(seeds).loss_and_gradient(theta, step)
        assert torch.equal(gradient, expected)
        losses.append(loss)
        expected_losses.append(expected_loss)
        model.evaluate(theta)
    assert torch.equal(torch.stack(losses), torch.stack(expected_losses))  # a loss is not overwritten


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_models_start_as_torchs_layers_do(dtype):
    model = problem((64, 32, 16, 10), "cross_entropy", 64, 100, dtype=dtype)
    torch.manual_seed(7)
    drawn = torch.nn.utils.parameters_to_vector(model.module().parameters())
    assert torch.equal(model.start([7])[0], drawn.detach())
    assert [parameter.name for parameter in model.parameters] == list(model.module().state_dict())


def test_an_epoch_shows_every_sample_once_and_keeps_the_last_smaller_batch():
    model = problem((2, 1), "mse", 16, 50)
    feed = model.feed([5])
    assert model.steps_per_epoch == 4
    batches = [feed.batch(step)[0][0] for step in range(4)]
    assert [len(batch) for batch in batches] == [16, 16, 16, 2]
    assert torch.equal(torch.cat(batches).sort(0).values, model.x.sort(0).values)


def test_the_order_of_minibatches_is_a_function_of_seed_and_epoch():
    model = problem((2, 1), "mse", 16, 50)
    straight = [model.feed([5]).batch(step)[0] for step in (9, 2)]
    among_others = model.feed([4, 5, 6])
    assert torch.equal(straight[0][0], among_others.batch(9)[0][1])
    assert torch.equal(straight[1][0], among_others.batch(2)[0][1])
    assert not torch.equal(model.feed([5]).batch(0)[0], model.feed([6]).batch(0)[0])
    assert not torch.equal(model.feed([5]).batch(0)[0], model.feed([5]).batch(4)[0])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_evaluated_loss_is_that_of_all_data(shape):
    model = problem(*shape)
    theta = model.start([0, 1])
    expected = [by_autograd(model, row, model.x, model.y)[0] for row in theta]
    torch.testing.assert_close(model.evaluate(theta)["train_loss"], torch.stack(expected), rtol=1e-13, atol=0)


def test_data_is_evaluated_in_parts_that_a_stack_of_any_size_cuts_alike(monkeypatch):
    shape = ((64, 32, 16, 10), "cross_entropy", 17, 1000)
    theta = problem(*shape).start(range(5))
    whole = problem(*shape).evaluate(theta)
    monkeypatch.setattr(models, "_CACHED", models._CACHED._replace(part=2**18, block=2**16))
    model = problem(*shape)
    cut = model.evaluate(theta)
    for name, values in cut.items():
        torch.testing.assert_close(values, whole[name], rtol=1e-13, atol=0)
        assert torch.equal(torch.cat([model.evaluate(row[None])[name] for row in theta]), values)


def test_evaluation_is_the_loss_and_the_share_of_right_answers_over_all_data():
    model = problem((64, 10), "cross_entropy", 64, 300)
    theta = model.start([0, 1])
    module = model.module()
    torch.nn.utils.vector_to_parameters(theta[1], module.parameters())
    output = module(model.x)
    measured = model.evaluate(theta)
    assert set(measured) == {"train_loss", "train_accuracy", "test_loss", "test_accuracy"}
    torch.testing.assert_close(
        measured["train_loss"][1], model.criterion()(output, model.y).detach(), rtol=1e-13, atol=0
    )
    assert measured["train_accuracy"][1] == (output.argmax(1) == model.y).double().mean()
