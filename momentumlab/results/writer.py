"""A result folder while it is written: rows as they come, and nothing half-written ever taken for whole.

The manifest says `running` until everything else is in place, and `finished` only then. Every cell of the grid has
its row in runs.csv from the beginning: what is not trained yet is `interrupted`, which is the truth should the
process die. What was trained by then is found again: the checkpoint says how much of metrics.csv belongs to it, and
what comes after is cut off and trained anew, to the same bytes.
"""

import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from filelock import FileLock, Timeout

from momentumlab.errors import ConfigError, MomentumLabError, ResultError, SignalError
from momentumlab.experiment import Grid
from momentumlab.foreign import opened
from momentumlab.results import disk
from momentumlab.results.checkpoint import (
    NAME,
    NewerError,
    State,
    predecessor,
    read_checkpoint,
    remove_checkpoint,
    tidy,
    write_checkpoint,
)
from momentumlab.results.files import refused, remove_strays, sha256_of, write_whole
from momentumlab.results.manifest import drift, ended, manifest_text, new_manifest
from momentumlab.results.outcomes import Outcomes
from momentumlab.results.rates import Theory
from momentumlab.results.reader import FILES, is_finished
from momentumlab.results.rows import SECONDS_AT_ONCE, Extent, Rows, beginnings
from momentumlab.results.table import Column
from momentumlab.text import safe, shown

_SELDOM = 20  # the table of all runs is written anew after so many times as long as it took
_SOON = 0.3  # seconds: a table that takes longer is not written once more by who is asked to stop
_OUTCOMES, _CHUNK = "outcomes.", "chunk."  # how the names of their arrays begin in a checkpoint


class Pace:
    """When the next checkpoint is due: after some seconds, and after so long that all of them cost little."""

    SECONDS = 2.0
    TIMES = 60  # what one took: less than two hundredths of the time goes into them

    def __init__(self) -> None:
        self._next = time.monotonic() + self.SECONDS

    @property
    def due(self) -> bool:
        """Whether it is time."""
        return time.monotonic() >= self._next

    def took(self, start: float) -> None:
        """One was made, begun at `start` of the monotonic clock."""
        now = time.monotonic()
        self._next = now + max(self.SECONDS, self.TIMES * (now - start))


@dataclass(frozen=True)
class Origin:
    """What a result comes from: the command, the experiment as text, checksums by path, the hash of all of it."""

    command: str
    experiment: str
    checksums: Mapping[str, str]
    identity: str


