"""One direction of a quadratic, against numbers that were computed elsewhere."""

import math

import numpy as np
import pytest

from momentumlab.theory.fit import settled
from momentumlab.theory.method import Method
from momentumlab.theory.modes import (
    angle,
    critical_eta,
    critical_gamma,
    envelope,
    peak,
    period,
    roots,
    spectral_radius,
    trajectory,
)
from momentumlab.theory.stability import is_stable
from momentumlab.theory.tuning import best_gamma, gradient_descent, heavy_ball
from tests.reference import case


def rows(identifier):
    """The rows of a case as columns, and its tolerance for numpy; None where a row has none."""
    reference = case(identifier)
    found = reference["expected"]["rows"]
    names = {name for row in found for name in row}
    columns = {name: np.array([row.get(name, np.nan) for row in found]) for name in names}
    tolerance = reference["tolerance"]
    return columns, {"rtol": tolerance.get("rel", 0), "atol": tolerance.get("abs", 0)}


def momentum(columns):
    return Method.of("momentum", gamma=columns["gamma"], eta=1.0)


def test_rate_table():
    columns, tolerance = rows("quad-rate-table")
    np.testing.assert_allclose(spectral_radius(momentum(columns), columns["eta_lambda"]), columns["rho"], **tolerance)


def test_trajectory_from_rest():
    columns, tolerance = rows("quad-mode-trajectory")
    path = trajectory(momentum(columns), columns["eta_lambda"], int(columns["t"].max()))
    found = path[columns["t"], np.arange(len(columns["t"]))]
    np.testing.assert_allclose(found, columns["x_over_x0"], **tolerance)


def test_angle_period_and_sign_flips_of_an_oscillation():
    columns, tolerance = rows("quad-oscillation-period")
    swings = columns["regime"] == "underdamped"
    found, curvature = momentum(columns), columns["eta_lambda"]
    np.testing.assert_allclose(angle(found, curvature)[swings], columns["phi"][swings], **tolerance)
    np.testing.assert_allclose(period(found, curvature)[swings], columns["period"][swings], **tolerance)
    flips = columns["sign_flips_per_step"][swings]
    np.testing.assert_allclose(angle(found, curvature)[swings] / np.pi, flips, **tolerance)
    assert (angle(found, curvature)[~swings] == 0).all()
    assert np.isinf(period(found, curvature)[~swings]).all()
    np.testing.assert_allclose(spectral_radius(found, curvature)[~swings], columns["rho"][~swings], **tolerance)


def test_range_of_oscillation():
    reference = case("quad-oscillation-period")
    for gamma, (low, _) in reference["expected"]["underdamped_range"].items():
        assert critical_eta(float(gamma), 1.0) == pytest.approx(low, rel=0, abs=reference["tolerance"]["abs"])


def test_critical_damping():
    columns, tolerance = rows("quad-critical-damping")
    gammas = critical_gamma(columns["eta_lambda"])
    np.testing.assert_allclose(gammas, columns["gamma_critical"], **tolerance)
    np.testing.assert_allclose(np.sqrt(gammas), columns["rate"], **tolerance)
    # a double root keeps half of the digits
    found = Method.of("momentum", gamma=gammas, eta=1.0)
    np.testing.assert_allclose(spectral_radius(found, columns["eta_lambda"]), columns["rate"], atol=1e-7)


def test_boundary_of_stability_and_the_runs_on_both_sides():
    reference = case("quad-stability-boundary")
    for row in reference["expected"]["rows"]:
        found = Method.of("momentum", gamma=row["gamma"], eta=row["eta_lambda"])
        assert bool(is_stable(found, [1.0])) == row["converges"]
        last = abs(trajectory(found, 1.0, 6000)[-1])
        limit = reference["setting"]["converged_below" if row["converges"] else "blowup"]
        assert last < limit if row["converges"] else not last < limit


def test_transient_growth():
    reference = case("quad-transient-growth")
    for row in reference["expected"]["rows"]:
        gamma, eta, _ = heavy_ball(1.0, row["kappa"])
        highest, at = peak(Method.of("momentum", gamma=gamma, eta=eta), row["kappa"])
        assert highest == pytest.approx(row["peak"], rel=reference["tolerance"]["rel"])
        assert at == row["t_peak"]
        assert peak(Method.of("momentum", gamma=gamma, eta=eta), 1.0) == (1.0, 0)
    assert peak(Method.of("sgd", eta=3.0), 1.0) == (math.inf, 0)


def test_the_zigzag_at_optimal_tunings_is_as_long_as_gradient_descents():
    reference = case("quad-zigzag-not-reduced")
    for row in reference["expected"]["rows"]:
        for tuning, name in ((heavy_ball, "hb"), (gradient_descent, "gd")):
            gamma, eta, rate = tuning(1.0, row["kappa"])
            steps = math.ceil(40 / -math.log(rate))
            path = trajectory(Method.of("momentum", gamma=gamma, eta=eta), row["kappa"], steps)
            expected = row[f"total_variation_{name}"]
            assert np.abs(np.diff(path)).sum() == pytest.approx(expected, rel=reference["tolerance"]["rel"])


