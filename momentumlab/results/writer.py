"""A result folder while it is written: rows as they come, and nothing half-written ever taken for whole.

The manifest says `running` until everything else is in place, and `finished` only then. Every cell of the grid has
its row in runs.csv from the beginning: what is not trained yet is `interrupted`, which is the truth should the
process die.
"""

import io
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from filelock import FileLock, Timeout

from momentumlab.errors import ResultError, SignalError
from momentumlab.experiment import Grid
from momentumlab.results.files import refused, sha256_of, write_whole
from momentumlab.results.manifest import ended, manifest_text, new_manifest
from momentumlab.results.reader import is_finished
from momentumlab.results.table import Column, joined, rows_text, table_text
from momentumlab.text import safe

_ROWS_AT_ONCE = 4096
_SECONDS_AT_ONCE = 0.5


class ResultWriter:
    """Writes one result; a context manager that holds the folder's lock.

    Leaving it before `finish` marks the result as interrupted (or failed, by an error) and keeps what is there.
    """

    def __init__(self, folder: Path, grid: Grid, header: Sequence[str], evaluations: Sequence[str]) -> None:
        self.folder = folder
        self._grid = grid
        self._header = list(header)
        self._evaluations = list(evaluations)
        self._lock = FileLock(folder / ".lock", timeout=0)
        self._buffer: list[Mapping[str, Column]] = []
        self._buffered = 0
        self._state = "running"
        self._outcomes: dict[int, Any] = {}

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
            if self._state == "running" and hasattr(self, "_metrics"):
                stopped = isinstance(error, SignalError) or not isinstance(error, Exception)
                self._state = "interrupted" if stopped else "failed"
                # What the disk refused once it may refuse again: the first refusal is the one to be told.
                with nullcontext() if stopped else suppress(ResultError):
                    self._close()
        finally:
            if hasattr(self, "_metrics"):
                with suppress(OSError):
                    self._metrics.close()
            self._lock.release()
        if is_finished(self.folder):
            # Whoever comes next only reads it, so the lock has no more use.
            (self.folder / ".lock").unlink(missing_ok=True)

    def begin(self, command: str, experiment_text: str, checksums: Mapping[str, str]) -> None:
        """Lay the folder out: from here on it is a result that readers find, with no rows yet."""
        self._manifest = new_manifest(self._grid, command, checksums)
        write_whole(self.folder / "experiment.yaml", experiment_text)
        try:
            self._metrics: IO[str] = (self.folder / "metrics.csv").open("w", encoding="utf-8", newline="")
            self._metrics.write(",".join(self._header) + "\n")
            self._metrics.flush()
        except OSError as error:
            raise refused(self.folder / "metrics.csv", error) from error
        self._chunk_start = self._metrics.tell()
        self._last_flush = self._last_table = time.monotonic()
        self._write_runs()
        self._write_manifest()

    def record(self, columns: Mapping[str, Column]) -> None:
        """Add rows to metrics.csv; they reach the file within about half a second."""
        self._buffer.append(columns)
        self._buffered += len(columns["run"])
        if self._buffered >= _ROWS_AT_ONCE or time.monotonic() - self._last_flush > _SECONDS_AT_ONCE:
            self._flush()

    def close_chunk(self, outcomes: Mapping[int, Any]) -> None:
        """The runs of a chunk have come to their end: their rows and their outcomes stay."""
        self._flush()
        self._chunk_start = self._metrics.tell()
        self._outcomes |= outcomes
        # The whole table is written anew, so seldom enough that a sweep of many chunks does not notice.
        if time.monotonic() - self._last_table > _SECONDS_AT_ONCE:
            self._write_runs()

    def stop_chunk(self, outcomes: Mapping[int, Any]) -> None:
        """The runs of a chunk were stopped on their way: how far they had come stays to be read."""
        self._outcomes |= outcomes

    def abandon_chunk(self) -> None:
        """Take back the rows of the chunk that is being written."""
        self._buffer, self._buffered = [], 0
        self._metrics.truncate(self._chunk_start)
        self._metrics.seek(self._chunk_start)

    def finish(self, layouts: Mapping[int, Sequence[Any]]) -> None:
        """Everything is trained: write the final parameters, the outcomes, and last the word `finished`.

        `layouts` holds each run's parameters, with names and shapes.
        """
        write_whole(self.folder / "parameters.npz", _parameters_file(self._outcomes, layouts))
        self._state = "finished"
        self._close()

    def _close(self) -> None:
        self._flush()
        self._metrics.close()
        self._write_runs()
        present = ("experiment.yaml", "runs.csv", "metrics.csv", "parameters.npz")
        paths = {name: self.folder / name for name in present}
        self._manifest = ended(
            self._manifest,
            self._state,
            {name: sha256_of(path) for name, path in paths.items() if path.exists()},
        )
        self._write_manifest()

    def _flush(self) -> None:
        try:
            self._metrics.write(rows_text(joined(self._buffer), self._header))
            self._metrics.flush()
        except OSError as error:
            raise refused(self.folder / "metrics.csv", error) from error
        self._buffer, self._buffered, self._last_flush = [], 0, time.monotonic()

    def _write_runs(self) -> None:
        table = runs_table(self._grid, self._outcomes, self._evaluations)
        write_whole(self.folder / "runs.csv", table_text(table))
        self._last_table = time.monotonic()

    def _write_manifest(self) -> None:
        write_whole(self.folder / "manifest.json", manifest_text(self._manifest))


