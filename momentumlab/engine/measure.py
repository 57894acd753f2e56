"""What is measured at a step: numbers per run, from what the stack sees there."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from momentumlab.arrays import Array, Arrays
from momentumlab.engine.stack import Look

Numbers = npt.NDArray[Any]
Columns = dict[str, Numbers]

_SQUARES = {
    kind.name: (float(limits.tiny) ** 0.5 / float(limits.eps), float(limits.max) ** 0.5)
    for kind in (np.dtype(np.float32), np.dtype(np.float64))
    if (limits := np.finfo(kind))
}
"""Between which norms the squares of the numbers are safe, by dtype."""
_NONE = np.empty(0, np.intp)


def measure(look: Look, arrays: Arrays, minima: Sequence[Sequence[float]], vectors: bool) -> Columns:
    """One row a run: loss, norms, cosine, distance, γ, η and, if asked for, θ, ∇J and v.

    Columns that never apply (no landscape, no known minimum) are absent.
    """
    measured: Columns = {} if look.loss is None else {"loss": arrays.numpy(look.loss).copy()}
    gradient_norm, velocity_norm = norm(look.gradient, arrays), norm(look.velocity, arrays)
    measured |= {
        "gradient_norm": gradient_norm,
        "velocity_norm": velocity_norm,
        "cosine": cosine(look.gradient, look.velocity, (gradient_norm, velocity_norm), arrays),
    }
    if minima:
        measured["distance"] = distance(look.theta, minima, arrays)
    columns: Columns = {**measured, "gamma": look.gamma, "eta": look.eta}
    if vectors:
        for name, vector in (("theta", look.theta), ("gradient", look.gradient), ("velocity", look.velocity)):
            numbers = arrays.numpy(vector).copy()
            columns |= {f"{name}_{index}": numbers[:, index] for index in range(numbers.shape[1])}
    return columns


def norm(vector: Array, arrays: Arrays) -> Numbers:
    """‖vector‖ of every run, (run, parameter) -> (run,), of the vector's dtype.

    Where squares overflow or vanish in the dtype, that run's norm is taken anew from numbers scaled by the largest of
    them.
    """
    lengths = arrays.numpy(arrays.norm(vector)).copy()
    for row in _beyond_squares(lengths):
        numbers, scale = _scaled(arrays.numpy(vector[int(row)]))
        lengths[row] = scale * np.sqrt((numbers * numbers).sum())
    return lengths


def cosine(one: Array, other: Array, norms: tuple[Numbers, Numbers], arrays: Arrays) -> Numbers:
    """cos of the angle between two vectors of every run, with their norms, (run,); nan where one of them is zero."""
    cosines = arrays.numpy(arrays.dot(one, other)) / (norms[0] * norms[1])
    for row in {*_beyond_squares(norms[0]), *_beyond_squares(norms[1])}:
        if norms[0][row] == 0 or norms[1][row] == 0:
            cosines[row] = np.nan
            continue
        first, second = (_scaled(arrays.numpy(vector[int(row)]))[0] for vector in (one, other))
        cosines[row] = (first * second).sum() / np.sqrt((first * first).sum() * (second * second).sum())
    clipped: Numbers = cosines.clip(-1, 1)
    return clipped


def distance(theta: Array, minima: Sequence[Sequence[float]], arrays: Arrays) -> Numbers:
    """‖θ − θ*‖ to the nearest of the known minima θ*, (run,)."""
    nearest: Numbers = np.min([norm(theta - arrays.array(minimum), arrays) for minimum in minima], axis=0)
    return nearest


def _beyond_squares(lengths: Numbers) -> npt.NDArray[np.intp]:
    # The rows whose squared numbers may have overflowed or lost digits: far from 1 as the dtype goes. Seldom any.
    tiny, huge = _SQUARES[lengths.dtype.name]
    if lengths.min() > tiny and lengths.max() < huge:
        return _NONE
    return np.flatnonzero(~((lengths > tiny) & (lengths < huge)))


def _scaled(vector: Numbers) -> tuple[Numbers, float]:
    numbers = vector.astype(np.float64)
    largest = np.abs(numbers).max()
    scale = largest if 0 < largest < np.inf else 1.0
    return numbers / scale, scale
