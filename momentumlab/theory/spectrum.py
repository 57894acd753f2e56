"""Eigenvalues of a Hessian: of a small one all of them, of a large one the ends, by its products with vectors.

Lanczos 1950, with every new direction made orthogonal to all before it, so that no eigenvalue appears twice. What it
finds carries its own error: an eigenvalue of the Hessian lies no further away than the residual ‖H·y − value·y‖.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from momentumlab.theory.method import Numbers

Product = Callable[[Numbers], Numbers]
"""v (parameter,) -> ∇²J·v (parameter,)"""
Gradient = Callable[[Numbers], Numbers]
"""θ (point, parameter) -> ∇J(θ) (point, parameter)"""

_STEP = np.cbrt(np.finfo(np.float64).eps)  # where the error of a central difference and its rounding are equal


@dataclass(frozen=True)
class Ends:
    """The two ends of a spectrum, each with the distance within which an eigenvalue lies for certain."""

    largest: float
    largest_error: float
    smallest: float
    smallest_error: float
    products: int  # that it took


def lanczos(
    product: Product,
    size: int,
    *,
    seed: int = 0,
    tolerance: float = 1e-6,
    most: int = 100,
    largest_only: bool = False,
) -> Ends:
    """The ends of the spectrum of a symmetric matrix of `size` that is known by its products.

    Stops once both errors, or that of the largest, are below `tolerance` times the largest magnitude, or after `most`
    products, or when nothing of the space is left. The largest is there after ten or twenty; the smallest of an
    ill-conditioned matrix may never be, which its error says. What no product can show is an eigenvalue whose
    direction the seeded start lacks.
    """
    generator = np.random.default_rng(seed)
    most = min(most, size)
    basis = np.empty((most, size))
    diagonal, beside = np.empty(most), np.empty(most)
    direction = generator.standard_normal(size)
    scale, count, due = 0.0, 0, 1
    ends = Ends(0.0, np.inf, 0.0, np.inf, 0)
    while count < most:
        basis[count] = direction / np.linalg.norm(direction)
        image = product(basis[count])
        diagonal[count] = basis[count] @ image
        known = basis[: count + 1]
        direction = image - known.T @ (known @ image)
        direction -= known.T @ (known @ direction)  # a second time: the first leaves the rounding of large numbers
        beside[count] = np.linalg.norm(direction)
        scale = max(scale, float(np.linalg.norm(image)))
        count += 1
        closed = beside[count - 1] <= np.finfo(np.float64).eps * size * scale
        if count < due and count < most and not closed:
            continue
        due = count + 1 + count // 8  # to look every time would take longer than the products of a small model
        ends = _ends(diagonal[:count], beside[:count])
        error = ends.largest_error if largest_only else max(ends.largest_error, ends.smallest_error)
        if closed or error <= tolerance * scale:
            break
    return ends


def hessian(gradient: Gradient, theta: npt.ArrayLike, step: float = _STEP) -> Numbers:
    """∇²J, (parameter, parameter), at θ (parameter,): central differences of a gradient in closed form, in float64.

    Good to about ten digits. Where J is a quadratic any step is exact but for rounding, and 1 is the best.
    """
    point = np.asarray(theta, np.float64)
    steps = np.diag(step * np.maximum(1.0, np.abs(point)))
    ahead, behind = point + steps, point - steps
    slopes = (gradient(ahead) - gradient(behind)) / np.diag(ahead - behind)[:, None]
    symmetric: Numbers = (slopes + slopes.T) / 2
    return symmetric


def least_squares(x: npt.ArrayLike, outputs: int = 1) -> Numbers:
    """The eigenvalues, (parameter,) from the smallest, of the mean squared error of a linear model with a bias.

    x: (sample, feature). H = 2·[[mean xxᵀ, mean x], [mean xᵀ, 1]]/outputs once for every output: the mean is over
    samples and outputs, and carries no ½.
    """
    inputs = _with_bias(x)
    # From the singular values: the products would lose half of the digits of the smallest.
    found = np.zeros(inputs.shape[1])
    singular = np.linalg.svd(inputs, compute_uv=False)
    found[: len(singular)] = 2 * singular**2 / (len(inputs) * outputs)
    return np.sort(np.tile(found, outputs))


def least_squares_directions(x: npt.ArrayLike, outputs: int = 1) -> Numbers:
    """The eigenvectors of the same Hessian, (parameter, direction), of length 1, each within one output.

    Parameters are the weights output by output, then the biases.
    """
    inputs = _with_bias(x)
    width = inputs.shape[1]
    _, _, rows = np.linalg.svd(np.linalg.qr(inputs, mode="r"))
    directions = np.zeros((outputs * width, outputs * width))
    for output in range(outputs):
        own = [*range(output * (width - 1), (output + 1) * (width - 1)), outputs * (width - 1) + output]
        directions[np.ix_(own, own)] = rows.T
    return directions


def _with_bias(x: npt.ArrayLike) -> Numbers:
    samples = np.asarray(x, np.float64)
    return np.column_stack([samples, np.ones(len(samples))])


def _ends(diagonal: Numbers, beside: Numbers) -> Ends:
    values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(beside[:-1], 1) + np.diag(beside[:-1], -1))
    errors = beside[-1] * np.abs(vectors[-1])
    return Ends(float(values[-1]), float(errors[-1]), float(values[0]), float(errors[0]), len(diagonal))
