"""The best γ and η: against other people's numbers, and against trying all of them."""

import math
from fractions import Fraction

import numpy as np
import pytest

from momentumlab.optimizers.quasi_hyperbolic import READ
from momentumlab.theory.fit import settled, steps_to
from momentumlab.theory.method import Method
from momentumlab.theory.modes import spectral_radius, trajectory
from momentumlab.theory.stability import rate
from momentumlab.theory.tuning import (
    best,
    best_eta,
    best_eta_of,
    best_gamma,
    best_gamma_of,
    distances,
    gradient_descent,
    heavy_ball,
    losses,
    nesterov_on_quadratics,
    nesterov_standard,
    settled_steps,
    steps_at,
    steps_to_loss,
)
from tests.reference import case

EDGES = [(1.0, 1.0), (1.0, 3.0), (0.5, 50.0), (1.0, 1e4)]


def momentum(tuning):
    return Method.of("momentum", gamma=tuning.gamma, eta=tuning.eta)


def triple_momentum(condition):
    _, hub = READ["triple_momentum"](smoothness=Fraction(condition), convexity=Fraction(1))
    return Method.of("qhm", gamma=float(hub.beta), eta=float(hub.alpha), nu=float(hub.nu))


def test_polyaks_tuning():
    reference = case("quad-optimal-tuning")
    for row in reference["expected"]["rows"]:
        best, plain = heavy_ball(row["mu"], row["L"]), gradient_descent(row["mu"], row["L"])
        expected = [row["gamma_star"], row["eta_star"], row["rate_hb"]]
        assert best == pytest.approx(expected, rel=reference["tolerance"]["rel"])
        assert plain[1:] == pytest.approx([row["eta_gd_opt"], row["rate_gd_opt"]], rel=reference["tolerance"]["rel"])


def test_rates_of_the_methods():
    reference = case("lrp-table1-rates")
    for row in reference["expected"]["rows"]:
        condition, tolerance = row["kappa"], reference["tolerance"]["abs"]
        tunings = {"heavy-ball optimal": heavy_ball, "gd 2/(L+m)": gradient_descent, "nag standard": nesterov_standard}
        tunings["nag quadratic-optimal"] = nesterov_on_quadratics
        if row["method"] == "triple momentum":
            method = triple_momentum(condition)
        elif row["method"] == "gd 1/L":
            method = Method.of("sgd", eta=1 / condition)
        else:
            best = tunings[row["method"]](1.0, condition)
            assert best.rate == pytest.approx(row["rate"], rel=0, abs=tolerance)
            assert best.eta == pytest.approx(row["params"]["alpha"], rel=1e-12)
            assert best.gamma == pytest.approx(row["params"].get("beta", 0), rel=1e-12)
            method = Method.of("nesterov" if "nag" in row["method"] else "momentum", gamma=best.gamma, eta=best.eta)
        assert rate(method, np.geomspace(1, condition, 2001)) == pytest.approx(row["rate"], rel=0, abs=tolerance)


def test_gohs_three_eigenvalues():
    reference = case("goh-three-eigenvalues")
    expected, tolerance = reference["expected"], reference["tolerance"]["abs"]
    eigenvalues = reference["setting"]["eigs"]
    plain, best = (tuning(min(eigenvalues), max(eigenvalues)) for tuning in (gradient_descent, heavy_ball))
    assert plain[1:] == pytest.approx([expected["gd_eta"], expected["gd_rate"]], rel=0, abs=tolerance)
    names = ["hb_gamma", "hb_eta", "hb_rate"]
    assert best == pytest.approx([expected[name] for name in names], rel=0, abs=tolerance)
    found = spectral_radius(momentum(best), eigenvalues)
    assert found == pytest.approx(expected["hb_mode_rates"], rel=0, abs=tolerance)


