"""Problems that are quadratics to the last digit: where their minimum lies, and how far above it θ stands.

J(θ) = J* + ½ Σ λᵢ·xᵢ², with xᵢ the distance from a minimum θ* along the i-th eigenvector of ∇²J: objectives without
noise that are quadratic, and linear models with the mean squared error, all of their data in every update.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from momentumlab.problems.formulas import ObjectiveProblem
from momentumlab.problems.problem import Problem
from momentumlab.theory.method import Numbers
from momentumlab.theory.spectrum import hessian

MOST_DIRECTIONS = 64
"""Up to so many parameters every eigenvector is known; of wider objectives the eigenvalues alone."""
_WIDEST = 4096
_FLAT = 1e-12  # of the largest curvature: what rounding leaves of a direction that does not bend
_ROTATED = "booth"


@dataclass(frozen=True)
class Quadratic:
    """J* + ½ Σ λᵢ·xᵢ² with its numbers, in float64; no λ is below 0."""

    curvature: Numbers  # λ, (direction,) from the smallest; 0 of directions that are flat
    vectors: Numbers | None  # (parameter, direction): the eigenvectors; None beyond MOST_DIRECTIONS
    minimum: Numbers  # θ*, (parameter,): of several the shortest
    loss: float  # J*

    @property
    def bending(self) -> Numbers:
        """The λ of the directions that bend, (direction,): along the others nothing moves."""
        bends: Numbers = self.curvature[self.curvature > 0]
        return bends

    def distances(self, theta: npt.ArrayLike) -> Numbers | None:
        """x, (direction,), of a θ (parameter,); None where the eigenvectors are not known."""
        if self.vectors is None:
            return None
        along: Numbers = self.vectors.T @ (np.asarray(theta, np.float64) - self.minimum)
        return along


def quadratic(problem: Problem, *, least_squares: bool) -> Quadratic | None:
    """The quadratic that a problem is; None where it is none, has no minimum, or is too wide to be known at once.

    `least_squares` says that the problem is a linear model with the mean squared error over all data.
    """
    size = sum(parameter.size for parameter in problem.parameters)
    if isinstance(problem, ObjectiveProblem):
        return _of_objective(problem) if size <= _WIDEST and not problem.noise else None
    if not least_squares or size > MOST_DIRECTIONS:
        return None
    data: Any = problem
    return _of_least_squares(data.dataset.x, data.dataset.y)


def _of_objective(problem: ObjectiveProblem) -> Quadratic | None:
    objective = problem.objective
    if objective.name == "quadratic":
        bends = np.asarray(objective.gradient(np.ones((1, objective.dimension)), np)[0], np.float64)
        order = np.argsort(bends, kind="stable")
        vectors = np.eye(len(bends))[:, order] if len(bends) <= MOST_DIRECTIONS else None
        return _upright(bends[order], vectors, np.zeros(len(bends)), 0.0)
    if objective.name != _ROTATED:
        return None
    bends, vectors = np.linalg.eigh(hessian(lambda points: objective.gradient(points, np), np.zeros(2), 1.0))
    return _upright(bends, vectors, np.array(problem.minima[0]), 0.0)


def _of_least_squares(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> Quadratic | None:
    # θ holds the weights output by output, then the biases: every output is a quadratic of its own, all of one bend.
    (samples, features), outputs = x.shape, y.shape[1]
    inputs = np.column_stack([x, np.ones(samples), y]).astype(np.float64)
    triangle = np.linalg.qr(inputs, mode="r") / np.sqrt(samples * outputs)  # samples no longer matter
    left, targets = triangle[:, : features + 1], triangle[:, features + 1 :]
    turned, singular, axes = np.linalg.svd(left)
    known = singular > np.sqrt(_FLAT) * singular.max()
    bends = np.zeros(features + 1)
    bends[: len(singular)] = np.where(known, 2 * singular**2, 0)
    along = (turned.T @ targets)[: len(singular)][known] / singular[known, None]  # (direction, output)
    best = axes[: len(singular)][known].T @ along  # (input, output)
    places = np.arange(features * outputs).reshape(outputs, features)
    theta, vectors = np.zeros(outputs * (features + 1)), np.zeros((outputs * (features + 1),) * 2)
    for output in range(outputs):
        own = [*places[output], outputs * features + output]
        theta[own] = best[:, output]
        vectors[np.ix_(own, range(output, len(theta), outputs))] = axes.T
    repeated = np.repeat(bends, outputs)
    order = np.argsort(repeated, kind="stable")
    return _upright(repeated[order], vectors[:, order], theta, float(((left @ best - targets) ** 2).sum()))


def _upright(bends: Numbers, vectors: Numbers | None, minimum: Numbers, loss: float) -> Quadratic | None:
    if not np.isfinite(bends).all() or not np.isfinite([*minimum, loss]).all() or bends[0] < 0 or not bends[-1]:
        return None
    return Quadratic(np.where(bends > _FLAT * bends[-1], bends, 0.0), vectors, minimum, loss)
