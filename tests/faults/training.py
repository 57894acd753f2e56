"""A training that is small and real, with several checkpoints inside its chunks, and what must come of it."""

import gc
import json
import os
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

import momentumlab
from momentumlab import lab
from momentumlab.experiment import expand, load
from momentumlab.results import disk, writer
from momentumlab.results.checkpoint import predecessor

FILES = ("metrics.csv", "runs.csv", "parameters.npz")
WHOLE = {*FILES, "experiment.yaml", "manifest.json"}
"""What is in the folder of a finished result, and nothing else."""

OBJECTIVE = {
    "name": "valley",
    "objective": {"kind": "rosenbrock", "noise": 0.1},
    "train": {"steps": 6},
    "optimizer": {"eta": 0.001},
    "record": {"vectors": False},
}
NET = {
    "name": "net",
    "data": {"kind": "moons", "samples": 8},
    "model": {"kind": "mlp", "hidden": [2]},
    "train": {"epochs": 2, "batch_size": 4},
    "optimizer": {"eta": 0.1},
    "record": {"vectors": False},
}
RATES = {  # of which runs.csv says more than the training itself
    "name": "rates",
    "objective": {"kind": "quadratic"},
    "train": {"steps": 9},
    "optimizer": {"eta": 0.001},
    "record": {"vectors": False},
}
TORCH = {**NET, "name": "torch", "optimizer": {"backend": "torch", "eta": 0.1}}
EXPERIMENTS = {"objective": OBJECTIVE, "net": NET, "rates": RATES, "torch": TORCH}

forks = pytest.mark.skipif(sys.platform != "linux", reason="copies the process, which is safe on Linux alone")


class Pace(writer.Pace):
    """A checkpoint is due from when it was asked for a second time since the last."""

    def __init__(self):
        super().__init__()
        self._asked = 0

    @property
    def due(self):
        self._asked += 1
        return self._asked >= 2

    def took(self, start):
        del start
        self._asked = 0


class Trained(NamedTuple):
    """What became of a command."""

    folder: Path
    contents: dict[str, bytes]
    notes: list[str]
    found: bool

    @property
    def from_the_middle(self):
        """Whether it went on inside a chunk."""
        return any("going on with" in note and "from step" in note for note in self.notes)

    @property
    def anew(self):
        """Whether it began from nothing."""
        return not self.found and not any("going on with" in note for note in self.notes)


def train(runs, experiment=OBJECTIVE, ask=None):
    """The command: three runs in two chunks, which finish a result below `runs`, asking the disk by way of `ask`."""
    loaded = load(experiment)
    notes = []
    with asking(ask or disk.ask):
        carried = lab.carry_out(loaded, expand(loaded, gamma=[0, 0.9, 0.99]), "sweep", runs=runs, tell=notes.append)
    folder = carried.result.folder
    return Trained(folder, {name: (folder / name).read_bytes() for name in FILES}, notes, carried.found)


class Killed(BaseException):
    """The process has died."""


def stopped(runs, experiment=OBJECTIVE, checkpoints=3):
    """Train until so many checkpoints are written, and give the newest one."""
    seen = 0

    def ask(request, *arguments):
        nonlocal seen
        if seen == checkpoints:
            raise Killed
        answer = request(*arguments)
        seen += request is os.replace and arguments[1].name == "checkpoint"
        return answer

    with pytest.raises(Killed):
        train(runs, experiment, ask)
    [newest] = runs.glob("*/checkpoint")
    assert predecessor(newest).exists()
    return newest


@contextmanager
def asking(ask):
    """While inside, the disk is asked by way of `ask`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "ask", ask)
        yield


def assert_finished_as(trained, expected):
    """It ended as if nothing had happened: the same bytes, the word finished, no file too many."""
    for name in FILES:
        assert trained.contents[name] == expected[name], f"{name} has other bytes"
    momentumlab.load(trained.folder)  # checks the checksums
    assert json.loads((trained.folder / "manifest.json").read_text())["state"] == "finished"
    assert names(trained.folder) == WHOLE
    assert names(trained.folder.parent) == {trained.folder.name}


def names(folder):
    return {path.name for path in folder.iterdir()}


def strays(runs):
    """What a write that was not completed left beside its file."""
    return [path for path in runs.rglob(".*.*") if path.suffix[1:].isdecimal()]


def in_a_copy(work):
    """Do some work in a copy of this process, and give the copy's exit code; 0 where the work came to its end."""
    process = start_copy(work)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def start_copy(work):
    """Start some work in a copy of this process, and give its number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns where there are other threads
        process = os.fork()
    if process:
        return process
    code = 70
    try:
        gc.disable()  # it would touch, and so copy, all that the processes share
        code = work() or 0
    finally:
        os._exit(code)
