"""A run that fails is recorded with its reason, the others have the bytes that they have alone, the exit code is 1."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import momentumlab
from momentumlab.engine import workers
from momentumlab.engine.plan import Group
from momentumlab.problems.formulas import ObjectiveProblem
from tests.conftest import REPOSITORY
from tests.faults.copies import FILES

SWEEP = ("sweep", "rosenbrock", "--set", "train.steps=50", "--gamma", "0,0.5,0.9", "--no-plot")
FAILURES = {
    "an exception": (ValueError("no such step"), "ValueError: no such step"),
    "no memory": (MemoryError("Unable to allocate 3 EiB"), "MemoryError: Unable to allocate 3 EiB"),
    "torch has no memory": (
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        "RuntimeError: DefaultCPUAllocator: can't allocate memory",
    ),
    "a killed process": (None, "its process was killed, as when memory runs out"),
}


@pytest.fixture
def culprit(monkeypatch):
    """Let the stacks with a run of this γ fail."""
    stack = Group.stack

    def fail(gamma, error):
        def failing(self, cells):
            if any(cell.experiment.optimizer.gamma == gamma for cell in cells):
                if error is None:
                    os.kill(os.getpid(), signal.SIGKILL)
                raise error
            return stack(self, cells)

        monkeypatch.setattr(Group, "stack", failing)
        return lambda: monkeypatch.setattr(Group, "stack", stack)

    return fail


@pytest.fixture
def two_workers(monkeypatch):
    """A run a chunk, two processors, and work that is worth it."""
    monkeypatch.setattr(workers, "WORTH", 0)
    monkeypatch.setattr(workers, "_processors", lambda: 2)
    made = ObjectiveProblem.__init__

    def begun(self, *arguments):
        made(self, *arguments)
        self.stack_limit = 2

    monkeypatch.setattr(ObjectiveProblem, "__init__", begun)


def result_in(folder):
    [result] = [path for path in folder.iterdir() if path.is_dir()]
    return momentumlab.load(result)


def files(folder):
    [result] = [path for path in folder.iterdir() if path.is_dir()]
    return [(result / name).read_bytes() for name in FILES]


def assert_others_as_alone(result, culprit, folder):
    for run, gamma in enumerate(result.runs["gamma"]):
        if run == culprit:
            assert len(result.rows(run)["step"]) == 0
            continue
        alone = momentumlab.run("rosenbrock", gamma=float(gamma), set=["train.steps=50"], runs=folder)
        for name, values in alone.rows(0).items():
            if name != "run":
                np.testing.assert_array_equal(result.rows(run)[name], values)


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("failure", FAILURES)
def test_the_culprit_is_recorded_and_the_others_come_to_their_end(
    failure, processes, type_in, culprit, tmp_path, request
):
    error, reason = FAILURES[failure]
    if processes == 2:
        request.getfixturevalue("two_workers")
    elif error is None:
        pytest.skip("there is no other process to be killed")
    mend = culprit(0.5, error)
    code, _, words = type_in(*SWEEP)
    assert code == 1
    assert words.endswith("momentumlab: 1 of 3 runs failed; runs.csv says why.\n")
    result = result_in(tmp_path / "runs")
    assert result.finished
    assert result.runs["status"].tolist() == ["finished", "failed", "finished"]
    assert result.runs["reason"].tolist() == ["", reason, ""]
    mend()
    assert_others_as_alone(result, 1, tmp_path / "alone")
    code, _, words = type_in(*SWEEP)
    assert code == 1
    assert "already finished" in words


@pytest.mark.parametrize("processes", [1, 2])
def test_fail_fast_stops_with_the_first_that_fails_and_can_be_gone_on_with(
    processes, type_in, culprit, tmp_path, request, monkeypatch
):
    code, *_ = type_in(*SWEEP, "--runs", tmp_path / "expected", "--set", "seed=1")
    assert code == 0
    if processes == 2:
        request.getfixturevalue("two_workers")
    mend = culprit(0, ValueError("no such step"))
    later, stack = [], Group.stack

    def watched(self, cells):
        later.extend(cell.values["gamma"] for cell in cells if len(cells) == 1)
        return stack(self, cells)

    monkeypatch.setattr(Group, "stack", watched)
    code, _, words = type_in(*SWEEP, "--fail-fast")
    assert code == 1
    assert words.endswith("momentumlab: run 0 failed: ValueError: no such step (--fail-fast)\n")
    assert processes == 2 or later == [0]
    assert not result_in(tmp_path / "runs").finished
    mend()
    code, _, words = type_in(*SWEEP)
    assert code == 0, words
    assert result_in(tmp_path / "runs").runs["status"].tolist() == ["finished"] * 3
    assert files(tmp_path / "runs") == files(sweep_in(type_in, tmp_path / "again"))


def sweep_in(type_in, folder):
    assert type_in(*SWEEP, "--runs", folder)[0] == 0
    return folder


def test_a_single_run_that_fails_exits_with_1_and_says_why(type_in, culprit):
    culprit(0.9, ValueError("no such step"))
    code, _, words = type_in("run", "rosenbrock", "--gamma", "0.9", "--no-plot")
    assert code == 1
    assert words.endswith("momentumlab: the run failed: ValueError: no such step\n")


LITTLE_MEMORY = """
import resource
import torch
from momentumlab.engine.plan import Group
from momentumlab.cli import main
stack = Group.stack
def hungry(self, cells):
    if any(cell.values["gamma"] == 0.5 for cell in cells):
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, resource.RLIM_INFINITY))
        try:
            torch.zeros(2**30)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return stack(self, cells)
Group.stack = hungry
main()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory as Linux has them")
def test_memory_that_is_really_not_there_fails_one_run(tmp_path):
    command = [sys.executable, "-c", LITTLE_MEMORY, "sweep", "linreg", "--gamma", "0,0.5,0.9", "--no-plot", "--quiet"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "momentumlab: 1 of 3 runs failed; runs.csv says why.\n")
    result = result_in(tmp_path / "runs")
    assert result.runs["status"].tolist() == ["finished", "failed", "finished"]
    assert "can't allocate memory" in result.runs["reason"][1]
