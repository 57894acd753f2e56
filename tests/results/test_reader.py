"""What lies in a folder is read, and what cannot be read is named with its reason."""

import json
import shutil

import pytest

import momentumlab
from momentumlab.errors import ConfigError, ResultError
from momentumlab.results import reader
from momentumlab.results.reader import find, load


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return momentumlab.sweep("rosenbrock", gamma=[0, 0.9], set={"train.steps": 5}, runs=tmp_path_factory.mktemp("runs"))


@pytest.fixture
def copy(result, tmp_path):
    folder = tmp_path / "runs" / result.name
    shutil.copytree(result.folder, folder)
    return folder


def unfinished(folder):
    """Mark a result as one whose files are still being written."""
    manifest = json.loads((folder / "manifest.json").read_text()) | {"state": "running"}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_a_result_is_columns_of_arrays(result):
    again = load(result.folder)
    assert again.finished
    assert again.runs["gamma"].tolist() == [0, 0.9]
    assert again.rows(1)["step"].tolist() == [0, 1, 2, 3, 4, 5]
    assert again.experiment["objective"]["kind"] == "rosenbrock"
    assert "2 runs, 2 finished" in repr(again)


def test_find_reads_every_result_below_and_names_what_it_skips(copy):
    deeper = copy.parent / "deeper"
    for name in ("broken", "newer", "other"):
        shutil.copytree(copy, deeper / name)
    unfinished(deeper / "broken")
    (deeper / "broken" / "metrics.csv").write_text("run,step\n0\n")
    manifest = json.loads((copy / "manifest.json").read_text()) | {"schema": 99}
    (deeper / "newer" / "manifest.json").write_text(json.dumps(manifest))
    results, skipped = find([copy.parent, copy])
    assert [result.name for result in results] == ["other", copy.name]
    assert len(skipped) == 2
    assert "broken/metrics.csv:2: 1 fields, expected 2" in skipped[0]
    assert "newer momentumlab (schema 99" in skipped[1]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("manifest.json", "{", "not JSON"),
        ("manifest.json", "[]", "not the manifest"),
        ("manifest.json", '{"schema": "x", "state": 1}', "not the manifest"),
        ("runs.csv", "", "empty"),
        ("metrics.csv", b"run\xff\n", "not UTF-8"),
        ("experiment.yaml", "3", "must hold sections"),
        ("metrics.csv", None, "missing"),
    ],
)
def test_a_damaged_result_is_refused_with_the_file_and_the_reason(copy, name, content, words):
    path = copy / name
    unfinished(copy)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ResultError, match=words) as refused:
        load(copy)
    assert name in str(refused.value)


@pytest.mark.parametrize("name", ["metrics.csv", "runs.csv", "experiment.yaml", "parameters.npz"])
def test_an_altered_byte_of_a_finished_result_is_noticed(copy, name):
    path = copy / name
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ResultError, match=f"{name}: not as it was written"):
        load(copy)
    path.unlink()
    with pytest.raises(ResultError, match=f"{name}: missing"):
        load(copy)


def test_a_folder_that_cannot_be_read_is_skipped_with_the_reason(copy, monkeypatch):
    from pathlib import Path

    (copy.parent / "closed").mkdir()
    iterdir = Path.iterdir

    def refusing(path):
        if path.name == "closed":
            raise PermissionError(13, "Permission denied")
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", refusing)
    results, skipped = find([copy.parent])
    assert [result.name for result in results] == [copy.name]
    assert skipped == [f"skipped {copy.parent / 'closed'}: permission denied"]


def test_a_path_without_results_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(ConfigError, match="no such folder"):
        find([tmp_path / "none"])
    with pytest.raises(ConfigError, match="momentumlab sweep"):
        find([tmp_path])


def test_a_link_to_a_result_is_not_followed(copy, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "link").symlink_to(copy, target_is_directory=True)
    assert find([other]) == ([], [f"skipped {other / 'link'}: is a symbolic link, and those are not followed here"])


def test_the_metrics_of_a_finished_result_are_read_when_they_are_asked_for(copy, monkeypatch):

    read, asked = reader.read_numbers, []

    def noted(path, place, only=None):
        asked.append(only)
        return read(path, place, only)

    monkeypatch.setattr(reader, "read_numbers", noted)
    result = load(copy)
    assert result.recorded
    assert result.measured[:3] == ["run", "step", "loss"]
    assert asked == []
    some = result.some("step", "theta_1", "no such column")
    assert list(some) == ["step", "theta_1"]
    whole = result.metrics
    assert whole is result.metrics
    assert asked == [("step", "theta_1", "no such column"), None]
    assert list(whole) == result.measured
    assert [some[name].tolist() for name in some] == [whole[name].tolist() for name in some]
    assert list(result.some("step")) == ["step"]
    assert asked == [("step", "theta_1", "no such column"), None]


def test_a_result_that_is_held_outlives_its_folder_unless_it_is_very_large(copy, monkeypatch):
    held = load(copy).held()
    monkeypatch.setattr(reader, "_LARGE", 100)
    large = load(copy).held()
    shutil.rmtree(copy)
    assert len(held.metrics["step"]) > 1
    with pytest.raises(ResultError, match=r"metrics\.csv"):
        large.metrics  # noqa: B018 - asking reads them


def test_the_metrics_of_an_unfinished_result_are_read_at_once(copy):
    unfinished(copy)
    (copy / "metrics.csv").write_text("run,step\n0,0\n0,x\n")
    with pytest.raises(ResultError, match=r"metrics.csv:3: 'x' is not a number"):
        load(copy)
