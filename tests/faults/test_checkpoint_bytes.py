"""Every flipped bit and every missing byte of a checkpoint is noticed, and what is in it is never code."""

import hashlib
import io
import os
import pickle
import shutil

import numpy as np
import pytest

from momentumlab.errors import ResultError
from momentumlab.results.checkpoint import predecessor, read_checkpoint, write_checkpoint
from tests.faults.training import NET, OBJECTIVE, Killed, assert_finished_as, stopped, train

STATE = {"step": 7, "identity": "γ-1", "runs": np.arange(3), "theta": np.array([[0.1, -0.0], [np.nan, 1e-310]])}

pytestmark = pytest.mark.usefixtures("small_steps")


def flip(path, place):
    damaged = bytearray(path.read_bytes())
    damaged[place] ^= 1
    path.write_bytes(damaged)


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "checkpoint"
    write_checkpoint(path, STATE)
    return path


def test_what_is_written_is_read(checkpoint):
    state = read_checkpoint(checkpoint)
    assert list(state) == list(STATE)
    for name, array in STATE.items():
        assert state[name].dtype == np.asarray(array).dtype
        assert state[name].tobytes() == np.asarray(array).tobytes()


def test_every_flipped_bit_is_noticed(checkpoint):
    whole = checkpoint.read_bytes()
    for place in range(len(whole)):
        for bit in range(8) if place % 16 == 0 or place < 30 else [place % 8]:
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            checkpoint.write_bytes(flipped)
            with pytest.raises(ResultError, match="not as it was written"):
                read_checkpoint(checkpoint)


def test_every_missing_and_every_added_byte_is_noticed(checkpoint):
    whole = checkpoint.read_bytes()
    shorter = [whole[:size] for size in range(len(whole))]
    for data in [*shorter, whole[1:], whole + b"\0", whole + b"\n", b"\0" + whole, whole + whole, b"\0" * len(whole)]:
        checkpoint.write_bytes(data)
        with pytest.raises(ResultError, match="not as it was written"):
            read_checkpoint(checkpoint)


def test_one_of_a_newer_version_is_refused_in_words(checkpoint):
    newer = checkpoint.read_bytes()[:-32].replace(b"checkpoint 1\n", b"checkpoint 2\n")
    checkpoint.write_bytes(newer + hashlib.sha256(newer).digest())
    with pytest.raises(ResultError, match="newer momentumlab"):
        read_checkpoint(checkpoint)


class Canary:
    """What would leave a trace if it were ever unpickled."""

    def __reduce__(self):
        return os.mkdir, ("canary",)


def signed(content, version=1):
    """A checkpoint by a stranger, who can add up as well as we do."""
    content = b"momentumlab checkpoint %d\n" % version + content
    return content + hashlib.sha256(content).digest()


def array(header, content=b""):
    """An array in numpy's format, with a header of one's own."""
    header = header.encode("latin-1") + b"\n"
    return b"theta\n\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


def of_objects():
    file = io.BytesIO()
    np.lib.format.write_array(file, np.array([Canary(), None], dtype=object), allow_pickle=True)
    return b"theta\n" + file.getvalue()


