"""Files that are not there, are no files, or are too much."""

import os
from pathlib import Path

import pytest

from momentumlab.errors import DataError
from momentumlab.problems.files import SIZE_LIMIT, existing_file


def refusal(path: Path | str) -> str:
    with pytest.raises(DataError) as caught:
        existing_file(path)
    return str(caught.value)


def test_an_ordinary_file_is_given_back(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.touch()
    assert existing_file(str(path)) == path


def test_a_missing_file_is_said_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "houses.csv").touch()
    assert refusal(tmp_path / "house.csv").endswith("house.csv: no such file. Did you mean 'houses.csv'?")
    assert refusal(tmp_path / "HOUSES.CSV").endswith("HOUSES.CSV: no such file. Did you mean 'houses.csv'?")
    assert refusal(tmp_path / "qqq").endswith("qqq: no such file.")


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    assert f"There is no folder '{tmp_path}/none'." in refusal(tmp_path / "none" / "a.csv")


def test_what_is_no_ordinary_file_is_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "is a folder" in refusal(tmp_path)
    assert "is a device or a pipe" in refusal(tmp_path / "pipe")
    assert "is a device or a pipe" in refusal("/dev/null")


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "a.csv/b"])
def test_an_impossible_name_is_refused_in_words(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.csv").touch()
    assert "cannot be read" in refusal(tmp_path / name)


def test_a_name_cannot_steer_the_terminal(tmp_path: Path) -> None:
    assert "\x1b" not in refusal(tmp_path / "\x1b[2J.csv")


def test_a_file_past_the_limit_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.truncate(SIZE_LIMIT + 2**28)  # sparse: takes no room
    assert "is 1.25 GiB; more than 1 GiB is not read" in refusal(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_said(tmp_path: Path) -> None:
    from momentumlab.problems.files import checksum

    path = tmp_path / "secret.csv"
    path.touch(mode=0)
    with pytest.raises(DataError, match="Permission denied"):
        checksum(path)
