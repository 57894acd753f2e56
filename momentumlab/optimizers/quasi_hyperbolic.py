"""Rules that are quasi-hyperbolic momentum under other names: the maps to it, and from it back.

Ma and Yarats 2019, in their letters, so that η and γ stay free for the rule that is mapped:

    m ← β·m + (1 − β)·∇J,   θ ← θ − α·((1 − ν)·∇J + ν·m)

In the end every gradient has moved θ by α times itself: 1 − ν of it at once, the rest through the average m.

A map takes hyperparameters by name and returns its formula beside the result. All numbers are fractions: 0.1/(1 − 0.9)
is 1, and ν = γ is a question with an answer. Each map is checked against the recursion of its paper in
tests/optimizers/test_equivalences.py.
"""

import inspect
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any, NamedTuple

Values = dict[str, Any]  # hyperparameters by name: a Fraction, or a list of them (gammas, weights)
ONE = Fraction(1)
ZERO = Fraction(0)
_ROUNDING = Fraction(1, 10**14)


class QuasiHyperbolic(NamedTuple):
    """α > 0, β in [0, 1) and ν, as exact numbers."""

    alpha: Fraction
    beta: Fraction
    nu: Fraction

    @property
    def plain(self) -> bool:
        """Whether nothing is remembered: gradient descent with η = α."""
        return not self.beta or _is(self.nu, ZERO)


class NoConstantsError(Exception):
    """No hyperparameters of the other rule give these iterates; the message is the end of a sentence that says why."""


class UndefinedError(Exception):
    """These hyperparameters describe no rule that could be mapped; the message says why."""


Read = Callable[..., tuple[str, QuasiHyperbolic]]
Written = Callable[[QuasiHyperbolic], tuple[str, Values]]


def _from_sgd(eta: Fraction) -> tuple[str, QuasiHyperbolic]:
    return "α = η, β = 0, ν = 0", QuasiHyperbolic(eta, ZERO, ZERO)


def _from_momentum(gamma: Fraction, eta: Fraction) -> tuple[str, QuasiHyperbolic]:
    return "α = η/(1 − γ), β = γ, ν = 1", QuasiHyperbolic(eta / (1 - gamma), gamma, ONE)


def _from_ema(gamma: Fraction, eta: Fraction) -> tuple[str, QuasiHyperbolic]:
    return "α = η, β = γ, ν = 1", QuasiHyperbolic(eta, gamma, ONE)


def _from_nesterov(gamma: Fraction, eta: Fraction) -> tuple[str, QuasiHyperbolic]:
    """θ is the look-ahead point, which Nesterov 1983 calls y: y = x + γ·(x − x₋), x⁺ = y − η·∇J(y)."""
    return "α = η/(1 − γ), β = γ, ν = γ", QuasiHyperbolic(eta / (1 - gamma), gamma, gamma)


def _from_qhm(gamma: Fraction, eta: Fraction, nu: Fraction) -> tuple[str, QuasiHyperbolic]:
    return "α = η, β = γ", QuasiHyperbolic(eta, gamma, nu)


def _from_aggmo(gammas: Sequence[Fraction], eta: Fraction, weights: Sequence[Fraction]) -> tuple[str, QuasiHyperbolic]:
    """Velocities of the same γ are one, with the sum of their weights; one with γ = 0 is the gradient itself."""
    together: defaultdict[Fraction, Fraction] = defaultdict(Fraction)
    for gamma, weight in zip(gammas, weights, strict=True):
        together[gamma] += weight
    direct = together.pop(ZERO, ZERO)
    moving = {gamma: weight for gamma, weight in together.items() if weight}
    if len(moving) > 1:
        several = ", ".join(f"{float(gamma):.6g}" for gamma in moving)
        raise NoConstantsError(f"it has one γ above 0, and here are several: {several}")
    gamma, weight = next(iter(moving.items()), (ZERO, ZERO))
    inertial = weight / (1 - gamma)
    if not direct + inertial:
        raise UndefinedError("the weights cancel each other: in the end no gradient moves θ")
    formula = "α = η·(w₀ + w/(1 − γ)), β = γ, ν = w/(1 − γ)/(w₀ + w/(1 − γ))"
    if not gamma:
        formula = "α = η·w₀, β = 0, ν = 0"
    hub = QuasiHyperbolic(eta * (direct + inertial), gamma, inertial / (direct + inertial))
    return f"{formula} with w₀ the weight of the gradient itself and w that of γ's velocity", hub


