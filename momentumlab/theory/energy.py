"""The energy of a run, E = J(θ) + (γ/2η)·‖v‖², and what becomes of it: for momentum with constant γ and η.

From one update to the next, exactly, on any landscape:

    ΔE = −((1 − γ)/η)·‖v_t‖²  −  (γ/2η)·‖v_t − v_{t−1}‖²  +  curvature
           friction               turning                    ½·v_tᵀ·∇²J·v_t on a quadratic

The curvature's part is at most ½L‖v‖². So E never rises while η ≤ 2(1 − γ)/L, and then a run that starts from rest
never crosses a barrier higher than the loss it started with: all of its way, steps included, stays where J ≤ J(θ₀).
The coefficient is γ/2η, not ½. Zavriev and Kostyuk 1993; Ochs et al. 2014.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from momentumlab.theory.method import Numbers


class Ledger(NamedTuple):
    """Where the energy went, update by update: change = −friction − turning + curvature."""

    energy: Numbers  # (step,): E before update 1, 2, …, and after the last
    kinetic: Numbers  # (step,): its part (γ/2η)·‖v‖²
    friction: Numbers  # (update,): ((1 − γ)/η)·‖v‖², lost in the update
    turning: Numbers  # (update,): (γ/2η)·‖v_t − v_{t−1}‖², lost because v changed
    curvature: Numbers  # (update,): what the bend of the landscape gave back


def energy(loss: Any, velocity_norm: Any, gamma: Any, eta: Any) -> Any:
    """E, (…), of J(θ_t) and of the ‖v‖ that led to θ_t, classical form; with torch's buffers v is η·b."""
    return loss + kinetic(velocity_norm**2, gamma, eta)


def kinetic(square: Any, gamma: Any, eta: Any) -> Any:
    """(γ/2η)·‖v‖², (…), of ‖v‖²; of ‖v_t − v_{t−1}‖² what the turning of v takes."""
    return gamma / (2 * eta) * square


def friction(square: Any, gamma: Any, eta: Any) -> Any:
    """((1 − γ)/η)·‖v‖², (…), of ‖v‖²: what an update loses that makes this v."""
    return (1 - gamma) / eta * square


def ledger(loss: npt.ArrayLike, velocity: npt.ArrayLike, gamma: float, eta: float) -> Ledger:
    """The ledger of a run with constant γ and η.

    loss: J(θ_t), (step,). velocity: v after update t, (step, parameter), zero in row 0. Both as metrics.csv has them.
    """
    height, speed = np.asarray(loss, np.float64), np.asarray(velocity, np.float64)
    squares = (speed**2).sum(-1)
    moving, lost = kinetic(squares, gamma, eta), friction(squares[1:], gamma, eta)
    turned = kinetic((np.diff(speed, axis=0) ** 2).sum(-1), gamma, eta)
    whole = height + moving
    return Ledger(whole, moving, lost, turned, np.diff(whole) + lost + turned)


def barrier_eta(gamma: Any, smoothness: Any) -> Any:
    """2(1 − γ)/L, (…): up to this η momentum from rest cannot climb above the loss that it started with.

    L is the largest curvature where J ≤ J(θ₀).
    """
    return 2 * (1 - gamma) / smoothness
