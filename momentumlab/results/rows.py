"""Rows of metrics.csv on their way into a file: as text, some at a time, chunk by chunk."""

import hashlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from momentumlab.errors import ResultError
from momentumlab.foreign import opened
from momentumlab.results import disk
from momentumlab.results.files import refused
from momentumlab.results.table import Column, joined, rows_text
from momentumlab.text import safe

SECONDS_AT_ONCE = 0.5
_ROWS_AT_ONCE = 4096
_BYTES_AT_ONCE = 2**20


class Extent(NamedTuple):
    """How much of a file there is: its first bytes, and their SHA-256 in hexadecimal."""

    size: int
    sha256: str


class Rows:
    """Writes rows at the end of a file; those of a chunk can be taken back until it is closed.

    `path` is what a ResultError names where the disk refuses. Of a file that holds rows already, `hashed` is the
    SHA-256 of all that it holds, and `chunk` where the rows of the open chunk begin, with the SHA-256 up to there.
    """

    def __init__(
        self,
        file: IO[bytes],
        header: Sequence[str],
        path: Path,
        hashed: Any = None,
        chunk: tuple[int, Any] | None = None,
    ) -> None:
        self._file = file
        self._header = header
        self._path = path
        self._buffer: list[Mapping[str, Column]] = []
        self._buffered = 0
        self._hash = hashlib.sha256() if hashed is None else hashed
        start, before = chunk or (0, self._hash)
        self._chunk = start, before.copy()  # the other one grows with the rows
        self._last_flush = time.monotonic()

    @property
    def chunk_start(self) -> Extent:
        """The file up to the rows of the chunk that is being written."""
        size, hashed = self._chunk
        return Extent(size, hashed.hexdigest())

    def synced(self) -> Extent:
        """The file with everything that was added, which is on the disk now."""
        self.flush()
        with self._refusals():
            disk.sync(self._file)
            return Extent(self._file.tell(), self._hash.hexdigest())

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
        self.add(rows_text(joined(rows), self._header))

    def add(self, text: bytes) -> None:
        """Add what is written as rows already."""
        with self._refusals():
            self._file.write(text)
            self._hash.update(text)
            self._file.flush()

    def close_chunk(self) -> None:
        """What was added stays."""
        self.flush()
        self._chunk = self._file.tell(), self._hash.copy()

    def abandon_chunk(self) -> None:
        """Take back what was added since the last chunk was closed."""
        start, hashed = self._chunk
        self._buffer, self._buffered, self._hash = [], 0, hashed.copy()
        with self._refusals():
            self._file.seek(start)
            self._file.truncate(start)

    def sort_chunk(self) -> None:
        """Put the rows of the open chunk in the order of a chunk: by step, then run. Their first columns say it."""
        self.flush()
        start = self._chunk[0]
        with self._refusals():
            lines = b"".join(self._pieces(start)).splitlines(keepends=True)
        lines.sort(key=_step_and_run)
        self.abandon_chunk()
        self.add(b"".join(lines))

    def cut(self, size: int = 0) -> None:
        """Take back everything beyond so many bytes; what comes is a chunk of its own. The file has no hash then."""
        self._chunk = size, hashlib.sha256()
        self.abandon_chunk()

    def text(self) -> bytes:
        """All that is in the file."""
        self.flush()
        with self._refusals():
            return b"".join(self._pieces())

    def take(self, others: "Rows") -> None:
        """Add all that others have in their file, though it may be another process that wrote it."""
        with self._refusals():
            for piece in others._pieces():
                self.add(piece)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _pieces(self, begin: int = 0) -> Iterator[bytes]:
        source = self._file.fileno()
        for start in range(begin, os.fstat(source).st_size, _BYTES_AT_ONCE):
            yield os.pread(source, _BYTES_AT_ONCE, start)

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise refused(self._path, error) from error


def _step_and_run(row: bytes) -> tuple[int, int]:
    run, step, *_ = row.split(b",", 2)
    return int(step), int(run)


def beginnings(path: Path, extents: Sequence[Extent]) -> list[Any]:
    """For each of the extents, from short to long, the SHA-256 of that much of the file; None where it is another one.

    Raises ResultError where the file cannot be read.
    """
    hashed, size, found = hashlib.sha256(), 0, []
    try:
        with opened(path) as file:
            for extent in extents:
                while size < extent.size and (piece := file.read(min(_BYTES_AT_ONCE, extent.size - size))):
                    hashed.update(piece)
                    size += len(piece)
                whole = size == extent.size and hashed.hexdigest() == extent.sha256
                found.append(hashed.copy() if whole else None)
    except OSError as error:
        raise ResultError(f"{safe(path)}: {(error.strerror or str(error)).lower()}") from error
    return found
