"""A model of a disk whose power fails: what was not synced is lost, in part or whole."""

import os
import stat
from pathlib import Path
from typing import Any, NamedTuple

from momentumlab.results.checkpoint import read_checkpoint

BYTES = ("kept", "lost", "torn", "zeros")
"""Of what was written and not synced: all is there, nothing, half, or the length without the bytes."""
NAMES = ("kept", "lost", "some", "last")
"""Of the names made, changed and removed in a folder that was not synced: all, none, the earlier half, the last one."""


class Request(NamedTuple):
    """What the disk was asked for, with what it was about: a file by its number, a path."""

    kind: str  # write, truncate, sync; name, folder, sync names
    file: int | None = None
    path: Path | None = None  # the name that a file gets, the folder that is made or synced
    before: Path | None = None  # the name that is lost
    content: Any = None  # (offset, bytes) of a write, the size of a truncation


class Recorder:
    """Asks the disk, and writes down all that is asked for below `place`."""

    def __init__(self, place):
        self.requests = []
        self.saved = []  # (how many requests there were when a checkpoint had its name, where it goes on from)
        self.start = {}  # the files that were there, by path
        self._names = {}
        self._open = {}
        for path in sorted(place.rglob("*")):
            if path.is_dir():
                self.start[path] = None
            elif path.name != ".lock":
                self._names[path] = len(self._names)
                self.start[path] = path.read_bytes()
        self._next = len(self._names)

    def __call__(self, request, *arguments):
        before = self._before(request, *arguments)
        answer = request(*arguments)
        if request is os.open:
            path, flags, _ = arguments
            if flags & os.O_CREAT:
                self._names[path] = self._next
                self._next += 1
                self.requests.append(Request("name", self._names[path], path))
            self._open[answer] = self._names[path]
        if before is not None:
            self.requests.append(before)
        if request is os.replace and arguments[1].name == "checkpoint":
            self.saved.append((len(self.requests), place_of(read_checkpoint(arguments[1]))))
        return answer

    def _before(self, request, first, *more):
        if request is os.write:
            offset = os.lseek(first, 0, os.SEEK_CUR)
            return Request("write", self._open[first], content=(offset, bytes(more[0])))
        if request is os.ftruncate:
            return Request("truncate", self._open[first], content=more[0])
        if request is os.fsync:
            if stat.S_ISDIR(os.fstat(first).st_mode):
                return Request("sync names", path=Path(os.readlink(f"/proc/self/fd/{first}")))
            return Request("sync", self._open[first])
        return self._about_names(request, first, *more)

    def _about_names(self, request, first, *more):
        if request is os.replace:
            file = self._names[more[0]] = self._names.pop(first)
            return Request("name", file, more[0], first)
        if request is os.unlink:
            return Request("name", before=first) if self._names.pop(first, None) is not None else None
        if request is os.mkdir:
            return None if first.exists() else Request("folder", path=first)
        return None


def place_of(state):
    """From where a checkpoint goes on: the chunks that are done, the step of the next one."""
    return int(state["done"]), int(state.get("chunk.step", 0))


class Disk:
    """What is on a disk and what is not yet, request after request."""

    def __init__(self, place, start):
        self._place = place
        files = [path for path, content in start.items() if content is not None]
        self._durable = {path: files.index(path) if path in files else None for path in start}
        self._synced = {number: start[path] for number, path in enumerate(files)}
        self._changes = {}  # by file, what was not synced
        self._renamed = []  # in whatever folder, what was not synced

    def take(self, request):
        """The disk is asked for something."""
        if request.kind in ("write", "truncate"):
            self._changes.setdefault(request.file, []).append(request)
        elif request.kind == "sync":
            self._synced[request.file] = self._content(request.file, "kept")
            self._changes.pop(request.file, None)
        elif request.kind == "sync names":
            mine = [change for change in self._renamed if (change.path or change.before).parent == request.path]
            self._renamed = [change for change in self._renamed if change not in mine]
            _rename(self._durable, mine)
        else:
            self._renamed.append(request)

    def after_a_failure(self, data, names):
        """What is found when the power is back: bytes by path, None for a folder."""
        half = len(self._renamed) // 2
        survived = {"kept": slice(None), "lost": slice(0), "some": slice(half), "last": slice(-1, None)}[names]
        found = dict(self._durable)
        _rename(found, self._renamed[survived])
        there = {path for path in found if set(path.parents) & {self._place, *found} >= _above(path, self._place)}
        return {path: None if found[path] is None else self._content(found[path], data) for path in sorted(there)}

    def _content(self, file, data):
        changes = self._changes.get(file, [])
        content = bytearray(self._synced.get(file, b""))
        if data == "lost":
            changes = []
        elif data == "torn":
            changes = changes[: (len(changes) + 1) // 2]
        for number, change in enumerate(changes, start=1):
            if change.kind == "truncate":
                del content[change.content :]
                continue
            offset, written = change.content
            if data == "torn" and number == len(changes):
                written = written[: len(written) // 2]
            written = bytes(len(written)) if data == "zeros" else written
            content[offset : offset + len(written)] = written
        return bytes(content)


def _rename(names, changes):
    for change in changes:
        names.pop(change.before, None)
        if change.path is not None:
            names[change.path] = change.file


def _above(path, place):
    return {place, *(above for above in path.parents if place in above.parents)}