class ResultWriter:
    """Writes one result; a context manager that holds the folder's lock.

    Leaving it before `finish` marks the result as interrupted (or failed, by an error) and keeps what is there.
    """

    def __init__(
        self,
        folder: Path,
        grid: Grid,
        header: Sequence[str],
        evaluations: Sequence[str],
        *,
        theory: Theory | None = None,
        fail_fast: bool = False,
    ) -> None:
        self.folder = folder
        self.done = 0  # chunks that have come to their end
        self.notes: list[str] = []  # what is to be said about what was found in the folder
        self._grid = grid
        self._header = list(header)
        self.fail_fast = fail_fast
        self._lock = FileLock(folder / ".lock", timeout=0)
        self._state = "running"
        self._outcomes = Outcomes(grid, evaluations)
        self._theory = theory
        if theory is not None:
            count = len(grid.cells)
            self._outcomes.further = {
                "rate_predicted": theory.predicted(count),
                "rate_measured": np.full(count, np.nan),
            }
        self._chunk: State | None = None  # what was saved of the chunk that comes next
        self._table_took = 0.0  # seconds, the last time
        self._over: list[Path] = []  # checkpoints of chunks that have come to their end

    def __enter__(self) -> Self:
        try:
            disk.make_folder(self.folder)
            if self.folder.is_symlink():
                raise ResultError(f"{safe(self.folder)}: a symbolic link, and results are not written through one.")
            self._lock.acquire()
        except Timeout:
            raise ResultError(
                f"{safe(self.folder)}: {_holder(self.folder / '.lock')} is writing this result. Wait for it, or use "
                "--fresh."
            ) from None
        except OSError as error:
            raise refused(self.folder, error) from error
        with suppress(OSError):  # only a courtesy to whoever comes while we are here
            holder = json.dumps({"pid": os.getpid(), "host": socket.gethostname()})
            disk.ask((self.folder / ".lock").write_text, holder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._state == "running" and hasattr(self, "_rows"):
                stopped = isinstance(error, SignalError) or not isinstance(error, Exception)
                self._state = "interrupted" if stopped else "failed"
                # What the disk refused once it may refuse again: the first refusal is the one to be told.
                with nullcontext() if stopped else suppress(ResultError):
                    self._close()
        finally:
            if hasattr(self, "_rows"):
                with suppress(OSError):
                    self._rows.close()
            self._lock.release()
        if is_finished(self.folder):
            tidy(self.folder)

    def begin(self, origin: Origin, *, allow_drift: bool = False) -> None:
        """Lay the folder out, or go on with what is there: from here on it is a result that readers find.

        Raises ConfigError where it was begun under circumstances that give other bits, unless that is allowed.
        """
        self._manifest = new_manifest(self._grid, origin.command, origin.checksums)
        if self._theory is not None and self._theory.landscape is not None:
            self._manifest["theory"] = self._theory.landscape
        self._identity = f"{origin.identity} {self._manifest['device']}"  # another device has other chunks
        before = _manifest_in(self.folder)
        differences = {} if before is None else drift(before, self._manifest)
        if differences and not allow_drift:
            raise ConfigError(_refusal(self.folder, differences))
        earlier = (before or {}).get("drift")
        drifted = [*(earlier if isinstance(earlier, list) else []), *([differences] if differences else [])]
        if drifted:
            self._manifest["drift"] = drifted
        remove_strays(self.folder)
        found = self._found()
        if before is None:
            self._forget_checkpoints()
            found = None
        if found is None:
            self._lay_out()
        else:
            self._go_on(*found)
            self._manifest["started"] = (before or self._manifest).get("started")
        write_whole(self.folder / "experiment.yaml", origin.experiment)
        self._write_runs()
        self._write_manifest()
        self._pace = Pace()

    @property
    def columns(self) -> list[str]:
        """The names of all columns of metrics.csv and runs.csv."""
        return [*self._header, *self._outcomes.columns]

    def record(self, columns: Mapping[str, Column]) -> None:
        """Add rows to metrics.csv; they reach the file within about half a second."""
        self._rows.record(columns)

    @property
    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return self._pace.due

    def save(self, chunk: State | None = None) -> None:
        """Write the checkpoint: what was recorded so far and, of a chunk on its way, the state to go on from."""
        start = time.monotonic()
        whole, before = self._rows.synced(), self._rows.chunk_start
        state: dict[str, Any] = {
            "identity": self._identity,
            "done": self.done,
            "sizes": [before.size, whole.size],
            "sha256": [before.sha256, whole.sha256],
        }
        state |= {_OUTCOMES + name: array for name, array in self._outcomes.state().items()}
        state |= {_CHUNK + name: array for name, array in (chunk or {}).items()}
        write_checkpoint(self.folder / NAME, state)
        for path in self._over:
            remove_checkpoint(path)
        self._over = []
        self._pace.took(start)

    def add(self, rows: bytes) -> None:
        """Add rows as they were written elsewhere."""
        self._rows.add(rows)

    def close_chunk(self, outcomes: Mapping[int, Any]) -> None:
        """The runs of a chunk have come to their end: their rows and their outcomes stay."""
        self._rows.close_chunk()
        self._outcomes.note(outcomes)
        self._over.append(self.checkpoint_of(self.done))
        self.done, self._chunk = self.done + 1, None
        failed = [run for run, outcome in outcomes.items() if outcome.status == "failed"]
        if failed and self.fail_fast:
            self.save()
            raise failing_fast(failed[0], outcomes[failed[0]])
        if self.due:
            self.save()
        if time.monotonic() > self._next_table:
            self._write_runs()

    def stop_chunk(self, outcomes: Mapping[int, Any]) -> None:
        """The runs of a chunk were stopped on their way: how far they had come stays to be read."""
        self._outcomes.note(outcomes)

    def abandon_chunk(self) -> None:
        """Take back the rows of the chunk that is being written; what was there before it is kept."""
        self._rows.abandon_chunk()
        self.save()

    def sort_chunk(self) -> None:
        """Put the rows of the chunk, which came run by run, in their order: by step, then run."""
        self._rows.sort_chunk()

    def saved(self, place: int) -> State | None:
        """What was saved of the chunk with this number, whose rows so far are in the state or in metrics.csv."""
        if place == self.done and self._chunk is not None:
            return self._chunk
        path = self.checkpoint_of(place)
        for one in (path, predecessor(path)):
            if one.exists():
                try:
                    state = read_checkpoint(one)
                except ResultError as error:
                    self.notes.append(str(error))
                    continue
                if str(state.get("identity")) == self._identity:
                    return state
        return None

    @property
    def identity(self) -> str:
        """What the checkpoints of this result are marked with."""
        return self._identity

    def checkpoint_of(self, place: int) -> Path:
        """Where the state of a chunk is saved that another process trains."""
        return self.folder / f"{NAME}.{place}"

    def spool(self) -> Rows:
        """A place for the rows of chunks that another process trains."""
        return Rows(self.nameless_file(), self._header, self.folder / "metrics.csv")

    def nameless_file(self) -> IO[bytes]:
        """A file beside the result's that is gone with the last process that has it."""
        try:
            return disk.nameless_file(self.folder)
        except OSError as error:
            raise refused(self.folder, error) from error

    def take_chunk(self, rows: Rows, outcomes: Mapping[int, Any]) -> None:
        """A chunk has come to its end elsewhere: add its rows, out of a spool, and its outcomes."""
        self._rows.take(rows)
        self.close_chunk(outcomes)

    def finish(self, layouts: Sequence[tuple[Sequence[int], Sequence[Any]]]) -> None:
        """Everything is trained: write the final parameters, the outcomes, and last the word `finished`.

        `layouts` holds runs with their parameters, which have names and shapes.
        """
        if (ended := self._outcomes.ended()) < len(self._grid.cells):
            raise ResultError(
                f"{safe(self.folder)}: only {ended} of {len(self._grid.cells)} runs have come to their end, though all "
                "were said to. Train it again with --fresh."
            )
        if self._theory is not None:
            self._rows.flush()
            measured = self._theory.measured(self.folder / "metrics.csv", len(self._grid.cells))
            self._outcomes.further["rate_measured"] = measured
        path = self.folder / "parameters.npz"
        write_whole(path, lambda file: self._outcomes.write_parameters(file, layouts))
        self._state = "finished"
        self._close()

    def _found(self) -> tuple[State, int, Any, Any] | None:
        """The newest checkpoint that is whole and whose rows are, and how much of metrics.csv is its.

        Then the hash up to the chunk on its way, and of all that. Where only the rows of the chunk on its way are not
        what they were, the state is without that chunk.
        """
        newest = self.folder / NAME
        needed = {"done", "sizes", "sha256", *(_OUTCOMES + name for name in self._outcomes.state())}
        for path in (newest, predecessor(newest)):
            if not path.exists():
                continue
            try:
                state = read_checkpoint(path)
                if str(state.get("identity")) != self._identity or not needed <= state.keys():
                    raise ResultError(f"{safe(path)}: belongs to another result")
                extents = self._extents(path, state)
                before, whole = beginnings(self.folder / "metrics.csv", extents)
            except NewerError:
                raise
            except ResultError as error:
                self.notes.append(f"{error}; the checkpoint before it is used, or the training begins anew")
                continue
            if before is not None and path != newest:
                remove_checkpoint(newest, alone=True)  # or it would take this one's place when the next is written
            if before is not None and whole is not None:
                return state, extents[1].size, before, whole
            if before is not None:
                rest = {name: array for name, array in state.items() if not name.startswith(_CHUNK)}
                return rest, extents[0].size, before, before
            self.notes.append(f"{safe(self.folder / 'metrics.csv')}: not as it was written up to {path.name}")
        return None

    def _forget_checkpoints(self) -> None:
        # Without a manifest nobody knows under which circumstances they were made: other bits could come of them.
        left = sorted(self.folder.glob(f"{NAME}*"))
        if left:
            self.notes.append(f"{safe(self.folder)}: manifest.json is missing or damaged, so the training begins anew")
        for path in left:
            remove_checkpoint(path, alone=True)

    def _extents(self, path: Path, state: State) -> list[Extent]:
        # How much of metrics.csv a checkpoint says is its, up to the chunk on its way and in all; its outcomes fit.
        try:
            before, whole = map(Extent, state["sizes"].tolist(), state["sha256"].tolist())
            int(state["done"])
            Outcomes(self._grid, self._outcomes.evaluations).restore(_named(_OUTCOMES, state))
        except (TypeError, ValueError, AttributeError) as error:
            raise ResultError(f"{safe(path)}: not a checkpoint of this result") from error
        return [before, whole]

    def _go_on(self, state: State, size: int, before: Any, hashed: Any) -> None:
        path = self.folder / "metrics.csv"
        try:
            file = disk.kept_file(path, size)
        except OSError as error:
            raise refused(path, error) from error
        self._outcomes.restore(_named(_OUTCOMES, state))
        self.done, self._chunk = int(state["done"]), _named(_CHUNK, state) or None
        where = "" if self._chunk is None else f", the next ones from step {int(self._chunk['step'])}"
        ends = f"{self._outcomes.ended()} of {len(self._grid.cells)} runs have come to their end"
        self.notes.append(f"going on with {safe(self.folder)}: {ends}{where}")
        self._rows = Rows(file, self._header, path, hashed, (int(state["sizes"][0]), before))

    def _lay_out(self) -> None:
        path = self.folder / "metrics.csv"
        remove_checkpoint(self.folder / NAME)  # those of single chunks stand for themselves
        try:
            disk.remove(path)
            file = disk.new_file(path)
        except OSError as error:
            raise refused(path, error) from error
        self._rows = Rows(file, self._header, path)
        self._rows.add(f"{','.join(self._header)}\n".encode())
        self._rows.close_chunk()

    def _close(self) -> None:
        rows = self._rows.synced()
        self._rows.close()
        if self._state == "finished" or self._table_took < _SOON:
            self._write_runs()
        checksums = self._checksums()
        if self._state == "finished" and checksums["metrics.csv"] != rows.sha256:
            raise ResultError(f"{safe(self.folder / 'metrics.csv')}: changed by somebody else while it was written")
        self._manifest = ended(self._manifest, self._state, checksums)
        self._write_manifest()

    def _checksums(self) -> dict[str, str]:
        # A finished result has all its files.
        finished, paths = self._state == "finished", {name: self.folder / name for name in FILES}
        try:
            return {name: sha256_of(path) for name, path in paths.items() if finished or path.exists()}
        except OSError as error:
            raise refused(self.folder, error) from error

    def _write_runs(self) -> None:
        # The whole table is written anew, so seldom enough that a sweep of many chunks does not notice.
        start = time.monotonic()
        pieces = self._outcomes.table()
        write_whole(self.folder / "runs.csv", lambda file: file.writelines(text.encode() for text in pieces))
        end = time.monotonic()
        self._table_took = end - start
        self._next_table = end + max(SECONDS_AT_ONCE, _SELDOM * self._table_took)

    def _write_manifest(self) -> None:
        write_whole(self.folder / "manifest.json", manifest_text(self._manifest))


def failing_fast(run: int, outcome: Any) -> MomentumLabError:
    """What ends a training at its first run that fails."""
    return MomentumLabError(f"run {run} failed: {safe(outcome.reason)} (--fail-fast)")


def _named(start: str, state: State) -> State:
    return {name.removeprefix(start): array for name, array in state.items() if name.startswith(start)}


def _manifest_in(folder: Path) -> dict[str, Any] | None:
    # Of a result that was begun here; one that cannot be read is written anew.
    try:
        with opened(folder / "manifest.json") as file:
            manifest = json.load(file)
    except (OSError, ValueError, RecursionError):
        return None
    return manifest if isinstance(manifest, dict) else None


def _holder(lock: Path) -> str:
    # Another process, by its number and its machine where it has said so.
    try:
        with opened(lock) as file:
            said = json.loads(file.read(1000))
        return f"process {int(said['pid'])} on {safe(str(said['host']))}"
    except (OSError, ValueError, TypeError, KeyError):
        return "another process"


def _refusal(folder: Path, differences: Mapping[str, list[Any]]) -> str:
    changes = "; ".join(f"{name} {shown(before)}, now {shown(now)}" for name, (before, now) in differences.items())
    return (
        f"{safe(folder)} is unfinished and was begun under other circumstances: {changes}. Other bits may come of it. "
        "Go on all the same with --allow-drift, train it again beside with --fresh, or ask as it was begun."
    )
