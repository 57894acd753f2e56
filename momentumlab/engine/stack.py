"""A stack: the runs that are trained together, by our own rules.

Every array has a leading axis `run`, and γ and η are columns of it. A single run is a stack of one.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from momentumlab.arrays import Array, Arrays, TorchArrays, zeros_like
from momentumlab.experiment import Cell, column, examples
from momentumlab.optimizers.rules import RULES
from momentumlab.optimizers.schedules import Described, as_schedule
from momentumlab.optimizers.update import Moment, Update
from momentumlab.optimizers.updates import changes_by_run, setting
from momentumlab.problems.problem import Problem
from momentumlab.results.checkpoint import State


class Measured(NamedTuple):
    """What a stack has measured itself, where its vectors lie too far away to be fetched; each (run,)."""

    finite: npt.NDArray[np.bool_]  # whether all of θ is
    gradient_norm: npt.NDArray[Any]
    velocity_norm: npt.NDArray[Any]
    cosine: npt.NDArray[Any]


class Look(NamedTuple):
    """What a stack sees before an update: row k of the records, θ after k updates.

    Where it is `measured` already, a vector that nobody will ask for is None.
    """

    loss: Array | None  # (run,), J(θ_k) on the batch that the next update uses; None without a landscape
    gradient: Array  # (run, parameter), ∇J there
    theta: Array  # (run, parameter)
    compute_velocity: Callable[[], Array]  # many rows are judged and not recorded: they need none
    gamma: npt.NDArray[np.float64]  # (run,), of the next update
    eta: npt.NDArray[np.float64]  # (run,)
    measured: Measured | None = None

    @property
    def velocity(self) -> Array:
        """(run, parameter), the rule's v after update k; zero in row 0."""
        return self.compute_velocity()


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

    def state(self, step: int) -> State | None:
        """All that its numbers depend on before it looks at `step`, for a checkpoint; None where it cannot say now."""
        ...

    def restore(self, step: int, state: State) -> None:
        """From its start go on as the same runs would that had this state before `step`."""
        ...


class Rates:
    """One hyperparameter of every run of a stack: numbers or schedules, read as a column.

    The column is (run, 1), or for a `width` above 1 whatever multiplies so many parameters soonest.
    """

    def __init__(self, settings: Sequence[float | Described], steps: int, arrays: Arrays, width: int) -> None:
        self._arrays = arrays
        self._width = width
        self.constant = _all_numbers(settings)
        # A schedule that many runs share is asked once a step.
        distinct = {} if self.constant else {repr(given): given for given in settings}
        numbers = {text: number for number, text in enumerate(distinct)}
        self._schedules = [as_schedule(given, steps) for given in distinct.values()]
        self._of_run = np.array([numbers[repr(given)] for given in settings] if distinct else [], np.intp)
        self.values = np.array(settings if self.constant else [], np.float64)  # (run,), at the step last asked for
        self.column = self._in_stack()  # the same in the stack's own kind

    def at(self, step: int) -> None:
        """Set `values` and `column` to what the update after `step` updates uses."""
        if not self.constant:
            self.values = self.values_at(step)
            self.column = self._in_stack()

    def values_at(self, step: int) -> npt.NDArray[np.float64]:
        """(run,): what the update after `step` updates uses."""
        if self.constant:
            return self.values
        return np.array([schedule(step) for schedule in self._schedules], np.float64)[self._of_run]

    def values_over(self, steps: Sequence[int]) -> npt.NDArray[np.float64]:
        """(step, run): the same of several steps."""
        if self.constant:
            return np.broadcast_to(self.values, (len(steps), len(self.values)))
        return np.stack([self.values_at(step) for step in steps])

    def keep(self, rows: npt.NDArray[np.intp]) -> None:
        """Go on with these rows alone."""
        if not self.constant:
            self._of_run = self._of_run[rows]
        self.values, self.column = self.values[rows], self._arrays.rows(self.column, rows)

    def _in_stack(self) -> Array:
        column = self._arrays.column(self.values)
        return column if self._width == 1 else self._arrays.repeated(column, self._width)


class Hyperparameters:
    """All numbers that an update of a stack takes, by name; γ and η always among them."""

    def __init__(self, update: Update, cells: Sequence[Cell], steps: int, problem: Problem) -> None:
        # A rule of ours takes every column in either shape; one from a file is promised (run, 1).
        width = _size(problem) if update.rule in RULES.values() else 1
        kind = partial(Rates, steps=steps, arrays=problem.arrays, width=width)
        self.gamma, self.eta = (kind(_settings(cells, name)) for name in ("gamma", "eta"))
        self._all = [self.gamma, self.eta]

        def rates(settings: Sequence[Any]) -> Any:
            """Rates, a list of them for lists; what is neither a number nor a schedule as it is."""
            if isinstance(settings[0], list):
                return [rates(numbers) for numbers in zip(*settings, strict=True)]
            if not changes_by_run(settings[0]):
                return settings[0]
            self._all.append(kind(settings))
            return self._all[-1]

        others = {
            name: rates(_settings(cells, name)) for name in update.hyperparameters if name not in ("gamma", "eta")
        }
        self._by_name = {"gamma": self.gamma, "eta": self.eta} | others
        self.changing = [rates for rates in self._all if not rates.constant]
        self.columns: dict[str, Any] = {}  # (run, 1) of each name, as `at` gave them last; a list of them for a list
        self.at(0)
        self.read()

    def at(self, step: int) -> dict[str, Any]:
        """The `columns` that the update after `step` updates uses."""
        for rates in self.changing:
            rates.at(step)
        if self.changing:
            self.read()
        return self.columns

    def keep(self, rows: npt.NDArray[np.intp]) -> None:
        """Go on with these rows alone."""
        for rates in self._all:
            rates.keep(rows)
        self.read()

    def read(self) -> None:
        """Set `columns` to the columns of the rates."""
        self.columns = {name: _column(rates) for name, rates in self._by_name.items()}


