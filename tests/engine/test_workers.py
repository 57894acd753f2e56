"""Chunks on several processes: the bytes of one process, whatever happens to a worker."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

import momentumlab
from momentumlab.engine import workers
from momentumlab.problems.formulas import ObjectiveProblem
from momentumlab.problems.models import ModelProblem
from momentumlab.results.writer import ResultWriter

NET = {
    "data": {"kind": "moons", "samples": 40},
    "model": {"kind": "mlp", "hidden": [8]},
    "train": {"epochs": 3, "batch_size": 10},
    "optimizer": {"eta": 0.1},
}
FILES = ("metrics.csv", "runs.csv", "parameters.npz", "experiment.yaml")


@pytest.fixture
def small_chunks(monkeypatch):
    """Two runs a chunk, and two processors."""
    monkeypatch.setattr(workers, "_processors", lambda: 2)
    for problem in (ModelProblem, ObjectiveProblem):
        made = problem.__init__

        def begun(self, *arguments, made=made):
            made(self, *arguments)
            self.stack_limit = 2

        monkeypatch.setattr(problem, "__init__", begun)


def swept(folder, experiment=NET, seeds=range(5)):
    result = momentumlab.sweep(experiment, gamma=[0, 0.9], seed=list(seeds), runs=folder)
    return result, [(result.folder / name).read_bytes() for name in FILES]


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("experiment", [NET, "rosenbrock"], ids=["net", "rosenbrock"])
def test_the_bytes_are_those_of_a_single_process(experiment, tmp_path, monkeypatch):
    one, alone = swept(tmp_path / "one", experiment)
    monkeypatch.setattr(workers, "WORTH", 0)
    monkeypatch.setattr(workers, "_train_here", refuse_in(os.getpid(), workers._train_here))
    _, several = swept(tmp_path / "several", experiment)
    assert several == alone
    assert set(one.runs["status"]) == {"finished"}


def refuse_in(process, train):
    """`train`, which this process must not call itself."""

    def called(*arguments):
        assert os.getpid() != process
        train(*arguments)

    return called


@pytest.mark.usefixtures("small_chunks")
def test_two_chunks_of_each_worker_are_under_way(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "WORTH", 0)
    under_way, most = 0, []
    submit, take = ProcessPoolExecutor.submit, ResultWriter.take_chunk

    def submitted(self, *arguments):
        nonlocal under_way
        under_way += 1
        most.append(under_way)
        return submit(self, *arguments)

    def taken(self, *arguments):
        nonlocal under_way
        under_way -= 1
        take(self, *arguments)

    monkeypatch.setattr(ProcessPoolExecutor, "submit", submitted)
    monkeypatch.setattr(ResultWriter, "take_chunk", taken)
    swept(tmp_path, "rosenbrock", seeds=range(9))
    assert len(most) == 9
    assert max(most) == 4


@pytest.mark.usefixtures("small_chunks")
def test_a_run_that_fails_in_a_worker_is_recorded_and_the_others_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "WORTH", 0)
    feed = ObjectiveProblem.feed

    def failing(self, seeds):
        if 1 in seeds:
            raise RuntimeError("seed 1 is cursed")
        return feed(self, seeds)

    monkeypatch.setattr(ObjectiveProblem, "feed", failing)
    result, _ = swept(tmp_path, "rosenbrock", seeds=[0, 1, 2])
    assert result.runs["status"].tolist() == ["finished", "failed", "finished"] * 2
    assert result.runs["reason"][1] == "RuntimeError: seed 1 is cursed"
    assert len(result.rows(0)["step"]) == len(result.rows(2)["step"]) > 1


@pytest.mark.usefixtures("small_chunks")
def test_where_a_worker_is_killed_one_process_goes_on(tmp_path, monkeypatch):
    _, alone = swept(tmp_path / "one", "rosenbrock")
    monkeypatch.setattr(workers, "WORTH", 0)
    mine, train = os.getpid(), workers._train_here

    def killed(group, cells, recorder, tick):
        if os.getpid() != mine and cells[0].run == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        train(group, cells, recorder, tick)

    monkeypatch.setattr(workers, "_train_here", killed)
    assert swept(tmp_path / "several", "rosenbrock")[1] == alone


SCRIPT = """
import momentumlab
from momentumlab.engine import workers
workers.WORTH = 0
workers._processors = lambda: 2
momentumlab.sweep(
    {"data": {"kind": "digits"}, "model": {"kind": "mlp"}, "train": {"epochs": 100000, "batch_size": 64}},
    gamma=[i / 100 for i in range(64)],
)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="workers are copies of the process, on Linux")
@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_workers_end_with_their_parent(name, tmp_path):
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], cwd=tmp_path, stderr=subprocess.DEVNULL)
    while len(children := children_of(process.pid)) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(getattr(signal, name))
    process.wait(timeout=20)
    deadline = time.monotonic() + 10
    while any(alive(child) for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def children_of(process):
    try:
        with open(f"/proc/{process}/task/{process}/children") as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


def alive(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_little_work_stays_in_one_process(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "_train_by_workers", lambda *_: pytest.fail("not worth it"))
    result, _ = swept(tmp_path)
    assert np.all(result.runs["status"] == "finished")


STOPPED_WHILE_OUTCOMES_ARE_SENT = """
import sys
import momentumlab
from momentumlab.engine import workers
from momentumlab.engine.workers import _Sent
from momentumlab.problems.formulas import ObjectiveProblem

workers.WORTH, workers._processors = 0, lambda: 2
leave = workers._Desk.leave
workers._Desk.leave = lambda desk, sent: leave(desk, _Sent({0: b"0" * 50_000_000} | sent.outcomes, sent.updates))

def stopped(desk):
    raise KeyboardInterrupt

workers._Desk.take = stopped
build = ObjectiveProblem.__init__

def small(problem, *given):
    build(problem, *given)
    problem.stack_limit = 1

ObjectiveProblem.__init__ = small
try:
    momentumlab.sweep("rosenbrock", seed="0..11", set={"train.steps": 5}, runs=sys.argv[1])
except KeyboardInterrupt:
    print("stopped")
"""


def test_stopping_does_not_wait_for_a_worker_that_was_sending(tmp_path):
    # 50 MB are more than a pipe holds: sent through one, what was ended in the midst of them would be waited for.
    command = [sys.executable, "-c", STOPPED_WHILE_OUTCOMES_ARE_SENT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "stopped\n", done.stderr
