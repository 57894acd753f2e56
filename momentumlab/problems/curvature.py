"""The curvature of a problem: the eigenvalues of ∇²J at a point, exactly where that can be, otherwise their ends.

quadratic objectives     exact, the same everywhere
linear, mean squared     exact, the same everywhere, from the data's moments
other objectives         all eigenvalues at θ, from differences of the closed-form gradient
other models             the ends at θ by Lanczos, over all training data, each with its error
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from momentumlab.problems.formulas import ObjectiveProblem
from momentumlab.problems.problem import Problem
from momentumlab.theory.method import Numbers
from momentumlab.theory.spectrum import Gradient, hessian, lanczos, least_squares, least_squares_directions

if TYPE_CHECKING:
    from momentumlab.problems.models import ModelProblem

MOST_DIRECTIONS = 512
"""Parameters up to which vectors of a linear model are seen in eigendirections: to turn one takes their square."""
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
    if (found := everywhere(problem)) is not None:
        return found
    point = _point(problem, theta, seed)
    if isinstance(problem, ObjectiveProblem):
        return _of_objective(problem, point)
    model: Any = problem
    return _of_model(model, point, seed)


def everywhere(problem: Problem) -> Curvature | None:
    """The curvature of a problem that is known exactly and the same at every θ; None of any other problem."""
    if isinstance(problem, ObjectiveProblem):
        objective = problem.objective
        if objective.name == "quadratic":
            # Its gradient at (1, 1, …) is its eigenvalues, however many they are.
            found: Numbers = np.sort(objective.gradient(np.ones((1, objective.dimension)), np)[0])
            return Curvature(found, np.zeros_like(found), complete=True, quadratic=True)
        if objective.name not in _QUADRATIC:
            return None
        found = np.linalg.eigvalsh(_constant_hessian(problem)).astype(np.float64)
    else:
        model: Any = problem
        if not _is_small_least_squares(model):
            return None
        found = least_squares(model.dataset.x, model.dataset.y.shape[1])
    return Curvature(found, _rounding(found), complete=True, quadratic=True)


def eigendirections(problem: Problem) -> Numbers | None:
    """The eigenvectors of ∇²J, (parameter, direction), of length 1, of a problem with the same ones everywhere.

    None where they are the coordinates, and where there are none such or too many to be worth a product in every row.
    """
    if isinstance(problem, ObjectiveProblem):
        if problem.objective.name not in _QUADRATIC:
            return None
        vectors: Numbers = np.linalg.eigh(_constant_hessian(problem))[1]
        return vectors
    model: Any = problem
    size = sum(part.size for part in problem.parameters)
    if not problem.has_loss or size > MOST_DIRECTIONS or not _is_small_least_squares(model):
        return None
    return least_squares_directions(model.dataset.x, model.dataset.y.shape[1])


def sharpness(problem: Any, theta: npt.ArrayLike, *, seed: int = 0, tolerance: float = 1e-3) -> tuple[float, float]:
    """The largest eigenvalue at θ, (parameter,), and its error: what 2(1 + γ)/η is compared with. Cohen et al. 2021.

    Of a model ten to twenty products with the Hessian over all training data, each about three times a gradient.
    """
    if isinstance(problem, ObjectiveProblem) or _is_small_least_squares(problem):
        known = curvature(problem, theta)
        assert known is not None  # both have a landscape
        return known.largest, float(known.errors[-1])
    product = _Product(problem, np.asarray(theta, np.float64))
    ends = lanczos(product, product.size, seed=seed, tolerance=tolerance, most=_most(product.size), largest_only=True)
    return ends.largest, ends.largest_error


def _of_objective(problem: ObjectiveProblem, theta: Numbers) -> Curvature:
    found: Numbers = np.linalg.eigvalsh(hessian(_gradient_of(problem), theta)).astype(np.float64)
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


def _constant_hessian(problem: ObjectiveProblem) -> Numbers:
    return hessian(_gradient_of(problem), np.zeros(problem.objective.dimension), 1.0)


def _gradient_of(problem: ObjectiveProblem) -> Gradient:
    return lambda points: np.asarray(problem.objective.gradient(points, np), np.float64)


def _is_least_squares(problem: Any) -> bool:
    return bool(problem.loss_name == "mse" and len(problem.sizes) == 2)


def _is_small_least_squares(problem: Any) -> bool:
    if not hasattr(problem, "module"):  # it is of a few parameters, and has no torch in it
        return True
    return _is_least_squares(problem) and problem.dataset.x.shape[1] <= _WIDE


def _most(size: int) -> int:
    return max(2, min(_PRODUCTS, _BASIS_BYTES // (8 * size)))


def _rounding(found: Numbers) -> Numbers:
    return np.full_like(found, len(found) * np.finfo(np.float64).eps * np.abs(found).max())


def _point(problem: Problem, theta: npt.ArrayLike | None, seed: int) -> Numbers:
    if theta is not None:
        return np.asarray(theta, np.float64)
    start: Numbers = problem.arrays.numpy(problem.start([seed]))[0].astype(np.float64)
    return start


class _Landscape:
    """J over all training data around θ, through torch's own module in float64, a part of the samples at a time."""

    def __init__(self, problem: "ModelProblem", theta: Numbers) -> None:
        import torch

        self.torch = torch
        self._module = problem.module().double()
        self._criterion = problem.criterion()
        self._x, self._y = problem.x.double(), problem.y
        if self._y.is_floating_point():
            self._y = self._y.double()
        weights = list(self._module.parameters())
        torch.nn.utils.vector_to_parameters(torch.from_numpy(theta.copy()).to(self._x.device), weights)
        self.weights: Sequence[Any] = weights
        self.device = self._x.device

    def losses(self) -> Iterator[Any]:
        """J in parts whose sum it is, each with its graph."""
        torch = self.torch
        for x, y in zip(torch.split(self._x, _SAMPLES), torch.split(self._y, _SAMPLES), strict=True):
            yield self._criterion(self._module(x), y) * (len(x) / len(self._x))


class _Product:
    """v ↦ ∇²J·v over all training data: autograd, twice."""

    def __init__(self, problem: "ModelProblem", theta: Numbers) -> None:
        self._landscape = _Landscape(problem, theta)
        self.size = len(theta)

    def __call__(self, vector: Numbers) -> Numbers:
        torch, weights = self._landscape.torch, self._landscape.weights
        along = torch.from_numpy(vector).to(self._landscape.device)
        total = torch.zeros_like(along)
        for loss in self._landscape.losses():
            slope = _flat(torch, torch.autograd.grad(loss, weights, create_graph=True))
            # Where J is linear in a parameter it has no second derivative to go through.
            bends = torch.autograd.grad(slope @ along, weights, allow_unused=True, materialize_grads=True)
            total += _flat(torch, bends)
        product: Numbers = total.numpy(force=True)
        return product


def gradient_of_all(problem: "ModelProblem", theta: npt.ArrayLike) -> Numbers:
    """∇J over all training data at θ, (parameter,), in float64."""
    landscape = _Landscape(problem, np.asarray(theta, np.float64))
    torch = landscape.torch
    parts = (_flat(torch, torch.autograd.grad(loss, landscape.weights)) for loss in landscape.losses())
    slope: Numbers = sum(parts).numpy(force=True)
    return slope


def _flat(torch: Any, parts: Sequence[Any]) -> Any:
    return torch.cat([part.flatten() for part in parts])