def _all_numbers(settings: Sequence[Any]) -> bool:
    # Each type is asked once: of thousands of runs one by one that takes as long as some steps.
    return all(issubclass(kind, int | float) for kind in set(map(type, settings)))


def _settings(cells: Sequence[Cell], name: str) -> Sequence[Any]:
    # What the optimizer of every cell says of a hyperparameter. Numbers of γ and η need no cells to be made for them.
    said = [setting(cell.experiment.optimizer, name) for cell in examples(cells)]
    if name in ("gamma", "eta") and _all_numbers(said):
        return column(cells, name)
    return said if len(said) == len(cells) else [setting(cell.experiment.optimizer, name) for cell in cells]


def _column(rates: Any) -> Any:
    if isinstance(rates, list):
        return [_column(one) for one in rates]
    return rates.column if isinstance(rates, Rates) else rates


class RuleStack:
    """Runs of one problem under one update, each with its own hyperparameters and seed."""

    def __init__(self, problem: Problem, cells: Sequence[Cell], update: Update, steps: int) -> None:
        self.arrays = problem.arrays
        self.runs = np.array(column(cells, "run"))
        self.problem = problem
        self._seeds = column(cells, "seed")
        self.hyperparameters = Hyperparameters(update, cells, steps, problem)
        self.update = update = _quickest(update, problem, eta_is_constant=self.hyperparameters.eta.constant)
        self.feed = problem.feed(self._seeds)
        theta = problem.start(self._seeds)
        self.given = self.hyperparameters.columns
        self.now = Moment(
            theta=theta,
            gradient=None,
            memory=update.rule.at_rest(theta, self.given),
            velocity=zeros_like(theta),
            at_rest=self.arrays.column(np.ones(len(cells))) > 0,
            eta_before=self.hyperparameters.eta.column,
            loss=None,
            loss_before=None,
        )
        self._resting = True

    def look(self, step: int) -> Look:
        now, gamma, eta = self.now, self.hyperparameters.gamma, self.hyperparameters.eta
        velocity = partial(self.update.rule.velocity, now.memory, self.given)  # of the update that led here
        if self.update.restart:
            now.velocity = velocity()
        now.eta_before = eta.column
        loss, now.gradient = self.feed.loss_and_gradient(now.theta, step)
        now.loss, now.loss_before = loss, now.loss if step else loss
        self.given = self.hyperparameters.at(step)
        return Look(now.loss, now.gradient, now.theta, velocity, gamma.values, eta.values)

    def advance(self) -> None:
        now = self.now
        now.theta, now.memory = self.update(now, self.given, self.arrays)
        if self._resting:
            self._resting, now.at_rest = False, now.at_rest & False

    def keep(self, rows: npt.NDArray[np.intp]) -> None:
        self.runs = self.runs[rows]
        self._seeds = [self._seeds[row] for row in rows]
        self.hyperparameters.keep(rows)
        self.given = self.hyperparameters.columns
        self.now = self.now.of(rows, self.arrays)
        self.feed = self.problem.feed(self._seeds)

    def state(self, step: int) -> State:
        del step  # the feed is a function of (seed, step): θ and what the rule remembers are all there is
        numpy, now = self.arrays.numpy, self.now
        parts = now.memory if isinstance(now.memory, list) else [now.memory]
        state = {"theta": numpy(now.theta), **{f"memory_{place}": numpy(part) for place, part in enumerate(parts)}}
        return state if now.loss is None else state | {"loss": numpy(now.loss)}

    def restore(self, step: int, state: State) -> None:
        array, now = self.arrays.array, self.now
        several = isinstance(now.memory, list)
        memory = [array(state[f"memory_{place}"]) for place in range(len(now.memory) if several else 1)]
        now.theta, now.memory = array(state["theta"]), memory if several else memory[0]
        now.loss = array(state["loss"]) if "loss" in state else None
        if step:
            self.given = self.hyperparameters.at(step - 1)  # of the update that led here
            self._resting, now.at_rest = False, now.at_rest & False


def _quickest(update: Update, problem: Problem, *, eta_is_constant: bool) -> Update:
    # A model of very many parameters is trained as fast as memory is read, so its rule passes over it once.
    arrays = problem.arrays
    if not isinstance(arrays, TorchArrays) or arrays.device.type != "cpu":
        return update
    from momentumlab.optimizers.fused import MANY, fused  # loads torch

    many = _size(problem) >= MANY
    return replace(update, rule=fused(update.rule, eta_is_constant)) if many else update


def _size(problem: Problem) -> int:
    return sum(parameter.size for parameter in problem.parameters)
