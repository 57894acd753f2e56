"""Files that others may have made: opened only where they are ordinary, and taken in only as far as they may be."""

import errno
import io
import math
import os
import stat
import zipfile
from pathlib import Path


def opened(path: str | Path, *, links: bool = False) -> io.BufferedReader:
    """An ordinary file, to be read; a symbolic link to one only where `links` are allowed.

    Raises OSError, with words in its strerror, for anything else: a pipe would never end, and a link or a device may
    lead anywhere.
    """
    follow = 0 if links else os.O_NOFOLLOW
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | follow)
    except OSError as error:
        if error.errno == errno.ELOOP and not links:
            raise OSError(errno.ELOOP, "is a symbolic link, and those are not followed here") from None
        raise
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISREG(kind):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise OSError(errno.EINVAL, "is a folder" if stat.S_ISDIR(kind) else "is a device or a pipe, not an ordinary file")


def array_size(archive: zipfile.ZipFile, name: str, *, packed: bool) -> int:
    """The bytes that the array `name` of an npz file takes in memory, known before any of them is read.

    Raises ValueError where the array's own header says something else than the archive, or the archive holds it
    compressed though it must not be `packed`; KeyError where there is none of this name.
    """
    from numpy.lib import format as npy

    member = archive.getinfo(f"{name}.npy")
    if not packed and (member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size):
        raise ValueError(f"{name} is compressed")
    with archive.open(member) as file:
        version = npy.read_magic(file)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read_header(file)
        size = math.prod(shape) * dtype.itemsize
        if not dtype.hasobject and file.tell() + size != member.file_size:
            raise ValueError(f"{name} is not as large as its header says")
    return size
