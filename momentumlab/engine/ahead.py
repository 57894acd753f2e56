"""A stack on an accelerator that runs ahead of the loop: many steps are launched before anybody waits for one.

To look at a step is to wait for the device, and a step of small models is done before the next one is launched. So a
block of steps is launched at once, their losses and norms are noted on the device, and the loop is served from one
copy of the notes. Where torch can record the kernels of a step as a CUDA graph, a step is one launch.
"""

from bisect import bisect_left
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from momentumlab.engine.loop import Plan, bound
from momentumlab.engine.stack import Look, Measured, RuleStack
from momentumlab.optimizers.rules import RULES
from momentumlab.problems.models import Batch, Batches
from momentumlab.results.checkpoint import State

MOST_STEPS = 64
"""So many steps are run ahead: what is waited for once is spread well, and little is done for runs that have ended."""
_NOTES_BYTES = 64 * 2**20
_WARM_UP = 2  # launches before one is recorded: the libraries take their memory in the first

Rows = npt.NDArray[np.intp]
Numbers = npt.NDArray[Any]


class Ahead:
    """A stack around one of a model's: what the loop sees is the same, and the waiting is done once for many steps.

    At the start, at the end and where all data is evaluated the inner stack itself is looked at. In the steps between
    vectors can be read where they are recorded, and θ of runs that have just diverged.
    """

    def __init__(self, stack: RuleStack, plan: Plan, most: int = MOST_STEPS) -> None:
        self.arrays = stack.arrays
        self.runs = stack.runs
        self._stack = stack
        self._vectors = plan.vectors
        self._stops = sorted({0, plan.steps, *plan.evaluate_at})
        self._rows: Rows = np.arange(len(self.runs))  # of the inner stack's rows those that the loop goes on with
        self._most = most
        self._steps: Steps | None = None
        self._bound = np.empty(0)  # (row of the inner stack,)
        self._block = range(0)  # the steps that were run ahead last
        self._notes: Numbers = np.empty(0)  # (step, note, row of the inner stack)
        self._gamma, self._eta = np.empty((2, 0, 0))  # (step, row of the inner stack)

    def look(self, step: int) -> Look:
        if self._next_stop(step) == step:
            self._block = range(0)
            return self._look_now(step)
        if step not in self._block:
            self._run(step)
        place = step - self._block.start
        return self._seen(self._notes[place], self._gamma[place], self._eta[place], now=False)

    def advance(self) -> None:
        if not self._block:
            self._stack.advance()

    def keep(self, rows: Rows) -> None:
        self._rows, self.runs = self._rows[rows], self.runs[rows]

    def state(self, step: int) -> State | None:
        if step in self._block or not len(self._bound):
            return None  # the inner stack is ahead of it, or nothing was looked at yet
        state = self._stack.state(step)
        return {name: values[self._rows] for name, values in (state | {"bound": self._bound}).items()}

    def restore(self, step: int, state: State) -> None:
        self._stack.keep(self._rows)
        self._stack.restore(step, state)
        self._rows, self._bound = np.arange(len(self.runs)), state["bound"]

    def _next_stop(self, step: int) -> int:
        return self._stops[bisect_left(self._stops, step)]

    def _look_now(self, step: int) -> Look:
        stack = self._stack
        look = stack.look(step)
        assert look.loss is not None  # a model has one
        notes = self.arrays.numpy(_notes(look.theta, look.loss, look.gradient, look.velocity, self._vectors))
        if step == 0:
            self._bound = bound(notes[0])
        return self._seen(notes, look.gamma, look.eta, now=True)

    def _run(self, first: int) -> None:
        # Runs that have ended are carried along, as new graphs cost more, until they are half of all.
        if 2 * len(self._rows) <= len(self._stack.runs):
            self._stack.keep(self._rows)
            self._bound, self._rows, self._steps = self._bound[self._rows], np.arange(len(self._rows)), None
        if self._steps is None:
            self._steps = Steps(self._stack, self._bound, self._vectors, self._most)
        self._block = range(first, min(first + self._steps.most, self._next_stop(first)))
        self._steps.run(self._block)
        rates = self._stack.hyperparameters
        self._gamma, self._eta = (rate.values_over(self._block) for rate in (rates.gamma, rates.eta))
        self._notes = self._steps.notes(len(self._block))

    def _seen(self, notes: Numbers, gamma: Numbers, eta: Numbers, *, now: bool) -> Look:
        # notes: (note, row of the inner stack); now: whether its θ is the one that was seen.
        everybody = len(self._rows) == notes.shape[1]
        which = slice(None) if everybody else self._rows  # of all of them nothing is copied
        notes = notes[:, which]
        loss, finite = notes[0], notes[1] > 0
        theta = gradient = velocity = None
        if self._vectors:
            theta, gradient, velocity = (torch.from_numpy(part.T) for part in np.split(notes[5:], 3))
        # Of a run that diverges θ has stood still since then.
        if now or not (self._vectors or (finite & (loss <= self._bound[which])).all()):
            theta = self._stack.now.theta
            theta = theta if everybody else self.arrays.rows(theta, self._rows)
        return Look(
            loss=torch.from_numpy(loss),
            gradient=gradient,
            theta=theta,
            compute_velocity=lambda: velocity,
            gamma=gamma[which],
            eta=eta[which],
            measured=Measured(finite, *notes[2:5]),
        )


