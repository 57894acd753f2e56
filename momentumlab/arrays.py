"""The few operations beyond arithmetic that a stack needs, with one face for numpy and for torch.

A stack's arrays have a leading axis `run`. Everything here works on each run by itself, so that no run's bits can
depend on its neighbours: elementwise work and sums along the last axis only.
"""

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = Any  # numpy.ndarray or torch.Tensor; annotations name the axes instead

NARROW = 8
"""Up to so many parameters a numpy stack lies parameter by parameter, each of them whole over the runs."""
_LINE = 64  # bytes of a cache's line, and of the longest vectors
_WIDE = 10_000  # beyond it numpy's BLAS may share a product among threads, and round otherwise


def sign(array: Array) -> Array:
    """−1, 0 or 1 for each number of a float, a numpy array or a torch tensor."""
    return array.sign() if hasattr(array, "sign") else np.sign(array)


def vector(coordinates: Sequence[Array], xp: Any) -> Array:
    """(…, parameter) from the (…) of each parameter, in numpy's stacks laid out parameter by parameter."""
    if xp is not np:
        return xp.stack(coordinates, -1)
    gathered = np.array(coordinates)
    return gathered.T if gathered.ndim < 3 else np.moveaxis(gathered, 0, -1)


def total(array: Array) -> Array:
    """(…): the sum along the last axis; in numpy of few numbers one by one, so that no layout changes its bits."""
    if not isinstance(array, np.ndarray) or array.shape[-1] > NARROW:
        return array.sum(-1)
    return one_by_one([array[..., index] for index in range(array.shape[-1])])


def one_by_one(arrays: Sequence[Array]) -> Array:
    """The sum of the arrays, added in their order."""
    first, *others = arrays
    return sum(others, start=first)


