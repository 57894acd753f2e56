"""A whole plan is trained: chunk after chunk here, or where the work is worth it by a process for each processor.

A chunk's numbers depend on nothing but the chunk, and its rows are written in the order of the plan, so the bytes are
those of a single process.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from momentumlab.engine.loop import Outcome, train
from momentumlab.engine.measure import Columns
from momentumlab.engine.plan import Group
from momentumlab.errors import MomentumLabError
from momentumlab.experiment import Cell, Experiment

WORTH = 1e9
"""From so many products (runs · updates · samples · parameters) on other processes are started: about half a second."""

Tick = Callable[[int], None]
Chunk = tuple[Group, Sequence[Cell]]


class Recorder(Protocol):
    """Where rows and outcomes go: a result that is written, or a worker's memory."""

    def record(self, columns: Columns) -> None:
        """Add rows of the chunk that is being trained."""
        ...

    def close_chunk(self, outcomes: Mapping[int, Outcome]) -> None:
        """The runs of the chunk have come to their end."""
        ...

    def stop_chunk(self, outcomes: Mapping[int, Outcome]) -> None:
        """The runs of the chunk were stopped on their way."""
        ...

    def abandon_chunk(self) -> None:
        """Take back the rows of the chunk."""
        ...


def train_all(plan: Sequence[Group], recorder: Recorder, tick: Tick) -> None:
    """Train every chunk of the plan and give its rows and outcomes to the recorder, in order.

    `tick` is told how many updates were made. Whatever stops the training early has told the recorder.
    """
    chunks = [(group, cells) for group in plan for cells in group.chunks]
    if _worth_it(chunks):
        _train_by_workers(chunks, recorder, tick)
    else:
        for group, cells in chunks:
            _train_here(group, cells, recorder, tick)


def _train_here(group: Group, cells: Sequence[Cell], recorder: Recorder, tick: Tick) -> None:
    with _threads(group.experiment):
        _train_chunk(group, cells, recorder, tick)


def _train_chunk(group: Group, cells: Sequence[Cell], recorder: Recorder, tick: Tick) -> None:
    # A run that fails is its own affair: the chunk is trained again run by run, and the culprit is recorded as failed.
    outcomes: dict[int, Outcome] = {}
    try:
        train(group.stack(cells), group.problem, group.plan, recorder.record, tick, outcomes)
    except (MomentumLabError, KeyboardInterrupt):
        recorder.stop_chunk(outcomes)
        raise
    except Exception as error:
        recorder.abandon_chunk()
        if len(cells) > 1:
            for cell in cells:
                _train_chunk(group, [cell], recorder, lambda updates: None)
            return
        reason = f"{type(error).__name__}: {error}"
        outcomes = {cells[0].run: Outcome(status="failed", reason=reason)}
    recorder.close_chunk(outcomes)


@contextmanager
def _threads(experiment: Experiment) -> Iterator[None]:
    # The number of threads decides the last bits of a product, so it is the experiment's and not the machine's.
    if experiment.model is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(experiment.train.threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# ---- several processes -------------------------------------------------------------------------------------


def _worth_it(chunks: Sequence[Chunk]) -> bool:
    alone = all(group.experiment.train.threads == 1 and group.experiment.train.device == "cpu" for group, _ in chunks)
    return alone and len(chunks) > 1 and _processors() > 1 and sum(map(_products, chunks)) > WORTH


def _products(chunk: Chunk) -> int:
    group, cells = chunk
    parameters = sum(parameter.size for parameter in group.problem.parameters)
    samples = getattr(group.problem, "batch_size", 1)  # an objective has none
    return len(cells) * group.plan.steps * int(samples) * parameters


def _processors() -> int:
    # A copy of this process has everything loaded; only Linux makes one that is safe to use.
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1


@dataclass
class _Kept:
    """What a worker sends back: the rows of its chunk, the outcomes, how many updates were made."""

    blocks: list[Columns] = field(default_factory=list)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    updates: int = 0
    closed: int = 0  # how many of the blocks stay, whatever becomes of the chunk

    def record(self, columns: Columns) -> None:
        self.blocks.append(columns)

    def close_chunk(self, outcomes: Mapping[int, Outcome]) -> None:
        self.outcomes |= outcomes
        self.closed = len(self.blocks)

    def stop_chunk(self, outcomes: Mapping[int, Outcome]) -> None:
        del outcomes  # the error that stopped it is sent back instead

    def abandon_chunk(self) -> None:
        del self.blocks[self.closed :]

    def tick(self, updates: int) -> None:
        self.updates += updates


_chunks: Sequence[Chunk] = ()
"""What the workers find in their copy of this process: problems and data need not be sent to them."""


def _train_by_workers(chunks: Sequence[Chunk], recorder: Recorder, tick: Tick) -> None:
    global _chunks  # noqa: PLW0603 - a copy of the process is how workers get at it
    _chunks = chunks
    done = 0
    workers = min(_processors(), len(chunks))
    with ProcessPoolExecutor(workers, multiprocessing.get_context("fork"), _begin, (os.getpid(),)) as pool:
        others = set(multiprocessing.active_children())
        try:
            for kept in pool.map(_train_kept, range(len(chunks))):
                for block in kept.blocks:
                    recorder.record(block)
                recorder.close_chunk(kept.outcomes)
                tick(kept.updates)
                done += 1
        except BrokenProcessPool:
            pass  # a worker was killed, for memory perhaps: one process after the other takes less
        except BaseException:
            for worker in set(multiprocessing.active_children()) - others:
                worker.terminate()
            raise
        finally:
            _chunks = ()
    for group, cells in chunks[done:]:
        _train_here(group, cells, recorder, tick)


def _begin(parent: int) -> None:
    # A worker leaves signals to its parent and dies with it, also when that is killed: it holds the result's lock.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with_parent = 1  # PR_SET_PDEATHSIG of linux/prctl.h
    ctypes.CDLL(None).prctl(die_with_parent, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _train_kept(place: int) -> _Kept:
    group, cells = _chunks[place]
    kept = _Kept()
    _train_here(group, cells, kept, kept.tick)
    return kept