class Steps:
    """The steps of a stack in tensors that stay where they are, so that what was recorded once can be repeated.

    Each of them looks, notes what it sees and makes the update, as the stack itself would; of a run that diverges θ
    stays what it was then. Nothing here waits for the device but `notes`.
    """

    def __init__(self, stack: RuleStack, limits: npt.NDArray[np.float64], vectors: bool, most: int) -> None:
        assert isinstance(stack.feed, Batches)
        now, (runs, parameters) = stack.now, stack.now.theta.shape
        self._stack, self._batches = stack, stack.feed
        self._vectors = vectors
        self._now = replace(
            now,
            theta=now.theta.clone(),
            memory=[part.clone() for part in now.memory] if isinstance(now.memory, list) else now.memory.clone(),
            eta_before=now.eta_before.clone(),
            loss=now.loss.clone(),  # type: ignore[union-attr]
            loss_before=now.loss.clone(),  # type: ignore[union-attr]
        )
        self._limits = torch.from_numpy(limits).to(now.theta.device)  # (run,), float64 as the loop has it
        self._alive = now.at_rest.clone()  # (run, 1)
        self._place = torch.zeros(1, dtype=torch.int64, device=now.theta.device)  # of the step in its block
        width = 5 + 3 * parameters * vectors
        self.most = max(1, min(most, _NOTES_BYTES // (runs * width * now.theta.element_size())))
        self._notes = now.theta.new_empty(self.most, width, runs)
        self._rates = stack.hyperparameters.changing
        for rate in self._rates:
            rate.column = rate.column.clone()
        self._columns = [rate.column for rate in self._rates]
        self._tables = [now.theta.new_empty(self.most, runs) for _ in self._rates]  # their values over the block
        stack.hyperparameters.read()
        self._given = stack.hyperparameters.columns
        self._launches: dict[int, _Launch] = {}  # by the number of samples
        # A rule from a file may do what only happens while it is recorded, and not again.
        self._recordable = now.theta.is_cuda and stack.update.rule in RULES.values()

    def run(self, block: range) -> None:
        """Launch these steps."""
        with _on(self._now.theta.device):
            self._begin(block)
            for step in block:
                batch = self._batches.at(step)
                samples = batch.x.shape[1]
                if samples not in self._launches:
                    self._launches[samples] = _Launch(self._step, batch, self._recordable)
                self._launches[samples](batch)
        # The stack goes on from here.
        self._stack.now = replace(self._now)
        for rate, column in zip(self._rates, self._columns, strict=True):
            rate.column = column
        self._stack.given = self._given

    def notes(self, count: int) -> Numbers:
        """What was noted at the first `count` steps of the last block, (step, note, run)."""
        numbers: Numbers = self._notes[:count].to("cpu", copy=True).numpy()
        return numbers

    def _begin(self, block: range) -> None:
        now, static = self._stack.now, self._now
        for name in ("theta", "memory", "loss"):
            _take(getattr(static, name), getattr(now, name))
        for rate, column, table in zip(self._rates, self._columns, self._tables, strict=True):
            _take(column, rate.column)
            table[: len(block)] = self._stack.arrays.array(rate.values_over(block))
        self._alive.fill_(True)
        self._place.zero_()

    def _step(self, batch: Batch) -> None:
        stack, now, given = self._stack, self._now, self._given
        velocity = stack.update.rule.velocity(now.memory, given)  # of the update that led here
        now.eta_before.copy_(given["eta"])
        now.loss_before.copy_(now.loss)  # type: ignore[union-attr]
        loss, gradient = self._batches.loss_and_gradient_on(now.theta, batch)
        now.loss.copy_(loss)  # type: ignore[union-attr]
        for column, table in zip(self._columns, self._tables, strict=True):
            column.copy_(table.index_select(0, self._place).view(-1, 1))
        notes = _notes(now.theta, loss, gradient, velocity, self._vectors)
        self._notes.index_copy_(0, self._place, notes[None])
        self._alive &= ((loss.double() <= self._limits) & (notes[1] > 0))[:, None]
        before = replace(now, theta=now.theta.clone(), gradient=gradient, velocity=velocity)
        theta, memory = stack.update(before, given, stack.arrays)
        torch.where(self._alive, theta, now.theta, out=now.theta)
        _take(now.memory, memory)
        self._place += 1


class _Launch:
    """Launches a step on batches of one size: kernel by kernel, or as a graph once that was recorded."""

    def __init__(self, step: Callable[[Batch], None], like: Batch, recordable: bool) -> None:
        self._step = step
        self._x, self._y = _place_for(like.x), _place_for(like.y)
        self._shown = Batch.of(self._x.expand(like.x.shape), self._y.expand(like.y.shape))
        self._recordable = recordable
        self._launched = 0
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, batch: Batch) -> None:
        self._x.copy_(batch.x[: len(self._x)])
        self._y.copy_(batch.y[: len(self._y)])
        if self._recordable and self._launched == _WARM_UP:
            self._record()
        if self._graph is not None:
            self._graph.replay()
        elif self._recordable:
            self._launch_beside()
        else:
            self._step(self._shown)
        self._launched += 1

    def _record(self) -> None:
        try:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=torch.cuda.Stream()):  # type: ignore[no-untyped-call]
                self._step(self._shown)
        except RuntimeError:  # the driver or a kernel does not allow it: the same numbers, launched one by one
            self._recordable = False
        else:
            self._graph = graph

    def _launch_beside(self) -> None:
        # On a stream of its own, as torch wants it before a recording.
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self._step(self._shown)
        torch.cuda.current_stream().wait_stream(stream)


