"""What is measured at a step: numbers per run, from what the stack sees there."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from momentumlab.arrays import Arrays, inner
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
    columns: Columns = {} if look.loss is None else {"loss": arrays.numpy(look.loss).copy()}
    gradient, velocity = look.gradient, look.velocity
    if look.measured is None:
        norms = norms_and_cosine(arrays.numpy(gradient), arrays.numpy(velocity))
    else:
        norms = look.measured[1:]
    columns |= zip(("gradient_norm", "velocity_norm", "cosine"), norms, strict=True)
    if minima:
        columns["distance"] = distance(arrays.numpy(look.theta), minima)
    columns |= {"gamma": look.gamma, "eta": look.eta}
    if vectors:
        for name, vector in (("theta", look.theta), ("gradient", gradient), ("velocity", velocity)):
            columns |= {f"{name}_{index}": numbers for index, numbers in enumerate(arrays.numpy(vector).T.copy())}
    return columns


def norms_and_cosine(one: Numbers, other: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """‖one‖, ‖other‖ and the cosine of their angle for every run, (run, parameter) -> (run,), in the vectors' dtype.

    The cosine is nan where one of them is zero. Where squares overflow or vanish in the dtype, that run's numbers are
    taken anew from vectors divided by the largest of their numbers.
    """
    lengths, cosines = _of_products(np.array(_products(one, other)))
    rows = _beyond_squares(lengths)
    if len(rows):
        (first, first_scale), (second, second_scale) = _scaled(one[rows]), _scaled(other[rows])
        scaled = np.sqrt([inner(first, first), inner(second, second)])
        anew = scaled * [first_scale, second_scale]
        lengths[:, rows] = np.where(_safe(lengths[:, rows]), lengths[:, rows], anew)
        product = scaled[0] * scaled[1]
        cosines[rows] = inner(first, second) / np.where(product > 0, product, np.nan)
    return lengths[0], lengths[1], np.minimum(np.maximum(cosines, -1), 1)


class Norms:
    """`norms_and_cosine` of many steps, whose vectors need not be kept: only their products are taken at each."""

    def __init__(self, dtype: str) -> None:
        tiny, huge = _SQUARES[np.dtype(dtype)]
        self._tiny, self._huge = 2 * tiny**2, huge**2 / 2  # well inside: the others are looked at again
        self._products: list[tuple[Numbers, Numbers, Numbers]] = []
        self._anew: dict[int, tuple[Numbers, Numbers, Numbers]] = {}  # by the place of the step

    def add(self, one: Numbers, other: Numbers) -> None:
        """Take the vectors of a step, (run, parameter)."""
        products = _products(one, other)
        squares = products[0].tolist() + products[1].tolist()
        if not (self._tiny < min(squares) and max(squares) < self._huge):  # a few floats: sooner than by numpy
            self._anew[len(self._products)] = norms_and_cosine(one, other)
        self._products.append(products)

    def all(self) -> tuple[Numbers, Numbers, Numbers]:
        """Those of all steps since the beginning, (step · run,) each."""
        lengths, cosines = _of_products(np.array(self._products).swapaxes(0, 1))
        norms = lengths[0], lengths[1], np.minimum(np.maximum(cosines, -1), 1)
        for step, anew in self._anew.items():
            for values, exact in zip(norms, anew, strict=True):
                values[step] = exact
        return norms[0].reshape(-1), norms[1].reshape(-1), norms[2].reshape(-1)

    def begin_anew(self) -> None:
        """Forget all steps."""
        self._products, self._anew = [], {}


def _products(one: Numbers, other: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    return inner(one, one), inner(other, other), inner(one, other)


def _of_products(products: Numbers) -> tuple[Numbers, Numbers]:
    # (2, row) of norms and (row,) of cosines, as far as the squares are safe.
    lengths = np.sqrt(products[:2])
    return lengths, products[2] / (lengths[0] * lengths[1])


def distance(theta: Numbers, minima: Sequence[Sequence[float]]) -> Numbers:
    """‖θ − θ*‖ to the nearest of the known minima θ*, (run,)."""
    first, *others = (norm(theta - np.array(minimum, theta.dtype)) for minimum in minima)
    return reduce(np.minimum, others, first)


def norm(vector: Numbers) -> Numbers:
    """‖vector‖ of every run, (run, parameter) -> (run,), as `norms_and_cosine` takes it."""
    lengths: Numbers = np.sqrt(inner(vector, vector))
    rows = _beyond_squares(lengths[None])
    if len(rows):
        numbers, scale = _scaled(vector[rows])
        lengths[rows] = scale * np.sqrt(inner(numbers, numbers))
    return lengths


def _beyond_squares(lengths: Numbers) -> npt.NDArray[np.intp]:
    # The rows of (…, row) where one is not safe. Seldom any.
    safe = _safe(lengths)
    return _NONE if safe.all() else np.flatnonzero(~safe.all(0))


def _safe(lengths: Numbers) -> npt.NDArray[np.bool_]:
    # Whether no square has overflowed or lost digits: not too far from 1 as the dtype goes.
    tiny, huge = _SQUARES[lengths.dtype]
    safe: npt.NDArray[np.bool_] = (lengths > tiny) & (lengths < huge)
    return safe


def _scaled(vectors: Numbers) -> tuple[Numbers, Numbers]:
    # (row, parameter), each divided by its largest number, which is given too, (row,).
    numbers = vectors.astype(np.float64)
    largest = np.abs(numbers).max(-1)
    scale = np.where((largest > 0) & (largest < np.inf), largest, 1.0)
    return numbers / scale[:, None], scale
