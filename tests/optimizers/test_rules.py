"""The formulas against exact recursions, against each other, and against torch."""

import re
from fractions import Fraction

import numpy as np
import pytest
import torch

from momentumlab.optimizers.rules import RULES
from momentumlab.optimizers.schedules import as_schedule, constant, step_decay
from tests.reference import case

EVERY_RULE = sorted(RULES)


def iterates(rule, gradients, gammas, etas, theta):
    """θ after every update, for scripted gradients."""
    theta, memory, path = theta + 0, theta * 0, []
    for gradient, gamma, eta in zip(gradients, gammas, etas, strict=True):
        theta, memory = rule.update(theta, gradient, memory, gamma, eta)
        path.append(theta + 0)
    return path


def descent(rule, gamma, eta, steps=100):
    """θ on ½·Σ λ·θ², λ = 1 and 25, from (1, 1)."""
    theta = np.ones(2)
    memory = np.zeros(2)
    for _ in range(steps):
        theta, memory = rule.update(theta, np.array([1.0, 25.0]) * theta, memory, gamma, eta)
    return theta


@pytest.mark.parametrize(("form", "expected"), [("classical", "seed_form_exact"), ("torch", "pytorch_form_exact")])
def test_the_forms_part_exactly_as_the_rationals_say_when_eta_falls(form, expected):
    reference = case("lr-schedule-divergence")
    setting = reference["setting"]
    etas = [Fraction(str(eta)) for eta in setting["lrs"]]
    path = iterates(
        RULES["momentum", form],
        [Fraction(gradient) for gradient in setting["grads"]],
        [Fraction("9/10")] * 6,
        etas,
        Fraction(1),
    )
    assert path == [Fraction(value) for value in reference["expected"][expected]]


@pytest.mark.parametrize("kind", ["momentum", "nesterov"])
def test_under_a_constant_eta_both_forms_are_the_same_optimizer(kind):
    # 100 steps of a contraction: rounding of a few ulp does not grow.
    np.testing.assert_allclose(
        descent(RULES[kind, "classical"], 0.9, 0.03), descent(RULES[kind, "torch"], 0.9, 0.03), atol=3e-15
    )


@pytest.mark.parametrize("rule", EVERY_RULE)
def test_without_gamma_every_rule_is_sgd_to_the_bit(rule):
    gradients = list(np.random.default_rng(0).standard_normal((50, 3)))
    start = np.array([1.0, -2.0, 3.0])
    path = iterates(RULES[rule], gradients, [0.0] * 50, [0.1] * 50, start)
    plain = iterates(RULES["sgd", "classical"], gradients, [0.5] * 50, [0.1] * 50, start)
    np.testing.assert_array_equal(path, plain)


@pytest.mark.parametrize("rule", [rule for rule in EVERY_RULE if rule[0] != "sgd"])
def test_gamma_has_an_effect(rule):
    assert not np.array_equal(descent(RULES[rule], 0.5, 0.03), descent(RULES[rule], 0.9, 0.03))


@pytest.mark.parametrize("rule", [("momentum", "classical"), ("momentum", "torch")])
def test_a_constant_gradient_drives_the_velocity_to_its_closed_form(rule):
    gamma, eta, steps = 0.9, 0.1, 30
    memory, theta = np.zeros(1), np.zeros(1)
    for _ in range(steps):
        theta, memory = RULES[rule].update(theta, np.ones(1), memory, gamma, eta)
    velocity = RULES[rule].velocity(memory, eta)
    np.testing.assert_allclose(velocity, eta * (1 - gamma**steps) / (1 - gamma), rtol=1e-14)


@pytest.mark.parametrize("kind", ["sgd", "momentum", "nesterov"])
@pytest.mark.parametrize("changing", [False, True])
def test_the_torch_form_is_what_torch_computes_under_any_schedule(kind, changing):
    parameter = torch.nn.Parameter(torch.tensor([1.0, -1.0], dtype=torch.float64))
    gamma = 0.0 if kind == "sgd" else 0.9
    optimizer = torch.optim.SGD([parameter], lr=0.03, momentum=gamma, nesterov=kind == "nesterov")
    theta, memory = parameter.detach().numpy().copy(), np.zeros(2)
    for step in range(100):
        eta = 0.03 * 0.5 ** (step // 20) if changing else 0.03
        optimizer.param_groups[0]["lr"] = eta
        parameter.grad = torch.tensor([1.0, 25.0], dtype=torch.float64) * parameter.detach()
        optimizer.step()
        theta, memory = RULES[kind, "torch"].update(theta, np.array([1.0, 25.0]) * theta, memory, gamma, eta)
    np.testing.assert_allclose(theta, parameter.detach().numpy(), atol=3e-15)


@pytest.mark.parametrize("rule", EVERY_RULE)
def test_the_docstring_is_the_formula(rule):
    """The indented lines of a rule's docstring, run as they stand, give what the rule gives."""
    update = RULES[rule].update
    lines = re.findall(r"^ {8}(\w+ +=.+)$", update.__doc__, re.MULTILINE)
    names = {"theta": 1.5, "gradient": 0.75, "velocity": 0.25, "buffer": 0.25, "gamma": 0.5, "eta": 0.125}
    expected = update(1.5, 0.75, 0.25, 0.5, 0.125)
    exec("\n".join(re.sub(r"\s+=", " =", line) for line in lines), names)
    assert (names["theta"], names["buffer" if rule[1] == "torch" and rule[0] != "sgd" else "velocity"]) == expected


def test_one_formula_serves_floats_numpy_and_torch():
    for rule in RULES.values():
        plain = rule.update(1.5, 0.75, 0.25, 0.9, 0.01)
        for array in (np.array([1.5]), torch.tensor([1.5], dtype=torch.float64)):
            gradient = array / 2
            theta, memory = rule.update(array, gradient, array / 6, 0.9, 0.01)
            assert gradient[0] == 0.75  # a rule never changes the gradient
            assert (float(theta[0]), float(memory[0])) == plain


def test_a_step_schedule_changes_with_the_update_after_the_counted_one():
    schedule = step_decay(0.1, 0.1, [3])
    assert [schedule(step) for step in range(5)] == [0.1, 0.1, 0.1, 0.1 * 0.1, 0.1 * 0.1]
    assert as_schedule(0.9)(10**9) == constant(0.9)(0) == 0.9
