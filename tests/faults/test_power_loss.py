"""The power fails at any moment, and what was not synced is lost: asked again, the bytes are the same.

That the model finds what it looks for is shown by mutations: without one of the syncs, or without the checksums.
"""

import hashlib
import itertools
import sys

import pytest

from momentumlab.errors import ResultError
from momentumlab.results import checkpoint, rows, writer
from momentumlab.results.rows import Extent
from tests.faults.losing import BYTES, NAMES, Disk, Recorder
from tests.faults.training import FILES, NET, OBJECTIVE, assert_finished_as, stopped, train

pytestmark = [
    pytest.mark.usefixtures("small_steps"),
    pytest.mark.skipif(sys.platform != "linux", reason="names of open folders are looked up in /proc"),
]


class Recorded:
    """A training, request by request, and what came of it."""

    def __init__(self, place, experiment=OBJECTIVE, checkpoints=0):
        place.mkdir()
        self.place, self.experiment = place, experiment
        if checkpoints:
            stopped(place / "runs", experiment, checkpoints)
        recorder = Recorder(place)
        self.expected = train(place / "runs", experiment, recorder).contents
        self.requests, self.saved, self.start = recorder.requests, recorder.saved, recorder.start

    def without_sync(self, name):
        """As if the file that gets this name were never synced."""
        files = {request.file for request in self.requests if request.path is not None and request.path.name == name}
        assert files
        self.requests = [one for one in self.requests if not (one.kind == "sync" and one.file in files)]
        return self

    def failures(self):
        """All that can be found after a failure of the power: what is there, and how many requests there had been."""
        disk, seen = Disk(self.place, self.start), set()
        for number in range(len(self.requests) + 1):
            for data, names in itertools.product(BYTES, NAMES):
                found = disk.after_a_failure(data, names)
                key = tuple(found.items())
                if key not in seen:
                    seen.add(key)
                    yield number, found
            if number < len(self.requests):
                disk.take(self.requests[number])

    def kept_at(self, number):
        """Whether a checkpoint had been made durable when there had been so many requests."""
        return any(
            request.kind == "sync names" and self.saved and place >= self.saved[0][0]
            for place, request in enumerate(self.requests[:number])
        )


def lay_out(found, place, target):
    """Put what was found below another folder."""
    target.mkdir()
    for path, content in found.items():
        copy = target / path.relative_to(place)
        copy.mkdir() if content is None else copy.write_bytes(content)


def outcomes(recorded, tmp_path, stride=1):
    """What came of the same command after each failure, or each so many-th."""
    counts = dict.fromkeys(("right", "lost", "told", "wrong", "from the middle"), 0)
    for trial, (number, found) in enumerate(itertools.islice(recorded.failures(), 0, None, stride)):
        target = tmp_path / f"trial {trial}"
        lay_out(found, recorded.place, target)
        try:
            trained = train(target / "runs", recorded.experiment)
        except ResultError:
            counts["told"] += 1
            continue
        except Exception:
            counts["wrong"] += 1
            continue
        counts["from the middle"] += trained.from_the_middle
        if {name: trained.contents[name] for name in FILES} != recorded.expected:
            counts["wrong"] += 1
        elif trained.anew and recorded.kept_at(number):
            counts["lost"] += 1
        else:
            assert_finished_as(trained, recorded.expected)
            counts["right"] += 1
    return counts


@pytest.mark.parametrize(
    ("experiment", "checkpoints", "stride"),
    [
        (OBJECTIVE, 0, 3),
        (OBJECTIVE, 3, 4),
        (NET, 0, 8),
        *(pytest.param(*full, marks=pytest.mark.slow) for full in [(OBJECTIVE, 0, 1), (OBJECTIVE, 3, 1), (NET, 0, 1)]),
    ],
)
def test_the_bytes_are_right_whatever_was_lost(experiment, checkpoints, stride, tmp_path):
    counts = outcomes(Recorded(tmp_path / "place", experiment, checkpoints), tmp_path, stride)
    assert counts["right"] * stride > 90
    assert counts["from the middle"] > counts["right"] / 5
    assert counts["told"] == counts["wrong"] == counts["lost"] == 0


@pytest.mark.parametrize("name", ["metrics.csv", "checkpoint"])
def test_without_a_sync_work_is_lost_and_nothing_wrong_is_called_finished(name, tmp_path):
    counts = outcomes(Recorded(tmp_path / "place").without_sync(name), tmp_path, stride=17)
    assert counts["lost"] + counts["told"] > 2
    assert counts["wrong"] == 0


@pytest.mark.parametrize("name", ["metrics.csv", "checkpoint"])
def test_without_a_sync_and_checksums_the_bytes_are_wrong(name, tmp_path, monkeypatch):
    recorded = Recorded(tmp_path / "place").without_sync(name)

    def unverified(path):
        data = path.read_bytes()
        return checkpoint._arrays(data[:-32], data.index(b"\n") + 1)

    def of_that_size(path, extents):
        data = path.read_bytes()
        return rows.beginnings(path, [Extent(size, hashlib.sha256(data[:size]).hexdigest()) for size, _ in extents])

    monkeypatch.setattr(writer, "read_checkpoint", unverified)
    monkeypatch.setattr(writer, "beginnings", of_that_size)
    assert outcomes(recorded, tmp_path, stride=17)["wrong"] > 2