def aligned(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """An empty array that lies as a narrow stack does and begins at a multiple of 64 bytes.

    Numpy's own begin at multiples of 16, and where the processor's lines and vectors are straddled in both reading and
    writing, arithmetic takes nearly twice as long.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size + _LINE, np.uint8)
    start = -memory.__array_interface__["data"][0] % _LINE
    return memory[start : start + size].view(dtype).reshape(shape, order="F")


def inner(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(run,): the inner product of the rows, the same bits for a row alone, in any layout and on any threads."""
    products: npt.NDArray[Any]
    if one.shape[-1] <= NARROW:
        products = total(one * other)
    elif one.shape[-1] <= _WIDE:
        # The rows whole: along another axis it sums in another order.
        products = np.vecdot(np.ascontiguousarray(one), np.ascontiguousarray(other))
    else:
        starts = range(0, one.shape[-1], _WIDE)
        parts = (inner(one[:, start : start + _WIDE], other[:, start : start + _WIDE]) for start in starts)
        products = reduce(np.add, parts)
    return products


class Arrays(Protocol):
    """What the engine asks of an array library."""

    @property
    def module(self) -> Any:
        """Numpy or torch themselves: cos, exp, where …"""
        ...

    @property
    def dtype(self) -> str:
        """float32 or float64."""
        ...

    def column(self, values: npt.ArrayLike) -> Array:
        """(run, 1): one number a run, ready to be multiplied with (run, parameter)."""
        ...

    def repeated(self, column: Array, width: int) -> Array:
        """The column for `width` parameters: in narrow numpy stacks (run, parameter), otherwise the column itself."""
        ...

    def array(self, values: npt.ArrayLike) -> Array:
        """`values` in the library's own kind, of the stack's dtype and on its device."""
        ...

    def numpy(self, array: Array) -> npt.NDArray[Any]:
        """The same numbers as a numpy array."""
        ...

    def norm(self, array: Array) -> Array:
        """(run,): the Euclidean length along the last axis, its squares summed in the array's own dtype."""
        ...

    def dot(self, one: Array, other: Array) -> Array:
        """(run,): the inner product along the last axis."""
        ...

    def finite(self, array: Array) -> npt.NDArray[np.bool_]:
        """(run,): whether every number along the last axis is finite."""
        ...

    def all_finite(self, array: Array) -> bool:
        """Whether every number is finite."""
        ...

    def rows(self, array: Array, runs: npt.NDArray[np.intp]) -> Array:
        """The rows of these runs alone, laid out as the stack's arrays are."""
        ...


class NumpyArrays:
    """Numpy, on the processor."""

    module: Any = np

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype

    def column(self, values: npt.ArrayLike) -> Array:
        return np.asarray(values, self.dtype).reshape(-1, 1)

    def repeated(self, column: Array, width: int) -> Array:
        # Arrays of one shape are multiplied in two thirds of the time.
        return _laid_out(np.repeat(column, width, axis=1)) if width <= NARROW else column

    def array(self, values: npt.ArrayLike) -> Array:
        return _laid_out(np.array(values, self.dtype))

    def numpy(self, array: Array) -> npt.NDArray[Any]:
        return np.asarray(array)

    def norm(self, array: Array) -> Array:
        return np.sqrt(inner(array, array))

    def dot(self, one: Array, other: Array) -> Array:
        return inner(one, other)

    def finite(self, array: Array) -> npt.NDArray[np.bool_]:
        finite: npt.NDArray[np.bool_] = np.isfinite(array).all(-1)
        return finite

    def all_finite(self, array: Array) -> bool:
        return _all_finite(array)

    def rows(self, array: Array, runs: npt.NDArray[np.intp]) -> Array:
        return _laid_out(array[runs])


class TorchArrays:
    """Torch, on `device`; loading it takes a second, so it is loaded here and not with the module."""

    def __init__(self, dtype: str, device: str = "cpu") -> None:
        import torch

        self.module: Any = torch
        self.dtype = dtype
        self.torch_dtype: torch.dtype = getattr(torch, dtype)
        self.device = torch.device(device)

    def column(self, values: npt.ArrayLike) -> Array:
        return self.array(values).reshape(-1, 1)

    def repeated(self, column: Array, width: int) -> Array:
        del width  # makes no difference to torch
        return column

    def array(self, values: npt.ArrayLike) -> Array:
        # Through numpy's own rounding to the dtype: the same numbers as in a numpy stack.
        # To an accelerator without waiting for it: what is on its way is a copy that the driver has made.
        return self.module.from_numpy(np.array(values, self.dtype)).to(self.device, non_blocking=True)

    def numpy(self, array: Array) -> npt.NDArray[Any]:
        numbers: npt.NDArray[Any] = array.numpy(force=True)
        return numbers

    def norm(self, array: Array) -> Array:
        return self.dot(array, array).sqrt()

    def dot(self, one: Array, other: Array) -> Array:
        if self.device.type == "cpu":  # numpy's road over the same memory takes half the time
            return self.module.from_numpy(inner(self.numpy(one), self.numpy(other)))
        return self.module.linalg.vecdot(one, other)

    def finite(self, array: Array) -> npt.NDArray[np.bool_]:
        return self.numpy(array.isfinite().all(-1))

    def all_finite(self, array: Array) -> bool:
        if self.device.type == "cpu":
            return _all_finite(self.numpy(array))
        return bool(array.isfinite().all())

    def rows(self, array: Array, runs: npt.NDArray[np.intp]) -> Array:
        return array[self.module.from_numpy(runs).to(array.device, non_blocking=True)]


def zeros_like(array: Array) -> Array:
    """Zeros in the shape of a float, a numpy array or a torch tensor, laid out as the stack's arrays are."""
    return _laid_out(np.zeros_like(array)) if isinstance(array, np.ndarray) else array - array


def on_accelerator(arrays: Arrays) -> bool:
    """Whether the arrays lie on a device beside the processor, such as a GPU."""
    return isinstance(arrays, TorchArrays) and arrays.device.type != "cpu"


def _all_finite(array: npt.NDArray[Any]) -> bool:
    # A sum is finite where all of its numbers are, unless it overflows. Squares of long vectors are summed by BLAS.
    sums = array if array.shape[-1] <= NARROW else np.vecdot(array, array)
    return math.isfinite(sums.sum()) or bool(np.isfinite(array).all())


def _laid_out(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    # What is elementwise then runs along thousands of runs and not along two parameters: ten times as fast.
    if array.ndim != 2 or array.shape[1] > NARROW:
        return array
    laid_out = aligned(array.shape, array.dtype)
    laid_out[...] = array
    return laid_out
