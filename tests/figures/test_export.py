"""Figures as bytes and files."""

import struct
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

from momentumlab.errors import ConfigError, ResultError
from momentumlab.figures import draw, render, save
from tests.figures.simulated import cells, line_result

MAGIC = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.fixture
def result():  # type: ignore[no-untyped-def]
    return line_result(cells((0.0, 0.9)), 20)


@pytest.mark.parametrize("format", MAGIC)
def test_the_same_numbers_give_the_same_bytes(result, format: str) -> None:  # type: ignore[no-untyped-def]
    first, second = (render(draw([result], "curves"), format) for _ in range(2))

    assert first.startswith(MAGIC[format])
    assert first == second


def test_a_picture_is_sixteen_hundred_by_a_thousand(result) -> None:  # type: ignore[no-untyped-def]
    assert struct.unpack(">II", render(draw([result], "curves"))[16:24]) == (1600, 1000)


def test_a_file_is_replaced_whole_and_its_folder_made(result, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "figures" / "loss.png"

    assert save(draw([result], "curves"), path) == path
    save(draw([result], "curves"), path)

    assert [file.name for file in path.parent.iterdir()] == ["loss.png"]


def test_an_unknown_format_is_refused(result, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match=r"png, svg, pdf, got 'pgn'. Did you mean 'png'\?"):
        save(draw([result], "curves"), tmp_path / "loss.pgn")
    assert not list(tmp_path.iterdir())


def test_a_disk_that_refuses_is_explained(result, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "figures").write_text("a file where a folder should be")

    with pytest.raises(ResultError, match="figures"):
        save(draw([result], "curves"), tmp_path / "figures" / "loss.png")


def test_drawing_leaves_the_settings_of_matplotlib_alone(result) -> None:  # type: ignore[no-untyped-def]
    before = dict(matplotlib.rcParams)

    render(draw([result], "curves"))

    assert dict(matplotlib.rcParams) == before


def test_the_users_own_settings_do_not_change_a_picture(result) -> None:  # type: ignore[no-untyped-def]
    expected = render(draw([result], "curves"))

    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 30, "lines.linewidth": 9}):
        assert render(draw([result], "curves")) == expected


def test_matplotlib_is_loaded_by_the_first_figure_and_pyplot_never() -> None:
    code = (
        "import sys, momentumlab.figures\n"
        "assert 'matplotlib' not in sys.modules and 'torch' not in sys.modules\n"
        "from momentumlab.figures import curves, forces, heatmap, landscape, export\n"
        "assert 'matplotlib.pyplot' not in sys.modules and 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