@pytest.mark.parametrize("row", case("quad-iteration-counts")["expected"]["rows"], ids=lambda r: f"{r['method']}")
def test_iteration_counts(row):
    condition = row["kappa"]
    eigenvalues = np.array([1.0, condition]) if row["spectrum"] == "2d" else np.geomspace(1, condition, 50)
    tuning = {
        "gd_1overL": lambda low, high: (0.0, 1 / high),
        "gd_opt": gradient_descent,
        "hb_opt": heavy_ball,
        "nag_std": nesterov_standard,
        "nag_quad_opt": nesterov_on_quadratics,
    }.get(row["method"])
    steps = 2 * row["settled_k_dist"] + 50
    if row["method"] == "tmm":
        path = trajectory(triple_momentum(condition), eigenvalues, steps)
        rho = 1 - 1 / math.sqrt(condition)
        ahead = rho**2 / ((1 + rho) * (2 - rho))
        between = iterates(path, ahead)
        # x = (1 + δ)·ξ − δ·ξ₋
        share = rho**2 / (1 - rho**2)
        before = np.concatenate([between[:1], between[:-1]])
        path = (1 + share) * between - share * before
    else:
        gamma, eta = tuning(1.0, condition)[:2]
        rule = "nesterov" if "nag" in row["method"] else "momentum"
        path = trajectory(Method.of(rule, gamma=gamma, eta=eta), eigenvalues, steps)
        if rule == "nesterov":
            path = iterates(path, gamma)
    lengths = np.sqrt((path**2).sum(-1))
    excess = (eigenvalues * path**2).sum(-1)
    slack = case("quad-iteration-counts")["tolerance"]["abs_int"]
    assert abs(steps_to(lengths, 1e-6 * lengths[0]) - row["first_k_dist"]) <= slack
    assert abs(settled(lengths, 1e-6 * lengths[0]) - row["settled_k_dist"]) <= slack
    assert abs(steps_to(excess, 1e-6 * excess[0]) - row["first_k_f"]) <= slack
    assert lengths.max() / lengths[0] == pytest.approx(row["peak_dist_ratio"], rel=1e-9)


def iterates(path, ahead):
    """x of the points y = x + ahead·(x − x₋) where the gradients are taken, (step, direction); y₀ = x₀."""
    found = [path[0]]
    for point in path[1:]:
        found.append((point + ahead * found[-1]) / (1 + ahead))
    return np.array(found)


@pytest.mark.parametrize("identifier", ["claim1-same-eta", "claim1-false-kappa1"])
def test_counts_of_claim_1(identifier):
    reference = case(identifier)
    setting, slack = reference["setting"], reference["tolerance"]["abs_int"]
    for row in reference["expected"]["rows"]:
        method = Method.of("momentum", gamma=row["gamma"], eta=setting["eta"])
        found = settled_steps(method, setting["eigs"], setting["tol"])
        assert abs(found - row["settled_k"]) <= slack
        path = distances(method, setting["eigs"], found)
        assert abs(steps_to(path, setting["tol"] * path[0]) - row["first_k"]) <= slack


def test_gradient_descent_needs_exactly_what_its_rate_says():
    plain = gradient_descent(1.0, 100.0)
    assert settled_steps(momentum(plain), [1.0, 100.0]) == math.ceil(steps_at(plain.rate)) == 691
    assert settled_steps(Method.of("sgd", eta=3.0), [1.0]) is None
    assert settled_steps(Method.of("sgd", eta=1.0), [0.0, 1.0]) is None  # a flat direction never comes closer
    assert settled_steps(Method.of("sgd", eta=1e-9), [1.0]) == math.ceil(steps_at(1 - 1e-9))
    assert steps_at(1.0) == math.inf
    assert steps_at(0.0) == 1


@pytest.mark.parametrize(("smallest", "largest"), EDGES)
def test_best_gamma_at_an_eta_is_better_than_all_others(smallest, largest):
    gammas = np.linspace(0, 0.9999, 4_001)
    for share in (1e-3, 0.3, 1.0, 1.9, 2.5, 3.9):
        eta = share / largest
        tried = rate(Method.of("momentum", gamma=gammas, eta=eta), np.linspace(smallest, largest, 9))
        best = best_gamma(eta, smallest, largest)
        # half of the digits at a double root; between two of the γ tried the rate falls by the root of their distance
        assert rate(Method.of("momentum", gamma=best.gamma, eta=eta), [smallest, largest]) == pytest.approx(
            best.rate, abs=1e-7
        )
        assert tried.min() - 2e-2 < best.rate < tried.min() + 1e-7
    assert best_gamma(4.0 / largest, smallest, largest) is None


@pytest.mark.parametrize("gamma", [0.0, 0.3, 0.9, 0.99])
@pytest.mark.parametrize(("smallest", "largest"), EDGES)
def test_best_eta_at_a_gamma_is_better_than_all_others(smallest, largest, gamma):
    etas = np.linspace(0, 2 * (1 + gamma) / largest, 8_001)[1:-1]
    tried = rate(Method.of("momentum", gamma=gamma, eta=etas), np.geomspace(smallest, largest, 9))
    best = best_eta(gamma, smallest, largest)
    assert rate(momentum(best), [smallest, largest]) == pytest.approx(best.rate, abs=1e-7)
    assert tried.min() - 2e-2 < best.rate < tried.min() + 1e-7
    assert best_eta_of(momentum(best), [smallest, largest]).rate == pytest.approx(best.rate, abs=1e-4)


