"""One direction of a quadratic: how a rule moves along an eigenvector of the Hessian, of curvature λ.

In that direction an update multiplies the state with a matrix (method.py), so all that can happen are powers of its
roots σ. For momentum they solve

    σ² − (1 + γ − ηλ)·σ + γ = 0

and are complex, an oscillation, for (1 − √γ)² < ηλ < (1 + √γ)²: then |σ| = √γ, whatever η and λ are. Polyak 1964; Goh
2017. Everything here takes any method that is linear, and arrays of curvatures and of hyperparameters that broadcast.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from momentumlab.theory.method import Method, Numbers


def roots(method: Method, curvature: npt.ArrayLike) -> npt.NDArray[np.complex128]:
    """σ, (…, state), the largest first: x is a sum of their powers, one update after another.

    A memory that never reaches θ, such as that of sgd, counts as root 0.
    """
    matrix = _seen(method.matrix(curvature))
    found = _of_two(matrix) if method.states == 2 else np.linalg.eigvals(matrix).astype(np.complex128)
    order = np.argsort(-np.abs(found), axis=-1, kind="stable")
    return np.take_along_axis(found, order, -1)


def spectral_radius(method: Method, curvature: npt.ArrayLike) -> Numbers:
    """max |σ|, (…): the factor by which the distance shrinks in an update, in the long run; above 1 it grows."""
    radius: Numbers = np.abs(roots(method, curvature)[..., 0])
    return radius


def angle(method: Method, curvature: npt.ArrayLike) -> Numbers:
    """φ in [0, π], (…): how far the largest root turns in an update.

    0 where x never changes its side, π where it changes it in every update. One oscillation takes 2π/φ updates, and φ/π
    is the share of updates that change the side.
    """
    turned: Numbers = np.abs(np.angle(roots(method, curvature)[..., 0]))
    return turned


def period(method: Method, curvature: npt.ArrayLike) -> Numbers:
    """2π/φ, (…): the updates of one oscillation; infinite where there is none."""
    with np.errstate(divide="ignore"):
        updates: Numbers = 2 * np.pi / angle(method, curvature)
    return updates


def trajectory(method: Method, curvature: npt.ArrayLike, steps: int) -> Numbers:
    """x_t/x_0 from rest, (step, …), for t = 0 … steps.

    For momentum with a double root r that is r^t·(1 + t·((1 − ηλ)/r − 1)).
    """
    matrix, first = method.matrix(curvature), method.matrix(curvature, at_rest=True)
    states = np.empty((steps + 1, *matrix.shape[:-1]))
    states[0] = np.eye(method.states)[0]
    states[1:2] = first[..., 0]
    done = 1
    with np.errstate(over="ignore", invalid="ignore"):  # beyond all floats: inf, and nan where two of them meet
        while done < steps:  # as many again at a time, with the matrix of so many updates
            more = min(done, steps - done)
            states[done + 1 : done + 1 + more] = (matrix @ states[1 : 1 + more, ..., None])[..., 0]
            matrix, done = matrix @ matrix, done + more
    return states[..., 0]


def envelope(method: Method, curvature: npt.ArrayLike, steps: int) -> Numbers:
    """What |x_t/x_0| from rest never exceeds and, again and again, touches: (step, …), for t = 0 … steps.

    With complex roots r·e^{±iφ}, x_t = r^t·(cos tφ + C·sin tφ/sin φ), C = x_1/r − cos φ. That is at most
    r^t·√(1 + (C/sin φ)²) and, since |sin tφ| ≤ t·sin φ, at most r^t·(1 + |C|·t): the smaller of the two. For momentum
    r = √γ. A direction that does not oscillate is its own envelope. For methods of two states.
    """
    path = np.abs(trajectory(method, curvature, steps))
    largest = roots(method, curvature)[..., 0]
    radius, cosine, sine = np.abs(largest), np.cos(np.angle(largest)), np.abs(np.sin(np.angle(largest)))
    turning = largest.imag != 0
    first = method.matrix(curvature, at_rest=True)[..., 0, 0]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        lead = first / radius - cosine
        times = np.arange(steps + 1.0).reshape(-1, *[1] * radius.ndim)
        reach = np.minimum(np.hypot(1, lead / sine), 1 + np.abs(lead) * times)
        bound: Numbers = np.where(turning, np.maximum(radius**times * reach, path), path)
    return bound


def peak(method: Method, curvature: float) -> tuple[float, int]:
    """The largest |x_t/x_0| from rest and the t of it: how far a stable method overshoots before it converges.

    With Polyak's tuning it is √κ/e in the steepest direction. (inf, 0) where the method is not stable. Danilova,
    Kulakova and Polyak 2018.
    """
    radius = float(spectral_radius(method, curvature))
    if radius >= 1:
        return math.inf, 0
    # t^(k−1)·r^t, the most that k equal roots can give, falls after (k − 1)/−ln r updates.
    steps = 2 + math.ceil(method.states / -math.log(radius)) if radius else 2
    path = np.abs(trajectory(method, curvature, steps))
    return float(path.max()), int(path.argmax())


def critical_gamma(eta_curvature: Any) -> Any:
    """γ = (1 − √(ηλ))², (…), for 0 < ηλ < 4: the γ of momentum at which a direction converges fastest, by √γ.

    Less is slower, and more oscillates longer. Qian 1999; Goh 2017.
    """
    return (1 - np.sqrt(eta_curvature)) ** 2


def critical_eta(gamma: Any, curvature: Any) -> Any:
    """η = (1 − √γ)²/λ, (…): from it on momentum oscillates in a direction, up to (1 + √γ)²/λ."""
    return (1 - np.sqrt(gamma)) ** 2 / curvature


def _of_two(matrix: Numbers) -> npt.NDArray[np.complex128]:
    # Half the trace plus and minus the root of what is left. Of two real roots the smaller one is the determinant
    # divided by the larger one: the difference would lose its digits.
    (a, b), (c, d) = np.moveaxis(matrix, (-2, -1), (0, 1))
    half = (a + d) / 2
    rest = np.sqrt((((a - d) / 2) ** 2 + b * c).astype(np.complex128))
    large = half + np.where(half < 0, -rest, rest)
    real = (rest.imag == 0) & (large != 0)
    small = np.where(real, (a * d - b * c) / np.where(large == 0, 1, large), half - (large - half))
    return np.stack([large, small], -1)


def _seen(matrix: Numbers) -> Numbers:
    """The matrix with zeros for every state that x does not depend on, now or later."""
    count = matrix.shape[-1]
    seen = np.zeros(matrix.shape[:-1], bool)
    seen[..., 0] = True
    for _ in range(count - 1):
        seen |= (seen[..., :, None] & (matrix != 0)).any(-2)
    kept: Numbers = matrix * (seen[..., :, None] & seen[..., None, :])
    return kept
