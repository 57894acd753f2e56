"""A result folder while it is written: rows as they come, and nothing half-written ever taken for whole.

The manifest says `running` until everything else is in place, and `finished` only then. Every cell of the grid has
its row in runs.csv from the beginning: what is not trained yet is `interrupted`, which is the truth should the
process die.
"""

import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

from momentumlab.errors import ResultError, SignalError
from momentumlab.experiment import Grid
from momentumlab.results.files import refused, sha256_of, write_whole
from momentumlab.results.manifest import ended, manifest_text, new_manifest
from momentumlab.results.outcomes import Outcomes
from momentumlab.results.reader import is_finished
from momentumlab.results.rows import SECONDS_AT_ONCE, Rows
from momentumlab.results.table import Column
from momentumlab.text import safe

_SELDOM = 20  # the table of all runs is written anew after so many times as long as it took


class ResultWriter:
    """Writes one result; a context manager that holds the folder's lock.

    Leaving it before `finish` marks the result as interrupted (or failed, by an error) and keeps what is there.
    """

    def __init__(self, folder: Path, grid: Grid, header: Sequence[str], evaluations: Sequence[str]) -> None:
        self.folder = folder
        self._grid = grid
        self._header = list(header)
        self._lock = FileLock(folder / ".lock", timeout=0)
        self._state = "running"
        self._outcomes = Outcomes(grid, evaluations)

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout:
            raise ResultError(
                f"{safe(self.folder)}: another process is writing this result. Wait for it, or use --fresh."
            ) from None
        except OSError as error:
            raise refused(self.folder, error) from error
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
            # Whoever comes next only reads it, so the lock has no more use.
            (self.folder / ".lock").unlink(missing_ok=True)

    def begin(self, command: str, experiment_text: str, checksums: Mapping[str, str]) -> None:
        """Lay the folder out: from here on it is a result that readers find, with no rows yet."""
        self._manifest = new_manifest(self._grid, command, checksums)
        write_whole(self.folder / "experiment.yaml", experiment_text)
        path = self.folder / "metrics.csv"
        try:
            file = path.open("wb")
            file.write(f"{','.join(self._header)}\n".encode())
            file.flush()
        except OSError as error:
            raise refused(path, error) from error
        self._rows = Rows(file, self._header, path)
        self._write_runs()
        self._write_manifest()

    def record(self, columns: Mapping[str, Column]) -> None:
        """Add rows to metrics.csv; they reach the file within about half a second."""
        self._rows.record(columns)

    def close_chunk(self, outcomes: Mapping[int, Any]) -> None:
        """The runs of a chunk have come to their end: their rows and their outcomes stay."""
        self._rows.close_chunk()
        self._outcomes.note(outcomes)
        if time.monotonic() > self._next_table:
            self._write_runs()

    def stop_chunk(self, outcomes: Mapping[int, Any]) -> None:
        """The runs of a chunk were stopped on their way: how far they had come stays to be read."""
        self._outcomes.note(outcomes)

    def abandon_chunk(self) -> None:
        """Take back the rows of the chunk that is being written."""
        self._rows.abandon_chunk()

    def spool(self) -> Rows:
        """A place for the rows of chunks that another process trains: a file without a name, beside the result's."""
        try:
            file = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115 - it is gone with the last process
        except OSError as error:
            raise refused(self.folder, error) from error
        return Rows(file, self._header, self.folder / "metrics.csv")

    def take_chunk(self, rows: Rows, outcomes: Mapping[int, Any]) -> None:
        """A chunk has come to its end elsewhere: add its rows, out of a spool, and its outcomes."""
        self._rows.take(rows)
        self.close_chunk(outcomes)

    def finish(self, layouts: Sequence[tuple[Sequence[int], Sequence[Any]]]) -> None:
        """Everything is trained: write the final parameters, the outcomes, and last the word `finished`.

        `layouts` holds runs with their parameters, which have names and shapes.
        """
        path = self.folder / "parameters.npz"
        write_whole(path, lambda file: self._outcomes.write_parameters(file, layouts))
        self._state = "finished"
        self._close()

    def _close(self) -> None:
        self._rows.flush()
        self._rows.close()
        self._write_runs()
        present = ("experiment.yaml", "runs.csv", "metrics.csv", "parameters.npz")
        paths = {name: self.folder / name for name in present}
        self._manifest = ended(
            self._manifest,
            self._state,
            {name: sha256_of(path) for name, path in paths.items() if path.exists()},
        )
        self._write_manifest()

    def _write_runs(self) -> None:
        # The whole table is written anew, so seldom enough that a sweep of many chunks does not notice.
        start = time.monotonic()
        pieces = self._outcomes.table()
        write_whole(self.folder / "runs.csv", lambda file: file.writelines(text.encode() for text in pieces))
        end = time.monotonic()
        self._next_table = end + max(SECONDS_AT_ONCE, _SELDOM * (end - start))

    def _write_manifest(self) -> None:
        write_whole(self.folder / "manifest.json", manifest_text(self._manifest))
