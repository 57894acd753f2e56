"""The disk: the one place through which every write of a result passes.

A name is made durable by syncing its folder, and bytes by syncing their file: what is only written may be lost, or
survive without the other, when the power fails.
"""

import errno
import io
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeVar

T = TypeVar("T")

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL
_KEPT = os.O_RDWR
_NEVER_A_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EBADF}  # what file systems say that cannot sync folders


def ask(request: Callable[..., T], *arguments: Any) -> T:
    """Ask the system for something. Every request that changes the disk comes here, so that a test can refuse any."""
    return request(*arguments)


class File(io.RawIOBase):
    """A file that is written, unbuffered; `io.BufferedWriter` around it is what others see."""

    def __init__(self, path: Path, flags: int) -> None:
        super().__init__()
        self._descriptor = ask(os.open, path, flags | _NEVER_A_LINK, 0o666)

    def write(self, data: Any) -> int:
        return ask(os.write, self._descriptor, data)

    def truncate(self, size: int | None = None) -> int:
        size = self.tell() if size is None else size
        ask(os.ftruncate, self._descriptor, size)
        return size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return os.lseek(self._descriptor, offset, whence)

    def fileno(self) -> int:
        return self._descriptor

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self._descriptor)


def new_file(path: Path) -> IO[bytes]:
    """A file that was not there. Raises FileExistsError where it was, a symbolic link included."""
    return io.BufferedWriter(File(path, _NEW))


def kept_file(path: Path, size: int) -> IO[bytes]:
    """A file that is there, its first `size` bytes, to be written on. Raises OSError for a symbolic link."""
    file = io.BufferedWriter(File(path, _KEPT))
    try:
        file.seek(size)
        file.truncate(size)
    except BaseException:
        file.close()
        raise
    return file


def nameless_file(folder: Path) -> IO[bytes]:
    """A file in a folder that has no name there, and is gone with the last process that has it open."""
    made: IO[bytes] = ask(partial[Any](tempfile.TemporaryFile, "w+b", dir=folder))
    return made


def sync(file: IO[bytes]) -> None:
    """Bring all bytes of a file onto the disk."""
    file.flush()
    ask(os.fsync, file.fileno())


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder onto the disk; where the system has no way to, nothing."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return  # Windows opens no folders
    try:
        ask(os.fsync, descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)


def rename(path: Path, target: Path) -> None:
    """Give a file another name, in the place of whatever had it."""
    ask(os.replace, path, target)


def remove(path: Path) -> None:
    """Remove a file, if it is there."""
    with suppress(FileNotFoundError):
        ask(os.unlink, path)


def make_folder(path: Path) -> bool:
    """Make a folder, and those above it; gives whether it was not there."""
    try:
        return _make_folder(path)
    except FileNotFoundError:
        if path == path.parent:
            raise
        make_folder(path.parent)
        return _make_folder(path)


def _make_folder(path: Path) -> bool:
    try:
        ask(os.mkdir, path)
    except FileExistsError:
        if not path.is_dir():
            raise
        return False
    sync_folder(path.parent)
    return True
