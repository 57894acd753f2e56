"""Files of a result: whole under their name, or not there; and what the disk said, in words."""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from momentumlab.errors import ResultError
from momentumlab.results import disk
from momentumlab.text import safe


def write_whole(
    path: Path, content: str | bytes | Callable[[IO[bytes]], object], *, previous: Path | None = None
) -> None:
    """Put `content`, or what it writes into a file, under `path` at once: written beside it, synced, then renamed.

    What stood there before is kept as `previous`, where that is given. Raises ResultError where the disk refuses; what
    stood there is untouched then.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        disk.remove(beside)  # of a process of this number that died
        with disk.new_file(beside) as file:
            if callable(content):
                content(file)
            else:
                file.write(content.encode() if isinstance(content, str) else content)
            disk.sync(file)
        if previous is not None and path.exists():
            disk.rename(path, previous)
        disk.rename(beside, path)
        disk.sync_folder(path.parent)
    except BaseException as error:
        _forget(beside)
        if isinstance(error, OSError):
            raise refused(path, error) from error
        raise


def remove_strays(folder: Path) -> None:
    """Remove what a process left beside the files of a result when it died."""
    for path in folder.glob(".*.*"):
        if path.suffix[1:].isdecimal():
            _forget(path)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refused(path: Path, error: OSError) -> ResultError:
    """What the disk answered, in words."""
    reason = (error.strerror or str(error)).lower()
    return ResultError(
        f"{safe(path)}: {reason}. Nothing that was there is lost; free or choose another place with --runs DIR."
    )


def _forget(path: Path) -> None:
    with suppress(OSError):  # whoever cannot write can perhaps not remove either
        disk.remove(path)
