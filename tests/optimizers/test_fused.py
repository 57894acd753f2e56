"""One pass over memory computes what the readable rules compute, but for rounding, and each run by itself."""

import numpy as np
import pytest
import torch

from momentumlab.engine.plan import groups
from momentumlab.engine.stack import RuleStack
from momentumlab.experiment import expand, load
from momentumlab.optimizers import fused as module
from momentumlab.optimizers.fused import MANY, OnePass, fused
from momentumlab.optimizers.rules import RULES
from momentumlab.problems.denormals import denormals_as_zero

WIDE = 1003  # no multiple of what a processor adds at once
UPDATES = 30
KINDS = ["sgd", "momentum", "torch_momentum", "nesterov", "torch_nesterov"]


def path(rule, gammas, etas, dtype, updates=UPDATES):
    """(θ, v) after the updates of a stack whose gradients are drawn anew in each."""
    generator = torch.Generator().manual_seed(0)
    runs = len(gammas)
    gamma, eta = (torch.tensor(numbers, dtype=dtype).reshape(-1, 1) for numbers in (gammas, etas))
    theta = torch.randn(runs, WIDE, dtype=dtype, generator=generator)
    memory = rule.at_rest(theta, {})
    for _ in range(updates):
        gradient = torch.randn(1, WIDE, dtype=dtype, generator=generator).expand(runs, -1) + theta
        theta, memory = rule.update(theta, gradient, memory, gamma=gamma, eta=eta)
    return theta, rule.velocity(memory, {"eta": eta})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", KINDS)
def test_one_pass_is_the_rule_but_for_rounding(name, dtype):
    settings = [0.0, 0.5, 0.99], [0.1, 1e-3, 1e-9], dtype
    # A rounding or two in each of the updates, of numbers near 1; γ = 0.99 carries a hundred of them along.
    tolerance = 100 * UPDATES * torch.finfo(dtype).eps
    for ours, readable in zip(path(fused(RULES[name], True), *settings), path(RULES[name], *settings), strict=True):
        torch.testing.assert_close(ours, readable, rtol=tolerance, atol=tolerance * 1e-2)


@pytest.mark.parametrize("name", KINDS)
def test_a_run_has_the_same_bits_alone_and_among_others(name):
    rule = fused(RULES[name], True)
    gammas, etas = [0.9, 0.0, 0.5], [0.01, 0.1, 0.2]
    theta = torch.randn(3, WIDE)
    gradient = torch.randn(3, WIDE)
    memory = torch.randn(3, WIDE)
    column = {"gamma": torch.tensor(gammas).reshape(-1, 1), "eta": torch.tensor(etas).reshape(-1, 1)}
    alone = [
        rule.update(
            *(array[row : row + 1].clone() for array in (theta, gradient, memory)),
            **{key: value[row : row + 1] for key, value in column.items()},
        )
        for row in range(3)
    ]
    together = rule.update(theta, gradient, memory, **column)
    for row in range(3):
        for one, stacked in zip(alone[row], together, strict=True):
            assert torch.equal(one[0], stacked[row])


def test_momentum_and_nesterov_without_inertia_are_gradient_descent_to_the_bit():
    plain = path(fused(RULES["sgd"], True), [0.0], [0.1], torch.float32)
    for name in KINDS[1:]:
        for one, other in zip(path(fused(RULES[name], True), [0.0], [0.1], torch.float32), plain, strict=True):
            assert torch.equal(one, other)


def test_no_inertia_is_taken_for_none_where_denormal_numbers_are_zero():
    rule = fused(RULES["momentum"], True)
    with denormals_as_zero():  # as where models are trained
        _, buffer = rule.update(torch.ones(1, 9), torch.ones(1, 9), torch.full((1, 9), 7.0),
                                gamma=torch.zeros(1, 1), eta=torch.ones(1, 1))  # fmt: skip
    assert torch.equal(buffer, torch.ones(1, 9))


def test_what_has_no_single_pass_stays_the_rule(monkeypatch):
    assert fused(RULES["aggmo"], True) is RULES["aggmo"]
    assert fused(RULES["momentum"], False) is RULES["momentum"]  # v = η·b holds while η is constant
    assert fused(RULES["torch_momentum"], False) is not RULES["torch_momentum"]
    monkeypatch.delattr(module.torch, "_fused_sgd_")
    assert fused(RULES["torch_momentum"], True) is RULES["torch_momentum"]


def stack_of(hidden, **train):
    problem = {
        "data": {"kind": "digits"},
        "model": {"kind": "mlp", "hidden": [hidden]},
        "optimizer": {"eta": 0.1},
        "train": {"steps": 3, "batch_size": 32, **train},
    }
    [group] = groups(expand(load(problem), gamma=[0.5, 0.9]))
    return group.stack(group.cells), group.problem


def test_it_is_chosen_for_models_of_very_many_parameters_and_trains_them_as_the_rule_does(monkeypatch):
    small, _ = stack_of(16)  # 1,210 parameters
    assert small.update.rule is RULES["momentum"]
    large, problem = stack_of(MANY // 75 + 1)  # 64 inputs, 10 classes, a bias each
    assert isinstance(large.update.rule.update, OnePass)
    monkeypatch.setattr(module, "MANY", 10**9)
    readable, _ = stack_of(MANY // 75 + 1)
    for stack in (large, readable):
        for step in range(3):
            stack.look(step)
            stack.advance()
    ours, theirs = (stack.look(3) for stack in (large, readable))
    assert isinstance(large, RuleStack)
    # float32 numbers below 1, rounded otherwise in three updates
    for name in ("theta", "velocity"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(problem.arrays.numpy(ours.loss), problem.arrays.numpy(theirs.loss), rtol=1e-5)
