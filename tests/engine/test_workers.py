"""Chunks on several processes: the bytes of one process, whatever happens to a worker."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import momentumlab
from momentumlab.engine import workers
from momentumlab.engine.plan import Group
from momentumlab.problems.formulas import ObjectiveProblem
from momentumlab.problems.models import ModelProblem
from momentumlab.results.rows import Rows

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
    monkeypatch.setattr(workers, "_train_here", lambda *_: pytest.fail("not by this process"))
    _, several = swept(tmp_path / "several", experiment)
    assert several == alone
    assert set(one.runs["status"]) == {"finished"}


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
def test_where_a_worker_is_killed_its_runs_are_trained_one_by_one(tmp_path, monkeypatch):
    _, alone = swept(tmp_path / "one", "rosenbrock")
    monkeypatch.setattr(workers, "WORTH", 0)
    train = workers.train_chunk

    def killed(group, cells, *arguments):
        if cells[0].run == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        train(group, cells, *arguments)

    monkeypatch.setattr(workers, "train_chunk", killed)
    assert swept(tmp_path / "several", "rosenbrock")[1] == alone


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("deadly", [(4,), (5,), (4, 5)])
def test_a_run_that_kills_its_process_is_recorded_as_failed_and_the_others_go_on(deadly, tmp_path, monkeypatch):
    one, _ = swept(tmp_path / "one", "rosenbrock")
    monkeypatch.setattr(workers, "WORTH", 0)
    stack = Group.stack

    def deadly_stack(self, cells):
        if any(cell.run in deadly for cell in cells):
            os.kill(os.getpid(), signal.SIGKILL)
        return stack(self, cells)

    monkeypatch.setattr(Group, "stack", deadly_stack)
    several, _ = swept(tmp_path / "several", "rosenbrock")
    assert [several.runs["status"][run] for run in deadly] == ["failed"] * len(deadly)
    order = np.lexsort((several.metrics["run"], several.metrics["step"], several.metrics["run"] // 2))
    np.testing.assert_array_equal(order, np.arange(len(order)))  # chunks of two, by step, then run
    assert several.runs["reason"][deadly[0]] == "its process was killed, as when memory runs out"
    for run in set(range(len(one.runs["run"]))) - set(deadly):
        for name, values in one.rows(run).items():
            np.testing.assert_array_equal(several.rows(run)[name], values)


SCRIPT = """
import momentumlab
from momentumlab.engine import workers
from momentumlab.engine.plan import Group
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
    monkeypatch.setattr(workers, "_Workers", lambda *_: pytest.fail("not worth it"))
    result, _ = swept(tmp_path)
    assert np.all(result.runs["status"] == "finished")


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("worth", [0, workers.WORTH], ids=["workers", "one process"])
def test_a_very_long_reason_is_cut_and_can_be_read_again(worth, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "WORTH", worth)
    feed = ObjectiveProblem.feed

    def failing(self, seeds):
        if 1 in seeds:
            raise ValueError("\udc80\0" + "x" * 2_000_000)
        return feed(self, seeds)

    monkeypatch.setattr(ObjectiveProblem, "feed", failing)
    result, _ = swept(tmp_path, "rosenbrock", seeds=[0, 1])
    assert result.runs["status"].tolist() == ["finished", "failed"] * 2
    assert len(result.runs["reason"][1]) == 500


def test_a_message_that_was_cut_off_is_taken_away(tmp_path):
    with (tmp_path / "rows").open("w+b") as rows, (tmp_path / "sent").open("w+b") as sent:
        desk = workers._Desk(Rows(rows, ["run"], tmp_path / "rows"), sent)
        desk.leave(workers._Sent(updates=1))
        sent.write((1000).to_bytes(8, "little") + b"half")
        sent.flush()
        desk.mend()
        desk.leave(workers._Sent(updates=2))
        assert [message.updates for message in desk.take()] == [1, 2]
