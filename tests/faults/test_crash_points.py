"""The process dies at any request to the disk: asked again, it finishes the result with the same bytes."""

import itertools
import os

import pytest

from tests.faults.training import EXPERIMENTS, assert_finished_as, forks, in_a_copy, train

KILLED = 99
AGAIN = 5  # every so many trials are killed a second time, while they recover

pytestmark = [forks, pytest.mark.usefixtures("small_steps")]


def dying(call, torn=False):
    """Ask the disk, and die at a call; or at a write of that number, half of which is done."""
    calls = itertools.count(1)

    def ask(request, *arguments):
        if torn and request is not os.write:
            return request(*arguments)
        if next(calls) == call:
            if torn:
                descriptor, data = arguments
                os.write(descriptor, data[: len(data) // 2])
            os._exit(KILLED)
        return request(*arguments)

    return ask


def dies(runs, experiment, call, torn=False):
    """Whether the command died; it did not where it asks less often than that."""

    def work():
        train(runs, experiment, dying(call, torn))

    code = in_a_copy(work)
    assert code in (0, KILLED)
    return code == KILLED


@pytest.mark.parametrize(
    ("name", "torn", "stride"),
    [
        ("objective", False, 3),
        ("objective", True, 2),
        ("net", False, 4),
        ("rates", False, 5),
        ("torch", False, 12),
        ("torch", True, 6),
        *(
            pytest.param(name, torn, 1, marks=pytest.mark.slow)
            for name in ("objective", "net", "rates", "torch")
            for torn in (False, True)
        ),
    ],
)
def test_dead_at_any_request_and_asked_again_the_bytes_are_the_same(name, torn, stride, tmp_path):
    experiment = EXPERIMENTS[name]
    expected = train(tmp_path / "undisturbed", experiment).contents
    assert (b"rate_measured" in expected["runs.csv"]) is (name == "rates")
    trials = going_on = from_the_middle = 0
    for call in itertools.count(1, stride):
        runs = tmp_path / str(call)
        if not dies(runs, experiment, call, torn):
            break
        trials += 1
        if trials % AGAIN == 0:
            dies(runs, experiment, 1 + call * 7 % 23)
        trained = train(runs, experiment)
        assert_finished_as(trained, expected)
        going_on += not trained.anew
        from_the_middle += trained.from_the_middle
    assert trials * stride > (15 if torn else 60)
    assert going_on > trials / 2
    assert from_the_middle > trials / 6