LINE = "{'descr': '%s', 'fortran_order': False, 'shape': %s}"
HOSTILE = {
    "objects": of_objects(),
    "objects said": array(LINE % ("|O", (1,)), pickle.dumps([Canary()])),
    "pickle": b"theta\n" + pickle.dumps(Canary()),
    "huge": array(LINE % ("<f8", (2**60,)), b"\0" * 64),
    "huger": array(LINE % ("<f8", (2**40, 2**40)), b"\0" * 64),
    "overflowing": array(LINE % ("<f8", (2**62, 4)), b"\0" * 64),
    "negative": array(LINE % ("<f8", (-1,)), b"\0" * 64),
    "short": array(LINE % ("<f8", (9,)), b"\0" * 64),
    "no shape": array("{'descr': '<f8', 'fortran_order': False}"),
    "no type": array(LINE % ("what", (1,)), b"\0" * 64),
    "list of types": array("{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,)}", pickle.dumps([1])),
    "code": array("__import__('os').mkdir('canary')"),
    "open bracket": array("{'descr': ("),
    "deep": array("(" * 5000 + ")" * 5000),
    "long": array(" " * 60_000 + "{}"),
    "name without end": b"theta",
    "no letters": b"\xff\xfe\n" + array(LINE % ("<f8", ()), b"\0" * 8)[6:],
    "later format": array(LINE % ("<f8", ()), b"\0" * 8).replace(b"NUMPY\x01", b"NUMPY\x09"),
    "indented": array("  {'descr': '<f8',\n 'fortran_order': False, 'shape': (3L,)}"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", HOSTILE)
def test_what_a_stranger_put_into_one_is_refused_and_never_run(name, checkpoint, monkeypatch):
    monkeypatch.chdir(checkpoint.parent)
    checkpoint.write_bytes(signed(HOSTILE[name]))
    with pytest.raises(ResultError, match="checkpoint"):
        read_checkpoint(checkpoint)
    assert not os.path.exists("canary")


def test_arrays_of_objects_are_not_written(checkpoint):
    before = checkpoint.read_bytes()
    with pytest.raises(ValueError, match="pickle"):
        write_checkpoint(checkpoint, {"theta": np.array([None])})
    assert checkpoint.read_bytes() == before


@pytest.mark.parametrize("target", ["elsewhere", "nowhere"])
def test_links_are_not_followed(target, checkpoint):
    (checkpoint.parent / "elsewhere").write_bytes(checkpoint.read_bytes())
    checkpoint.unlink()
    checkpoint.symlink_to(target)
    with pytest.raises(ResultError, match="symbolic link"):
        read_checkpoint(checkpoint)


# ---- through the writer of results -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kept():
    """What undisturbed trainings gave, by the name of the experiment."""
    return {}


@pytest.fixture
def expected(kept, tmp_path):
    """The bytes of an undisturbed training."""

    def of(experiment):
        name = experiment["name"]
        if name not in kept:
            kept[name] = train(tmp_path / "undisturbed", experiment).contents
        return kept[name]

    return of


@pytest.mark.parametrize("experiment", [OBJECTIVE, NET], ids=["objective", "net"])
@pytest.mark.parametrize("place", [0, 24, 100, -1])
def test_where_a_checkpoint_is_damaged_its_predecessor_is_used(place, experiment, expected, tmp_path):
    newest = stopped(tmp_path / "runs", experiment)
    flip(newest, place)
    trained = train(tmp_path / "runs", experiment)
    assert_finished_as(trained, expected(experiment))
    assert f"{newest}: not as it was written" in trained.notes[0]
    assert "going on with" in trained.notes[1]


@pytest.mark.parametrize("experiment", [OBJECTIVE, NET], ids=["objective", "net"])
def test_where_both_are_damaged_the_training_begins_anew(experiment, expected, tmp_path):
    newest = stopped(tmp_path / "runs", experiment)
    flip(newest, 50)
    predecessor(newest).write_bytes(b"")
    trained = train(tmp_path / "runs", experiment)
    assert_finished_as(trained, expected(experiment))
    assert ["not as it was written" in note for note in trained.notes[:2]] == [True, True]
    assert trained.anew


def test_a_damaged_one_never_takes_the_place_of_its_predecessor(expected, tmp_path):
    runs = tmp_path / "runs"
    flip(stopped(runs), 50)

    def killed_before_the_next_is_in_place(request, *arguments):
        if request is os.replace and arguments[1].name == "checkpoint":
            raise Killed
        return request(*arguments)

    with pytest.raises(Killed):
        train(runs, ask=killed_before_the_next_is_in_place)
    trained = train(runs)
    assert_finished_as(trained, expected(OBJECTIVE))
    assert not trained.anew


@pytest.mark.parametrize("experiment", [OBJECTIVE, NET], ids=["objective", "net"])
def test_without_a_manifest_nothing_is_gone_on_with(experiment, expected, tmp_path):
    """Nobody knows then which versions and how many threads the numbers so far come from."""
    newest = stopped(tmp_path / "runs", experiment)
    (newest.parent / "manifest.json").unlink()
    trained = train(tmp_path / "runs", experiment)
    assert_finished_as(trained, expected(experiment))
    assert "manifest.json is missing or damaged" in trained.notes[0]
    assert trained.anew


@pytest.mark.parametrize("checkpoints", [2, 4])
def test_rows_that_are_not_those_of_the_checkpoint_are_not_trusted(checkpoints, expected, tmp_path):
    runs = tmp_path / "runs"
    size = (stopped(runs, checkpoints=checkpoints).parent / "metrics.csv").stat().st_size
    shutil.rmtree(runs)
    trials = anew = 0
    for place in [*range(0, size, 199), size - 1]:
        for damage in ("flipped", "cut"):
            rows = stopped(runs, checkpoints=checkpoints).parent / "metrics.csv"
            flip(rows, place) if damage == "flipped" else os.truncate(rows, place)
            trained = train(runs)
            assert_finished_as(trained, expected(OBJECTIVE))
            trials += 1
            anew += trained.anew
            shutil.rmtree(runs)
    assert 0 < anew < trials


def test_rows_beyond_those_of_the_checkpoint_are_cut(expected, tmp_path):
    rows = stopped(tmp_path / "runs").parent / "metrics.csv"
    rows.write_bytes(rows.read_bytes() + b"0,6,0.1")
    trained = train(tmp_path / "runs")
    assert_finished_as(trained, expected(OBJECTIVE))
    assert trained.from_the_middle


STRANGE = {
    "objects": (of_objects(), "not a checkpoint"),
    "empty": (b"", "another result"),
    "of another": (array(LINE % ("<f8", ()), b"\0" * 8), "another result"),
}


def test_one_of_a_newer_version_stays_and_nothing_is_trained(tmp_path):
    newest = stopped(tmp_path / "runs")
    newest.write_bytes(signed(b"", version=2))
    before = {path.name: path.read_bytes() for path in newest.parent.iterdir() if path.name != ".lock"}
    with pytest.raises(ResultError, match="newer momentumlab"):
        train(tmp_path / "runs")
    assert {path.name: path.read_bytes() for path in newest.parent.iterdir() if path.name != ".lock"} == before


@pytest.mark.parametrize("name", STRANGE)
def test_one_by_a_stranger_is_told_and_its_predecessor_is_used(name, expected, tmp_path):
    newest = stopped(tmp_path / "runs")
    content, words = STRANGE[name]
    newest.write_bytes(signed(content))
    trained = train(tmp_path / "runs")
    assert_finished_as(trained, expected(OBJECTIVE))
    assert words in trained.notes[0]
    assert "going on with" in trained.notes[1]


@pytest.mark.parametrize("missing", ["sizes", "sha256", "done", "chunk.theta", "outcomes.status", "all"])
def test_one_that_lacks_what_belongs_to_it_is_not_gone_on_from(missing, expected, tmp_path):
    newest = stopped(tmp_path / "runs")
    kept = read_checkpoint(newest)
    for name in list(kept):
        if name == missing or (missing == "all" and name != "identity"):
            del kept[name]
    content = io.BytesIO()
    for name, value in kept.items():
        content.write(f"{name}\n".encode())
        np.lib.format.write_array(content, value, allow_pickle=False)
    newest.write_bytes(signed(content.getvalue()))
    assert_finished_as(train(tmp_path / "runs"), expected(OBJECTIVE))


@pytest.mark.parametrize(
    "change", [{"sizes": 3}, {"done": [1, 2]}, {"outcomes.words": 3}, {"outcomes.status": [0]}, {"sha256": ["a"]}]
)
def test_one_of_impossible_shapes_is_told_and_its_predecessor_is_used(change, expected, tmp_path):
    newest = stopped(tmp_path / "runs")
    previous = newest.with_name("checkpoint.previous").read_bytes()
    write_checkpoint(newest, read_checkpoint(newest) | {name: np.array(value) for name, value in change.items()})
    newest.with_name("checkpoint.previous").write_bytes(previous)
    trained = train(tmp_path / "runs")
    assert_finished_as(trained, expected(OBJECTIVE))
    assert "not a checkpoint of this result" in trained.notes[0]
