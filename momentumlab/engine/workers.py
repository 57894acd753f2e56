"""A whole plan is trained: chunk after chunk here, or where the work is worth it by a process for each processor.

A chunk's numbers depend on nothing but the chunk, and its rows are written in the order of the plan, so the bytes are
those of a single process. Every chunk has a process of its own, a copy of this one: who is killed takes nobody along.
"""

import ctypes
import os
import pickle
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import IO, NamedTuple, Protocol

import numpy as np

from momentumlab.engine.chunks import Recorder, Tick, train_alone, train_chunk
from momentumlab.engine.outcome import Outcome
from momentumlab.engine.plan import Group
from momentumlab.engine.stop import PATIENCE, Stop
from momentumlab.errors import MomentumLabError
from momentumlab.experiment import Cell
from momentumlab.results.checkpoint import State, write_checkpoint
from momentumlab.results.rows import Rows
from momentumlab.results.writer import Pace

WORTH = 1e9
"""From so many products (runs · updates · samples · parameters) on other processes are started: about half a second."""

_OF_AN_OBJECTIVE = 100  # samples whose products take as long as its formula, with what is measured and written
_DESKS = 2  # of each worker: one at which it trains, one whose chunk waits to be written in its turn
_STOPPED = 75  # the exit code of a worker that was asked to stop and kept its state
_HELD = {signal.SIGINT, signal.SIGTERM}
_LOOK = 0.1  # seconds after which this process sees that it was asked to stop

Chunk = tuple[Group, Sequence[Cell]]


class Writer(Recorder, Protocol):
    """A result that is written: it knows what was trained before, and takes chunks that other processes trained."""

    done: int

    @property
    def identity(self) -> str:
        """What its checkpoints are marked with."""
        ...

    def saved(self, place: int) -> State | None:
        """The state of a chunk that was on its way; with its `rows` where another process trained it."""
        ...

    def checkpoint_of(self, place: int) -> Path:
        """Where another process saves the state of a chunk."""
        ...

    def save(self, chunk: State | None = None) -> None:
        """Keep what was recorded so far."""
        ...

    def add(self, rows: bytes) -> None:
        """Add the first rows of a chunk, as they were written before."""
        ...

    def spool(self) -> Rows:
        """A place for the rows of such chunks, one after another."""
        ...

    def take_chunk(self, rows: Rows, outcomes: Mapping[int, Outcome]) -> None:
        """Add the rows of a chunk, out of a spool, and its outcomes."""
        ...


def train_all(plan: Sequence[Group], writer: Writer, tick: Tick, stop: Stop) -> None:
    """Train every chunk of the plan that is not done and give its rows and outcomes to the writer, in order.

    `tick` is told how many updates were made. Whatever stops the training early has told the writer.
    """
    chunks = [(group, cells) for group in plan for cells in group.chunks]
    for group, cells in chunks[: writer.done]:
        tick(len(cells) * group.plan.steps)
    on_its_way = writer.done < len(chunks) and writer.saved(writer.done)
    if on_its_way and "rows" not in on_its_way:  # they stand in the result, so it goes on here
        _train_here(chunks, writer, tick, stop)
    if _worth_it(chunks[writer.done :]):
        _Workers(chunks, writer, tick, stop).train()
    while writer.done < len(chunks):
        _train_here(chunks, writer, tick, stop)


def _train_here(chunks: Sequence[Chunk], writer: Writer, tick: Tick, stop: Stop) -> None:
    group, cells = chunks[writer.done]
    saved = writer.saved(writer.done)
    if saved is not None and "rows" in saved:
        writer.add(saved["rows"].tobytes())
    train_chunk(group, cells, writer, tick, stop, saved)
    if stop.asked:
        writer.save()
        stop.heed()


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


# ---- this process ------------------------------------------------------------------------------------------


@dataclass
class _Sent:
    """What a worker sends back: the outcomes of some runs, how many updates they took, an error that ended it."""

    outcomes: dict[int, Outcome] = field(default_factory=dict)
    updates: int = 0
    size: int = 0  # bytes of rows at the desk, theirs included
    error: MomentumLabError | None = None


