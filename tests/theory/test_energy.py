"""The energy of a run, its ledger and the barriers that it cannot cross."""

import numpy as np
import pytest

from momentumlab.optimizers.rules import RULES
from momentumlab.problems.objectives import OBJECTIVES
from momentumlab.theory.energy import barrier_eta, energy, ledger
from tests.reference import case


def walk(gradient, start, gamma, eta, steps):
    """θ and v, each (step, parameter), by the rule that trains."""
    theta, velocity = np.array(start, np.float64), np.zeros(len(start))
    path, speeds = [theta.copy()], [velocity.copy()]
    for _ in range(steps):
        theta, velocity = RULES["momentum"].update(theta, gradient(theta), velocity, gamma, eta)
        path.append(theta.copy())
        speeds.append(velocity.copy())
    return np.array(path), np.array(speeds)


def test_the_ledger_of_a_quadratic_balances():
    reference = case("energy-identity-quadratic")
    setting = reference["setting"]
    eigenvalues = np.array(setting["eigs"], np.float64)
    for gamma, eta in setting["pairs"]:
        path, speeds = walk(lambda theta: eigenvalues * theta, setting["x0"], gamma, eta, setting["steps"])
        loss = 0.5 * (eigenvalues * path**2).sum(-1)
        found = ledger(loss, speeds, gamma, eta)
        bend = 0.5 * (eigenvalues * speeds[1:] ** 2).sum(-1)
        residual = np.abs(found.curvature - bend) / found.energy[0]
        assert residual.max() < reference["expected"]["max_relative_residual_below"]
        np.testing.assert_allclose(found.energy, energy(loss, np.linalg.norm(speeds, axis=-1), gamma, eta), rtol=1e-14)
        np.testing.assert_array_equal(found.energy, loss + found.kinetic)
        if eta <= barrier_eta(gamma, eigenvalues[-1]):
            assert (np.diff(found.energy) <= 1e-12 * found.energy[0]).all()


def test_from_rest_momentum_crosses_no_barrier_above_its_start():
    reference = case("energy-barrier-theorem")
    expected, well = reference["expected"], OBJECTIVES["double_well"]()
    smoothness, rows = 3 * 1.4**2 - 1, expected["rows"]
    gamma = np.array([[row["gamma"]] for row in rows])
    eta = np.array([[row["eta"]] for row in rows])
    np.testing.assert_allclose(eta, 0.999 * barrier_eta(gamma, smoothness), rtol=1e-12)
    theta = np.full_like(gamma, reference["setting"]["x0"])
    velocity, before = np.zeros_like(theta), np.full(len(theta), np.inf)
    lowest, highest = theta.copy(), theta.copy()
    for _ in range(20_000):
        now = energy(well.value(theta, np), np.abs(velocity[:, 0]), gamma[:, 0], eta[:, 0])
        assert (now <= before + reference["tolerance"]["energy_increase_below"]).all()
        before = now
        theta, velocity = RULES["momentum"].update(theta, well.gradient(theta, np), velocity, gamma, eta)
        np.minimum(lowest, theta, out=lowest)
        np.maximum(highest, theta, out=highest)
    assert (lowest > reference["tolerance"]["min_x_above"]).all()
    np.testing.assert_allclose(lowest[:, 0], [row["min_x"] for row in rows], rtol=1e-9)
    np.testing.assert_allclose(highest[:, 0], [row["max_x"] for row in rows], rtol=1e-9)


def test_nothing_is_lost_in_a_ledger_of_one_row():
    found = ledger([1.0], [[0.0, 0.0]], 0.9, 0.1)
    assert found.energy == pytest.approx([1.0])
    assert found.friction.size == 0
