"""The velocity as a filter: v is a sum of past gradients, each weighted γ times less than the one after it.

    v_t = Σ_k γᵏ·η·∇J_{t−k}

Everything is a function of γ alone, in [0, 1), a number or an array (…). What a persistent gradient gains by it is
1/(1 − γ), what an alternating one keeps is 1/(1 + γ): never less than half. Goh 2017.
"""

from typing import Any

import numpy as np


def gain(gamma: Any, frequency: Any = 0.0) -> Any:
    """‖v‖/(η‖∇J‖), (…), of a gradient that turns by `frequency`, 0 to π, in every update: 1/√(1 − 2γ·cos ω + γ²).

    At 0, persistent, 1/(1 − γ): the terminal speed over a single push. At π, alternating, 1/(1 + γ).
    """
    return 1 / np.sqrt((1 - gamma) ** 2 + 4 * gamma * np.sin(np.asarray(frequency) / 2) ** 2)


def weights(gamma: float, count: int) -> Any:
    """γᵏ, (count,): the weight in v of the gradient of k updates ago."""
    return np.power(float(gamma), np.arange(count))


def half_life(gamma: Any) -> Any:
    """ln ½/ln γ, (…): the updates in which a push loses half of its weight; 0 for γ = 0."""
    return steps_to_share(gamma, 0.5)


def time_constant(gamma: Any) -> Any:
    """−1/ln γ, (…): the updates in which a push falls to 1/e; 0 for γ = 0."""
    return steps_to_share(gamma, 1 - np.exp(-1.0))


def steps_to_share(gamma: Any, share: float = 0.95) -> Any:
    """ln(1 − share)/ln γ, (…): the updates under a constant gradient until v has this share of its terminal speed."""
    with np.errstate(divide="ignore"):
        return np.log1p(-share) / np.log(gamma)


def stopping_distance(gamma: Any, velocity: Any = 1.0) -> Any:
    """v·γ/(1 − γ), (…): how far θ coasts on flat ground after a step of v; 0, 1, 9 and 99 steps for the usual γ."""
    return velocity * gamma / (1 - gamma)


def noise_power(gamma: Any) -> Any:
    """1/(1 − γ²), (…): the variance of v over that of η·∇J, for gradients that are noise."""
    return 1 / ((1 - gamma) * (1 + gamma))


def signal_to_noise(gamma: Any) -> Any:
    """√((1 + γ)/(1 − γ)), (…): by how much v tells a persistent gradient from noise better than one gradient does."""
    return np.sqrt((1 + gamma) / (1 - gamma))


def noise_alignment(gamma: Any) -> Any:
    """√(1 − γ²), (…): the cosine between ∇J and v where gradients are noise in very many dimensions."""
    return np.sqrt((1 - gamma) * (1 + gamma))


def noise_flips(gamma: Any) -> Any:
    """arccos(γ)/π, (…): the share of updates in which v changes its side, for gradients that are noise."""
    return np.arccos(gamma) / np.pi
