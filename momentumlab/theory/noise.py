"""The floor: how a rule jitters about the minimum in the end, under noise on the gradient.

In a direction of curvature λ the state obeys s ← M·s + b·ξ with ξ of variance σ², so its covariance P in the end solves
P = M·P·Mᵀ + σ²·b·bᵀ (Lyapunov). For momentum that is

    Var θ = ησ²(1 + γ) / (λ(1 − γ)(2(1 + γ) − ηλ))          Var v = 2η²σ² / ((1 − γ)(2(1 + γ) − ηλ))

At equal η the floor grows with 1/(1 − γ); at equal η/(1 − γ) it stays, and v jitters less by (1 − γ)/(1 + γ).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from momentumlab.theory.method import Method, Numbers
from momentumlab.theory.modes import spectral_radius


@dataclass(frozen=True)
class Floor:
    """What is left in the end, each (…) as the curvatures and hyperparameters; inf and nan where nothing is stable."""

    theta: Numbers  # Var θ, the square of a distance
    velocity: Numbers  # Var v
    loss: Numbers  # ½·λ·Var θ: how far J stays above its minimum in this direction
    correlation: Numbers  # between ∇J and the v that it is part of, −1 to 1
    flips: Numbers  # the share of updates in which v changes its side, 0 to 1


def noise_floor(method: Method, curvature: npt.ArrayLike, variance: float = 1.0) -> Floor:
    """The floor in directions of these curvatures λ > 0, with this variance σ² of the noise on each gradient.

    The floor of a quadratic's loss is the sum over its eigenvalues. For a method that is linear.
    """
    matrix, push, read = method.matrix(curvature), method.push(), method.velocity()
    bend = np.broadcast_to(np.asarray(curvature, np.float64), matrix.shape[:-2])
    drive = np.broadcast_to(push, matrix.shape[:-1])
    stable = spectral_radius(method, curvature) < 1
    covariance = _lyapunov(
        np.where(stable[..., None, None], matrix, 0), variance * drive[..., :, None] * drive[..., None, :]
    )
    moved = matrix @ covariance
    theta = covariance[..., 0, 0]
    velocity = np.einsum("...i,...ij,...j->...", read, covariance, read)
    next_velocity = np.einsum("...i,...ij,...j->...", read, moved, read)
    gradient = bend**2 * theta + variance
    together = bend * np.einsum("...i,...i->...", read, moved[..., 0]) + variance * (read * drive).sum(-1)
    return Floor(
        theta=np.where(stable, theta, np.inf),
        velocity=np.where(stable, velocity, np.inf),
        loss=np.where(stable, 0.5 * bend * theta, np.inf),
        correlation=np.where(stable, together / np.sqrt(np.abs(velocity * gradient)), np.nan),
        flips=np.where(stable, np.arccos(np.clip(next_velocity / velocity, -1, 1)) / np.pi, np.nan),
    )


def gradient_noise_scale(of_batch: Any, of_all: Any, batch: int, samples: int) -> Any:
    """tr Σ/‖G‖², (…): the batch size at which the noise of the gradient is as large as the gradient itself.

    of_batch and of_all are ‖∇J‖² of a batch drawn without repetition and of all samples, of which a batch has fewer.
    Then tr Σ = (‖g_B‖² − ‖g_N‖²)/(1/B − 1/N) is right on average over batches, and so is ‖G‖² = ‖g_N‖² − tr Σ/N. A
    single batch is a rough guess, which may fall below 0. McCandlish et al. 2018.
    """
    noise = (of_batch - of_all) / (1 / batch - 1 / samples)
    return noise / (of_all - noise / samples)


def _lyapunov(matrix: Numbers, source: Numbers) -> Numbers:
    # P written as one vector: (1 − M ⊗ M)·P = S. States are two, or few.
    count = matrix.shape[-1]
    twice = np.einsum("...ij,...kl->...ikjl", matrix, matrix).reshape(*matrix.shape[:-2], count**2, count**2)
    flat = source.reshape(*source.shape[:-2], count**2, 1)
    solved: Numbers = np.linalg.solve(np.eye(count**2) - twice, flat)
    return solved.reshape(source.shape)
