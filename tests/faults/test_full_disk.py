"""The disk refuses: the command says what and where, leaves what was there whole, and later goes on from it."""

import errno
import itertools
import json
import os
import resource
import shutil
import subprocess
import sys

import pytest

from momentumlab.errors import ResultError
from momentumlab.results.checkpoint import read_checkpoint
from tests.faults.training import EXPERIMENTS, FILES, assert_finished_as, forks, in_a_copy, strays, train

REFUSALS = [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO, errno.ENAMETOOLONG]

pytestmark = pytest.mark.usefixtures("small_steps")


class Refusing:
    """A disk that refuses a request: once, or that and all after it."""

    def __init__(self, call, for_ever):
        self.refused = []
        self._calls = itertools.count(1)
        self._call = call
        self._for_ever = for_ever
        self._number = REFUSALS[call % len(REFUSALS)]

    def __call__(self, request, *arguments):
        call = next(self._calls)
        if call == self._call or (self._for_ever and call > self._call):
            self.refused.append(request)
            raise OSError(self._number, os.strerror(self._number))
        return request(*arguments)


def assert_in_words(error, runs, number):
    """What is told names a file and what the disk said."""
    assert str(runs) in str(error)
    assert os.strerror(number).lower() in str(error)
    assert error.exit_code == 1
    assert len(str(error).splitlines()) == 1


def assert_whole(runs):
    """Every file that has its name is one that was written to its end; only the rows may end in a part of one."""
    for path in runs.glob("*/checkpoint*"):
        read_checkpoint(path)
    for path in runs.glob("*/manifest.json"):
        assert json.loads(path.read_text())["state"] in ("running", "failed", "finished")


@pytest.mark.parametrize(
    ("name", "for_ever", "stride"),
    [
        ("objective", False, 6),
        ("objective", True, 7),
        ("net", True, 13),
        *(pytest.param(*both, 1, marks=pytest.mark.slow) for both in itertools.product(EXPERIMENTS, (False, True))),
    ],
)
def test_refused_at_any_request_and_asked_again_the_bytes_are_the_same(name, for_ever, stride, tmp_path):
    experiment = EXPERIMENTS[name]
    expected = train(tmp_path / "undisturbed", experiment).contents
    told = going_on = trials = 0
    for call in itertools.count(1, stride):
        runs = tmp_path / str(call)
        refusing = Refusing(call, for_ever)
        try:
            trained = train(runs, experiment, refusing)
        except ResultError as error:
            told += 1
            assert_in_words(error, runs, REFUSALS[call % len(REFUSALS)])
            assert_whole(runs)
            assert for_ever or not strays(runs)
        else:
            if not refusing.refused:
                break
            assert set(refusing.refused) <= {os.unlink}  # of what nobody needs
            assert {name: trained.contents[name] for name in FILES} == expected
        trained = train(runs, experiment)
        assert_finished_as(trained, expected)
        going_on += not trained.anew
        trials += 1
    assert trials * stride > 60
    assert told > trials * 0.8
    assert going_on > trials / 2


class Vanishing:
    """A disk from which somebody removes files, before a request."""

    def __init__(self, call, runs, names):
        self.gone = False
        self._calls = itertools.count(1)
        self._call = call
        self._runs = runs
        self._names = names

    def __call__(self, request, *arguments):
        if next(self._calls) == self._call:
            self.gone = True
            for path in [path for name in self._names for path in self._runs.glob(name)]:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        return request(*arguments)


@pytest.mark.parametrize("names", [["*"], ["*/metrics.csv"], ["*/runs.csv", "*/parameters.npz", "*/checkpoint"]])
def test_where_files_vanish_nothing_incomplete_is_called_finished(names, tmp_path):
    expected = train(tmp_path / "undisturbed").contents
    told = damaged = 0
    for call in itertools.count(1, 4):
        runs = tmp_path / str(call)
        vanishing = Vanishing(call, runs, names)
        told += trained_or_told(runs, expected, str(runs), vanishing)
        if not vanishing.gone:
            break
        # What vanishes while the word finished is on its way is found to be damaged.
        damaged += trained_or_told(runs, expected, "missing; the result is damaged")
    assert told >= 2
    assert damaged <= 3


def trained_or_told(runs, expected, words, ask=None):
    """Whether the command did not finish the result, and said these words."""
    try:
        trained = train(runs, ask=ask)
    except ResultError as error:
        if words in str(error):
            return True
        raise
    assert_finished_as(trained, expected)
    return False


def test_where_the_current_folder_is_gone_the_command_says_so(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ResultError, match="no such file or directory"):
        train("runs")


@forks
@pytest.mark.parametrize("size", [0, 100, 300, 600, 1000, 2000])
def test_a_limit_on_the_size_of_files_is_told_and_lifted(size, tmp_path):
    expected = train(tmp_path / "undisturbed").contents
    runs = tmp_path / "runs"

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        with pytest.raises(ResultError, match="file too large"):
            train(runs)
        assert not strays(runs)

    assert in_a_copy(limited) == 0
    assert_finished_as(train(runs), expected)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of few bytes, and a way to change what it is mounted with."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options):
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    if sys.platform != "linux" or os.geteuid() != 0 or not mount("size=16k"):
        pytest.skip("a disk can be mounted by root alone")
    yield place, mount
    subprocess.run(["umount", "-l", place], check=True)


def test_a_disk_that_is_really_full_or_read_only_and_then_has_room(small_disk, tmp_path):
    expected = train(tmp_path / "undisturbed").contents
    disk_of_few_bytes, mount = small_disk
    runs = disk_of_few_bytes / "runs"
    with pytest.raises(ResultError, match="no space left on device"):
        train(runs)
    assert not strays(runs)
    assert mount("remount,ro")
    with pytest.raises(ResultError, match="read-only file system"):
        train(runs)
    with pytest.raises(ResultError, match="read-only file system"):
        train(disk_of_few_bytes / "others")
    assert mount("remount,rw,size=1m")
    trained = train(runs)
    assert_finished_as(trained, expected)
    assert mount("remount,ro")
    assert train(runs).found


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("x" * 300, "file name too long"),
        ("/".join(["x" * 250] * 20), "file name too long"),
        ("file", "not a directory"),
        ("file/below", "not a directory"),
        ("dangling", "file exists"),
        ("circle/below", "too many levels of symbolic links"),
    ],
)
@pytest.mark.parametrize("more", [[], ["--fresh"]], ids=["", "fresh"])
def test_where_no_result_can_lie_the_command_says_why(place, words, more, type_in, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere/at/all")
    (tmp_path / "circle").symlink_to("circle")
    code, printed, said = type_in("sweep", "rosenbrock", "--gamma", "0", "--runs", place, "--no-plot", *more)
    assert (code, printed) == (1, "")
    assert len(said.splitlines()) == 1
    assert words in said
    assert place[:40] in said
