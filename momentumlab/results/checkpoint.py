"""Checkpoints: named arrays in one file that notices every flipped bit and every missing byte of itself.

    momentumlab checkpoint 1 ↵  { name ↵  array in numpy's .npy format } …  SHA-256 of all that, 32 bytes

What is in the file is data and never code: arrays of objects, which numpy would unpickle, are neither written nor read.
"""

import hashlib
import io
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from momentumlab.errors import ResultError
from momentumlab.foreign import opened
from momentumlab.results import disk
from momentumlab.results.files import remove_strays, write_whole
from momentumlab.text import safe

VERSION = 1
NAME = "checkpoint"


class NewerError(ResultError):
    """A checkpoint of a newer version: it is not touched."""


State = dict[str, npt.NDArray[Any]]
"""Named arrays that a training can go on from."""

_HEAD = b"momentumlab checkpoint "
_DIGEST = hashlib.sha256().digest_size


def write_checkpoint(path: Path, state: Mapping[str, npt.ArrayLike]) -> None:
    """Put a state under `path`, durably, and keep the one that was there as its predecessor.

    Raises ResultError where the disk refuses; both that were there are untouched then.
    """

    def content(file: IO[bytes]) -> None:
        hashed = _Hashed(file)
        hashed.write(_HEAD + b"%d\n" % VERSION)
        for name, array in state.items():
            hashed.write(f"{name}\n".encode())
            npy.write_array(hashed, np.asarray(array), allow_pickle=False)
        file.write(hashed.digest())

    write_whole(path, content, previous=predecessor(path))


def read_checkpoint(path: Path) -> State:
    """The state under `path`. Raises ResultError where it is missing, not whole, or written by a newer version."""
    try:
        with opened(path) as file:
            data = file.read()
    except OSError as error:
        raise ResultError(f"{safe(path)}: {(error.strerror or str(error)).lower()}") from error
    version = re.match(re.escape(_HEAD) + rb"([0-9]{1,9})\n", data)
    whole, digest = data[:-_DIGEST], data[-_DIGEST:]
    if version is None or hashlib.sha256(whole).digest() != digest:
        raise ResultError(f"{safe(path)}: not as it was written (its checksum differs)")
    if int(version[1]) > VERSION:
        raise NewerError(
            f"{safe(path)}: written by a newer momentumlab. Update momentumlab to go on from it, or use --fresh."
        )
    try:
        return _arrays(whole, version.end())
    except Exception as error:  # numpy raises many kinds: its parser is one for Python's syntax
        raise ResultError(f"{safe(path)}: not a checkpoint of momentumlab") from error


def predecessor(path: Path) -> Path:
    """Where the checkpoint before the one under `path` is kept."""
    return path.with_name(f"{path.name}.previous")


def remove_checkpoint(path: Path, *, alone: bool = False) -> None:
    """Remove a checkpoint and, unless it `alone` is meant, its predecessor, where they are."""
    for one in (path,) if alone else (path, predecessor(path)):
        with suppress(OSError):
            disk.remove(one)


def tidy(folder: Path) -> None:
    """Remove from a finished result what only its training had use for: whoever comes next reads it."""
    with suppress(OSError):
        for path in (*folder.glob(f"{NAME}*"), folder / ".lock"):
            disk.remove(path)
    remove_strays(folder)


def _arrays(data: bytes, start: int) -> State:
    file, state = io.BytesIO(data), {}
    file.seek(start)
    while name := file.readline():
        array = npy.read_array(file, allow_pickle=False)
        state[name.decode().rstrip("\n")] = array
    return state


class _Hashed:
    """What is written to a file, and its SHA-256."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.digest = self._hash.digest

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        return self._file.write(data)
