"""The curvature of a problem: the eigenvalues of ∇²J at a point, exactly where that can be, otherwise their ends.

quadratic objectives     exact, the same everywhere
linear, mean squared     exact, the same everywhere, from the data's moments
other objectives         all eigenvalues at θ, from differences of the closed-form gradient
other models             the ends at θ by Lanczos, over all training data, each with its error
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from momentumlab.problems.formulas import ObjectiveProblem
from momentumlab.problems.problem import Problem
from momentumlab.theory.method import Numbers
from momentumlab.theory.spectrum import hessian, lanczos, least_squares

if TYPE_CHECKING:
    from momentumlab.problems.models import ModelProblem

_FLAT = 1e-12  # of the largest curvature: what rounding leaves of a direction that does not bend
_QUADRATIC = ("booth", "saddle")
_WIDE = 4096  # features up to which all eigenvalues of a linear model are computed
_SAMPLES = 4096  # whose second derivatives are held at once
_PRODUCTS = 80
_BASIS_BYTES = 2**28


@dataclass(frozen=True)
class Curvature:
    """The eigenvalues of ∇²J that are known, with the distance within which each truly lies."""

    eigenvalues: Numbers  # (eigenvalue,) from the smallest: all of them, or the two ends
    errors: Numbers  # (eigenvalue,)
    complete: bool  # whether these are all
    quadratic: bool  # whether they are the same everywhere, so that theory's rates are exact

    @property
    def largest(self) -> float:
        """L, which the limits of η are about."""
        return float(self.eigenvalues[-1])

    @property
    def smallest(self) -> float:
        """The smallest eigenvalue: below 0 at a saddle, 0 where some direction is flat."""
        return float(self.eigenvalues[0])

    @property
    def bending(self) -> Numbers:
        """The eigenvalues that are not 0 but for their error, (eigenvalue,): along the others nothing moves."""
        sizes = np.abs(self.eigenvalues)
        bending: Numbers = self.eigenvalues[sizes > np.maximum(self.errors, _FLAT * sizes.max())]
        return bending

    @property
    def condition(self) -> float | None:
        """κ = L/μ, with μ the smallest curvature that is not flat; None at a saddle, on flat ground, or if unknown."""
        bending = self.bending
        known = self.complete or len(bending) == len(self.eigenvalues)
        return float(bending[-1] / bending[0]) if known and bending.size and bending[0] > 0 else None


def curvature(problem: Problem, theta: npt.ArrayLike | None = None, *, seed: int = 0) -> Curvature | None:
    """The curvature of J at θ, (parameter,), by default the start of `seed`; None where there is no landscape.

    `seed` is also that of Lanczos' first direction. Of a model J is the loss over all training data, in float64.
    """
    if not problem.has_loss:
        return None
    if isinstance(problem, ObjectiveProblem):
        return _of_objective(problem, _point(problem, theta, seed))
    from momentumlab.problems.least_squares import LeastSquares  # loads torch, which no objective needs

    model: Any = problem
    x, y = model.dataset.x, model.dataset.y
    if isinstance(problem, LeastSquares) or (_is_least_squares(model) and x.shape[1] <= _WIDE):
        found = least_squares(x, y.shape[1])
        return Curvature(found, _rounding(found), complete=True, quadratic=True)
    return _of_model(model, _point(problem, theta, seed), seed)


def sharpness(problem: Any, theta: npt.ArrayLike, *, seed: int = 0, tolerance: float = 1e-3) -> tuple[float, float]:
    """The largest eigenvalue at θ, (parameter,), and its error: what 2(1 + γ)/η is compared with. Cohen et al. 2021.

    Of a model ten to twenty products with the Hessian over all training data, each about three times a gradient.
    """
    if isinstance(problem, ObjectiveProblem) or not hasattr(problem, "module"):  # otherwise least squares
        known = curvature(problem, theta)
        assert known is not None  # both have a landscape
        return known.largest, float(known.errors[-1])
    product = _Product(problem, np.asarray(theta, np.float64))
    ends = lanczos(product, product.size, seed=seed, tolerance=tolerance, most=_most(product.size), largest_only=True)
    return ends.largest, ends.largest_error


def _of_objective(problem: ObjectiveProblem, theta: Numbers) -> Curvature:
    objective = problem.objective
    found: Numbers
    if objective.name == "quadratic":
        # Its gradient at (1, 1, …) is its eigenvalues, however many they are.
        found = np.sort(objective.gradient(np.ones((1, objective.dimension)), np)[0])
        return Curvature(found, np.zeros_like(found), complete=True, quadratic=True)

    def gradient(points: Numbers) -> Numbers:
        return np.asarray(objective.gradient(points, np), np.float64)

    if objective.name in _QUADRATIC:
        found = np.linalg.eigvalsh(hessian(gradient, np.zeros_like(theta), 1.0)).astype(np.float64)
        return Curvature(found, _rounding(found), complete=True, quadratic=True)
    found = np.linalg.eigvalsh(hessian(gradient, theta)).astype(np.float64)
    return Curvature(found, np.full_like(found, 1e-8 * np.abs(found).max()), complete=True, quadratic=False)


def _of_model(problem: "ModelProblem", theta: Numbers, seed: int) -> Curvature:
    product = _Product(problem, theta)
    ends = lanczos(product, product.size, seed=seed, most=_most(product.size))
    return Curvature(
        np.array([ends.smallest, ends.largest]),
        np.array([ends.smallest_error, ends.largest_error]),
        complete=False,
        quadratic=_is_least_squares(problem),
    )


def _is_least_squares(problem: Any) -> bool:
    return bool(problem.loss_name == "mse" and len(problem.sizes) == 2)


def _most(size: int) -> int:
    return max(2, min(_PRODUCTS, _BASIS_BYTES // (8 * size)))


def _rounding(found: Numbers) -> Numbers:
    return np.full_like(found, len(found) * np.finfo(np.float64).eps * np.abs(found).max())


def _point(problem: Problem, theta: npt.ArrayLike | None, seed: int) -> Numbers:
    if theta is not None:
        return np.asarray(theta, np.float64)
    start: Numbers = problem.arrays.numpy(problem.start([seed]))[0].astype(np.float64)
    return start


class _Product:
    """v ↦ ∇²J·v over all training data: autograd, twice, through torch's own module in float64."""

    def __init__(self, problem: "ModelProblem", theta: Numbers) -> None:
        import torch

        self._torch = torch
        self._module = problem.module().double()
        self._criterion = problem.criterion()
        self._x, self._y = problem.x.double(), problem.y
        if self._y.is_floating_point():
            self._y = self._y.double()
        weights = list(self._module.parameters())
        torch.nn.utils.vector_to_parameters(torch.from_numpy(theta.copy()).to(self._x.device), weights)
        self._weights: Sequence[Any] = weights
        self.size = len(theta)

    def __call__(self, vector: Numbers) -> Numbers:
        torch = self._torch
        along = torch.from_numpy(vector).to(self._x.device)
        total = torch.zeros_like(along)
        for x, y in zip(torch.split(self._x, _SAMPLES), torch.split(self._y, _SAMPLES), strict=True):
            loss = self._criterion(self._module(x), y) * (len(x) / len(self._x))
            slopes = torch.autograd.grad(loss, self._weights, create_graph=True)
            slope = torch.cat([part.flatten() for part in slopes])
            # Where J is linear in a parameter it has no second derivative to go through.
            bends = torch.autograd.grad(slope @ along, self._weights, allow_unused=True, materialize_grads=True)
            total += torch.cat([part.flatten() for part in bends])
        product: Numbers = total.numpy(force=True)
        return product
