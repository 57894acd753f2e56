"""The rows of a stack on their way to the record: many steps are measured at once.

What is measured of a run depends on nothing but that run, so a row is the same whichever others are measured with it.
"""

import time
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from momentumlab.arrays import Arrays, NumpyArrays
from momentumlab.engine.measure import Columns, Norms, measure
from momentumlab.engine.stack import Look, Measured, Stack
from momentumlab.problems.problem import Problem

Record = Callable[[Columns], None]
"""Takes rows: columns of one length, `run` and `step` first. A column that is absent is missing in these rows."""
Numbers = npt.NDArray[Any]

_TOGETHER = 128  # steps that are measured at once, at most
_SECONDS = 0.5  # that a row waits at most
_FEW = 8  # fewer steps than these are measured as quickly one by one
_NUMBERS = 2**17  # what is kept of them at most: with what is measured a core's cache holds it
_LONG = 2**9  # parameters of a run from which on a copy of a vector costs more than its products


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

    def add(self, look: Look, step: int, evaluation: Columns, watched: Columns) -> None:
        """A row for every run of the stack; `watched` has the same columns at every step."""
        steps, vectors = (0, 0) if evaluation or look.measured else self._keeps(look)
        if steps < _FEW:
            self.flush()
            self._record(self._of_step(look, step) | watched | evaluation)
            return
        if self._kept is None or len(self._kept.runs) != len(self._stack.runs):
            self._kept = _Kept(self._stack, look, steps, vectors)
        self._kept.add(look, step, watched)
        if self._kept.full:
            self.flush()

    def add_some(self, rows: npt.NDArray[np.intp], look: Look, step: int, evaluation: Columns) -> None:
        """A row for these of the stack's runs alone."""
        self.flush()
        columns = self._of_step(look, step) | evaluation
        self._record({name: values[rows] for name, values in columns.items()})

    def flush(self) -> None:
        """Hand on what waits; before the stack changes its runs."""
        if self._kept is not None and self._kept.steps:
            columns = self._columns(*self._kept.all()) | self._kept.watched()
            self._kept.steps = []  # before they are recorded: a signal may come in the midst of that
            self._record(columns)

    def _keeps(self, look: Look) -> tuple[int, int]:
        # Of how many steps, and of each how many of its vectors.
        with_theta = self._vectors or bool(self._problem.minima)
        runs, parameters = look.theta.shape
        if parameters >= _LONG and not with_theta:
            return _TOGETHER, 0
        return min(_TOGETHER, _NUMBERS // (3 * runs * parameters)), 2 + with_theta

    def _of_step(self, look: Look, step: int) -> Columns:
        runs = self._stack.runs
        return self._columns(look, runs, np.full(len(runs), step), self._stack.arrays)

    def _columns(self, look: Look, runs: Numbers, steps: Numbers, arrays: Arrays) -> Columns:
        columns: Columns = {"run": runs, "step": steps}
        if self._problem.steps_per_epoch is not None:
            columns["epoch"] = steps / self._problem.steps_per_epoch
        return columns | measure(look, arrays, self._problem.minima, self._vectors)


class _Kept:
    """Copies of what a stack looked like at several steps, one below the other as if they were other runs.

    Of its vectors none, or ∇J and v, or θ too. Of none of them the norms are kept instead.

    Its arrays are filled again and again: fresh ones would cost more than measuring does.
    """

    def __init__(self, stack: Stack, look: Look, steps: int, vectors: int) -> None:
        count, width = look.theta.shape
        self._stack_arrays = stack.arrays
        self._arrays = NumpyArrays(stack.arrays.dtype)
        self.runs = stack.runs
        self.steps: list[int] = []
        self._since = time.monotonic()
        self._most = steps
        self._loss = None if look.loss is None else self._arrays.array(np.empty(steps * count))
        self._vectors = [self._arrays.array(np.empty((steps * count, width))) for _ in range(vectors)]
        self._norms = None if vectors else Norms(stack.arrays.dtype)
        self._gamma, self._eta = np.empty((2, steps * count))
        self._watched: list[Columns] = []

    @property
    def full(self) -> bool:
        """Whether there is no place for another step, or the first has waited for long enough."""
        return len(self.steps) == self._most or time.monotonic() - self._since > _SECONDS

    def add(self, look: Look, step: int, watched: Columns) -> None:
        count, numpy = len(self.runs), self._stack_arrays.numpy
        rows = slice(len(self.steps) * count, (len(self.steps) + 1) * count)
        if not self.steps:
            self._since, self._watched = time.monotonic(), []
            if self._norms is not None:
                self._norms.begin_anew()
        if self._loss is not None:
            self._loss[rows] = numpy(look.loss)
        if self._norms is not None:
            self._norms.add(numpy(look.gradient), numpy(look.velocity))
        else:
            vectors = (look.gradient, look.velocity, look.theta)
            for kept, now in zip(self._vectors, vectors, strict=False):  # θ last, which may not be kept
                kept[rows] = numpy(now)
        self._gamma[rows], self._eta[rows] = look.gamma, look.eta
        self._watched.append(watched)
        self.steps.append(step)  # last: a signal may come in the midst of this

    def all(self) -> tuple[Look, Numbers, Numbers, Arrays]:
        """Everything as one look, the run and the step of each of its rows, and the arrays that it consists of."""
        count, steps = len(self.runs), len(self.steps)
        rows = slice(steps * count)
        gradient, velocity, theta, *_ = (*(vector[rows] for vector in self._vectors), None, None, None)
        loss = None if self._loss is None else self._loss[rows]
        measured = None
        if self._norms is not None:
            measured = Measured(np.ones(steps * count, np.bool_), *(numbers[rows] for numbers in self._norms.all()))
        look = Look(
            loss,
            gradient,
            theta,
            lambda: velocity,
            self._gamma[rows].copy(),
            self._eta[rows].copy(),
            measured,
        )
        return look, np.tile(self.runs, steps), np.repeat(self.steps, count), self._arrays

    def watched(self) -> Columns:
        """What was measured at each of the steps already."""
        steps = self._watched[: len(self.steps)]
        return {name: np.concatenate([columns[name] for columns in steps]) for name in steps[0]}
