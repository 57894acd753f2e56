"""The matrix of a rule is what the rule does, with its options."""

from fractions import Fraction

import numpy as np
import pytest

from momentumlab.arrays import NumpyArrays
from momentumlab.optimizers.quasi_hyperbolic import READ
from momentumlab.optimizers.rules import RULES
from momentumlab.optimizers.update import Moment, Update
from momentumlab.theory.method import Method, effective_eta
from momentumlab.theory.modes import trajectory

LINEAR = {
    "sgd": {},
    "momentum": {"gamma": 0.9},
    "torch_momentum": {"gamma": 0.9},
    "nesterov": {"gamma": 0.9},
    "torch_nesterov": {"gamma": 0.9},
    "ema": {"gamma": 0.9},
    "qhm": {"gamma": 0.9, "nu": 0.7},
    "aggmo": {"gammas": [0.0, 0.9, 0.99]},
}
OPTIONS = {
    "bare": {},
    "coupled decay": {"weight_decay": 0.3},
    "decoupled decay": {"weight_decay": 0.3, "decoupled": True},
}


def walked(method, curvature, steps):
    """x after each update from 1 at rest, (step,), by the updates that train."""
    arrays = NumpyArrays("float64")
    given = {
        name: [arrays.column([one]) for one in value] if isinstance(value, list) else arrays.column([value])
        for name, value in method.hyperparameters.items()
    }
    theta = np.ones((1, 1))
    memory = method.update.rule.at_rest(theta, given)
    path = [1.0]
    for step in range(steps):
        at_rest = np.full((1, 1), step == 0)
        now = Moment(theta, curvature * theta, memory, at_rest, np.zeros((1, 1)), given["eta"], None, None)
        theta, memory = method.update(now, given, arrays)
        path.append(theta.item())
    return path


def test_the_matrix_of_momentum_is_the_one_of_the_books():
    gamma, eta, curvature = 0.9, 0.01, 3.0
    # x ← x − (γv + ηλx), v ← γv + ηλx
    expected = [[1 - eta * curvature, -gamma], [eta * curvature, gamma]]
    np.testing.assert_allclose(Method.of("momentum", gamma=gamma, eta=eta).matrix(curvature), expected, rtol=1e-15)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("rule", LINEAR)
def test_powers_of_the_matrix_are_the_run(rule, options):
    method = Method.of(rule, eta=0.05, **LINEAR[rule], **options)
    # the same sums in another order, 50 of them
    np.testing.assert_allclose(trajectory(method, 4.0, 50), walked(method, 4.0, 50), rtol=0, atol=1e-13)


def test_dampening_leaves_the_first_update_out():
    method = Method.of("momentum", gamma=0.9, eta=0.05, dampening=0.4)
    np.testing.assert_allclose(trajectory(method, 4.0, 50), walked(method, 4.0, 50), rtol=0, atol=1e-13)
    assert method.matrix(4.0, at_rest=True)[0, 0] == pytest.approx(1 - 0.05 * 4)
    assert method.matrix(4.0)[0, 0] == pytest.approx(1 - 0.6 * 0.05 * 4)


@pytest.mark.parametrize("rule", LINEAR)
def test_hyperparameters_and_curvatures_broadcast(rule):
    etas, curvatures = np.array([0.01, 0.1]), np.array([[1.0], [3.0], [9.0]])
    together = Method.of(rule, eta=etas, **LINEAR[rule]).matrix(curvatures)
    assert together.shape[:2] == (3, 2)
    for row, column in np.ndindex(3, 2):
        alone = Method.of(rule, eta=etas[column], **LINEAR[rule]).matrix(curvatures[row, 0])
        np.testing.assert_array_equal(together[row, column], alone)


@pytest.mark.parametrize("rule", ["sgd", "momentum", "nesterov", "ema", "qhm"])
def test_effective_eta_is_alpha_of_quasi_hyperbolic_momentum(rule):
    given = {"eta": 0.01, **LINEAR[rule]}
    read = READ["classical" if rule == "momentum" else rule]
    _, hub = read(**{name: Fraction(str(value)) for name, value in given.items()})
    assert effective_eta(Method.of(rule, **given)) == pytest.approx(float(hub.alpha), rel=1e-13)


def test_effective_eta_of_several_velocities_is_that_of_each_by_its_weight():
    assert effective_eta(Method.of("aggmo", eta=0.3, gammas=[0.0, 0.9])) == pytest.approx(0.3 * (1 + 10) / 2)


def test_what_is_not_linear_says_so():
    for rule, given in LINEAR.items():
        assert Method.of(rule, eta=0.01, **given).why_not_linear() is None
    assert "∇J" in Method.of("signum", gamma=0.9, eta=0.01).why_not_linear()
    assert "∇J" in Method.of("lion", gamma=0.9, eta=0.01, beta1=0.5).why_not_linear()
    given = {"gamma": 0.9, "eta": 0.01}
    assert "restarts" in Method(Update(RULES["momentum"], restart="gradient"), given).why_not_linear()
    assert "clip" in Method(Update(RULES["momentum"], clip=True), {**given, "clip": 1.0}).why_not_linear()


def test_the_velocity_is_read_as_the_rule_reads_it():
    np.testing.assert_array_equal(Method.of("torch_momentum", gamma=0.9, eta=0.5).velocity(), [0, 0.5])
    np.testing.assert_array_equal(Method.of("aggmo", gammas=[0, 0.9], eta=0.5).velocity(), [0, 0.25, 0.25])


def test_the_push_keeps_its_digits_however_small_eta_is():
    np.testing.assert_array_equal(Method.of("momentum", gamma=0.9, eta=1e-12).push(), [-1e-12, 1e-12])