def runs_table(grid: Grid, outcomes: Mapping[int, Any], evaluations: Sequence[str]) -> dict[str, list[Any]]:
    """runs.csv as columns: one row a cell, what varies in it and what became of it.

    A cell without an outcome is `interrupted`. γ and η as typed; a schedule's `value`.
    """
    table: dict[str, list[Any]] = {
        "run": [cell.run for cell in grid.cells],
        "gamma": [_typed(cell.experiment.optimizer.gamma) for cell in grid.cells],
        "eta": [_typed(cell.experiment.optimizer.eta) for cell in grid.cells],
        "seed": [cell.experiment.seed for cell in grid.cells],
    }
    for key in grid.columns:
        table[key] = [cell.values.get(key, "") for cell in grid.cells]
    ends = [outcomes.get(cell.run) for cell in grid.cells]
    missing = float("nan")
    table["status"] = ["interrupted" if end is None else end.status for end in ends]
    table["reason"] = ["not trained yet" if end is None else end.reason for end in ends]
    table["steps"] = [0 if end is None else end.steps for end in ends]
    for name in ("loss_first", "loss_last", "loss_best"):
        table[name] = [missing if end is None else getattr(end, name) for end in ends]
    for name in evaluations:
        table[name] = [missing if end is None else end.evaluation.get(name, missing) for end in ends]
    return table


def _typed(given: Any) -> Any:
    return getattr(given, "value", given)


def _parameters_file(outcomes: Mapping[int, Any], layouts: Mapping[int, Sequence[Any]]) -> bytes:
    # (run, parameter), nan behind the end of a shorter run. Names and shapes are those of each run's own tensors:
    # runs of one model share one layout, and `layout` says which each run has.
    kinds = list(dict.fromkeys(tuple(layouts[run]) for run in sorted(outcomes)))
    thetas = [outcomes[run].theta for run in sorted(outcomes)]
    width = max(sum(parameter.size for parameter in kind) for kind in kinds)
    dtype = np.result_type(*{theta.dtype for theta in thetas if theta is not None} or {np.dtype("f8")})
    parameters = np.full((len(thetas), width), np.nan, dtype)
    for row, theta in enumerate(thetas):
        if theta is not None:
            parameters[row, : len(theta)] = theta
    arrays: dict[str, Any] = {"parameters": parameters}
    if len(kinds) > 1:
        arrays["layout"] = np.array([kinds.index(tuple(layouts[run])) for run in sorted(outcomes)])
    for number, kind in enumerate(kinds):
        suffix = f"_{number}" if len(kinds) > 1 else ""
        arrays[f"names{suffix}"] = np.array([parameter.name for parameter in kind])
        arrays[f"shapes{suffix}"] = np.array(["x".join(map(str, parameter.shape)) for parameter in kind])
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()
