"""Claim 4, it smooths: how noise on the gradient keeps θ and v jittering about the minimum, over many seeds."""

from typing import Any

from momentumlab.claims.finding import Experiment, Finding, Quantity, Trial, word
from momentumlab.claims.quadratics import GAMMAS, momentum
from momentumlab.claims.training import Average, in_the_end
from momentumlab.theory.noise import noise_floor

_BOWL: dict[str, Any] = {"kind": "quadratic", "eigenvalues": [1.0], "start": [0.0], "noise": 1.0}  # λ = σ² = 1
_ETA = 0.1
_ERRORS = 4.0  # standard errors that a mean may be away
_SETTINGS = {
    "the same η = 0.1": [(gamma, _ETA) for gamma in GAMMAS],
    "the same η/(1 − γ) = 0.1": [(gamma, _ETA * (1 - gamma)) for gamma in GAMMAS],
}


def smooths(*, quick: bool) -> Finding:
    """Var θ, Var v and the share of updates that turn v around, at equal η and at equal η/(1 − γ)."""
    steps, seeds = (3000, 250) if quick else (16_000, 500)
    pairs = list(dict.fromkeys(pair for several in _SETTINGS.values() for pair in several))
    found = in_the_end(_BOWL, pairs, steps, seeds)
    same, matched = (
        _experiment(name, several, [pairs.index(pair) for pair in several], found, steps, seeds)
        for name, several in _SETTINGS.items()
    )
    return Finding(
        4,
        "更平滑的更新:减少随机梯度带来的噪声",
        "Its updates are smoother: less noise comes from random gradients.",
        (same, matched),
        [
            _trial("the jitter of v at the same η/(1 − γ)", matched, "var_v", "Var v"),
            _trial("the direction of v at the same η", same, "flips", "the share of updates that turn v around"),
            _trial("the noise floor at the same η", same, "var_theta", "Var θ"),
            _trial("the jitter of v at the same η", same, "var_v", "Var v"),
            _trial("the noise floor at the same η/(1 − γ)", matched, "var_theta", "Var θ"),
        ],
    )


def _experiment(
    name: str, pairs: list[tuple[float, float]], places: list[int], found: dict[str, Average], steps: int, seeds: int
) -> Experiment:
    floors = [noise_floor(momentum(*pair), 1.0) for pair in pairs]
    quantities = [
        # J is ½·θ² here.
        _quantity("var_theta", "Var θ", found["loss"], places, [float(floor.theta) for floor in floors], scale=2),
        _quantity("var_v", "Var v", found["jitter"], places, [float(floor.velocity) for floor in floors]),
        _quantity("flips", "turns of v", found["flips"], places, [float(floor.flips) for floor in floors]),
    ]
    setting = {"objective": _BOWL, "gamma": list(GAMMAS), "eta": [eta for _, eta in pairs]}
    return Experiment(name, setting | {"steps": steps, "seeds": seeds}, "γ", GAMMAS, quantities)


def _quantity(
    key: str, heading: str, found: Average, places: list[int], theory: list[float], scale: float = 1.0
) -> Quantity:
    measured, errors = scale * found.mean[places], scale * found.error[places]
    return Quantity((key,), heading, measured.tolist(), theory, (_ERRORS * errors).tolist())


def _trial(when: str, experiment: Experiment, key: str, what: str) -> Trial:
    values = experiment.of(key)
    words = f"{what} is {word(values[0.9])} with γ = 0.9, {word(values[0.0])} with γ = 0"
    return Trial.of_gain(when, words, values[0.0] / values[0.9])
