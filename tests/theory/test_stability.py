"""The limits of η·λ: as formulas, and as the runs have them."""

import numpy as np
import pytest

from momentumlab.arrays import NumpyArrays
from momentumlab.optimizers.rules import RULES
from momentumlab.problems.objectives import OBJECTIVES
from momentumlab.theory.method import Method
from momentumlab.theory.modes import spectral_radius
from momentumlab.theory.spectrum import hessian
from momentumlab.theory.stability import (
    curvature_limit,
    is_stable,
    limit,
    noisy_curvature_limit,
    rate,
)
from tests.reference import case

GENERATOR = np.random.default_rng(20260)


def test_thresholds_of_the_rules():
    reference = case("stability-thresholds")
    columns = {"hb": "momentum", "ema": "ema", "nesterov_pytorch": "torch_nesterov", "gd": "sgd"}
    for row in reference["expected"]["rows"]:
        for name, rule in columns.items():
            # ema at 0.99 is about 400: a relative rounding of its own is counted beside the absolute tolerance
            expected = pytest.approx(row[name], rel=1e-14, abs=reference["tolerance"]["abs"])
            gamma = 0.0 if rule == "sgd" else row["gamma"]
            assert limit(Method.of(rule, gamma=gamma, eta=1.0)) == expected


@pytest.mark.parametrize("eta", [1e-8, 1.0])
def test_quasi_hyperbolic_momentum_has_one_formula(eta):
    gamma, nu = GENERATOR.uniform(0, 0.99, 200), GENERATOR.uniform(-1, 1, 200)
    expected = 2 * (1 + gamma) / (1 + gamma - 2 * nu * gamma)
    np.testing.assert_allclose(limit(Method.of("qhm", gamma=gamma, eta=eta, nu=nu)), expected, rtol=1e-11)


def test_beyond_nu_1_another_root_is_first():
    method = Method.of("qhm", gamma=0.9, eta=1.0, nu=1.5)
    end = float(limit(method))
    assert spectral_radius(method, 0.999 * end) < 1 < spectral_radius(method, 1.001 * end)


def test_several_velocities_as_numbers():
    assert limit(Method.of("aggmo", gammas=[0.9], eta=0.1)) == pytest.approx(3.8, rel=1e-12)
    # torch's Nesterov is two velocities: the gradient itself and γ's, weights 1 and γ
    nesterov = Method.of("aggmo", gammas=[0.0, 0.9], weights=[1.0, 0.9], eta=1.0)
    assert limit(nesterov) == pytest.approx((2 + 1.8) / (1 + 1.8), rel=1e-12)
    for gammas in ([0.0, 0.9, 0.99], [0.0, 0.5, 0.9, 0.99, 0.999]):
        method = Method.of("aggmo", gammas=gammas, eta=1.0)
        end = float(limit(method))
        curvatures = np.linspace(0.01, 0.999, 100) * end
        assert (spectral_radius(method, curvatures) < 1).all()
        assert spectral_radius(method, 1.001 * end) > 1
    both = limit(Method.of("aggmo", gammas=[0.0, np.array([0.5, 0.9])], eta=1.0))
    assert both[1] == pytest.approx(float(limit(Method.of("aggmo", gammas=[0.0, 0.9], eta=1.0))))


def test_weight_decay_takes_its_part_of_the_curvature():
    assert curvature_limit(Method.of("momentum", gamma=0.5, eta=0.1, weight_decay=4.0)) == pytest.approx(30 - 4)
    # a decay that alone overshoots: 1 − ηw = −3, and nothing is stable
    assert curvature_limit(Method.of("momentum", gamma=0.5, eta=1.0, weight_decay=4.0, decoupled=True)) == 0


def test_flat_directions_are_no_danger_and_saddles_are():
    method = Method.of("momentum", gamma=0.9, eta=0.1)
    assert is_stable(method, [0.0, 1.0])
    assert not is_stable(method, [-1e-3, 1.0])
    assert rate(method, [0.0]) == 0


