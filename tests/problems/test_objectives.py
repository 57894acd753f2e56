"""Every objective: its numbers, its gradient three ways, its minima, and the same bits in any stack."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from momentumlab.problems.objectives import OBJECTIVES, Objective, build
from tests.reference import case

DEFINITIONS = {entry["name"]: entry for entry in case("testfun-definitions")["expected"]["functions"]}
TOLERANCE = case("testfun-definitions")["tolerance"]
PROBES = [(name, probe) for name, entry in DEFINITIONS.items() for probe in entry["probes"]]


def specification(kind: str, **values: Any) -> SimpleNamespace:
    defaults = {"eigenvalues": [1.0, 100.0], "width": 1.0}
    return SimpleNamespace(kind=kind, **(defaults | values))


CASES = {
    **{kind: specification(kind) for kind in OBJECTIVES},
    "quadratic of one": specification("quadratic", eigenvalues=[3.0]),
    "quadratic of 300": specification("quadratic", eigenvalues=np.geomspace(1, 1e4, 300).tolist()),
    "wide plateau": specification("plateau", width=7.5),
}


@pytest.fixture(params=CASES)
def objective(request: pytest.FixtureRequest) -> Objective:
    return build(CASES[request.param])


def points(objective: Objective, count: int, seed: int = 0) -> np.ndarray:
    """`count` points of the domain, (run, parameter)."""
    low, high = np.array(objective.domain).T
    return np.random.default_rng(seed).uniform(low, high, (count, objective.dimension))


@pytest.mark.parametrize(("name", "probe"), PROBES)
def test_value_and_gradient_are_those_of_the_literature(name: str, probe: dict[str, Any]) -> None:
    objective = build(specification(name))
    theta = np.array([probe["x"]])

    value, gradient = objective.value(theta, np), objective.gradient(theta, np)

    np.testing.assert_allclose(value, [probe["f"]], rtol=TOLERANCE["rel"], atol=TOLERANCE["abs"])
    np.testing.assert_allclose(gradient, [probe["grad"]], rtol=TOLERANCE["rel"], atol=TOLERANCE["abs"])


@pytest.mark.parametrize(
    ("kind", "at", "value", "gradient"),
    [
        ("quadratic", [1, 1], 50.5, [1, 100]),
        ("quadratic", [-2, 0.5], 14.5, [-2, 50]),
        ("double_well", [2], 2.4, [6.2]),
        ("double_well", [-1], -0.45, [0.2]),
        ("inflection", [1], 7 / 12, [2]),
        ("inflection", [0], 0, [0]),
        ("plateau", [-0.5], 0.5, [-1]),
        ("plateau", [0], 0, [0]),
        ("plateau", [0.7], 0, [0]),
        ("plateau", [1], 0, [0]),
        ("plateau", [1.5], -0.375, [-0.5]),
        ("plateau", [4], 1.5, [2]),
        ("product", [5, 0.21], 0.00125, [0.0105, 0.25]),
    ],
)
def test_value_and_gradient_at_points_worked_out_by_hand(
    kind: str, at: list[float], value: float, gradient: list[float]
) -> None:
    objective = build(specification(kind))

    # A few roundings of numbers near 1.
    np.testing.assert_allclose(objective.value(np.array([at], float), np), [value], rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(objective.gradient(np.array([at], float), np), [gradient], rtol=1e-13)


def test_gradient_is_the_central_difference_of_the_value(objective: Objective) -> None:
    thetas = points(objective, 20)
    gradients = objective.gradient(thetas, np)
    # The rounding of J over 2e-5, and a third derivative (as large as J and ∇J on the domain) times 1e-10.
    scale = 1 + np.abs(objective.value(thetas, np)).max() + np.abs(gradients).max()
    for theta, gradient in zip(thetas, gradients, strict=True):
        spread = 1e-5 * np.eye(objective.dimension)
        slope = (objective.value(theta + spread, np) - objective.value(theta - spread, np)) / 2e-5
        np.testing.assert_allclose(slope, gradient, rtol=0, atol=1e-9 * scale)


def test_gradient_is_what_autograd_makes_of_the_value(objective: Objective) -> None:
    theta = torch.tensor(points(objective, 50), requires_grad=True)

    value = objective.value(theta, torch)
    (gradient,) = torch.autograd.grad(value.sum(), theta)

    # Some dozens of roundings, relative to the largest term; in beale's corners terms near 1e6 cancel.
    scale = float(gradient.abs().max())
    expected = objective.gradient(theta.detach(), torch)
    np.testing.assert_allclose(gradient.numpy(), expected.numpy(), rtol=1e-12, atol=1e-15 * scale)


def test_numpy_and_torch_agree(objective: Objective) -> None:
    theta = points(objective, 50)
    other = torch.from_numpy(theta)

    # The same formula; only cos, exp and the order of long sums may round otherwise.
    np.testing.assert_allclose(objective.value(theta, np), objective.value(other, torch), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(objective.gradient(theta, np), objective.gradient(other, torch), rtol=1e-13, atol=1e-13)


def test_at_a_known_minimum_the_gradient_is_zero_and_around_it_is_nothing_lower(objective: Objective) -> None:
    directions = np.random.default_rng(0).standard_normal((200, objective.dimension))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    for minimum in objective.minima:
        at = np.array([minimum])
        gradient = objective.gradient(at, np)
        # The minima are given to 16 digits: curvature (at most 1e4 here) times 1e-16.
        np.testing.assert_allclose(gradient, np.zeros_like(at), atol=1e-11)
        assert (objective.value(at + 1e-3 * directions, np) > objective.value(at, np)).all()


@pytest.mark.parametrize("name", DEFINITIONS)
def test_minima_are_those_of_the_reference(name: str) -> None:
    objective = build(specification(name))
    listed = [entry for entry in DEFINITIONS[name]["minima"] if entry["kind"].startswith(("global", "local"))]
    planar = [(tuple(entry["x"]), entry["f"]) for entry in listed if "x" in entry]
    for point, value in planar:
        assert point in objective.minima
        np.testing.assert_allclose(objective.value(np.array([point]), np), value, atol=1e-12)
    if name != "styblinski_tang":  # there the reference lists them by coordinate
        assert len(objective.minima) == len(planar)


def test_the_minima_of_styblinski_tang_are_all_pairs_of_the_minima_by_coordinate() -> None:
    by_kind = {entry["kind"]: entry for entry in DEFINITIONS["styblinski_tang"]["minima"]}
    deep, shallow = by_kind["global"], by_kind["local"]
    expected = {
        (a["x_per_dim"], b["x_per_dim"]): a["f_per_dim"] + b["f_per_dim"]
        for a in (deep, shallow)
        for b in (deep, shallow)
    }

    objective = build(specification("styblinski_tang"))

    assert set(objective.minima) == set(expected)
    for point, value in expected.items():
        np.testing.assert_allclose(objective.value(np.array([point]), np), value, rtol=1e-13)


def test_global_minima_come_first(objective: Objective) -> None:
    if objective.minima:
        values = objective.value(np.array(objective.minima), np)
        assert values[0] <= values.min() + 1e-12  # himmelblau's four are equal but for rounding


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_run_has_the_same_bits_alone_and_in_any_stack(objective: Objective, dtype: str) -> None:
    theta = points(objective, 64).astype(dtype)
    alone = [(objective.value(row[None], np), objective.gradient(row[None], np)) for row in theta]

    for size in (1, 2, 3, 7, 64):
        value, gradient = objective.value(theta[:size], np), objective.gradient(theta[:size], np)
        assert value.dtype == gradient.dtype == dtype
        assert value.shape == (size,)
        assert gradient.shape == (size, objective.dimension)
        assert value.tobytes() == b"".join(solo.tobytes() for solo, _ in alone[:size])
        assert gradient.tobytes() == b"".join(solo.tobytes() for _, solo in alone[:size])


def test_a_run_does_not_notice_that_its_neighbours_diverge(objective: Objective) -> None:
    theta = points(objective, 16)
    wild = theta.copy()
    wild[1::4], wild[2::4], wild[3::4] = 1e300, np.inf, np.nan

    with np.errstate(all="ignore"):
        value, gradient = objective.value(wild, np), objective.gradient(wild, np)

    assert value[::4].tobytes() == objective.value(theta, np)[::4].tobytes()
    assert gradient[::4].tobytes() == objective.gradient(theta, np)[::4].tobytes()
    assert not np.isfinite(value[3::4]).any()


@pytest.mark.parametrize("kind", [kind for kind in OBJECTIVES if kind not in {"saddle", "monkey_saddle"}])
def test_far_out_the_value_is_not_taken_for_a_good_one(kind: str) -> None:
    """A run that was thrown to 1e200 must be seen to diverge."""
    objective = build(specification(kind))
    theta = np.array([[1e200] * objective.dimension, [-1e200] * objective.dimension])

    with np.errstate(all="ignore"):
        value = objective.value(theta, np)

    if kind != "ackley":  # which levels off at 20 + e
        assert not (value < 1e100).any()


def test_the_default_start_and_the_minima_lie_in_the_domain(objective: Objective) -> None:
    low, high = np.array(objective.domain).T
    assert len(objective.start) == objective.dimension
    for point in (objective.start, *objective.minima):
        assert (low <= point).all()
        assert (point <= high).all()


def test_the_default_starts_are_those_of_the_reference_trajectories() -> None:
    for row in case("testfun-trajectories")["expected"]["rows"]:
        assert list(build(specification(row["f"])).start) == row["x0"]


def test_the_name_is_the_one_that_an_experiment_uses() -> None:
    for kind in OBJECTIVES:
        assert build(specification(kind)).name == kind


def test_the_formula_can_be_set_as_a_title(objective: Objective) -> None:
    from matplotlib.mathtext import MathTextParser

    assert MathTextParser("path").parse(objective.formula).width > 0
    assert objective.source


@pytest.mark.parametrize("eigenvalues", [[1.0, 0.0], [1.0, -1.0]])
def test_a_quadratic_that_is_flat_or_falls_somewhere_has_no_single_minimum(eigenvalues: list[float]) -> None:
    assert build(specification("quadratic", eigenvalues=eigenvalues)).minima == ()


def test_a_quadratic_keeps_its_own_copy_of_the_eigenvalues() -> None:
    eigenvalues = [1.0, 2.0]
    objective = build(specification("quadratic", eigenvalues=eigenvalues))
    eigenvalues[0] = 50.0
    np.testing.assert_array_equal(objective.gradient(np.ones((1, 2)), np), [[1, 2]])


def test_at_the_tip_of_ackley_the_gradient_is_zero_for_autograd_too() -> None:
    objective = build(specification("ackley"))
    tip = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)

    (by_autograd,) = torch.autograd.grad(objective.value(tip, torch).sum(), tip)

    np.testing.assert_array_equal(objective.gradient(np.zeros((1, 2)), np), [[0, 0]])
    np.testing.assert_array_equal(by_autograd.numpy(), [[0, 0]])
    # 20 + e − 20 − e in float64.
    np.testing.assert_allclose(objective.value(np.zeros((1, 2)), np), 0, atol=1e-14)


def test_a_run_on_the_ridge_of_the_saddle_stays_on_it() -> None:
    objective = build(specification("saddle"))
    np.testing.assert_array_equal(objective.gradient(np.array([[0.7, 0.0]]), np)[:, 1], 0)


def test_the_minima_of_product_are_the_hyperbola() -> None:
    objective = build(specification("product"))
    x = np.array([0.25, 1.0, 4.0])
    theta = np.stack((x, 1 / x), axis=1)

    np.testing.assert_array_equal(objective.value(theta, np), 0)
    np.testing.assert_array_equal(objective.gradient(theta, np), 0)