class _Desk(NamedTuple):
    """Where a worker leaves a chunk: files without a name, which this process and its copies share.

    Not a pipe: who is ended in the middle of a long message leaves its reader waiting for ever.
    """

    rows: Rows
    sent: IO[bytes]

    def leave(self, sent: _Sent) -> None:
        """Add a message; it counts once it is whole."""
        message = pickle.dumps(sent)
        self.sent.write(len(message).to_bytes(8, "little") + message)
        self.sent.flush()

    def take(self) -> list[_Sent]:
        """All messages that are whole."""
        file, start, messages = self.sent.fileno(), 0, []
        size = os.fstat(file).st_size
        while start + 8 <= size:
            length = int.from_bytes(os.pread(file, 8, start), "little")
            if start + 8 + length > size:
                break
            messages.append(pickle.loads(os.pread(file, length, start + 8)))
            start += 8 + length
        return messages

    def clear(self) -> None:
        """Make place for another chunk."""
        self.rows.cut()
        self.sent.seek(0)
        self.sent.truncate()


class _Workers:
    """Trains chunks in processes of their own, a few at a time, and writes them in their order."""

    def __init__(self, chunks: Sequence[Chunk], writer: Writer, tick: Tick, stop: Stop) -> None:
        self._chunks = chunks
        self._writer = writer
        self._tick = tick
        self._stop = stop
        self._most = min(_processors(), len(chunks) - writer.done)
        self._next = writer.done  # the first chunk that nobody has begun
        self._under_way: dict[int, ForkProcess] = {}  # by the chunk's place
        self._ended: set[int] = set()  # chunks that wait for their turn to be written
        self._one_by_one: set[int] = set()  # chunks whose process was killed
        self._desks = [_Desk(writer.spool(), tempfile.TemporaryFile()) for _ in range(_DESKS * self._most)]  # noqa: SIM115

    def train(self) -> None:
        try:
            while self._writer.done < len(self._chunks):
                if self._stop.asked:
                    self._leave()
                    return
                while self._may_begin():
                    self._begin(self._next)
                    self._next += 1
                for place in self._wait(_LOOK):
                    self._end(place)
                while self._writer.done in self._ended:
                    self._write(self._writer.done)
        finally:
            for process in self._under_way.values():
                process.kill()
            for process in self._under_way.values():
                process.join()
            for desk in self._desks:
                desk.rows.close()
                desk.sent.close()

    def _may_begin(self) -> bool:
        some_left = self._next < min(len(self._chunks), self._writer.done + len(self._desks))
        return some_left and len(self._under_way) < self._most

    def _begin(self, place: int) -> None:
        self._desk(place).clear()
        self._start(place, _train_together)

    def _start(self, place: int, work: Callable[["_Job", Stop], None]) -> None:
        job = _Job(self._chunks[place], self._desk(place), self._writer, place)
        process = ForkProcess(target=_in_a_worker, args=(work, job, os.getpid()), daemon=True)
        signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)  # until both processes know what to do with them
        process.start()
        self._under_way[place] = process
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)

    def _desk(self, place: int) -> _Desk:
        return self._desks[place % len(self._desks)]

    def _wait(self, seconds: float) -> list[int]:
        """The places of the processes that have ended, after at most so many seconds."""
        sentinels = {process.sentinel: place for place, process in self._under_way.items()}
        return [sentinels[sentinel] for sentinel in wait(list(sentinels), seconds)]  # type: ignore[index]

    def _end(self, place: int) -> None:
        process = self._under_way.pop(place)
        process.join()
        code = process.exitcode or 0
        messages = self._desk(place).take()
        errors = [sent.error for sent in messages if sent.error is not None]
        if errors:
            raise errors[0]
        if code == 0:
            self._ended.add(place)
        elif self._stop.asked:
            pass  # whoever asks again goes on from what it kept
        elif code != _STOPPED:
            self._after_a_death(place, code)
        elif place in self._one_by_one:  # somebody asked that worker alone
            self._start(place, _train_one_by_one)
        else:
            self._begin(place)

    def _after_a_death(self, place: int, code: int) -> None:
        # Killed, for memory perhaps: one run at a time takes less, and tells whose fault it is.
        (_, cells), desk = self._chunks[place], self._desk(place)
        if place in self._one_by_one:
            messages = desk.take()
            size = messages[-1].size if messages else 0
            culprit = cells[len(messages)].run
            desk.leave(_Sent({culprit: Outcome(status="failed", reason=_death(code))}, size=size))
        self._one_by_one.add(place)
        self._start(place, _train_one_by_one)

    def _write(self, place: int) -> None:
        self._ended.remove(place)
        messages = self._desk(place).take()
        outcomes = {run: outcome for sent in messages for run, outcome in sent.outcomes.items()}
        self._writer.take_chunk(self._desk(place).rows, outcomes)
        self._tick(sum(sent.updates for sent in messages))

    def _leave(self) -> None:
        # Those under way keep their states; what they have finished by then is written, as far as its turn has come.
        for process in self._under_way.values():
            process.terminate()
        deadline = time.monotonic() + PATIENCE / 2
        while self._under_way and time.monotonic() < deadline:
            for place in self._wait(_LOOK):
                self._end(place)
        while self._writer.done in self._ended:
            self._write(self._writer.done)
        self._writer.save()
        self._stop.heed()


