import os

import pytest

from momentumlab.errors import ResultError
from momentumlab.results.files import write_whole


def test_a_file_is_whole_or_not_there(tmp_path, monkeypatch):
    path = tmp_path / "manifest.json"
    write_whole(path, "old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResultError, match="json: no space left on device"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["manifest.json"]


def test_a_refusal_of_the_disk_is_said_in_words(tmp_path):
    with pytest.raises(ResultError, match="no such file or directory"):
        write_whole(tmp_path / "none" / "x", "text")


def test_a_signal_in_the_midst_leaves_what_was_there_and_no_stray_file(tmp_path):
    path = tmp_path / "runs.csv"
    write_whole(path, "before")

    def stopped(file):
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, stopped)
    assert [found.name for found in tmp_path.iterdir()] == ["runs.csv"]
    write_whole(path, "after")  # under the same name beside it
    assert path.read_text() == "after"
