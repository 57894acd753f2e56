"""The few operations beyond arithmetic that a stack needs, with one face for numpy and for torch.

A stack's arrays have a leading axis `run`. Everything here works on each run by itself, so that no run's bits can
depend on its neighbours: elementwise work and sums along the last axis only.
"""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = Any  # numpy.ndarray or torch.Tensor; annotations name the axes instead


def sign(array: Array) -> Array:
    """−1, 0 or 1 for each number of a float, a numpy array or a torch tensor."""
    return array.sign() if hasattr(array, "sign") else np.sign(array)


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

    def finite(self, array: Array) -> Array:
        """(run,): whether every number along the last axis is finite."""
        ...

    def index(self, runs: npt.NDArray[np.intp]) -> Array:
        """Row numbers with which an array of the stack can be indexed."""
        ...


class NumpyArrays:
    """Numpy, on the processor."""

    module: Any = np

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype

    def column(self, values: npt.ArrayLike) -> Array:
        return np.asarray(values, self.dtype).reshape(-1, 1)

    def array(self, values: npt.ArrayLike) -> Array:
        return np.array(values, self.dtype)

    def numpy(self, array: Array) -> npt.NDArray[Any]:
        return np.asarray(array)

    def norm(self, array: Array) -> Array:
        return np.sqrt(self.dot(array, array))

    def dot(self, one: Array, other: Array) -> Array:
        return (one * other).sum(axis=-1)

    def finite(self, array: Array) -> Array:
        return np.isfinite(array).all(axis=-1)

    def index(self, runs: npt.NDArray[np.intp]) -> Array:
        return runs


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

    def array(self, values: npt.ArrayLike) -> Array:
        # Through numpy's own rounding to the dtype: the same numbers as in a numpy stack.
        return self.module.from_numpy(np.array(values, self.dtype)).to(self.device)

    def numpy(self, array: Array) -> npt.NDArray[Any]:
        numbers: npt.NDArray[Any] = array.detach().cpu().numpy()
        return numbers

    def norm(self, array: Array) -> Array:
        return self.module.linalg.vector_norm(array, dim=-1)

    def dot(self, one: Array, other: Array) -> Array:
        # A sum with a single outcome is cut into parts for the threads: a twin keeps it the sum that it is in a stack.
        product = one * other
        runs = len(product)
        return (product if runs > 1 else product.expand(2, -1)).sum(-1)[:runs]

    def finite(self, array: Array) -> Array:
        # A tenth of the time of isfinite().all(): a norm is finite where all numbers are, if their squares are.
        finite = self.norm(array).isfinite()
        return finite if finite.all() else array.isfinite().all(-1)

    def index(self, runs: npt.NDArray[np.intp]) -> Array:
        return self.module.from_numpy(runs).to(self.device)
