"""A whole plan is trained: chunk after chunk here, or where the work is worth it by a process for each processor.

A chunk's numbers depend on nothing but the chunk, and its rows are written in the order of the plan, so the bytes are
those of a single process.
"""

import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import IO, NamedTuple, Protocol

from momentumlab.engine.loop import Outcome, train
from momentumlab.engine.measure import Columns
from momentumlab.engine.plan import Group
from momentumlab.errors import MomentumLabError
from momentumlab.experiment import Cell, Experiment
from momentumlab.results.rows import Rows

WORTH = 1e9
"""From so many products (runs · updates · samples · parameters) on other processes are started: about half a second."""

_OF_AN_OBJECTIVE = 100  # samples whose products take as long as its formula, with what is measured and written
_UNDER_WAY = 2  # chunks of each worker: one that it trains, one that waits to be written or trained

Tick = Callable[[int], None]
Chunk = tuple[Group, Sequence[Cell]]


class Recorder(Protocol):
    """Where rows and outcomes of chunks go: into a result, or from a worker to it."""

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


class Writer(Recorder, Protocol):
    """A result that is written: it also takes chunks that other processes trained."""

    def spool(self) -> Rows:
        """A place for the rows of such chunks, one after another."""
        ...

    def take_chunk(self, rows: Rows, outcomes: Mapping[int, Outcome]) -> None:
        """Add the rows of a chunk, out of a spool, and its outcomes."""
        ...


def train_all(plan: Sequence[Group], writer: Writer, tick: Tick) -> None:
    """Train every chunk of the plan and give its rows and outcomes to the writer, in order.

    `tick` is told how many updates were made. Whatever stops the training early has told the writer.
    """
    chunks = [(group, cells) for group in plan for cells in group.chunks]
    if _worth_it(chunks):
        _train_by_workers(chunks, writer, tick)
    else:
        for group, cells in chunks:
            _train_here(group, cells, writer, tick)


def _train_here(group: Group, cells: Sequence[Cell], recorder: Recorder, tick: Tick) -> None:
    with _threads_and_denormals(group.experiment):
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
def _threads_and_denormals(experiment: Experiment) -> Iterator[None]:
    # The number of threads decides the last bits of a product, so it is the experiment's and not the machine's.
    if experiment.model is None:
        yield
        return
    import torch

    from momentumlab.problems.denormals import denormals_as_zero

    before, threads = torch.get_num_threads(), experiment.train.threads
    torch.set_num_threads(threads)
    try:
        # In float64 nothing decays so far; there the smallest η that can be written is as good as any.
        with denormals_as_zero() if threads == 1 and experiment.train.dtype == "float32" else nullcontext():
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
    samples = getattr(group.problem, "batch_size", _OF_AN_OBJECTIVE)
    return len(cells) * group.plan.steps * int(samples) * parameters


def _processors() -> int:
    # A copy of this process has everything loaded; only Linux makes one that is safe to use.
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1


@dataclass
class _Sent:
    """What a worker sends back of a chunk, whose rows are in a spool: the outcomes, how many updates were made."""

    outcomes: dict[int, Outcome] = field(default_factory=dict)
    updates: int = 0


class _Worker:
    """The recorder of a chunk in a worker."""

    def __init__(self, rows: Rows) -> None:
        self.sent = _Sent()
        self.record, self.abandon_chunk = rows.record, rows.abandon_chunk
        self._rows = rows

    def close_chunk(self, outcomes: Mapping[int, Outcome]) -> None:
        self._rows.close_chunk()
        self.sent.outcomes |= outcomes

    def stop_chunk(self, outcomes: Mapping[int, Outcome]) -> None:
        del outcomes  # the error that stopped it is sent back instead

    def tick(self, updates: int) -> None:
        self.sent.updates += updates


class _Desk(NamedTuple):
    """Where a worker leaves a chunk that is under way.

    Not in the pool's pipe: who is ended in the middle of a long message leaves its reader waiting for ever.
    """

    rows: Rows
    sent: IO[bytes]

    def leave(self, sent: _Sent) -> None:
        self.sent.seek(0)
        self.sent.truncate()
        pickle.dump(sent, self.sent)
        self.sent.flush()

    def take(self) -> _Sent:
        file = self.sent.fileno()
        sent: _Sent = pickle.loads(os.pread(file, os.fstat(file).st_size, 0))
        return sent

    def clear(self) -> None:
        self.rows.close()
        self.sent.close()


_inherited: tuple[Sequence[Chunk], Sequence[_Desk]] = (), ()
"""What the workers find in their copy of this process: chunks, and desks for those that are under way."""


def _train_by_workers(chunks: Sequence[Chunk], writer: Writer, tick: Tick) -> None:
    global _inherited  # noqa: PLW0603 - a copy of the process is how workers get at it
    workers = min(_processors(), len(chunks))
    desks = [
        _Desk(writer.spool(), tempfile.TemporaryFile())  # noqa: SIM115 - cleared below
        for _ in range(_UNDER_WAY * workers)
    ]
    _inherited = chunks, desks
    done = 0
    with ProcessPoolExecutor(workers, multiprocessing.get_context("fork"), _begin, (os.getpid(),)) as pool:
        others = set(multiprocessing.active_children())
        try:
            under_way = deque(pool.submit(_train_at_desk, place) for place in range(min(len(desks), len(chunks))))
            while under_way:
                under_way.popleft().result()
                desk = desks[done % len(desks)]
                sent = desk.take()
                writer.take_chunk(desk.rows, sent.outcomes)
                tick(sent.updates)
                done += 1
                if done + len(under_way) < len(chunks):
                    under_way.append(pool.submit(_train_at_desk, done + len(under_way)))
        except BrokenProcessPool:
            pass  # a worker was killed, for memory perhaps: one process after the other takes less
        except BaseException:
            for worker in set(multiprocessing.active_children()) - others:
                worker.terminate()
            raise
        finally:
            _inherited = (), ()
            for desk in desks:
                desk.clear()
    for group, cells in chunks[done:]:
        _train_here(group, cells, writer, tick)


def _begin(parent: int) -> None:
    # A worker leaves signals to its parent and dies with it, also when that is killed: it holds the result's lock.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with_parent = 1  # PR_SET_PDEATHSIG of linux/prctl.h
    ctypes.CDLL(None).prctl(die_with_parent, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _train_at_desk(place: int) -> None:
    chunks, desks = _inherited
    desk = desks[place % len(desks)]
    worker = _Worker(desk.rows.begin_anew())
    _train_here(*chunks[place], worker, worker.tick)
    desk.leave(worker.sent)
