"""A chunk is trained: together, or where that fails run by run, and from where it was stopped."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Protocol

from momentumlab.engine.loop import Keeper, train
from momentumlab.engine.measure import Columns
from momentumlab.engine.outcome import Outcome
from momentumlab.engine.plan import Group
from momentumlab.engine.stop import Stop
from momentumlab.errors import MomentumLabError
from momentumlab.experiment import Cell, Experiment
from momentumlab.results.checkpoint import State
from momentumlab.results.writer import failing_fast
from momentumlab.text import safe

_LONGEST = 500  # characters of a reason: an exception may carry a whole array

Tick = Callable[[int], None]


class Recorder(Keeper, Protocol):
    """Where rows and outcomes of chunks go: into a result, or from a worker to it."""

    fail_fast: bool
    """Whether the first run that fails ends the training."""

    def close_chunk(self, outcomes: Mapping[int, Outcome]) -> None:
        """The runs of the chunk have come to their end."""
        ...

    def stop_chunk(self, outcomes: Mapping[int, Outcome]) -> None:
        """The runs of the chunk were stopped on their way."""
        ...

    def abandon_chunk(self) -> None:
        """Take back the rows of the chunk."""
        ...

    def sort_chunk(self) -> None:
        """Put the rows of the chunk, which came run by run, in their order: by step, then run."""
        ...


def train_chunk(
    group: Group, cells: Sequence[Cell], recorder: Recorder, tick: Tick, stop: Stop, saved: State | None = None
) -> None:
    """Train the runs of a chunk and give their rows and outcomes to the recorder.

    A run that fails is its own affair: the chunk is trained again run by run, and the culprit is recorded as failed.
    """
    outcomes: dict[int, Outcome] = {}
    try:
        with _threads_and_denormals(group.experiment):
            keeper = _Attentive(recorder, stop)
            stack, watch = group.stack(cells), group.watch(cells)
            train(stack, group.problem, group.plan, keeper, tick, outcomes, saved, watch)
    except (MomentumLabError, KeyboardInterrupt):
        recorder.stop_chunk(outcomes)
        raise
    except Exception:
        if stop.asked:
            recorder.stop_chunk(outcomes)
            stop.heed()  # who has raised this, perhaps
        recorder.abandon_chunk()
        if saved is not None:  # so that the bytes are those of a training that nothing had stopped
            train_chunk(group, cells, recorder, tick, stop)
            return
        outcomes = {}
        for cell in cells:
            outcomes |= train_alone(group, cell, recorder, stop)
            if recorder.fail_fast and outcomes[cell.run].status == "failed":
                recorder.stop_chunk(outcomes)
                raise failing_fast(cell.run, outcomes[cell.run]) from None
        recorder.sort_chunk()
    recorder.close_chunk(outcomes)


def train_alone(group: Group, cell: Cell, recorder: Recorder, stop: Stop) -> dict[int, Outcome]:
    """Train one run of a chunk that failed, and give what became of it; its rows are recorded unless it fails."""
    outcomes: dict[int, Outcome] = {}
    rows = _Held(stop)
    try:
        with _threads_and_denormals(group.experiment):
            stack, watch = group.stack([cell]), group.watch([cell])
            train(stack, group.problem, group.plan, rows, lambda updates: None, outcomes, watch=watch)
    except (MomentumLabError, KeyboardInterrupt):
        raise
    except Exception as error:
        stop.heed()
        reason = safe(f"{type(error).__name__}: {error}")
        return {cell.run: Outcome(status="failed", reason=reason[:_LONGEST])}
    for columns in rows.blocks:
        recorder.record(columns)
    return outcomes


class _Attentive:
    """Keeps what a recorder keeps, and leaves where somebody asks for it once the state is kept."""

    def __init__(self, recorder: Recorder, stop: Stop) -> None:
        self.record = recorder.record
        self._recorder = recorder
        self._stop = stop

    @property
    def due(self) -> bool:
        return self._stop.asked or self._recorder.due

    def save(self, state: State) -> None:
        self._recorder.save(state)
        self._stop.heed()


class _Held:
    """Holds the rows of one run until it has come to its end, and keeps no states: a retry begins anew."""

    def __init__(self, stop: Stop) -> None:
        self.blocks: list[Columns] = []
        self.record = self.blocks.append
        self._stop = stop

    @property
    def due(self) -> bool:
        return self._stop.asked

    def save(self, state: State) -> None:
        del state
        self._stop.heed()


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
