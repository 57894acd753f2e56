"""The one loop: look, judge, record, advance. A single run and a grid of thousands pass through the same lines."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from momentumlab.arrays import Arrays
from momentumlab.engine.measure import Columns
from momentumlab.engine.outcome import Outcome, packed, unpacked
from momentumlab.engine.rows import Rows
from momentumlab.engine.stack import Look, Stack
from momentumlab.engine.watch import NO_WATCH, Watch
from momentumlab.problems.problem import Problem
from momentumlab.results.checkpoint import State

TOO_FAR = 1e12
"""A run has diverged when J exceeds this many times |J₀| (or this number itself, where |J₀| is below 1)."""

Mask = npt.NDArray[np.bool_]

_NOBODY = np.empty(0, np.intp)


def bound(first: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """(run,): up to which J a run has not diverged, from its J₀."""
    return np.minimum(TOO_FAR * np.maximum(1.0, np.abs(first.astype(np.float64))), np.finfo(np.float64).max)


@dataclass(frozen=True)
class Plan:
    """How long to train, and which rows to write."""

    steps: int
    every: int  # a row every so many steps; the first and the last row of each run always
    evaluate_at: frozenset[int]  # the recorded steps at which all data is evaluated
    vectors: bool  # whether θ, ∇J and v are written
    target: float | None = None  # a loss: the step that first reaches it is noted

    def records(self, step: int) -> bool:
        """Whether the state after `step` updates is a row of every run."""
        return step % self.every == 0 or step == self.steps

    def probes(self, step: int, apart: int) -> bool:
        """Whether what is looked at every `apart` steps, and at the end, is looked at in the row of `step`.

        Where one of these steps has no row of its own, the next row takes it.
        """
        row_before = (step - 1) // self.every * self.every
        return step == self.steps or step // apart > row_before // apart


class Keeper(Protocol):
    """Who takes the rows of a stack, and now and then its state."""

    def record(self, columns: Columns) -> None:
        """Add rows."""
        ...

    @property
    def due(self) -> bool:
        """Whether it is time for a state."""
        ...

    def save(self, state: State) -> None:
        """Keep the state, which the same stack can go on from should the process die. May end the training."""
        ...


def train(
    stack: Stack,
    problem: Problem,
    plan: Plan,
    keeper: Keeper,
    tick: Callable[[int], None],
    outcomes: dict[int, Outcome],
    saved: State | None = None,
    watch: Watch = NO_WATCH,
) -> None:
    """Train every run of the stack and write into `outcomes`, by run number, what became of each.

    Whatever ends the training early (a signal, an error) finds there how far the others had come. A run that diverges
    writes that row as its last and leaves the stack; the others do not notice. `tick` is told how many updates were
    made, counted over the runs. From a `saved` state, one that the keeper was given, the same numbers come as if
    nothing had happened. `watch` measures what was asked for beside the usual columns.
    """
    ledger = _Ledger(stack.runs, outcomes, plan.target)
    first = 0 if saved is None else _go_on(stack, ledger, watch, saved, tick)
    rows = Rows(stack, problem, plan.vectors, keeper.record)
    with ledger, np.errstate(all="ignore"), rows:  # an overflow is an outcome, which `judge` sees, and not a warning
        for step in range(first, plan.steps + 1):
            if keeper.due and (state := stack.state(step)) is not None:
                rows.flush()
                state |= {"step": np.array(step), **ledger.state(), **watch.state(), **packed(outcomes)}
                keeper.save(state)
            look = stack.look(step)
            diverged, over = ledger.judge(look, stack.arrays, step), step == plan.steps
            evaluation = _evaluation(problem, look, stack.arrays) if step in plan.evaluate_at else {}
            written, some = plan.records(step), len(diverged) > 0
            watched = watch.see(look, step, stack.arrays, written=written, some=some) if watch.meters else {}
            if written:
                rows.add(look, step, evaluation, watched)
            elif some:
                rows.add_some(diverged, look, step, evaluation | watched)
            ledger.note(evaluation)
            if over or some:
                healthy = np.ones(len(stack.runs), np.bool_)
                healthy[diverged] = False
                ledger.close(~healthy | over, healthy, look, stack.arrays)
                if over or not healthy.any():
                    break
                rows.flush()
                stack.keep(np.flatnonzero(healthy))
                watch.keep(np.flatnonzero(healthy))
            stack.advance()
            tick(len(stack.runs))


def _go_on(stack: Stack, ledger: "_Ledger", watch: Watch, saved: State, tick: Callable[[int], None]) -> int:
    """Bring a stack at its start, and what is known of it, to a saved state; gives the step that comes next."""
    step = int(saved["step"])
    stack.keep(np.flatnonzero(np.isin(stack.runs, saved["runs"])))
    stack.restore(step, saved)
    ledger.restore(step, saved)
    watch.restore(saved)
    tick(step * len(stack.runs))
    return step


def _evaluation(problem: Problem, look: Look, arrays: Arrays) -> Columns:
    return {name: arrays.numpy(values).astype(arrays.dtype) for name, values in problem.evaluate(look.theta).items()}


class _Ledger:
    """The runs of a stack and what is known of them so far; the rows that are still trained stand first to last."""

    def __init__(self, runs: npt.NDArray[np.int64], outcomes: dict[int, Outcome], target: float | None) -> None:
        self.outcomes = outcomes
        self._target = target
        self._runs = runs
        self._step = 0
        self._losses: dict[str, npt.NDArray[Any]] = {}  # first, last and best of each run, where there is a landscape
        self._reached = np.full(len(runs), np.nan)  # the step at which each run first had the target
        self._lowest_bound = np.float64(-np.inf)  # of the runs still trained
        self._evaluation: Columns = {}  # the last values of each run

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Nobody is left here unless the training was stopped: they are interrupted, as far as they had come.
        self._write("interrupted", f"stopped at step {self._step}", np.ones(len(self._runs), np.bool_))

    def state(self) -> State:
        """What is known of the runs that are still trained."""
        known = {"runs": self._runs, **{f"loss_{name}": losses for name, losses in self._losses.items()}}
        if self._target is not None:
            known["reached"] = self._reached
        return known | {f"evaluation_{name}": values for name, values in self._evaluation.items()}

    def restore(self, step: int, state: State) -> None:
        """Go on from a state; those who had come to their end by then are outcomes."""
        self._step, self._runs = step, state["runs"]
        self._losses, self._evaluation = _named("loss_", state), _named("evaluation_", state)
        self._reached = state.get("reached", self._reached[: len(self._runs)])
        if self._losses:
            self._lowest_bound = self._losses["bound"].min()
        self.outcomes |= unpacked(state)

    def judge(self, look: Look, arrays: Arrays, step: int) -> npt.NDArray[np.intp]:
        """The rows where J or θ is not a number or J has grown beyond all bounds. J → −∞ is not divergence."""
        self._step = step
        if look.loss is None:
            return _NOBODY
        loss = arrays.numpy(look.loss)
        if not self._losses:
            self._losses = {"first": loss.copy(), "best": loss.copy(), "bound": bound(loss)}
            self._lowest_bound = self._losses["bound"].min()
        losses = self._losses
        losses["last"] = loss
        np.fmin(losses["best"], loss, out=losses["best"])
        if self._target is not None:
            self._reached[np.isnan(self._reached) & (loss <= loss.dtype.type(self._target))] = step
        # Mostly two numbers tell it of the whole stack. Nan is within no bound.
        if np.maximum.reduce(loss) <= self._lowest_bound and look.measured is None and arrays.all_finite(look.theta):
            return _NOBODY
        finite = arrays.finite(look.theta) if look.measured is None else look.measured.finite
        return np.flatnonzero(~((loss <= losses["bound"]) & finite))

    def note(self, evaluation: Columns) -> None:
        """Keep the last values of what was evaluated."""
        self._evaluation = evaluation or self._evaluation

    def close(self, ends: Mask, healthy: Mask, look: Look, arrays: Arrays) -> None:
        """Write down the outcome of the rows that end here and go on with the others."""
        for status, reason, which in (("finished", "", ends & healthy), ("diverged", None, ends & ~healthy)):
            if which.any():
                theta = arrays.numpy(arrays.rows(look.theta, np.flatnonzero(which)))  # theirs alone: it is kept
                self._write(status, reason, which, np.ascontiguousarray(theta))
        stays = ~ends
        self._runs, self._reached = self._runs[stays], self._reached[stays]
        self._losses = {name: losses[stays] for name, losses in self._losses.items()}
        if self._losses and stays.any():
            self._lowest_bound = self._losses["bound"].min()
        self._evaluation = {name: values[stays] for name, values in self._evaluation.items()}

    def _write(self, status: str, reason: str | None, which: Mask, theta: npt.NDArray[Any] | None = None) -> None:
        # Columns become lists of numpy's numbers at once: one by one that takes as long as some hundred steps.
        runs = self._runs[which].tolist()
        losses = [list(self._losses[name][which]) for name in ("first", "last", "best") if self._losses]
        losses = losses or [[np.nan] * len(runs)] * 3
        reasons = [_reason(last, self._step) for last in losses[1]] if reason is None else [reason] * len(runs)
        evaluations = zip(*(list(values[which]) for values in self._evaluation.values()), strict=True)
        evaluated = [dict(zip(self._evaluation, values, strict=True)) for values in evaluations]
        ends = map(
            Outcome,
            repeat(status),
            reasons,
            repeat(self._step),
            *losses,
            self._reached[which].tolist(),
            evaluated or [{} for _ in runs],
            repeat(None) if theta is None else theta,
        )
        self.outcomes.update(zip(runs, ends, strict=True))


def _named(start: str, state: State) -> Columns:
    return {name.removeprefix(start): values for name, values in state.items() if name.startswith(start)}


def _reason(loss: float, step: int) -> str:
    if np.isnan(loss) or loss == np.inf:
        return f"the loss is {loss} at step {step}"
    if loss > TOO_FAR:
        return f"the loss grew to {loss:.3g} at step {step}"
    return f"a parameter is not finite at step {step}"
