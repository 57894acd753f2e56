"""One result has one writer, and readers see whole rows of it whenever they look."""

import json
import os
import re
import signal
import socket
import time
from collections import Counter

import numpy as np
import pytest

import momentumlab
from momentumlab.errors import ResultError
from momentumlab.results.reader import find
from tests.faults.training import FILES, OBJECTIVE, assert_finished_as, forks, start_copy, train

TRAINED, FOUND, NAMED, UNNAMED = 10, 11, 12, 13

pytestmark = [forks, pytest.mark.usefixtures("small_steps")]


def holding(runs, signalled):
    """Train up to some checkpoint in another process, which then waits; gives its number."""

    def ask(request, *arguments):
        answer = request(*arguments)
        if request is os.replace and arguments[1].name == "checkpoint":
            os.write(signalled, b"!")
            time.sleep(60)
        return answer

    return start_copy(lambda: train(runs, ask=ask) and None)


@pytest.fixture
def holder(runs):
    """A process that holds a result under `runs` and waits."""
    told, signalled = os.pipe()
    process = holding(runs, signalled)
    assert os.read(told, 1) == b"!"
    yield process
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    os.close(told)
    os.close(signalled)


def test_a_second_process_is_refused_and_told_who_is_writing(holder, runs):
    with pytest.raises(
        ResultError, match=f"process {holder} on {re.escape(socket.gethostname())} is writing"
    ) as refused:
        train(runs)
    assert os.waitpid(holder, os.WNOHANG) == (0, 0)  # nobody has waited for it
    assert refused.value.exit_code == 1


def test_the_command_is_refused_in_one_line(holder, runs, type_in, tmp_path):
    (tmp_path / "valley.yaml").write_text(json.dumps(OBJECTIVE))
    code, printed, said = type_in("sweep", "valley.yaml", "--gamma", "0,0.9,0.99", "--runs", runs, "--no-plot")
    assert (code, printed) == (1, "")
    assert len(said.splitlines()) == 1
    assert f"process {holder} on {socket.gethostname()} is writing this result" in said


def test_the_lock_dies_with_its_holder(tmp_path):
    expected = train(tmp_path / "undisturbed").contents
    runs = tmp_path / "runs"
    told, signalled = os.pipe()
    process = holding(runs, signalled)
    assert os.read(told, 1) == b"!"
    with pytest.raises(ResultError, match=f"process {process} on "):
        train(runs)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    trained = train(runs)
    assert trained.from_the_middle
    assert_finished_as(trained, expected)
    os.close(told)
    os.close(signalled)


def test_a_second_process_that_trains_afresh_writes_beside(holder, runs, tmp_path):
    expected = train(tmp_path / "undisturbed").contents
    del holder
    result = momentumlab.sweep(OBJECTIVE, gamma=[0, 0.9, 0.99], runs=runs, fresh=True)
    assert result.folder.name.endswith("-2")
    assert {name: (result.folder / name).read_bytes() for name in FILES} == expected


@pytest.mark.parametrize("said", [b"", b"{", b"[]", b"7", b'{"pid": null, "host": 1}', b'{"pid": 1}', b"\xff" * 2000])
def test_what_a_lock_says_is_not_trusted(said, holder, runs):
    del holder
    [lock] = runs.glob("*/.lock")
    lock.write_bytes(said)
    with pytest.raises(ResultError, match="another process is writing this result"):
        train(runs)


def test_a_lock_that_is_a_link_leads_nowhere(runs, tmp_path):
    folder = train(runs).folder
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (folder / "manifest.json").unlink()
    (folder / ".lock").symlink_to(victim)
    with pytest.raises(ResultError, match=r"symbolic link|is writing"):
        train(runs)
    assert victim.read_text() == "precious"


def test_sixty_four_processes_leave_one_result(tmp_path):
    expected = train(tmp_path / "undisturbed").contents
    runs = tmp_path / "runs"
    told, go = os.pipe()

    host = socket.gethostname()
    refusals = {f" on {host} is writing this result": NAMED, "another process is writing this result": UNNAMED}

    def one_of_many():
        os.close(go)
        os.read(told, 1)  # until the other end is closed
        try:
            return FOUND if train(runs).found else TRAINED
        except ResultError as error:
            return next((code for words, code in refusals.items() if words in str(error)), 1)

    processes = [start_copy(one_of_many) for _ in range(64)]
    os.close(go)
    codes = Counter(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes)
    os.close(told)
    assert codes[TRAINED] == 1
    assert codes.keys() <= {TRAINED, FOUND, NAMED, UNNAMED}
    assert_finished_as(train(runs), expected)


def test_readers_see_whole_rows_while_others_write(tmp_path):
    experiment = {**OBJECTIVE, "train": {"steps": 60}}
    undisturbed = train(tmp_path / "undisturbed", experiment).folder
    whole = momentumlab.load(undisturbed)
    runs = tmp_path / "runs"

    def in_pieces(request, *arguments):
        # As slowly as a disk may be, and never a row at once.
        if request is os.write:
            descriptor, data = arguments
            data = bytes(data)
            return os.write(descriptor, data[: max(1, len(data) // 3)])
        return request(*arguments)

    process = start_copy(lambda: train(runs, experiment, in_pieces) and None)
    sizes = set()
    while os.waitpid(process, os.WNOHANG) == (0, 0):
        for path in runs.glob("*/manifest.json"):
            result = momentumlab.load(path.parent)
            rows = len(result.metrics["run"])
            sizes.add(rows)
            for name, values in result.metrics.items():
                np.testing.assert_array_equal(values, whole.metrics[name][:rows], err_msg=name)
            found, skipped = find([runs])
            assert len(found) == 1
            assert skipped == []
    assert len(sizes) > 3
