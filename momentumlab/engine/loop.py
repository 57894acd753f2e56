"""The one loop: look, judge, record, advance. A single run and a grid of thousands pass through the same lines."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from momentumlab.arrays import Arrays
from momentumlab.engine.measure import Columns, measure
from momentumlab.engine.stack import Look, Stack
from momentumlab.problems.problem import Problem

TOO_FAR = 1e12
"""A run has diverged when J exceeds this many times |J₀| (or this number itself, where |J₀| is below 1)."""

Record = Callable[[Columns], None]
"""Takes rows: columns of one length, `run` and `step` first. A column that is absent is missing in these rows."""

Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Plan:
    """How long to train, and which rows to write."""

    steps: int
    every: int  # a row every so many steps; the first and the last row of each run always
    evaluate_at: frozenset[int]  # the recorded steps at which all data is evaluated
    vectors: bool  # whether θ, ∇J and v are written

    def records(self, step: int) -> bool:
        """Whether the state after `step` updates is a row of every run."""
        return step % self.every == 0 or step == self.steps


@dataclass
class Outcome:
    """What became of one run. A number that does not apply is nan."""

    status: str = "interrupted"  # finished | diverged | failed | interrupted
    reason: str = "not trained yet"
    steps: int = 0
    loss_first: float = float("nan")
    loss_last: float = float("nan")
    loss_best: float = float("nan")
    evaluation: dict[str, float] = field(default_factory=dict)  # the last values
    theta: npt.NDArray[Any] | None = None  # (parameter,), after the last update


def train(
    stack: Stack,
    problem: Problem,
    plan: Plan,
    record: Record,
    tick: Callable[[int], None],
    outcomes: dict[int, Outcome],
) -> None:
    """Train every run of the stack and write into `outcomes`, by run number, what became of each.

    Whatever ends the training early (a signal, an error) finds there how far the others had come. A run that diverges
    writes that row as its last and leaves the stack; the others do not notice. `tick` is told how many updates were
    made, counted over the runs.
    """
    ledger = _Ledger(stack.runs, outcomes)
    with ledger, np.errstate(all="ignore"):  # an overflow is an outcome, which `judge` sees, and not a warning
        for step in range(plan.steps + 1):
            look = stack.look(step)
            healthy = ledger.judge(look, stack.arrays, step)
            evaluation = _evaluation(problem, look, stack.arrays) if step in plan.evaluate_at else {}
            rows = np.arange(len(healthy)) if plan.records(step) else np.flatnonzero(~healthy)
            if len(rows):
                record(_columns(look, stack, problem, plan, step, evaluation, rows))
            ledger.note(evaluation)
            ends = ~healthy | (step == plan.steps)
            if ends.any():
                ledger.close(ends, healthy, look, stack.arrays, step)
            if ends.all():
                break
            if not healthy.all():
                stack.keep(np.flatnonzero(healthy))
            stack.advance()
            tick(len(stack.runs))


def _evaluation(problem: Problem, look: Look, arrays: Arrays) -> Columns:
    return {name: arrays.numpy(values).astype(arrays.dtype) for name, values in problem.evaluate(look.theta).items()}


def _columns(
    look: Look,
    stack: Stack,
    problem: Problem,
    plan: Plan,
    step: int,
    evaluation: Columns,
    rows: Rows,
) -> Columns:
    columns: Columns = {"run": stack.runs, "step": np.full(len(stack.runs), step)}
    if problem.steps_per_epoch is not None:
        columns["epoch"] = np.full(len(stack.runs), step / problem.steps_per_epoch)
    columns |= measure(look, stack.arrays, problem.minima, plan.vectors) | evaluation
    if len(rows) == len(stack.runs):
        return columns
    return {name: values[rows] for name, values in columns.items()}


class _Ledger:
    """The runs of a stack and what is known of them so far; the rows that are still trained stand first to last."""

    def __init__(self, runs: npt.NDArray[np.int64], outcomes: dict[int, Outcome]) -> None:
        self.outcomes = outcomes
        self.outcomes |= {int(run): Outcome() for run in runs}
        self._runs = runs
        self._first: npt.NDArray[Any] | None = None
        self._best = np.full(len(runs), np.nan)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Nobody is left here unless the training was stopped: they are interrupted, as far as they had come.
        for row, run in enumerate(self._runs):
            outcome = self.outcomes[int(run)]
            outcome.steps, outcome.reason = self._step, f"stopped at step {self._step}"
            self._note_losses(outcome, row)

    def judge(self, look: Look, arrays: Arrays, step: int) -> Mask:
        """(row,): whether J and θ are numbers and J has not grown beyond all bounds. J → −∞ is not divergence."""
        self._step = step
        if look.loss is None:
            return np.ones(len(self._runs), np.bool_)
        self._loss = arrays.numpy(look.loss)
        loss = self._loss.astype(np.float64)
        if self._first is None:
            self._first, self._bound = loss, TOO_FAR * np.maximum(1.0, np.abs(loss))
        self._best = np.fmin(self._best, loss)
        healthy: Mask = (loss < np.inf) & (loss <= self._bound) & arrays.numpy(arrays.finite(look.theta))
        return healthy

    def note(self, evaluation: Columns) -> None:
        """Keep the last values of what was evaluated."""
        for name, values in evaluation.items():
            for run, value in zip(self._runs, values, strict=True):
                self.outcomes[int(run)].evaluation[name] = value

    def close(self, ends: Mask, healthy: Mask, look: Look, arrays: Arrays, step: int) -> None:
        """Write down the outcome of the rows that end here and go on with the others."""
        theta = arrays.numpy(look.theta)
        for row in np.flatnonzero(ends):
            outcome = self.outcomes[int(self._runs[row])]
            outcome.steps = step
            outcome.theta = theta[row].copy()
            outcome.status, outcome.reason = "finished", ""
            self._note_losses(outcome, int(row))
            if not healthy[row]:
                outcome.status, outcome.reason = "diverged", _reason(outcome.loss_last, step)
        stays = ~ends
        self._runs, self._best = self._runs[stays], self._best[stays]
        if self._first is not None:
            self._first, self._bound, self._loss = self._first[stays], self._bound[stays], self._loss[stays]

    def _note_losses(self, outcome: Outcome, row: int) -> None:
        if self._first is not None:
            kind = self._loss.dtype.type
            outcome.loss_first, outcome.loss_last = kind(self._first[row]), self._loss[row]
            outcome.loss_best = kind(self._best[row])


def _reason(loss: float, step: int) -> str:
    if np.isnan(loss) or loss == np.inf:
        return f"the loss is {loss} at step {step}"
    if loss > TOO_FAR:
        return f"the loss grew to {loss:.3g} at step {step}"
    return f"a parameter is not finite at step {step}"
