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
from momentumlab.results import disk, writer
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
    ("name", "for_ever", "stride"), [("objective", False, 1), ("objective", True, 1), ("net", True, 7)]
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
    print(trials, told, going_on)
