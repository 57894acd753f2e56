"""Each formula by itself: what its docstring says, for any kind of number, without side effects, and torch's."""

import inspect
import re
from fractions import Fraction

import numpy as np
import pytest
import torch

from momentumlab.optimizers.rules import RULES
from tests.reference import case

# What each rule takes beside γ and η; numbers that binary fractions hold, so that float32 has them as well.
OWN = {
    "qhm": {"nu": 0.75},
    "lion": {"beta1": 0.875},
    "aggmo": {"gammas": [0.0, 0.5, 0.9375], "weights": [0.25, 0.5, 1]},
}
CURVATURE = np.array([1.0, 25.0])


def hyperparameters(name, gamma=0.5, eta=0.125):
    """By name, and only those that the rule takes."""
    every = {"gamma": gamma, "eta": eta} | OWN.get(name, {})
    return {key: every[key] for key in RULES[name].hyperparameters}


def memory_of(name, kind):
    """A memory that is not at rest: numbers of one kind."""
    return [kind(0.25), kind(-0.5), kind(1.5)] if name == "aggmo" else kind(0.25)


def plain(numbers):
    """Arrays of one number, or a list of them, as floats."""
    return [plain(one) for one in numbers] if isinstance(numbers, list) else getattr(numbers, "item", lambda: numbers)()


@pytest.mark.parametrize("name", RULES)
def test_the_docstring_is_the_formula(name):
    """The indented lines of a rule's docstring, run as they stand, give what the rule gives."""
    update = RULES[name].update
    lines = re.findall(r"^ {8}(\w+ +=.+)$", update.__doc__, re.MULTILINE)
    remembered = list(inspect.signature(update).parameters)[2]
    names = {"theta": 1.5, "gradient": 0.75, "sign": np.sign, remembered: memory_of(name, float)}
    exec("\n".join(re.sub(r"\s+=", " =", line) for line in lines), names | hyperparameters(name), names)
    theta, memory = update(1.5, 0.75, memory_of(name, float), **hyperparameters(name))
    assert (names["theta"], names[remembered]) == (theta, memory)


@pytest.mark.parametrize("name", RULES)
def test_the_docstring_names_its_source(name):
    assert re.search(r"(19|20)\d\d|torch\.optim\.SGD", RULES[name].update.__doc__)


def numpy32(number):
    return np.array([number], np.float32)


def numpy64(number):
    return np.array([number])


def torch32(number):
    return torch.tensor([number], dtype=torch.float32)


def torch64(number):
    return torch.tensor([number], dtype=torch.float64)


@pytest.mark.parametrize("kind", [numpy32, numpy64, torch32, torch64])
@pytest.mark.parametrize("name", RULES)
def test_one_formula_serves_every_kind_of_number(name, kind):
    given = hyperparameters(name)
    expected = RULES[name].update(1.5, 0.75, memory_of(name, float), **given)
    theta, memory = RULES[name].update(kind(1.5), kind(0.75), memory_of(name, kind), **given)
    # Short binary fractions throughout: nothing is rounded, in no dtype.
    assert (plain(theta), plain(memory)) == expected
    assert (type(theta), theta.dtype) == (type(kind(1.5)), kind(1.5).dtype)


@pytest.mark.parametrize("library", [np, torch], ids=["numpy", "torch"])
@pytest.mark.parametrize("name", RULES)
def test_neither_the_gradient_nor_a_hyperparameter_is_changed(name, library):
    def column(value):
        return library.full((2, 1), value, dtype=library.float64)

    given = {
        key: [column(one) for one in value] if isinstance(value, list) else column(value)
        for key, value in hyperparameters(name).items()
    }
    theta, gradient = library.ones((2, 3), dtype=library.float64), library.ones((2, 3), dtype=library.float64)
    memory, before = RULES[name].at_rest(theta, given), str(given)
    for _ in range(3):
        theta, memory = RULES[name].update(theta, gradient, memory, **given)
        assert (gradient == 1).all()
        assert str(given) == before


@pytest.mark.parametrize("name", RULES)
def test_at_rest_nothing_moves_without_a_gradient(name):
    rule, given = RULES[name], hyperparameters(name)
    theta, memory = np.array([3.0, -2.0]), rule.at_rest(np.array([3.0, -2.0]), given)
    np.testing.assert_array_equal(rule.velocity(memory, given), [0, 0])
    for _ in range(3):
        theta, memory = rule.update(theta, np.zeros(2), memory, **given)
    np.testing.assert_array_equal(theta, [3, -2])


