"""Eigenvalues from products and from gradients, beside those of numpy on the whole matrix."""

import numpy as np
import pytest

from momentumlab.problems.objectives import OBJECTIVES
from momentumlab.theory.method import Method
from momentumlab.theory.modes import trajectory
from momentumlab.theory.spectrum import hessian, lanczos, least_squares
from tests.reference import case


def symmetric(eigenvalues, seed=0):
    """A matrix with these eigenvalues in directions that are drawn."""
    generator = np.random.default_rng(seed)
    directions = np.linalg.qr(generator.standard_normal((len(eigenvalues), len(eigenvalues))))[0]
    return directions * eigenvalues @ directions.T


@pytest.mark.parametrize(
    "eigenvalues",
    [np.geomspace(1e-3, 10, 200), np.linspace(-5, 3, 60), np.array([2.0]), np.array([1.0, 1, 1, 4]), np.zeros(5)],
    ids=["wide", "indefinite", "one", "repeated", "none"],
)
def test_the_ends_lie_within_their_errors(eigenvalues):
    matrix = symmetric(eigenvalues)
    found = lanczos(lambda vector: matrix @ vector, len(matrix), seed=1)
    rounding = 1e-13 * np.abs(eigenvalues).max()
    assert abs(found.largest - eigenvalues.max()) <= found.largest_error + rounding
    assert np.abs(eigenvalues - found.smallest).min() <= found.smallest_error + rounding
    assert found.products <= len(eigenvalues)


def test_no_eigenvalue_appears_twice_and_all_products_together_are_the_whole_space():
    eigenvalues = np.geomspace(1e-6, 1, 40)
    matrix = symmetric(eigenvalues)
    found = lanczos(lambda vector: matrix @ vector, 40, tolerance=0, most=1000)
    assert found.products == 40
    assert [found.smallest, found.largest] == pytest.approx([1e-6, 1], rel=1e-8)


def test_the_largest_alone_takes_few_products_and_the_seed_decides_all_digits():
    matrix = symmetric(np.geomspace(1e-3, 10, 300))
    alone, again = (lanczos(lambda vector: matrix @ vector, 300, tolerance=1e-3, largest_only=True) for _ in range(2))
    assert alone == again
    assert alone.products < 30
    assert alone.largest == pytest.approx(10, rel=1e-3)


def test_errors_that_remain_are_said():
    matrix = symmetric(np.geomspace(1e-3, 10, 300))
    found = lanczos(lambda vector: matrix @ vector, 300, most=5)
    assert found.products == 5
    assert found.largest_error > 0
    assert found.smallest_error > 0


def test_hessians_of_objectives():
    rosenbrock = OBJECTIVES["rosenbrock"]()
    x, y = -1.2, 1.0
    expected = [[1200 * x * x - 400 * y + 2, -400 * x], [-400 * x, 200]]
    np.testing.assert_allclose(hessian(lambda points: rosenbrock.gradient(points, np), [x, y]), expected, rtol=1e-8)
    booth = OBJECTIVES["booth"]()
    found = hessian(lambda points: booth.gradient(points, np), [0.0, 0.0], 1.0)
    np.testing.assert_array_equal(found, [[10, 8], [8, 10]])


def moments(x):
    """The Hessian of the mean squared error of y ≈ w·x + b, (2, 2): the article's regression."""
    return 2 * np.array([[np.mean(x * x), np.mean(x)], [np.mean(x), 1]])


def test_least_squares_is_the_matrix_of_the_moments():
    x = np.random.default_rng(0).standard_normal(100)
    expected = np.linalg.eigvalsh(moments(x))
    np.testing.assert_allclose(least_squares(x[:, None]), expected, rtol=1e-12)
    np.testing.assert_allclose(least_squares(x[:, None], 3), np.repeat(expected / 3, 3), rtol=1e-12)
    # fewer samples than parameters: the rest is flat
    assert (least_squares([[1.0, 2.0, 3.0]])[:3] == 0).all()


def test_the_articles_run_in_closed_form():
    """θ_T = θ* + Qᵀ·p_T(ηλ)·Q·(θ₀ − θ*), from the numbers of the reference alone."""
    import torch

    reference = case("regression-torch-seeded")
    for row in reference["expected"]["rows"]:
        generator = torch.Generator().manual_seed(row["seed"])
        x = torch.randn(100, 1, generator=generator)
        y = 2 * x + 1 + 0.1 * torch.randn(100, 1, generator=generator)
        x, y = x.double().numpy()[:, 0], y.double().numpy()[:, 0]
        np.testing.assert_allclose(least_squares(x[:, None]), row["hessian_eigenvalues"], rtol=1e-12)
        curvatures, directions = np.linalg.eigh(moments(x))
        best = np.linalg.solve(moments(x), 2 * np.array([np.mean(x * y), np.mean(y)]))
        np.testing.assert_allclose(best, row["ols"], rtol=1e-12)
        method = Method.of("momentum", gamma=row["gamma"], eta=reference["setting"]["lr"])
        factors = trajectory(method, curvatures, reference["setting"]["epochs"])[-1]
        end = best + directions @ (factors * (directions.T @ ([row["w0"], row["b0"]] - best)))
        np.testing.assert_allclose(end, [row["w_100"], row["b_100"]], rtol=0, atol=1e-12)
        tolerance = reference["tolerance"]["recursion_vs_torch_abs"]
        np.testing.assert_allclose(end, [row["torch_w"], row["torch_b"]], rtol=0, atol=tolerance)