def _death(code: int) -> str:
    if code == -signal.SIGKILL:
        return "its process was killed, as when memory runs out"
    return f"its process was ended by signal {-code}" if code < 0 else f"its process ended with code {code}"


# ---- another process ---------------------------------------------------------------------------------------


class _Job(NamedTuple):
    """A chunk for a worker."""

    chunk: Chunk
    desk: _Desk
    writer: Writer
    place: int


class _Worker:
    """The recorder of a chunk in a worker."""

    def __init__(self, job: _Job) -> None:
        rows = job.desk.rows
        self.record, self.abandon_chunk = rows.record, rows.abandon_chunk
        self.outcomes: dict[int, Outcome] = {}
        self.fail_fast = job.writer.fail_fast
        self._rows = rows
        self._pace = Pace()
        self._path, self._identity = job.writer.checkpoint_of(job.place), job.writer.identity

    @property
    def due(self) -> bool:
        return self._pace.due

    def save(self, state: State) -> None:
        start = time.monotonic()
        rows = np.frombuffer(self._rows.text(), np.uint8)
        write_checkpoint(self._path, state | {"identity": np.array(self._identity), "rows": rows})
        self._pace.took(start)

    def close_chunk(self, outcomes: Mapping[int, Outcome]) -> None:
        self._rows.close_chunk()
        self.outcomes |= outcomes

    def stop_chunk(self, outcomes: Mapping[int, Outcome]) -> None:
        del outcomes  # the error that stopped it is sent back instead


def _in_a_worker(work: Callable[["_Job", Stop], None], job: _Job, parent: int) -> None:
    # It leaves signals to its parent, which asks it by SIGTERM to stop, and dies with it: the parent holds the result's
    # lock. Whoever sends SIGTERM to the whole group asks it twice, and it still has its state to save.
    stop = Stop({signal.SIGTERM: lambda number, frame: os._exit(_STOPPED)})
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: None if stop.asked else stop.ask(number, frame))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)
    die_with_parent = 1  # PR_SET_PDEATHSIG of linux/prctl.h
    ctypes.CDLL(None).prctl(die_with_parent, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    try:
        work(job, stop)
    except MomentumLabError as error:
        job.desk.leave(_Sent(error=error))


def _train_together(job: _Job, stop: Stop) -> None:
    group, cells = job.chunk
    worker = _Worker(job)
    updates: list[int] = []
    saved = job.writer.saved(job.place)
    if saved is not None:
        job.desk.rows.add(saved["rows"].tobytes())
    train_chunk(group, cells, worker, updates.append, stop, saved)
    job.desk.leave(_Sent(worker.outcomes, sum(updates)))


def _train_one_by_one(job: _Job, stop: Stop) -> None:
    group, cells = job.chunk
    rows, messages = job.desk.rows, job.desk.take()
    rows.cut(messages[-1].size if messages else 0)
    worker = _Worker(job)
    for cell in cells[len(messages) :]:
        outcomes = train_alone(group, cell, worker, stop)
        rows.close_chunk()
        job.desk.leave(_Sent(outcomes, group.plan.steps, rows.chunk_start.size))
