"""What is measured at a step: numbers per run, from what the stack sees there."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from momentumlab.arrays import Array, Arrays, inner
from momentumlab.engine.stack import Look

Numbers = npt.NDArray[Any]
Columns = dict[str, Numbers]

_SQUARES = {
    kind: (float(limits.tiny) ** 0.5 / float(limits.eps), float(limits.max) ** 0.5)
    for kind in (np.dtype(np.float32), np.dtype(np.float64))
    if (limits := np.finfo(kind))
}
"""Between which norms the squares of the numbers are safe, by dtype (whose name numpy would write anew each time)."""
_NONE = np.empty(0, np.intp)


def measure(look: Look, arrays: Arrays, minima: Sequence[Sequence[float]], vectors: bool) -> Columns:
    """One row a run: loss, norms, cosine, distance, γ, η and, if asked for, θ, ∇J and v.

    Columns that never apply (no landscape, no known minimum) are absent.
    """
    measured: Columns = {} if look.loss is None else {"loss": arrays.numpy(look.loss).copy()}
    velocity = look.velocity
    if look.measured is None:
        gradient_norm, velocity_norm = norm(look.gradient, arrays), norm(velocity, arrays)
        cosines = cosine(look.gradient, velocity, (gradient_norm, velocity_norm), arrays)
    else:
        _, gradient_norm, velocity_norm, cosines = look.measured
    measured |= {"gradient_norm": gradient_norm, "velocity_norm": velocity_norm, "cosine": cosines}
    if minima:
        measured["distance"] = distance(look.theta, minima, arrays)
    columns: Columns = {**measured, "gamma": look.gamma, "eta": look.eta}
    if vectors:
        for name, vector in (("theta", look.theta), ("gradient", look.gradient), ("velocity", velocity)):
            numbers = arrays.numpy(vector).copy()
            columns |= {f"{name}_{index}": numbers[:, index] for index in range(numbers.shape[1])}
    return columns


def norm(vector: Array, arrays: Arrays) -> Numbers:
    """‖vector‖ of every run, (run, parameter) -> (run,), of the vector's dtype.

    Where squares overflow or vanish in the dtype, that run's norm is taken anew from numbers scaled by the largest of
    them.
    """
    lengths = arrays.numpy(arrays.norm(vector)).copy()
    rows = _beyond_squares(lengths)
    if len(rows):
        numbers, scale = _scaled(vector, rows, arrays)
        lengths[rows] = scale * np.sqrt(inner(numbers, numbers))
    return lengths


def cosine(one: Array, other: Array, norms: tuple[Numbers, Numbers], arrays: Arrays) -> Numbers:
    """cos of the angle between two vectors of every run, with their norms, (run,); nan where one of them is zero."""
    cosines = arrays.numpy(arrays.dot(one, other)) / (norms[0] * norms[1])
    beyond = [_beyond_squares(lengths) for lengths in norms]
    if any(map(len, beyond)):
        rows = np.union1d(*beyond)
        (first, _), (second, _) = (_scaled(vector, rows, arrays) for vector in (one, other))
        lengths = np.sqrt(inner(first, first) * inner(second, second))
        cosines[rows] = inner(first, second) / np.where(lengths > 0, lengths, np.nan)
    clipped: Numbers = np.minimum(np.maximum(cosines, -1), 1)
    return clipped


def distance(theta: Array, minima: Sequence[Sequence[float]], arrays: Arrays) -> Numbers:
    """‖θ − θ*‖ to the nearest of the known minima θ*, (run,)."""
    first, *others = (norm(theta - arrays.array(minimum), arrays) for minimum in minima)
    return reduce(np.minimum, others, first)


def _beyond_squares(lengths: Numbers) -> npt.NDArray[np.intp]:
    # The rows whose squared numbers may have overflowed or lost digits: far from 1 as the dtype goes. Seldom any.
    tiny, huge = _SQUARES[lengths.dtype]
    safe = (lengths > tiny) & (lengths < huge)
    return _NONE if safe.all() else np.flatnonzero(~safe)


def _scaled(vector: Array, rows: npt.NDArray[np.intp], arrays: Arrays) -> tuple[Numbers, Numbers]:
    # The vectors of these rows, (row, parameter), each divided by its largest number, which is given too, (row,).
    numbers = arrays.numpy(arrays.rows(vector, rows)).astype(np.float64)
    largest = np.abs(numbers).max(-1)
    scale = np.where((largest > 0) & (largest < np.inf), largest, 1.0)
    return numbers / scale[:, None], scale