def _from_synthesized(eta: Fraction, beta1: Fraction, beta2: Fraction) -> tuple[str, QuasiHyperbolic]:
    """θ is y: y = x + β₂·(x − x₋), x⁺ = x + β₁·(x − x₋) − η·∇J(y). Lessard, Recht and Packard 2016, §6."""
    if beta1:
        nu = 1 - (1 - beta1) * beta2 / beta1
        formula = "α = η/(1 − β₁), β = β₁, ν = 1 − (1 − β₁)·β₂/β₁"
        return formula, QuasiHyperbolic(eta / (1 - beta1), beta1, nu)
    if beta2:
        raise UndefinedError("with beta1 = 0 it remembers the last gradient and none before it, which no average does")
    return _from_sgd(eta)


def _from_triple(smoothness: Fraction, convexity: Fraction) -> tuple[str, QuasiHyperbolic]:
    """θ is y, the point of the gradient. Van Scoy, Freeman and Lynch 2018."""
    if convexity > smoothness:
        raise UndefinedError("convexity (μ) is the least curvature and cannot exceed smoothness (L)")
    rho = 1 - _root(convexity / smoothness)
    beta1 = rho**2 / (2 - rho)
    beta2 = rho**2 / ((1 + rho) * (2 - rho))
    formula, hub = _from_synthesized((1 + rho) / smoothness, beta1, beta2)
    return f"ρ = 1 − √(μ/L), η = (1 + ρ)/L, β₁ = ρ²/(2 − ρ), β₂ = ρ²/((1 + ρ)·(2 − ρ)), {formula}", hub


def _from_schedule_free(eta: Fraction, beta: Fraction, c: Fraction) -> tuple[str, QuasiHyperbolic]:
    """θ is y: y = (1 − beta)·z + beta·x, z⁺ = z − η·∇J(y), x⁺ = (1 − c)·x + c·z⁺. Defazio et al. 2024, constant c."""
    return "α = η, β = 1 − c, ν = beta", QuasiHyperbolic(eta, 1 - c, beta)


def _from_pid(proportional: Fraction, integral: Fraction, derivative: Fraction) -> tuple[str, QuasiHyperbolic]:
    """θ − θ₀ = k_P·e + k_I·Σe + k_D·d, e = −∇J, d ← β·d + (1 − β)·(e − e₋): Ma and Yarats 2019 on Recht 2018."""
    if not derivative or derivative == proportional:
        raise UndefinedError("derivative (k_D) must be neither 0 nor equal to proportional (k_P): no β follows")
    beta = derivative / (derivative - proportional)
    hub = QuasiHyperbolic(integral, beta, proportional**2 / (integral * derivative))
    return "α = k_I, β = k_D/(k_D − k_P), ν = k_P²/(k_I·k_D)", hub


def _to_sgd(hub: QuasiHyperbolic) -> tuple[str, Values]:
    if not hub.plain:
        raise NoConstantsError(f"it has no memory, β = 0 or ν = 0, and here {_numbers(hub)}")
    return "η = α", {"eta": hub.alpha}


def _to_momentum(hub: QuasiHyperbolic) -> tuple[str, Values]:
    _require_memory_alone(hub)
    if hub.plain:
        return "γ = 0, η = α", {"gamma": ZERO, "eta": hub.alpha}
    return "γ = β, η = α·(1 − β)", {"gamma": hub.beta, "eta": hub.alpha * (1 - hub.beta)}