def test_steep_direction_of_claim_2():
    reference = case("claim2-steep-direction")
    setting = reference["setting"]
    for row in reference["expected"]["rows"]:
        found = Method.of("momentum", gamma=row["gamma"], eta=row["eta_lambda"])
        assert spectral_radius(found, 1.0) == pytest.approx(row["rate"], abs=1e-12)
        with np.errstate(over="ignore"):
            steps = settled(np.abs(trajectory(found, 1.0, setting["steps"])), setting["tol"])
        expected = row["settled_1e_3"]
        assert steps == expected if expected is None else abs(steps - expected) <= reference["tolerance"]["abs_int"]


def test_escape_from_a_saddle():
    reference = case("strict-saddle-escape")
    for row in reference["expected"]["rows"]:
        found = Method.of("momentum", gamma=row["gamma"], eta=reference["setting"]["eta"])
        growth = spectral_radius(found, -2.0)
        assert growth == pytest.approx(row["growth_root"], rel=0, abs=reference["tolerance"]["abs"])
        path = row["y0"] * trajectory(found, -2.0, 200)
        assert int(np.argmax(np.abs(path) >= 1)) == row["steps"]
        assert path[200] / (row["y0"] * growth**200) == pytest.approx(row["amplitude"], rel=1e-10)  # 200 roundings


def test_the_articles_regression_on_its_population():
    reference = case("regression-population")
    tolerance = reference["tolerance"]["abs"]
    eta, curvature = (reference["setting"][name] for name in ("eta", "lam"))
    for row in reference["expected"]["rows"]:
        found = Method.of("momentum", gamma=row["gamma"], eta=eta)
        path = trajectory(found, curvature, 4000)
        assert path[100] == pytest.approx(row["p_100"], rel=0, abs=tolerance)
        assert 2 * (1 - path[100]) == pytest.approx(row["final_w_from_w0_0"], rel=0, abs=tolerance)
        assert path[100] ** 2 == pytest.approx(row["excess_ratio"], rel=0, abs=tolerance)
        assert spectral_radius(found, curvature) == pytest.approx(row["rate"], rel=0, abs=1e-7)  # near a double root
        assert settled(np.abs(path), 1e-3) == row["settle_1e_3"]
    best = best_gamma(eta, curvature, curvature)
    assert best.gamma == pytest.approx(reference["expected"]["best_gamma"], rel=0, abs=tolerance)
    assert best.rate == pytest.approx(reference["expected"]["best_rate"], rel=0, abs=tolerance)


def test_a_memory_that_never_reaches_theta_has_no_say():
    # ν = 0 is gradient descent, and the average that it keeps all the same decays by γ alone
    assert spectral_radius(Method.of("qhm", gamma=0.9, eta=0.5, nu=0.0), 1.0) == pytest.approx(0.5)
    np.testing.assert_array_equal(roots(Method.of("sgd", eta=0.25), 1.0), [0.75, 0])


def test_many_velocities_of_one_gamma_are_one():
    several = roots(Method.of("aggmo", gammas=[0.9], eta=0.1), 1.0)
    np.testing.assert_allclose(np.abs(several), np.abs(roots(Method.of("momentum", gamma=0.9, eta=0.1), 1.0)))


@pytest.mark.parametrize(("rule", "most"), [("momentum", 4), ("nesterov", 2), ("ema", 9)])
def test_no_direction_ever_leaves_its_envelope_and_touches_it_again_and_again(rule, most):
    generator = np.random.default_rng(0)
    gamma, curvature = generator.uniform(0, 0.995, 300), generator.uniform(0, most, 300)
    method = Method.of(rule, gamma=gamma, eta=1.0)
    path, bound = np.abs(trajectory(method, curvature, 400)), envelope(method, curvature, 400)
    assert (path <= bound * (1 + 1e-9)).all()  # and no more than the rounding of two ways to the same number
    assert (bound[0] == 1).all()
    real = roots(method, curvature)[:, 0].imag == 0
    assert (path[:, real] == bound[:, real]).all()
    # Of an oscillation of n updates some update comes as near as half a turn/n to the top of its wave, where the wave
    # itself is cos of that.
    turn = angle(method, curvature)[~real]
    waves = np.flatnonzero((turn > 0.06) & (turn < 0.6))
    nearest = (path[20:131, ~real][:, waves] / bound[20:131, ~real][:, waves]).max(0)
    assert (nearest > np.cos(turn[waves] / 2) - 1e-9).all()
    assert len(waves) > 10


def test_the_envelope_of_momentum_falls_with_the_root_of_gamma():
    method = Method.of("momentum", gamma=0.9, eta=1.0)
    bound = envelope(method, 0.5, 60)
    np.testing.assert_allclose(bound[30:] / bound[29:-1], math.sqrt(0.9), rtol=1e-12)


def test_the_envelope_of_a_double_root_and_of_a_run_that_diverges():
    method = Method.of("momentum", gamma=0.25, eta=1.0)
    times = np.arange(40)
    np.testing.assert_allclose(envelope(method, 0.25, 39), 0.5**times * (1 + 0.5 * times), rtol=1e-6)  # a root is lost
    assert envelope(method, 3.0, 40)[-1] > 1e3
