"""The best γ and η for curvatures between μ and L, alone and together, and what a tuning needs.

For momentum both edges decide: everything between them converges at least as fast as the slower of the two.

    both             η = (2/(√L + √μ))²,  √γ = (√κ − 1)/(√κ + 1) = rate                   Polyak 1964
    γ alone          √γ = max(|1 − √(ημ)|, |1 − √(ηL)|) = rate
    η alone          η = 2(1 + γ)/(L + μ),  rate² − (1 + γ)·(κ − 1)/(κ + 1)·rate + γ = 0,  or √γ where that is complex

In the second line each edge is fastest at its own critical γ, (1 − √ηλ)², faster with more γ below it and √γ above; so
the larger of the two is best. In the third the traces 1 + γ − ημ and 1 + γ − ηL are opposite numbers: any other η makes
one of them larger, and the rate grows with it.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from momentumlab.theory.method import Method, Numbers
from momentumlab.theory.modes import trajectory
from momentumlab.theory.stability import limit, rate

_GRID = 64
_MOST_STEPS = 2**18  # followed update by update
_FOLLOWED = 2**24  # numbers


class Tuning(NamedTuple):
    """γ and η with the factor by which they shrink the distance in an update."""

    gamma: float
    eta: float
    rate: float


def gradient_descent(smallest: float, largest: float) -> Tuning:
    """The best η without momentum: 2/(L + μ), rate (κ − 1)/(κ + 1). Curvatures 0 < μ ≤ L."""
    return best_eta(0.0, smallest, largest)


def heavy_ball(smallest: float, largest: float) -> Tuning:
    """The best γ and η of momentum, rate (√κ − 1)/(√κ + 1). Curvatures 0 < μ ≤ L. Polyak 1964."""
    low, high = math.sqrt(smallest), math.sqrt(largest)
    reached = (high - low) / (high + low)
    return Tuning(reached**2, (2 / (high + low)) ** 2, reached)


def nesterov_standard(smallest: float, largest: float) -> Tuning:
    """Nesterov's own: η = 1/L, γ = (√κ − 1)/(√κ + 1), rate 1 − 1/√κ. Right for all strongly convex functions."""
    root = math.sqrt(largest / smallest)
    return Tuning((root - 1) / (root + 1), 1 / largest, 1 - 1 / root)


def nesterov_on_quadratics(smallest: float, largest: float) -> Tuning:
    """Nesterov's best on quadratics: η = 4/(3L + μ), rate 1 − 2/√(3κ + 1). Lessard, Recht and Packard 2016."""
    root = math.sqrt(3 * largest / smallest + 1)
    return Tuning((root - 2) / (root + 2), 4 / (3 * largest + smallest), 1 - 2 / root)


def best_gamma(eta: float, smallest: float, largest: float) -> Tuning | None:
    """The best γ of momentum at this η, (1 − √(ηλ))² of the slower edge; None where no γ is stable, ηL ≥ 4."""
    reached = max(abs(1 - math.sqrt(eta * smallest)), abs(1 - math.sqrt(eta * largest)))
    return Tuning(reached**2, eta, reached) if reached < 1 else None


def best_eta(gamma: float, smallest: float, largest: float) -> Tuning:
    """The best η of momentum at this γ: 2(1 + γ)/(L + μ), which is 1 + γ times that of gradient descent.

    Where every direction oscillates the rate is √γ, and other η have the same.
    """
    half = (1 + gamma) / 2 * (largest - smallest) / (largest + smallest)
    rest = half**2 - gamma
    reached = half + math.sqrt(rest) if rest > 0 else math.sqrt(gamma)
    return Tuning(gamma, 2 * (1 + gamma) / (largest + smallest), reached)


def best_eta_of(method: Method, eigenvalues: npt.ArrayLike) -> tuple[float, float]:
    """η and the rate of any linear method whose other hyperparameters stay: (η, rate), η to about six digits.

    Searched between the smallest useful η and the limit, in grids that close in on the best. The limit must be finite
    and the eigenvalues (eigenvalue,) must bend upwards.
    """
    largest = float(np.max(eigenvalues))
    end = float(limit(method)) / largest
    low, high = math.log(end * 1e-8), math.log(end)
    best = (math.nan, math.inf)
    for _ in range(8):
        etas = np.exp(np.linspace(low, high, _GRID))
        rates = rate(method.at(eta=etas), eigenvalues)
        place = int(rates.argmin())
        best = min(best, (float(etas[place]), float(rates[place])), key=lambda found: found[1])
        step = 2 * (high - low) / (_GRID - 1)
        low, high = math.log(best[0]) - step, math.log(best[0]) + step
    return best


def steps_at(rate: float, accuracy: float = 1e-6) -> float:
    """The updates in which a distance that shrinks by `rate` in each comes down to `accuracy` of what it was.

    ln accuracy/ln rate: exact for gradient descent; a double root, as Polyak's tuning has, needs up to half more. inf
    where it does not shrink.
    """
    if rate >= 1:
        return math.inf
    return math.log(accuracy) / math.log(rate) if rate > 0 else 1.0


def distances(method: Method, eigenvalues: npt.ArrayLike, steps: int, start: npt.ArrayLike = 1.0) -> Numbers:
    """‖θ_t − θ*‖, (step,), from rest for t = 0 … steps: exact, every direction for itself.

    start: the distance in each direction of `eigenvalues`, (eigenvalue,), or one number for all.
    """
    path = trajectory(method, np.asarray(eigenvalues, np.float64), steps)
    with np.errstate(over="ignore"):
        lengths: Numbers = np.sqrt(((path * np.asarray(start)) ** 2).sum(-1))
    return lengths


def losses(method: Method, eigenvalues: npt.ArrayLike, steps: int, start: npt.ArrayLike = 1.0) -> Numbers:
    """J(θ_t) − J*, (step,), as `distances`: ½ Σ λ·x²."""
    path = trajectory(method, np.asarray(eigenvalues, np.float64), steps)
    with np.errstate(over="ignore", invalid="ignore"):
        excess: Numbers = 0.5 * (np.asarray(eigenvalues) * (path * np.asarray(start)) ** 2).sum(-1)
    return excess


def settled_steps(
    method: Method, eigenvalues: npt.ArrayLike, accuracy: float = 1e-6, start: npt.ArrayLike = 1.0
) -> int | None:
    """The updates after which ‖θ − θ*‖ ≤ accuracy·‖θ₀ − θ*‖ for ever: exact; None where that never is.

    Of very slow methods, and of very many directions, what `steps_at` says.
    """
    bending = np.asarray(eigenvalues, np.float64)
    shrinks = float(rate(method, bending))
    if shrinks >= 1 or (bending == 0).any():
        return None
    # Twice what the rate asks for. While the second half is all below, nothing comes back: the envelope falls, and
    # nobody stays below a millionth of it for as long as the way there took.
    steps = 16 + 2 * math.ceil(steps_at(shrinks, accuracy))
    while steps <= _MOST_STEPS and steps * bending.size <= _FOLLOWED:
        path = distances(method, bending, steps, start)
        above = np.flatnonzero(path > accuracy * path[0])
        last = int(above[-1]) + 1 if above.size else 0
        if last <= steps // 2:
            return last
        steps *= 2
    return math.ceil(steps_at(shrinks, accuracy))
