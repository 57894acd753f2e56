"""The floor under noise: as formulas, as reference numbers, and as runs reach it."""

from itertools import combinations

import numpy as np
import pytest

from momentumlab.arrays import NumpyArrays
from momentumlab.theory.method import Method
from momentumlab.theory.noise import gradient_noise_scale, noise_floor
from tests.reference import case


def test_stationary_variances():
    reference = case("noisy-quadratic-stationary")
    tolerance = reference["tolerance"]
    for row in reference["expected"]["rows"]:
        floor = noise_floor(Method.of("momentum", gamma=row["gamma"], eta=row["eta"]), 1.0)
        names = {
            "var_theta": floor.theta,
            "var_v": floor.velocity,
            "expected_excess_loss": floor.loss,
            "corr_g_v": floor.correlation,
            "velocity_sign_flip_rate": floor.flips,
        }
        for name, found in names.items():
            assert found == pytest.approx(row[name], rel=tolerance["formula_rel"]), name
        for name in ("var_theta", "var_v"):
            assert names[name] == pytest.approx(row[f"sim_{name}"], rel=tolerance["simulation_rel"])


def test_the_formulas_of_momentum():
    generator = np.random.default_rng(0)
    gamma, curvature = generator.uniform(0, 0.99, 100), generator.uniform(0.1, 10, 100)
    eta, variance = generator.uniform(0.01, 0.99, 100) * 2 * (1 + gamma) / curvature, 0.3
    floor = noise_floor(Method.of("momentum", gamma=gamma, eta=eta), curvature, variance)
    room = 2 * (1 + gamma) - eta * curvature
    theta = eta * variance * (1 + gamma) / (curvature * (1 - gamma) * room)
    np.testing.assert_allclose(floor.theta, theta, rtol=1e-10)
    np.testing.assert_allclose(floor.velocity, 2 * eta**2 * variance / ((1 - gamma) * room), rtol=1e-10)
    np.testing.assert_allclose(floor.flips, np.arccos(gamma - eta * curvature / 2) / np.pi, rtol=1e-10)


RULES_UNDER_NOISE = {
    "sgd": {"eta": 0.1},
    "momentum": {"eta": 0.1, "gamma": 0.9},
    "torch_momentum": {"eta": 0.1, "gamma": 0.5},
    "nesterov": {"eta": 0.1, "gamma": 0.9},
    "ema": {"eta": 1.0, "gamma": 0.9},
    "qhm": {"eta": 0.5, "gamma": 0.9, "nu": 0.7},
    "aggmo": {"eta": 0.1, "gammas": [0.0, 0.9]},
}


@pytest.mark.parametrize("rule", RULES_UNDER_NOISE)
def test_runs_jitter_as_far_as_theory_says(rule):
    curvature, variance, runs, warm, counted = 2.0, 0.25, 2000, 300, 200
    given = RULES_UNDER_NOISE[rule]
    method, arrays = Method.of(rule, **given), NumpyArrays("float64")
    columns = {
        name: [arrays.column(np.full(runs, one)) for one in value]
        if isinstance(value, list)
        else arrays.column(np.full(runs, value))
        for name, value in method.hyperparameters.items()
    }
    update, generator = method.update.rule, np.random.default_rng(7)
    theta = arrays.array(np.zeros((runs, 1)))
    memory = update.at_rest(theta, columns)
    thetas, velocities, gradients = np.empty((3, counted, runs))
    for step in range(warm + counted):
        gradient = curvature * theta + np.sqrt(variance) * generator.standard_normal((runs, 1))
        before = theta[:, 0].copy()
        theta, memory = update.update(theta, gradient, memory, **columns)
        if step >= warm:
            thetas[step - warm], gradients[step - warm] = before, gradient[:, 0]
            velocities[step - warm] = update.velocity(memory, columns)[:, 0]
    floor = noise_floor(method, curvature, variance)
    # 400,000 numbers, of which some 20,000 are independent: a variance within one per cent; three are asked for
    assert (thetas**2).mean() == pytest.approx(floor.theta, rel=0.03)
    assert (velocities**2).mean() == pytest.approx(floor.velocity, rel=0.03)
    assert (0.5 * curvature * thetas**2).mean() == pytest.approx(floor.loss, rel=0.03)
    assert np.corrcoef(gradients.ravel(), velocities.ravel())[0, 1] == pytest.approx(floor.correlation, abs=0.01)
    assert np.mean(np.sign(velocities[1:]) != np.sign(velocities[:-1])) == pytest.approx(floor.flips, abs=0.01)


def test_where_nothing_is_stable_there_is_no_floor():
    floor = noise_floor(Method.of("momentum", gamma=0.5, eta=np.array([0.1, 4.0])), 1.0)
    assert np.isfinite(floor.loss[0])
    assert np.isinf(floor.loss[1])
    assert np.isnan(floor.flips[1])
    assert np.isinf(noise_floor(Method.of("momentum", gamma=0.5, eta=0.1), [0.0, 1.0]).theta).tolist() == [True, False]


@pytest.mark.parametrize("batch", [1, 3, 6])
def test_the_trace_behind_a_noise_scale_is_right_on_average_over_all_batches(batch):
    gradients = np.random.default_rng(0).standard_normal((7, 4)) + 2
    whole = (gradients.mean(axis=0) ** 2).sum()
    squares = np.array([(gradients[list(some)].mean(axis=0) ** 2).sum() for some in combinations(range(7), batch)])
    scales = gradient_noise_scale(squares, whole, batch, 7)
    traces = scales * whole / (1 + scales / 7)  # tr Σ of each, by which its share was found
    trace = gradients.var(axis=0, ddof=1).sum()
    assert traces.mean() == pytest.approx(trace, rel=1e-12)  # some roundings
    # A batch that has exactly the usual noise gives the scale itself.
    usual = whole + trace * (1 / batch - 1 / 7)
    assert gradient_noise_scale(usual, whole, batch, 7) == pytest.approx(trace / (whole - trace / 7), rel=1e-12)
