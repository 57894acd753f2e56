"""A stack: the runs that are trained together, by our own rules.

Every array has a leading axis `run`, and γ and η are columns of it. A single run is a stack of one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from momentumlab.arrays import Array, Arrays
from momentumlab.experiment import Cell
from momentumlab.optimizers.rules import RULES
from momentumlab.optimizers.schedules import Schedule, StepShape, as_schedule
from momentumlab.problems.problem import Problem


@dataclass(frozen=True)
class Look:
    """What a stack sees before an update: row k of the records, θ after k updates."""

    loss: Array | None  # (run,), J(θ_k) on the batch that the next update uses; None without a landscape
    gradient: Array  # (run, parameter), ∇J there
    theta: Array  # (run, parameter)
    velocity: Array  # (run, parameter), the rule's v after update k; zero in row 0
    gamma: npt.NDArray[np.float64]  # (run,), of the next update
    eta: npt.NDArray[np.float64]  # (run,)


class Stack(Protocol):
    """What the loop advances: rows of runs, each with its θ and its velocity."""

    @property
    def arrays(self) -> Arrays:
        """The array library of its numbers."""
        ...

    @property
    def runs(self) -> npt.NDArray[np.int64]:
        """(row,): the run number of each row."""
        ...

    def look(self, step: int) -> Look:
        """J, ∇J and the state after `step` updates, before the next one."""
        ...

    def advance(self) -> None:
        """Make the update that `look` looked ahead to."""
        ...

    def keep(self, rows: npt.NDArray[np.intp]) -> None:
        """Go on with these rows alone."""
        ...


class Rates:
    """γ or η of every run of a stack: functions of the step, read as a column."""

    def __init__(self, schedules: Sequence[Schedule], constant: bool, arrays: Arrays) -> None:
        self._schedules = list(schedules)
        self._constant = constant
        self._arrays = arrays
        self.values: npt.NDArray[np.float64] = np.empty(0)  # (run,), at the step last asked for
        self.column: Array = None  # (run, 1), the same in the stack's own kind

    def at(self, step: int) -> npt.NDArray[np.float64]:
        """(run,): the values that the update after `step` updates uses."""
        if self.column is None or not self._constant:
            self.values = np.array([schedule(step) for schedule in self._schedules], np.float64)
            self.column = self._arrays.column(self.values)
        return self.values

    def keep(self, rows: npt.NDArray[np.intp]) -> None:
        """Go on with these rows alone."""
        self._schedules = [self._schedules[row] for row in rows]
        self.values, self.column = self.values[rows], self.column[self._arrays.index(rows)]


class RuleStack:
    """Runs of one problem under one rule, each with its own γ, η and seed."""

    def __init__(self, problem: Problem, cells: Sequence[Cell]) -> None:
        optimizers = [cell.experiment.optimizer for cell in cells]
        self.arrays = problem.arrays
        self.runs = np.array([cell.run for cell in cells])
        self._problem = problem
        self._seeds = [cell.experiment.seed for cell in cells]
        self._rule = RULES[optimizers[0].kind, optimizers[0].form]
        self._gamma = _rates([optimizer.gamma for optimizer in optimizers], self.arrays)
        self._eta = _rates([optimizer.eta for optimizer in optimizers], self.arrays)
        self._feed = problem.feed(self._seeds)
        self._theta = problem.start(self._seeds)
        self._memory = self._theta - self._theta
        self._velocity = self._memory

    def look(self, step: int) -> Look:
        loss, self._gradient = self._feed.loss_and_gradient(self._theta, step)
        gamma, eta = self._gamma.at(step), self._eta.at(step)
        return Look(loss, self._gradient, self._theta, self._velocity, gamma, eta)

    def advance(self) -> None:
        gamma, eta = self._gamma.column, self._eta.column
        self._theta, self._memory = self._rule.update(self._theta, self._gradient, self._memory, gamma, eta)
        self._velocity = self._rule.velocity(self._memory, eta)

    def keep(self, rows: npt.NDArray[np.intp]) -> None:
        index = self.arrays.index(rows)
        self.runs = self.runs[rows]
        self._seeds = [self._seeds[row] for row in rows]
        self._gamma.keep(rows)
        self._eta.keep(rows)
        self._theta, self._memory = self._theta[index], self._memory[index]
        self._gradient, self._velocity = self._gradient[index], self._velocity[index]
        self._feed = self._problem.feed(self._seeds)


def _rates(given: Sequence[float | StepShape], arrays: Arrays) -> Rates:
    constant = all(isinstance(value, int | float) for value in given)
    return Rates([as_schedule(value) for value in given], constant, arrays)