def _notes(theta: Tensor, loss: Tensor, gradient: Tensor, velocity: Tensor, vectors: bool) -> Tensor:
    """(note, run): J, whether θ is finite, ‖∇J‖, ‖v‖ and their cosine; with `vectors` also θ, ∇J and v."""
    finite = torch.linalg.vector_norm(theta, torch.inf, -1).isfinite()
    notes = torch.stack([loss, finite.to(loss.dtype), *_norms_and_cosine(gradient, velocity)])
    return torch.cat([notes, theta.T, gradient.T, velocity.T]) if vectors else notes


def _norms_and_cosine(gradient: Tensor, velocity: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    # As `measure` has them. Divided by its largest number no vector's squares can overflow or vanish.
    (length, one), (other_length, other) = _scaled(gradient), _scaled(velocity)
    norms = [torch.linalg.vector_norm(vector, dim=-1) for vector in (one, other)]
    both = norms[0] * norms[1]
    cosine = torch.linalg.vecdot(one, other) / torch.where(both > 0, both, torch.nan)
    return length * norms[0], other_length * norms[1], cosine.clamp(-1, 1)


def _scaled(vector: Tensor) -> tuple[Tensor, Tensor]:
    largest = torch.linalg.vector_norm(vector, torch.inf, -1)
    scale = torch.where((largest > 0) & (largest < torch.inf), largest, 1)
    return scale, vector / scale[:, None]


def _place_for(batch: Tensor) -> Tensor:
    # What all runs are shown is kept once.
    return torch.empty_like(batch[:1] if batch.stride(0) == 0 else batch, memory_format=torch.contiguous_format)


def _take(places: Any, values: Any) -> None:
    # A tensor, or each of a list of them, unless it is there already.
    if isinstance(places, list):
        for place, value in zip(places, values, strict=True):
            _take(place, value)
    elif places is not values:
        places.copy_(values)


def _on(device: torch.device) -> AbstractContextManager[Any]:
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
