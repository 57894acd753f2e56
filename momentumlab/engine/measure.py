"""What is measured at a step: numbers per run, from what the stack sees there."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from momentumlab.arrays import Array, Arrays
from momentumlab.engine.stack import Look

Columns = dict[str, npt.NDArray[np.generic]]


def measure(look: Look, arrays: Arrays, minima: Sequence[Sequence[float]], vectors: bool) -> Columns:
    """One row a run: loss, norms, cosine, distance, γ, η and, if asked for, θ, ∇J and v.

    Columns that never apply (no landscape, no known minimum) are absent. Norms are free of overflow and underflow inside.
    """
    gradient, velocity = arrays.wide(look.gradient), arrays.wide(look.velocity)
    gradient_norm, velocity_norm = norm(gradient, arrays), norm(velocity, arrays)
    measured = {
        "gradient_norm": gradient_norm,
        "velocity_norm": velocity_norm,
        "cosine": cosine(gradient, velocity, arrays),
    }
    if look.loss is not None:
        measured = {"loss": look.loss} | measured
    if minima:
        measured["distance"] = distance(arrays.wide(look.theta), minima, arrays)
    columns: Columns = {
        name: arrays.numpy(values).astype(arrays.dtype) for name, values in measured.items()
    }
    columns |= {"gamma": look.gamma, "eta": look.eta}
    if vectors:
        for name, vector in (("theta", look.theta), ("gradient", look.gradient), ("velocity", look.velocity)):
            numbers = arrays.numpy(vector).copy()
            columns |= {f"{name}_{index}": numbers[:, index] for index in range(numbers.shape[1])}
    return columns


def norm(vector: Array, arrays: Arrays) -> Array:
    """‖vector‖ of every run, (run, parameter) -> (run,), float64: scaled, so that squares neither overflow nor vanish."""
    scale = _scale(vector, arrays)
    scaled = vector / scale[:, None]
    return scale * (scaled * scaled).sum(-1) ** 0.5


def cosine(one: Array, other: Array, arrays: Arrays) -> Array:
    """cos of the angle between two vectors of every run, (run,), float64; nan where one of them is zero."""
    one = one / _scale(one, arrays)[:, None]
    other = other / _scale(other, arrays)[:, None]
    lengths = ((one * one).sum(-1) * (other * other).sum(-1)) ** 0.5
    return ((one * other).sum(-1) / lengths).clip(-1.0, 1.0)


def distance(theta: Array, minima: Sequence[Sequence[float]], arrays: Arrays) -> Array:
    """‖θ − θ*‖ to the nearest of the known minima θ*, (run,), float64."""
    away = [norm(theta - arrays.wide(arrays.array(minimum)), arrays) for minimum in minima]
    nearest = away[0]
    for candidate in away[1:]:
        nearest = arrays.module.where(candidate < nearest, candidate, nearest)
    return nearest


def _scale(vector: Array, arrays: Arrays) -> Array:
    largest = arrays.largest(vector)
    usable = (largest > 0) & (largest < float("inf"))
    return arrays.module.where(usable, largest, arrays.module.ones_like(largest))
