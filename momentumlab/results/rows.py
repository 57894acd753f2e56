"""Rows of metrics.csv on their way into a file: as text, some at a time, chunk by chunk."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self

from momentumlab.results.files import refused
from momentumlab.results.table import Column, joined, rows_text

SECONDS_AT_ONCE = 0.5
_ROWS_AT_ONCE = 4096
_BYTES_AT_ONCE = 2**20


class Rows:
    """Writes rows at the end of a file; those of a chunk can be taken back until it is closed.

    `path` is what a ResultError names where the disk refuses.
    """

    def __init__(self, file: IO[bytes], header: Sequence[str], path: Path) -> None:
        self._file = file
        self._header = header
        self._path = path
        self._buffer: list[Mapping[str, Column]] = []
        self._buffered = 0
        self._chunk_start = file.tell()
        self._last_flush = time.monotonic()

    def record(self, columns: Mapping[str, Column]) -> None:
        """Add rows; they reach the file within about half a second."""
        self._buffer.append(columns)
        self._buffered += len(columns["run"])
        if self._buffered >= _ROWS_AT_ONCE or time.monotonic() - self._last_flush > SECONDS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Bring everything into the file."""
        rows = self._buffer
        self._buffer, self._buffered, self._last_flush = [], 0, time.monotonic()
        with self._refusals():
            self._file.write(rows_text(joined(rows), self._header).encode("ascii"))
            self._file.flush()

    def close_chunk(self) -> None:
        """What was added stays."""
        self.flush()
        self._chunk_start = self._file.tell()

    def abandon_chunk(self) -> None:
        """Take back what was added since the last chunk was closed."""
        self._buffer, self._buffered = [], 0
        self._file.truncate(self._chunk_start)
        self._file.seek(self._chunk_start)

    def begin_anew(self) -> Self:
        """Take back everything."""
        self._chunk_start = 0
        self.abandon_chunk()
        return self

    def take(self, others: "Rows") -> None:
        """Add all that others have in their file, though it may be another process that wrote it."""
        source = others._file.fileno()
        with self._refusals():
            for start in range(0, os.fstat(source).st_size, _BYTES_AT_ONCE):
                self._file.write(os.pread(source, _BYTES_AT_ONCE, start))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise refused(self._path, error) from error