def test_both_together_are_as_good_as_either_after_the_other():
    best = heavy_ball(1.0, 100.0)
    assert best_gamma(best.eta, 1.0, 100.0) == pytest.approx(best, rel=1e-12)
    assert best_eta(best.gamma, 1.0, 100.0) == pytest.approx(best, rel=1e-7)  # at the edge of a complex root


def test_the_best_eta_of_nesterov_is_lessards():
    best = nesterov_on_quadratics(1.0, 100.0)
    method = Method.of("nesterov", gamma=best.gamma, eta=1.0)
    assert best_eta_of(method, np.geomspace(1, 100, 20)) == pytest.approx(best, rel=1e-4)
    assert best_gamma_of(method.at(eta=best.eta), np.geomspace(1, 100, 20)) == pytest.approx(best, rel=1e-4)


TUNED = ["sgd", "momentum", "torch_momentum", "nesterov", "torch_nesterov", "ema"]


@pytest.mark.parametrize("rule", TUNED)
def test_the_best_of_a_rule_has_the_rate_that_it_says_and_nothing_near_is_better(rule):
    eigenvalues = np.geomspace(1, 50, 20)
    found = best(Method.of(rule, gamma=0.5, eta=1.0), eigenvalues)
    gammas = np.clip(found.gamma * np.geomspace(0.9, 1.1, 15), 0, 0.999)[:, None] if rule != "sgd" else np.zeros((1, 1))
    tried = rate(Method.of(rule, gamma=gammas, eta=found.eta * np.geomspace(0.9, 1.1, 15)), eigenvalues)
    assert rate(Method.of(rule, gamma=found.gamma, eta=found.eta), eigenvalues) == pytest.approx(found.rate, abs=1e-6)
    assert tried.min() >= found.rate - 1e-6


def test_the_best_of_other_rules_is_their_best_eta():
    method = Method.of("qhm", gamma=0.9, nu=0.7, eta=1.0)
    assert best(method, [1.0, 50.0]) == best_eta_of(method, [1.0, 50.0])
    assert math.isnan(best(Method.of("aggmo", gammas=[0.0, 0.9], eta=1.0), [1.0, 50.0]).gamma)
    decayed = Method.of("sgd", eta=1.0, weight_decay=1.0)
    assert best(decayed, [1.0, 50.0])[1:] == pytest.approx(gradient_descent(2.0, 51.0)[1:], rel=1e-4)
    assert best(method, [-1.0, 50.0]) is None
    assert best_gamma_of(Method.of("momentum", gamma=0.9, eta=1.0), [1.0, 50.0]) is None
    alone = best_gamma_of(Method.of("momentum", gamma=0.9, eta=0.01), [1.0, 50.0])
    assert alone == pytest.approx(best_gamma(0.01, 1.0, 50.0), rel=1e-3)


def test_losses_are_the_squares_of_distances():
    method = Method.of("momentum", gamma=0.9, eta=0.01)
    np.testing.assert_allclose(losses(method, [4.0], 20, [0.5]), 2 * distances(method, [4.0], 20, [0.5]) ** 2)


def test_steps_to_a_loss_are_those_of_the_exact_losses():
    generator = np.random.default_rng(1)
    curvature, start = np.array([0.5, 2.0, 3.0]), np.array([1.0, -2.0, 0.3])
    gamma, eta = generator.uniform(0, 0.98, 60), generator.uniform(0.01, 1.6, 60)
    found = steps_to_loss(Method.of("momentum", gamma=gamma, eta=eta), curvature, 0.01, start)
    for place in range(60):
        method = Method.of("momentum", gamma=gamma[place], eta=eta[place])
        expected = settled(losses(method, curvature, 5000, start), 0.01)
        unstable = rate(method, curvature) >= 1
        assert found[place] == (-1 if unstable or expected is None else expected)


def test_steps_to_a_loss_that_is_not_reached_in_time_or_was_there_from_the_start():
    method = Method.of("sgd", eta=0.01)
    assert steps_to_loss(method, [1.0], 1e-6, most=50) == -1
    assert steps_to_loss(method, [1.0], 0.6) == 0
    assert steps_to_loss(method.at(eta=2.5), [1.0], 0.1) == -1
