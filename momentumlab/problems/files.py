"""A user's file on its way in: found, small enough, read whole, and what is wrong with it said at once."""

import hashlib
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from momentumlab.errors import DataError
from momentumlab.foreign import opened
from momentumlab.text import nearest, safe, shown

SIZE_LIMIT = 2**30  # bytes; past this a file is more likely a mistake than a table to train on in memory
_PROBLEMS_SHOWN = 10
_NAMES_SHOWN = 20

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Table:
    """Numbers as they came: features and targets side by side, one row a sample."""

    x: Floats  # (sample, feature)
    y: Floats  # (sample, target)
    feature_names: tuple[str, ...]
    target_names: tuple[str, ...]
    place: Callable[[int], str]  # sample -> where its target stands, for an error message


class Problems:
    """Collects what is wrong and raises it at once: the first ten in words, the rest as a count."""

    def __init__(self, singular: str, plural: str) -> None:
        self._nouns = singular, plural
        self._texts: list[str] = []
        self._count = 0

    def add(self, text: str) -> None:
        self._count += 1
        if self._count <= _PROBLEMS_SHOWN:
            self._texts.append(text)

    def raise_any(self) -> None:
        """Raises DataError if anything was added."""
        more = self._count - len(self._texts)
        if more:
            self._texts.append(f"… and {more} more {self._nouns[more > 1]}.")
        if self._texts:
            raise DataError(self._texts)


def checksum(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal. Raises DataError when the file cannot be read."""
    try:
        with opened(existing_file(path), links=True) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as problem:
        raise unreadable(path, problem) from problem


def existing_file(path: str | Path) -> Path:
    """`path`, which is an ordinary file of at most 1 GiB; DataError says what it is if not."""
    file = Path(path)
    try:
        status = file.stat()
    except FileNotFoundError as problem:
        raise DataError(f"{safe(path)}: no such file.{_near_file(file)}") from problem
    except (OSError, ValueError) as problem:  # ValueError: a NUL in the name
        raise unreadable(path, problem) from problem
    if stat.S_ISDIR(status.st_mode):
        raise DataError(f"{safe(path)}: is a folder. Name a file in it.")
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{safe(path)}: is a device or a pipe. Name an ordinary file.")
    check_size(f"{safe(path)}: is", status.st_size)
    return file


def check_size(subject: str, size: int) -> None:
    """Raises DataError that begins with `subject` where there are more than SIZE_LIMIT bytes."""
    if size > SIZE_LIMIT:
        limit = f"more than {SIZE_LIMIT / 2**30:g} GiB is not read"
        raise DataError(f"{subject} {size / 2**30:.2f} GiB; {limit}. Take fewer samples or features.")


def first_bytes(file: Path, size: int) -> bytes:
    """What `file` begins with, by which its real type is told."""
    try:
        with opened(file, links=True) as stream:
            return stream.read(size)
    except OSError as problem:
        raise unreadable(file, problem) from problem


def unreadable(path: str | Path, problem: Exception) -> DataError:
    """The error for a file that the system does not let us read."""
    reason = getattr(problem, "strerror", None) or str(problem)
    return DataError(f"{safe(path)}: cannot be read: {safe(reason)}.")


def did_you_mean(word: str, choices: Sequence[str]) -> str:
    """The advice to append to an unknown name, or ''."""
    same_but_case = next((choice for choice in choices if choice.casefold() == word.casefold()), None)
    guess = same_but_case or nearest(word, choices)
    return f" Did you mean {shown(guess)}?" if guess else ""


def listed(names: Iterable[str]) -> str:
    """The names that there are, quoted, for an error message; of many the first twenty."""
    quoted = [shown(name) for name in names]
    more = f" and {len(quoted) - _NAMES_SHOWN} more" if len(quoted) > _NAMES_SHOWN else ""
    return ", ".join(quoted[:_NAMES_SHOWN]) + more


def _near_file(file: Path) -> str:
    try:
        return did_you_mean(file.name, [entry.name for entry in file.parent.iterdir()])
    except OSError:
        return f" There is no folder {shown(str(file.parent), 200)}." if not file.parent.exists() else ""