def drawn(rule, count):
    """Random (γ, η, eigenvalues) for a rule, further than one per cent from its edge: a method and its spectra."""
    gamma = 1 - 10 ** GENERATOR.uniform(-2, 0, count)
    given = {"gamma": gamma}
    if rule == "qhm":
        given["nu"] = GENERATOR.uniform(0, 1, count)
    if rule == "aggmo":
        given = {"gammas": [0.0, gamma, 1 - (1 - gamma) / 3]}
    if rule == "sgd":
        given = {}
    spectrum = 10 ** GENERATOR.uniform(-2, 2, (3, count))
    share = np.where(GENERATOR.random(count) < 0.5, GENERATOR.uniform(0.05, 0.99, count), GENERATOR.uniform(1.01, 3))
    unit = Method.of(rule, eta=np.ones(count), **given)
    return unit.at(eta=share * limit(unit) / spectrum.max(0)), spectrum, share


def grows(method, spectrum, steps):
    """Whether θ diverges, (run,), by the rule that trains, in a stack: the contract's bound of 1e12 is passed."""
    arrays, rule = NumpyArrays("float64"), method.update.rule
    given = {
        name: [arrays.column(np.broadcast_to(one, spectrum.shape[1])) for one in value]
        if isinstance(value, list)
        else arrays.column(value)
        for name, value in method.hyperparameters.items()
        if name in rule.hyperparameters
    }
    theta = arrays.array(np.ones(spectrum.T.shape))
    memory = rule.at_rest(theta, given)
    bends, gone = arrays.array(spectrum.T), np.zeros(len(theta), bool)
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(steps):
            theta, memory = rule.update(theta, bends * theta, memory, **given)
            gone |= ~(np.abs(theta).max(1) < 1e12)
    return gone


def test_the_verdict_on_a_thousand_random_problems_is_what_the_runs_do():
    rules = ["sgd", "momentum", "torch_momentum", "nesterov", "torch_nesterov", "ema", "qhm", "aggmo"]
    right = []
    for rule in rules:
        method, spectrum, share = drawn(rule, 125)
        assert rule in RULES
        verdict = is_stable(method, spectrum)
        np.testing.assert_array_equal(verdict, share < 1)
        right += list(verdict != grows(method, spectrum, 4000))
    assert len(right) == 1000
    assert np.mean(right) >= 0.99


def test_curvature_that_is_noise():
    gamma, curvature = GENERATOR.uniform(0, 0.99, 100), GENERATOR.uniform(0.1, 10, 100)
    variance = curvature**2 * 10 ** GENERATOR.uniform(-2, 2, 100)
    ends = noisy_curvature_limit(gamma, curvature, variance)
    for index in range(100):
        radii = []
        for eta in np.array([0.999, 1.001]) * ends[index]:
            method = Method.of("momentum", gamma=gamma[index], eta=eta)
            # E[s ⊗ s] moves by E[M ⊗ M] = M ⊗ M + s²·(b eᵀ) ⊗ (b eᵀ)
            mean, push = method.matrix(curvature[index]), np.outer(method.push(), [1, 0])
            second = np.kron(mean, mean) + variance[index] * np.kron(push, push)
            radii.append(np.abs(np.linalg.eigvals(second)).max())
        assert radii[0] < 1 < radii[1]
    assert noisy_curvature_limit(0.9, 2.0, 0.0) == pytest.approx(3.8 / 2)


def test_edge_of_stability_of_a_product():
    reference = case("eos-toy")
    objective, setting = OBJECTIVES["product"](), reference["setting"]
    tolerance = reference["tolerance"]["abs"]
    gamma = np.array([[row["gamma"]] for row in reference["expected"]["rows"]])
    theta = np.repeat([[setting["x0"], setting["y0"]]], len(gamma), 0)
    velocity = np.zeros_like(theta)
    for _ in range(setting["steps"]):
        theta, velocity = RULES["momentum"].update(
            theta, objective.gradient(theta, np), velocity, gamma, setting["eta"]
        )
    for row, point in zip(reference["expected"]["rows"], theta, strict=True):
        assert point == pytest.approx([row["x"], row["y"]], rel=0, abs=tolerance)
        sharpness = np.linalg.eigvalsh(hessian(lambda points: objective.gradient(points, np), point))[-1]
        assert sharpness == pytest.approx(row["sharpness"], rel=0, abs=tolerance)
        threshold = curvature_limit(Method.of("momentum", gamma=row["gamma"], eta=setting["eta"]))
        assert threshold == pytest.approx(row["threshold"], rel=1e-12)
        assert sharpness < threshold
