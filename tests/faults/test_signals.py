"""Signals: the step is finished, its state kept, and the same command goes on; a second one leaves at once."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

import momentumlab
from momentumlab.engine import workers
from momentumlab.engine.stack import RuleStack
from momentumlab.problems.formulas import ObjectiveProblem
from momentumlab.results.outcomes import Outcomes
from momentumlab.results.writer import ResultWriter
from tests.conftest import REPOSITORY
from tests.faults.copies import children_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals as POSIX has them, and workers")
FILES = ("metrics.csv", "runs.csv", "parameters.npz")
FORMULA = {
    "objective": {"kind": "rosenbrock", "noise": 0.1},
    "train": {"steps": 200},
    "optimizer": {"gamma": 0.9, "eta": 0.0005},
}
SECONDS = 5  # two are promised; a busy machine may take longer
TWO_CHUNKS = """
from momentumlab.engine import workers
from momentumlab.problems.formulas import ObjectiveProblem
made = ObjectiveProblem.__init__
def begun(self, *arguments):
    made(self, *arguments)
    self.stack_limit = 1
ObjectiveProblem.__init__ = begun
"""
WORKERS = f"{TWO_CHUNKS}workers.WORTH, workers._processors = 0, lambda: 2"
LONG_STEP = """
import time
from momentumlab.engine.stack import RuleStack
advance, steps = RuleStack.advance, []
def slow(self):
    steps.append(0)
    if len(steps) == 5000:
        open("slow", "w").close()
        time.sleep(60)
    advance(self)
RuleStack.advance = slow
"""
RUN = ("run", "rosenbrock", "--set", "train.steps=10000", "--set", "objective.noise=0.1", "--no-plot")
SWEEP = ("sweep", *RUN[1:], "--gamma", "0,0.9")


def begun(folder, arguments, changes=""):
    """A process of its own that types a command, with some things changed before."""
    command = ["-c", f"{changes}\nfrom momentumlab.cli import main\nmain()"] if changes else ["-m", "momentumlab"]
    return subprocess.Popen(
        [sys.executable, *command, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )


def until(condition, process):
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def rows_are_written(folder):
    return lambda: any(path.stat().st_size > 20_000 for path in folder.glob("runs/*/metrics.csv"))


def left(process):
    """The exit code, and the words."""
    start = time.monotonic()
    words = process.communicate(timeout=60)[1]
    assert time.monotonic() - start < SECONDS
    return process.returncode, words


def files(runs):
    [folder] = [path for path in runs.iterdir() if path.is_dir()]
    return [(folder / name).read_bytes() for name in FILES]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The files of both commands when nothing stops them."""
    folder = tmp_path_factory.mktemp("undisturbed")
    set = RUN[3:6:2]
    momentumlab.run("rosenbrock", set=set, runs=folder / "run")
    with pytest.MonkeyPatch.context() as patch:
        one_run_a_chunk(patch)
        momentumlab.sweep("rosenbrock", gamma=[0, 0.9], set=set, runs=folder / "sweep")
    return {RUN: files(folder / "run"), SWEEP: files(folder / "sweep")}


def one_run_a_chunk(patch):
    made = ObjectiveProblem.__init__

    def begun(self, *arguments):
        made(self, *arguments)
        self.stack_limit = 1

    patch.setattr(ObjectiveProblem, "__init__", begun)


@pytest.mark.parametrize(
    ("arguments", "changes", "name", "to_all"),
    [
        (RUN, "", "SIGINT", False),
        (SWEEP, TWO_CHUNKS, "SIGTERM", False),
        (SWEEP, WORKERS, "SIGTERM", True),
        (SWEEP, WORKERS, "SIGINT", True),
    ],
    ids=["run", "sweep", "workers", "workers, Ctrl-C"],
)
def test_a_signal_keeps_the_state_and_the_same_command_goes_on(arguments, changes, name, to_all, tmp_path, undisturbed):
    process, number = begun(tmp_path, arguments, changes), getattr(signal, name)
    if changes == WORKERS:
        until(lambda: len(children_of(process.pid)) == 2, process)
        time.sleep(0.3)
    else:
        until(rows_are_written(tmp_path), process)
    (os.killpg if to_all else os.kill)(process.pid, number)
    code, words = left(process)
    assert code == 128 + number, words
    assert words.endswith("momentumlab: stopped by a signal. The same command goes on from here.\n")
    assert "Traceback" not in words
    [folder] = (tmp_path / "runs").iterdir()
    assert json.loads((folder / "manifest.json").read_text())["state"] == "interrupted"
    assert (folder / "checkpoint").exists()
    if changes == WORKERS:
        assert list(folder.glob("checkpoint.[01]"))
    again = begun(tmp_path, arguments, changes)
    said = again.communicate(timeout=60)[1]
    assert again.returncode == 0, said
    assert "going on with runs/" in said
    assert changes == WORKERS or ", the next ones from step " in said
    assert files(tmp_path / "runs") == undisturbed[arguments]


@pytest.mark.parametrize("signals", [1, 2])
def test_a_long_step_is_left_after_a_while_and_by_a_second_signal_at_once(signals, tmp_path, undisturbed):
    process = begun(tmp_path, RUN, LONG_STEP)
    until((tmp_path / "slow").exists, process)
    for _ in range(signals):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
    code, words = left(process)
    assert code == 143, words
    assert words.endswith("momentumlab: stopped by a signal. The same command goes on from here.\n")
    again = begun(tmp_path, (*RUN, "--quiet"))
    assert again.communicate(timeout=60)[1] == ""
    assert files(tmp_path / "runs") == undisturbed[RUN]


