"""Every write of a result goes through here: a file is whole under its name, or not there."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from momentumlab.errors import ResultError
from momentumlab.text import safe


def write_whole(path: Path, content: str | bytes | Callable[[IO[bytes]], object]) -> None:
    """Put `content`, or what it writes into a file, under `path` at once: written beside it, synced, then renamed.

    Raises ResultError where the disk refuses; what stood there before is untouched then.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("xb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException as error:
        beside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise refused(path, error) from error
        raise


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
