"""A plain loop over the gradients walks the reference's paths: the objectives are right where runs go."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from momentumlab.problems.objectives import Objective, build
from tests.reference import case

PATHS = case("testfun-trajectories")["expected"]["rows"]
WELLS = case("double-well-1d")["expected"]
COASTS = case("exactly-flat-coast")


def walk(objective: Objective, start: Any, gamma: Any, eta: float, steps: int) -> np.ndarray:
    """θ before and after each update of v ← γ·v + η·∇J, θ ← θ − v; (step, run, parameter)."""
    theta = np.atleast_2d(np.array(start, np.float64))
    velocity = np.zeros_like(theta)
    path = [theta]
    for _ in range(steps):
        velocity = gamma * velocity + eta * objective.gradient(theta, np)
        theta = theta - velocity
        path.append(theta)
    return np.array(path)


def objective(kind: str, **values: float) -> Objective:
    return build(SimpleNamespace(kind=kind, **values))


@pytest.mark.parametrize("row", PATHS, ids=lambda row: f"{row['f']}-{row['gamma']}-{row['steps']}")
def test_objectives_are_walked_as_in_the_reference(row: dict[str, Any]) -> None:
    landscape = objective(row["f"])

    path = walk(landscape, row["x0"], row["gamma"], row["eta"], row["steps"])

    np.testing.assert_allclose(path[-1], [row["x"]], rtol=0, atol=row["abs_tol"])
    slope = np.abs(landscape.gradient(path[-1], np)).sum()
    np.testing.assert_allclose(
        landscape.value(path[-1], np), row["f_value"], rtol=1e-12, atol=row["abs_tol"] * (1 + slope)
    )


@pytest.mark.parametrize("row", WELLS["rows"], ids=lambda row: str(row["gamma"]))
def test_the_double_well_is_left_or_not_as_in_the_reference(row: dict[str, Any]) -> None:
    landscape, tolerance = objective("double_well"), case("double-well-1d")["tolerance"]["abs"]
    barrier = WELLS["critical_points"][1]

    path = walk(landscape, [row["x0"]], row["gamma"], row["eta"], row["steps"])

    np.testing.assert_allclose(path[-1], row["x_final"], rtol=0, atol=tolerance)
    np.testing.assert_allclose(landscape.value(path[-1], np), row["f_final"], rtol=0, atol=tolerance)
    crossings = np.flatnonzero(np.diff(path.ravel() > barrier)) + 1
    assert len(crossings) == row["barrier_crossings"]
    assert (crossings[0] if len(crossings) else None) == row["first_crossing_step"]


def test_a_larger_step_without_inertia_stays_in_the_shallow_well() -> None:
    matched = WELLS["gd_matched_effective_lr"]
    path = walk(objective("double_well"), [matched["x0"]], 0.0, matched["eta"], 1000)
    np.testing.assert_allclose(path[-1], WELLS["critical_points"][2], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["critical_points", "critical_values"])
def test_the_double_well_has_the_critical_points_of_the_reference(name: str) -> None:
    landscape, critical = objective("double_well"), np.array(WELLS["critical_points"])[:, None]
    values = landscape.value(critical, np) if name == "critical_values" else critical[:, 0]

    np.testing.assert_allclose(values, WELLS[name], rtol=1e-14)
    np.testing.assert_allclose(landscape.gradient(critical, np), 0, atol=1e-15)  # a rounding of numbers near 1
    assert {(WELLS["critical_points"][0],), (WELLS["critical_points"][2],)} == set(landscape.minima)


@pytest.mark.parametrize("row", COASTS["expected"]["rows"], ids=lambda row: str(row["gamma"]))
def test_flat_ground_is_coasted_over_as_far_as_in_the_reference(row: dict[str, Any]) -> None:
    setting, tolerance = COASTS["setting"], COASTS["tolerance"]["abs"]
    wider_than_any_coast = objective("plateau", width=100.0)

    path = walk(wider_than_any_coast, [setting["x0"]], row["gamma"], setting["eta"], 5000).ravel()

    entry = row["entry_step"]
    # With γ = 0 the reference enters at step 10 by exact rationals: ten times 0.1 from −0.95 is 0.05.
    assert np.flatnonzero(path >= 0)[0] == entry
    np.testing.assert_allclose(path[entry], row["entry_x"], rtol=0, atol=tolerance)
    np.testing.assert_allclose(path[entry] - path[entry - 1], row["entry_speed"], rtol=0, atol=tolerance)
    # Relative to the coast: thousands of roundings of θ up to 39.
    np.testing.assert_allclose(path[-1], row["coast_limit_x"], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("row", COASTS["expected"]["rows"], ids=lambda row: str(row["gamma"]))
def test_only_enough_inertia_crosses_the_plateau(row: dict[str, Any]) -> None:
    setting, landscape = COASTS["setting"], objective("plateau", width=1.0)

    path = walk(landscape, [setting["x0"]], row["gamma"], setting["eta"], 6000).ravel()

    assert (path.max() > 1) == row["crosses_D_1"]
    if row["crosses_D_1"]:
        np.testing.assert_allclose(path[-1], landscape.minima[0][0], atol=1e-9)


def test_runs_walked_together_take_the_paths_that_they_take_alone() -> None:
    gammas = np.array([[0.0], [0.5], [0.9], [0.99]])
    landscape = objective("rosenbrock")

    together = walk(landscape, [landscape.start] * 4, gammas, 5e-4, 300)

    for run, gamma in enumerate(gammas[:, 0]):
        alone = walk(landscape, landscape.start, gamma, 5e-4, 300)
        np.testing.assert_array_equal(together[:, run], alone[:, 0])


def test_ackley_lets_momentum_out_and_never_lets_it_settle():
    reference = case("ackley-escape-no-settle")
    setting, expected = reference["setting"], reference["expected"]
    landscape = objective("ackley")
    path = walk(landscape, [setting["x0"]] * 3, np.array([[0.0], [0.5], [0.9]]), setting["eta"], 3000)
    tolerance = reference["tolerance"]["abs"]
    trapped = landscape.value(path[2000, :2], np)
    names = ["f_final_gamma_0_steps_2000", "f_final_gamma_0_5_steps_2000"]
    np.testing.assert_allclose(trapped, [expected[name] for name in names], rtol=0, atol=tolerance)
    low, high = expected["gamma_0_9_steps_2000_3000_f_between"]
    wandering = landscape.value(path[2000:, 2], np)
    assert (wandering >= low).all()
    assert (wandering <= high).all()
