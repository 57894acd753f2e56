"""Results from strangers: whatever stands in them, they are skipped or refused in words, and nothing of them is run."""

import hashlib
import json
import os
import shutil
import zipfile

import numpy as np
import pytest

import momentumlab
from momentumlab import lab
from momentumlab.errors import ResultError
from momentumlab.results.manifest import manifest_text
from momentumlab.results.reader import is_finished, load

STEERING = "\x1b[31m\x9b31m\u202e$\\frac{$<b>[bold]"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two results in one folder."""
    runs = tmp_path_factory.mktemp("results")
    momentumlab.sweep("rosenbrock", gamma=[0, 0.9], set={"train.steps": 3}, runs=runs)
    momentumlab.run("saddle", set={"train.steps": 3}, runs=runs)
    return runs


@pytest.fixture
def bad(results, tmp_path):
    """A copy of the first result to do harm to, beside a good one."""
    runs = shutil.copytree(results, tmp_path / "runs")
    return next(runs.glob("rosenbrock-*"))


def sealed(folder, **changes):
    """Give a result's files the checksums that they have: whoever altered them could."""
    manifest = json.loads((folder / "manifest.json").read_text()) | changes
    del manifest["checksum"]
    manifest["files"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in manifest["files"]}
    (folder / "manifest.json").write_text(manifest_text(manifest))


ALTERED = [
    ("runs.csv", "finished", STEERING, "status"),
    ("runs.csv", "\n0,0,", "\n0,[1],", "gamma"),
    ("runs.csv", "\n0,0,", "\n99999999999999999999,0,", "run"),
    ("runs.csv", ",status,", ",gamma,", "twice"),
    ("runs.csv", "finished,", 'finished,"', "not CSV|fields|empty"),
    ("runs.csv", "\n0,0,", "\n0,٠,", "gamma"),
    ("metrics.csv", "run,step", "run,steps", "step are missing"),
    ("metrics.csv", "\n0,1,", "\n\n0,1,", ":4: the line is empty"),
    ("metrics.csv", "\n0,1,", "\n0,\0,", ":4: .* is not a number"),
    ("experiment.yaml", "name: rosenbrock", "name: ../../evil", "name: got"),
    ("experiment.yaml", "kind: rosenbrock", "kind: !!python/name:os.system x", "tag"),
]


@pytest.mark.parametrize(("name", "old", "new", "says"), ALTERED)
def test_what_no_training_writes_is_refused_with_its_file_though_the_checksums_are_right(name, old, new, says, bad):
    text = (bad / name).read_text()
    assert old in text
    (bad / name).write_text(text.replace(old, new, 1))
    sealed(bad)
    with pytest.raises(ResultError, match=rf"(?s){name}.*({says})") as refused:
        load(bad).held()
    assert str(refused.value).replace("\n", "").isprintable()


@pytest.mark.parametrize("command", ["show", "plot"])
def test_a_damaged_result_is_skipped_with_the_reason_and_the_others_are_read(command, bad, type_in):
    (bad / "metrics.csv").write_text("run,steps\n0,0\n")
    (bad / "runs.csv").write_text((bad / "runs.csv").read_text().replace("finished", STEERING))
    sealed(bad)
    code, out, err = type_in(command, bad.parent)
    assert code == 0
    assert f"skipped {bad}" in err
    assert (out + err).replace("\n", "").replace("\t", "").isprintable()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"schema": 2, "state": "finished"}', "newer momentumlab"),
        ('{"schema": true, "state": "finished"}', "not the manifest"),
        ('{"schema": 1, "state": ["finished"]}', "not the manifest"),
        ('{"schema": 1, "state": "running", "data": {"x": [1]}}', "not the manifest"),
        ('{"schema": 1, "state": "running", "x": NaN}', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"schema": ' + "9" * 5000 + "}", "not JSON"),
    ],
)
def test_a_manifest_that_was_never_written_is_refused(content, says, bad):
    (bad / "manifest.json").write_text(content)
    with pytest.raises(ResultError, match=says):
        load(bad)


@pytest.mark.parametrize(
    "name", ["manifest.json", "runs.csv", "metrics.csv", "experiment.yaml", "figures", "checkpoint"]
)
def test_links_inside_a_result_are_not_followed(name, bad, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    if (bad / name).is_file():
        (bad / name).rename(elsewhere)
    (bad / name).symlink_to(elsewhere)
    for reading in (load, is_finished):
        with pytest.raises(ResultError, match="symbolic link"):
            reading(bad)


def test_a_result_that_is_a_link_itself_is_not_followed(bad, tmp_path):
    (tmp_path / "link").symlink_to(bad)
    with pytest.raises(ResultError, match="symbolic link"):
        load(tmp_path / "link")
    (tmp_path / "all").symlink_to(bad.parent)
    assert load(tmp_path / "all" / bad.name).finished


def test_pictures_are_not_drawn_through_a_link(bad, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (bad.parent / "figures").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ResultError, match="symbolic link"):
        lab.plot([bad.parent])
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("name", ["runs.csv", "metrics.csv", "experiment.yaml"])
def test_a_pipe_is_not_waited_for(name, bad):
    (bad / name).unlink()
    os.mkfifo(bad / name)
    with pytest.raises(ResultError, match="a device or a pipe"):
        load(bad)


def test_parameters_that_are_code_or_larger_than_their_file_are_never_unpacked(bad, type_in):
    objects = np.array([{}, {}], object)
    np.savez(bad / "parameters.npz", parameters=objects)
    sealed(bad)
    assert "not a file of parameters" in type_in("check", bad)[1]
    with zipfile.ZipFile(bad / "parameters.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("parameters.npy", bytes(10**6))
    sealed(bad)
    assert "not a file of parameters" in type_in("check", bad)[1]


def test_a_setting_that_a_spreadsheet_would_run_is_written_harmless_and_read_back():
    from momentumlab.results.table import read_table, table_text

    text = table_text({"run": np.arange(2), "word": ["=1+1", "-1"], "eta": np.array([-0.5, 1.0])})
    assert text == "run,word,eta\n0,'=1+1,-0.5\n1,-1,1\n"
    assert read_table(text, "t")["word"].tolist() == ["=1+1", "-1"]


def test_a_picture_holds_foreign_words_as_words(bad):
    text = (bad / "runs.csv").read_text().replace(",status,", ",optimizer.arguments.x,status,")
    text = text.replace(",finished,", ",--><script>$\\frac{$,finished,", 1).replace("0,finished,", "0,_,finished,")
    (bad / "runs.csv").write_text(text)
    sealed(bad)
    pictures = lab.plot([bad], kind="curves", format="svg").pictures
    assert all("<script" not in picture.read_text() for picture in pictures)