def descent(name, steps=100, **given):
    """θ on ½·Σ λ·θ² after every update, from (1, 1)."""
    rule, theta, path = RULES[name], np.ones(2), []
    memory = rule.at_rest(theta, given)
    for _ in range(steps):
        theta, memory = rule.update(theta, CURVATURE * theta, memory, **given)
        path.append(theta.copy())
    return np.array(path)


# What becomes of each rule without γ. Not aggmo, which has no single γ, nor sgd itself.
WITHOUT_GAMMA = {
    "momentum": {}, "torch_momentum": {}, "nesterov": {}, "torch_nesterov": {}, "ema": {}, "qhm": {"nu": 1.0},
}  # fmt: skip


@pytest.mark.parametrize("name", WITHOUT_GAMMA)
def test_without_gamma_a_rule_is_sgd_to_the_bit(name):
    alike = descent(name, gamma=0.0, eta=0.03, **WITHOUT_GAMMA[name])
    np.testing.assert_array_equal(alike, descent("sgd", gamma=0.0, eta=0.03))


def test_without_gamma_qhm_is_sgd_but_for_the_sum_of_two_shares():
    for nu in (0.0, 0.3, 0.7):
        # (1 − ν)·g + ν·g is g to a rounding; a contraction does not enlarge it
        np.testing.assert_allclose(
            descent("qhm", gamma=0.0, eta=0.03, nu=nu), descent("sgd", gamma=0.0, eta=0.03), atol=1e-15
        )


def test_without_gamma_signum_and_lion_step_by_the_sign_of_the_gradient():
    path = descent("signum", gamma=0.0, eta=0.03)
    before = np.concatenate([np.ones((1, 2)), path[:-1]])
    np.testing.assert_array_equal(path, before - 0.03 * np.sign(before))
    np.testing.assert_array_equal(descent("lion", gamma=0.0, eta=0.03, beta1=0.0), path)


def test_aggmo_without_any_gamma_is_sgd():
    alike = descent("aggmo", gammas=[0.0, 0.0], weights=[0.5, 0.5], eta=0.03)
    np.testing.assert_array_equal(alike, descent("sgd", gamma=0.0, eta=0.03))


@pytest.mark.parametrize(
    ("form", "expected"), [("momentum", "seed_form_exact"), ("torch_momentum", "pytorch_form_exact")]
)
def test_the_forms_part_exactly_as_the_rationals_say_when_eta_falls(form, expected):
    reference = case("lr-schedule-divergence")
    setting, theta, velocity, path = reference["setting"], Fraction(1), Fraction(0), []
    for push, eta in zip(setting["grads"], setting["lrs"], strict=True):
        theta, velocity = RULES[form].update(
            theta, Fraction(push), velocity, gamma=Fraction("9/10"), eta=Fraction(str(eta))
        )
        path.append(theta)
    assert path == [Fraction(value) for value in reference["expected"][expected]]


@pytest.mark.parametrize("name", ["sgd", "torch_momentum", "torch_nesterov"])
@pytest.mark.parametrize("changing", ["nothing", "eta", "gamma", "both"])
def test_the_torch_form_is_what_torch_computes_under_any_schedule(name, changing):
    parameter = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
    optimizer = torch.optim.SGD([parameter], lr=1.0, momentum=0.5 * (name != "sgd"), nesterov=name == "torch_nesterov")
    theta, memory = np.ones(2), np.zeros(2)
    for step in range(100):
        eta = 0.03 * 0.5 ** (step // 20) if changing in ("eta", "both") else 0.03
        gamma = 0.0 if name == "sgd" else 0.5 + 0.004 * step if changing in ("gamma", "both") else 0.9
        optimizer.param_groups[0] |= {"lr": eta, "momentum": gamma}
        parameter.grad = torch.tensor(CURVATURE) * parameter.detach()
        optimizer.step()
        theta, memory = RULES[name].update(theta, CURVATURE * theta, memory, gamma=gamma, eta=eta)
        # a contraction: a hundred roundings of numbers below 2 do not add up
        np.testing.assert_allclose(theta, parameter.detach().numpy(), rtol=0, atol=3e-15)
