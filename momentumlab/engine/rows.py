"""The rows of a stack on their way to the record: of a small stack many steps are measured at once.

What is measured of a run depends on nothing but that run, so a row is the same whichever others are measured with it.
"""

from collections.abc import Callable
from typing import Self

import numpy as np
import numpy.typing as npt

from momentumlab.arrays import Array
from momentumlab.engine.measure import Columns, measure
from momentumlab.engine.stack import Look, Stack
from momentumlab.problems.problem import Problem

Record = Callable[[Columns], None]
"""Takes rows: columns of one length, `run` and `step` first. A column that is absent is missing in these rows."""

_SMALL = 256  # numbers in θ of a whole stack: to copy so few costs a tenth of measuring them
_TOGETHER = 128  # steps of a small stack


class Rows:
    """Measures what the stack looks like at the steps that are recorded, and hands it on in order."""

    def __init__(self, stack: Stack, problem: Problem, vectors: bool, record: Record) -> None:
        self._stack = stack
        self._problem = problem
        self._vectors = vectors
        self._record = record
        self._kept: _Kept | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()

    def add(self, look: Look, step: int, evaluation: Columns) -> None:
        """A row for every run of the stack."""
        if evaluation or look.measured is not None or look.theta.shape[0] * look.theta.shape[1] > _SMALL:
            self.flush()
            self._record(self._columns(look, self._stack.runs, np.full(len(self._stack.runs), step)) | evaluation)
            return
        if self._kept is None:
            self._kept = _Kept(self._stack, look)
        self._kept.add(look, step)
        if self._kept.full:
            self.flush()

    def add_some(self, rows: npt.NDArray[np.intp], look: Look, step: int, evaluation: Columns) -> None:
        """A row for these of the stack's runs alone."""
        self.flush()
        columns = self._columns(look, self._stack.runs, np.full(len(self._stack.runs), step)) | evaluation
        self._record({name: values[rows] for name, values in columns.items()})

    def flush(self) -> None:
        """Hand on what waits; before the stack changes its runs."""
        if self._kept is not None:
            self._record(self._columns(*self._kept.all()))
            self._kept = None

    def _columns(self, look: Look, runs: npt.NDArray[np.int64], steps: npt.NDArray[np.int64]) -> Columns:
        columns: Columns = {"run": runs, "step": steps}
        if self._problem.steps_per_epoch is not None:
            columns["epoch"] = steps / self._problem.steps_per_epoch
        return columns | measure(look, self._stack.arrays, self._problem.minima, self._vectors)


class _Kept:
    """Copies of what a small stack looked like at several steps, one below the other as if they were other runs."""

    def __init__(self, stack: Stack, look: Look) -> None:
        count, width = look.theta.shape

        def empty(*shape: int) -> Array:
            return stack.arrays.array(np.empty(shape))

        self._runs = stack.runs
        self._steps: list[int] = []
        self._loss = None if look.loss is None else empty(_TOGETHER * count)
        self._vectors = [empty(_TOGETHER * count, width) for _ in range(3)]
        self._gamma, self._eta = np.empty((2, _TOGETHER * count))

    @property
    def full(self) -> bool:
        return len(self._steps) == _TOGETHER

    def add(self, look: Look, step: int) -> None:
        count = len(self._runs)
        rows = slice(len(self._steps) * count, (len(self._steps) + 1) * count)
        self._steps.append(step)
        if self._loss is not None:
            self._loss[rows] = look.loss
        for kept, now in zip(self._vectors, (look.gradient, look.theta, look.velocity), strict=True):
            kept[rows] = now
        self._gamma[rows], self._eta[rows] = look.gamma, look.eta

    def all(self) -> tuple[Look, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Everything as one look, and the run and the step of each of its rows."""
        count, steps = len(self._runs), len(self._steps)
        rows = slice(steps * count)
        gradient, theta, velocity = (vector[rows] for vector in self._vectors)
        loss = None if self._loss is None else self._loss[rows]
        look = Look(loss, gradient, theta, lambda: velocity, self._gamma[rows], self._eta[rows])
        return look, np.tile(self._runs, steps), np.repeat(self._steps, count)