# ---- in this process ---------------------------------------------------------------------------------------


@pytest.fixture
def at_update(monkeypatch):
    """Let something happen in the midst of the update with this number, counted over all runs."""

    def when(update, happens):
        advance, left = RuleStack.advance, iter(range(update, -1, -1))

        def disturbed(self):
            if next(left, None) == 0:
                happens()
            advance(self)

        monkeypatch.setattr(RuleStack, "advance", disturbed)

    return when


@pytest.fixture
def handler():
    """The handler of SIGINT as it is outside of tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def expected(tmp_path):
    momentumlab.run(FORMULA, runs=tmp_path / "expected")
    return files(tmp_path / "expected")


def interrupt():
    signal.raise_signal(signal.SIGINT)


def assert_goes_on(runs, expected):
    momentumlab.run(FORMULA, runs=runs)
    assert files(runs) == expected


def test_in_a_library_it_is_a_keyboard_interrupt_after_the_step(runs, handler, expected, at_update):
    at_update(120, interrupt)
    with pytest.raises(KeyboardInterrupt):
        momentumlab.run(FORMULA, runs=runs)
    assert signal.getsignal(signal.SIGINT) is handler
    [folder] = runs.iterdir()
    assert momentumlab.load(folder).runs["reason"][0] == "stopped at step 120"
    assert (folder / "checkpoint").exists()
    assert_goes_on(runs, expected)


@pytest.mark.parametrize(
    ("owner", "name"),
    [(ResultWriter, "begin"), (ResultWriter, "_lay_out"), (Outcomes, "write_parameters"), (ResultWriter, "_close")],
)
def test_a_signal_before_or_after_the_steps_is_not_lost(owner, name, runs, handler, expected, monkeypatch):
    function = getattr(owner, name)

    def disturbed(*arguments, **options):
        interrupt()
        return function(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, disturbed)
        with pytest.raises(KeyboardInterrupt):
            momentumlab.run(FORMULA, runs=runs)
    assert signal.getsignal(signal.SIGINT) is handler
    assert_goes_on(runs, expected)


def test_a_signal_that_somebody_handles_without_leaving_changes_nothing(runs, handler, expected, at_update):
    came = []
    signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    at_update(120, interrupt)
    assert_goes_on(runs, expected)
    assert came == [signal.SIGINT]


def test_what_a_handler_raises_is_no_failure_of_a_run(runs, handler, expected, at_update):
    class TooLateError(Exception):
        pass

    def leave(number, frame):
        raise TooLateError

    signal.signal(signal.SIGINT, leave)
    at_update(120, interrupt)
    with pytest.raises(TooLateError):
        momentumlab.run(FORMULA, runs=runs)
    assert_goes_on(runs, expected)


def test_in_another_thread_nothing_is_handled(runs, handler, at_update):
    seen = []
    at_update(10, lambda: seen.append(signal.getsignal(signal.SIGINT)))
    thread = threading.Thread(target=lambda: momentumlab.run(FORMULA, runs=runs))
    thread.start()
    thread.join()
    assert seen == [handler]


def test_a_signal_that_is_ignored_stays_so(type_in, handler, at_update):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    at_update(10, interrupt)
    assert type_in("run", "rosenbrock", "--no-plot")[0] == 0
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


@pytest.fixture
def two_workers(monkeypatch):
    """A run a chunk, two processors, and work that is worth it."""
    monkeypatch.setattr(workers, "WORTH", 0)
    monkeypatch.setattr(workers, "_processors", lambda: 2)
    one_run_a_chunk(monkeypatch)


@pytest.mark.usefixtures("two_workers")
@pytest.mark.parametrize("whom", ["worker", "parent"])
def test_who_asks_one_worker_or_changes_its_mind_gets_all_runs(whom, tmp_path, handler, monkeypatch):
    def swept(name):
        momentumlab.sweep(FORMULA, gamma=[0, 0.5, 0.9], seed=[0, 1], runs=tmp_path / name)
        return files(tmp_path / name)

    expected, parent, asked = swept("expected"), os.getpid(), tmp_path / "asked"
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    train = workers.train_chunk

    def disturbed(*arguments):
        if not asked.exists():
            asked.touch()
            os.kill(os.getpid() if whom == "worker" else parent, signal.SIGTERM)
            time.sleep(0.2)
        train(*arguments)

    monkeypatch.setattr(workers, "train_chunk", disturbed)
    try:
        assert swept("disturbed") == expected
    finally:
        signal.signal(signal.SIGTERM, before)


def test_before_the_command_has_begun_a_signal_leaves_no_traceback(tmp_path):
    """Its own modules are still being imported then."""
    interrupting = """
import builtins, sys
imported = builtins.__import__
def interrupted(name, *arguments, **named):
    if name == "momentumlab.cli":
        raise KeyboardInterrupt
    return imported(name, *arguments, **named)
builtins.__import__ = interrupted
from momentumlab.__main__ import main
main()
"""
    process = subprocess.run(
        [sys.executable, "-c", interrupting],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.returncode, process.stdout, process.stderr) == (130, "", "")
