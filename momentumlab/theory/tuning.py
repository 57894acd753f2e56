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
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from momentumlab.optimizers.rules import RULES
from momentumlab.optimizers.update import Update
from momentumlab.theory.method import Method, Numbers
from momentumlab.theory.modes import trajectory
from momentumlab.theory.stability import limit, rate

_GRID = 64
_ZOOMS = 8
_MOST_STEPS = 2**18  # followed update by update
_FOLLOWED = 2**22  # numbers


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


def best_eta_of(method: Method, eigenvalues: npt.ArrayLike) -> Tuning:
    """The best η of any linear method whose other hyperparameters stay, to about six digits.

    Searched below the limit, in grids that close in on the best. eigenvalues, (eigenvalue,), must bend upwards; the γ
    of a method without one is nan.
    """
    bare = Method(replace(method.update, weight_decay=None), method.hyperparameters)  # a decay only lowers the limit
    end = float(limit(bare)) / float(np.max(eigenvalues))
    eta, reached = _search(lambda etas: rate(method.at(eta=etas), eigenvalues), end * np.geomspace(1e-8, 1, _GRID))
    return Tuning(float(method.hyperparameters.get("gamma", np.nan)), eta, reached)


def best_gamma_of(method: Method, eigenvalues: npt.ArrayLike) -> Tuning | None:
    """The best γ in [0, 1) of any linear method that has one and whose η stays; None where none is stable."""
    shares = np.geomspace(1e-5, 1, _GRID)  # of 1 − γ
    lost, reached = _search(lambda tried: rate(method.at(gamma=1 - tried), eigenvalues), shares)
    return Tuning(1 - lost, float(method.eta), reached) if reached < 1 else None


def best(method: Method, eigenvalues: npt.ArrayLike) -> Tuning | None:
    """The best γ and η of the method's rule for these eigenvalues, (eigenvalue,).

    None where one of them is not above 0, and where no η converges.

    Momentum, ema, Nesterov and gradient descent by their formulas. Of other rules, and with weight decay or dampening,
    the best η alone.
    """
    smallest, largest = float(np.min(eigenvalues)), float(np.max(eigenvalues))
    if smallest <= 0:
        return None
    tune = _TUNED.get(method.update)
    if tune:
        return tune(smallest, largest)
    found = best_eta_of(method, eigenvalues)
    return found if found.rate < 1 else None


def _average(smallest: float, largest: float) -> Tuning:
    # An average of gradients is momentum with (1 − γ)·η.
    gamma, eta, reached = heavy_ball(smallest, largest)
    return Tuning(gamma, eta / (1 - gamma), reached)


_TUNED = {
    Update(RULES[rule]): tune
    for rule, tune in {
        "sgd": gradient_descent,
        "momentum": heavy_ball,
        "torch_momentum": heavy_ball,
        "nesterov": nesterov_on_quadratics,
        "torch_nesterov": nesterov_on_quadratics,
        "ema": _average,
    }.items()
}


def _search(rates: Callable[[Numbers], Numbers], grid: Numbers) -> tuple[float, float]:
    """Where the rate is smallest, and how small: in a geometric grid, and in finer ones about its best place."""
    found = (math.nan, math.inf)
    for _ in range(_ZOOMS):
        reached = rates(grid)
        place = int(reached.argmin())
        found = min(found, (float(grid[place]), float(reached[place])), key=lambda one: one[1])
        step = (grid[1] / grid[0]) ** 2
        grid = np.geomspace(found[0] / step, min(found[0] * step, grid[-1]), _GRID)
    return found


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


def steps_to_loss(
    method: Method, eigenvalues: npt.ArrayLike, excess: float, start: npt.ArrayLike = 1.0, *, most: int = _MOST_STEPS
) -> npt.NDArray[np.int64]:
    """The updates, (…) as the method, after which J − J* ≤ excess for ever, from rest; −1 where not within `most`.

    start: the distance in each direction of `eigenvalues`, (eigenvalue,). Fewer updates than `most` are followed where
    all of the runs together are too many numbers.
    """
    bending = np.asarray(eigenvalues, np.float64)
    columns = (len(bending), *[1] * len(method.shape))
    shrinks = np.asarray(rate(method, bending))
    begun = float(0.5 * (bending * np.asarray(start) ** 2).sum())
    slowest = float(np.max(shrinks, where=shrinks < 1, initial=0))
    share = math.sqrt(min(1.0, excess / begun)) if begun else 1.0
    # Twice what the rate asks for, and some: a double root comes down later, and what comes back has come back by then.
    steps = min(most, 16 + 2 * math.ceil(steps_at(slowest, share)), _FOLLOWED // (4 * bending.size * shrinks.size))
    path = trajectory(method, bending.reshape(columns), steps)
    with np.errstate(over="ignore", invalid="ignore"):
        weights = (0.5 * bending * np.asarray(start) ** 2).reshape(columns)
        above = ~((weights * path**2).sum(1) <= excess)
    last = steps - above[::-1].argmax(0)
    settled: npt.NDArray[np.int64] = np.where(above.any(0), last + 1, 0)
    return np.where((settled <= steps) & (shrinks < 1), settled, -1)


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