def _to_ema(hub: QuasiHyperbolic) -> tuple[str, Values]:
    _require_memory_alone(hub)
    if hub.plain:
        return "γ = 0, η = α", {"gamma": ZERO, "eta": hub.alpha}
    return "γ = β, η = α", {"gamma": hub.beta, "eta": hub.alpha}


def _to_nesterov(hub: QuasiHyperbolic) -> tuple[str, Values]:
    if hub.plain:
        return "γ = 0, η = α", {"gamma": ZERO, "eta": hub.alpha}
    if not _is(hub.nu, hub.beta):
        raise NoConstantsError(f"its step is the push and γ times the memory, ν = β, and here {_numbers(hub)}")
    return "γ = β, η = α·(1 − β)", {"gamma": hub.beta, "eta": hub.alpha * (1 - hub.beta)}


def _to_qhm(hub: QuasiHyperbolic) -> tuple[str, Values]:
    return "γ = β, η = α", {"gamma": hub.beta, "eta": hub.alpha, "nu": hub.nu}


def _to_aggmo(hub: QuasiHyperbolic) -> tuple[str, Values]:
    """Of the many ways to share a factor between η and the weights, the one in which momentum and Nesterov keep η."""
    if hub.plain:
        return "gammas = [0], η = α, weights = [1]", {"gammas": [ZERO], "eta": hub.alpha, "weights": [ONE]}
    eta = hub.alpha * (1 - hub.beta)
    if _is(hub.nu, ONE):
        formula = "gammas = [β], η = α·(1 − β), weights = [1]"
        return formula, {"gammas": [hub.beta], "eta": eta, "weights": [ONE]}
    weights = [(1 - hub.nu) / (1 - hub.beta), hub.nu]
    formula = "gammas = [0, β], η = α·(1 − β), weights = [(1 − ν)/(1 − β), ν]"
    return formula, {"gammas": [ZERO, hub.beta], "eta": eta, "weights": weights}


READ: Mapping[str, Read] = {
    "sgd": _from_sgd,
    "classical": _from_momentum,
    "torch": _from_momentum,
    "nesterov": _from_nesterov,
    "ema": _from_ema,
    "qhm": _from_qhm,
    "aggmo": _from_aggmo,
    "nesterov_1983": _from_nesterov,
    "synthesized_nesterov": _from_synthesized,
    "triple_momentum": _from_triple,
    "schedule_free": _from_schedule_free,
    "pid": _from_pid,
}
"""name -> what it is as quasi-hyperbolic momentum, by keyword: the formula and α, β, ν."""

WRITTEN: Mapping[str, Written] = {
    "sgd": _to_sgd,
    "classical": _to_momentum,
    "torch": _to_momentum,
    "nesterov": _to_nesterov,
    "ema": _to_ema,
    "qhm": _to_qhm,
    "aggmo": _to_aggmo,
}
"""name -> its hyperparameters for given α, β, ν, with the formula; NoConstantsError where there are none."""


def hyperparameters(name: str) -> tuple[str, ...]:
    """What a rule of READ takes."""
    return tuple(inspect.signature(READ[name]).parameters)


def rounded(number: Fraction | float) -> float:
    """The float nearest to it, an infinity where it is beyond them."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _require_memory_alone(hub: QuasiHyperbolic) -> None:
    if not _is(hub.nu, ONE) and not hub.plain:
        raise NoConstantsError(f"its step is the memory alone, ν = 1, and here {_numbers(hub)}")


def _is(one: Fraction, other: Fraction) -> bool:
    """Whether they are the same number, were it not for the 16 digits to which a computed one is typed."""
    return abs(one - other) <= _ROUNDING


def _numbers(hub: QuasiHyperbolic) -> str:
    return f"β = {rounded(hub.beta):.6g}, ν = {rounded(hub.nu):.6g}"


def _root(square: Fraction) -> Fraction:
    with localcontext(prec=50):
        return Fraction((Decimal(square.numerator) / square.denominator).sqrt())
