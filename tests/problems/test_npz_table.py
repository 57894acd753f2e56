"""npz files of users: what is read, and what is said about what cannot be."""

import io
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from momentumlab.errors import DataError
from momentumlab.problems import files
from momentumlab.problems.files import Table
from momentumlab.problems.npz_table import read_npz

X = np.arange(6.0).reshape(3, 2)
Y = np.arange(3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "arrays.npz"


def problems(path: Path, content: bytes | dict[str, Any]) -> list[str]:
    """What is said about a bad file, without the path of its folder."""
    path.write_bytes(content if isinstance(content, bytes) else saved(**content))
    with pytest.raises(DataError) as caught:
        read_npz(path)
    return [problem.replace(f"{path.parent}/", "") for problem in caught.value.problems]


def saved(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def header(shape: tuple[int, ...]) -> bytes:
    """An array file that announces `shape` and holds nothing."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return file.getvalue()


@pytest.mark.parametrize(
    ("x", "y", "names"),
    [
        (X, Y, (("x0", "x1"), ("y",))),
        (Y, Y, (("x",), ("y",))),
        (X, X, (("x0", "x1"), ("y0", "y1"))),
        (X.astype("u1"), Y > 1, (("x0", "x1"), ("y",))),
        (np.asfortranarray(X).astype(">f4"), Y.astype(">i2"), (("x0", "x1"), ("y",))),
        (X.astype(np.float16), Y[:, None], (("x0", "x1"), ("y",))),
    ],
)
def test_arrays_of_numbers_become_columns(path: Path, x: Any, y: Any, names: tuple[Any, ...]) -> None:
    path.write_bytes(saved(x=x, y=y, other=np.array(["ignored"])))

    table = read_npz(path)

    np.testing.assert_array_equal(table.x, np.reshape(x, (3, -1)))
    np.testing.assert_array_equal(table.y, np.reshape(y, (3, -1)))
    assert table.x.dtype == table.y.dtype == np.float64
    assert (table.feature_names, table.target_names) == names


def test_compressed_files_are_read(path: Path) -> None:
    np.savez_compressed(path, x=X, y=Y)
    np.testing.assert_array_equal(read_npz(path).x, X)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": X}, "no array is called 'y'. The file holds 'x'. Write one with numpy.savez(path, x=x, y=y)."),
        ({"a\x1b": X}, "no array is called 'x' or 'y'. The file holds 'a\\x1b'."),
        ({"x": X, "y": np.arange(4)}, "x has 3 rows and y has 4. There must be one row of each"),
        (
            {"x": np.zeros((3, 4, 4)), "y": Y},
            "x has the shape (3, 4, 4). Allowed is (sample, feature) or (sample,).",
        ),
        ({"x": np.float64(3), "y": Y}, "x has the shape (). Allowed is"),
        ({"x": np.zeros((3, 0)), "y": Y}, "x has the shape (3, 0), so it holds no numbers."),
        ({"x": X, "y": np.array(["a", "b", "c"])}, "y is of type '<U1'. Real numbers are needed"),
        ({"x": X * 1j, "y": Y}, "x is of type 'complex128'. Real numbers are needed"),
        ({"x": X, "y": Y.astype("M8[D]")}, "y is of type 'datetime64[D]'."),
        ({"x": X, "y": np.array([{}, 1, 2])}, "an array holds Python objects, not numbers."),
    ],
)
def test_arrays_that_are_no_data_are_explained(path: Path, arrays: dict[str, Any], said: str) -> None:
    (found,) = problems(path, arrays)
    assert found.startswith(f"arrays.npz: {said}")


def test_bad_numbers_are_named_by_row_and_column(path: Path) -> None:
    bad = X.copy()
    bad[1, 1], bad[2, 0] = np.nan, -np.inf
    needed = "A finite number is needed."

    assert problems(path, {"x": bad, "y": Y}) == [
        f"arrays.npz: x[1, 1] (row 1, column 1, counted from 0) is nan. {needed}",
        f"arrays.npz: x[2, 0] (row 2, column 0, counted from 0) is -inf. {needed}",
    ]
    assert problems(path, {"x": X, "y": bad[:, 1]}) == [f"arrays.npz: y[1] (row 1, counted from 0) is nan. {needed}"]


def test_of_many_bad_numbers_ten_are_named_and_the_rest_counted(path: Path) -> None:
    said = problems(path, {"x": np.full((50, 2), np.nan), "y": np.zeros(50)})
    assert len(said) == 11
    assert said[10] == "… and 90 more bad numbers."


def test_a_float_wider_than_float64_is_refused_where_it_overflows(path: Path) -> None:
    wide = np.array([1, np.longdouble("1e4000")])
    if np.isfinite(wide).all():  # on machines whose longdouble is float64 it is inf already
        (found,) = problems(path, {"x": wide, "y": np.zeros(2)})
        assert found.startswith("arrays.npz: x[1] (row 1, counted from 0) is 1e+4000.")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty. Write one with numpy.savez(path, x=x, y=y)."),
        (b"hello world", "is not an npz file."),
        (header((3,)), "holds a single array (.npy); x and y are needed."),
        (saved(x=X, y=Y)[:300], "is damaged and cannot be read"),
        (saved(x=X, y=Y).replace(X.tobytes(), X.tobytes()[::-1]), "is damaged and cannot be read"),
        (zipped(), "no array is called 'x' or 'y'. The file holds no arrays."),
        (zipped(x=header((3,)), y=header((3,))), "is damaged and cannot be read"),
        (
            zipped(x=header((10**14,)), y=header((1,))),
            "is damaged and cannot be read (x is not as large as its header says)",
        ),
    ],
    ids=["empty", "text", "npy", "cut off", "changed", "no members", "no content", "impossible shape"],
)
def test_a_file_that_is_no_npz_is_explained(path: Path, content: bytes, said: str) -> None:
    (found,) = problems(path, content)
    assert found.startswith(f"arrays.npz: {said}")


def test_members_that_are_no_arrays_are_refused(path: Path) -> None:
    said = problems(path, zipped(x=b"abc", y=b"abc"))
    assert said[0].startswith("arrays.npz: is damaged and cannot be read")


def test_an_archive_that_unpacks_to_too_much_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "SIZE_LIMIT", 2**20)
    large = zipped(x=header((2**17,)) + bytes(2**20), y=header((1,)) + bytes(8))
    assert len(large) < 2**20
    (found,) = problems(path, large)
    assert found.startswith("arrays.npz: x and y unpacked are 0.00 GiB; more than ")


WHOLE = saved(x=X, y=Y)


def outcome(path: Path) -> Table | DataError:
    try:
        return read_npz(path)
    except DataError as problem:
        return problem


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=4), st.integers(0, 2))
def test_a_damaged_file_is_read_or_refused_in_words(changes: list[tuple[int, int]], cut: int) -> None:
    damaged = bytearray(WHOLE)
    for position, byte in changes:
        damaged[position] = byte
    with TemporaryDirectory() as folder:
        path = Path(folder) / "arrays.npz"
        path.write_bytes(bytes(damaged[: len(damaged) - cut]))

        found = outcome(path)

    if isinstance(found, DataError):
        assert all(text.isprintable() for text in found.problems)
    else:
        assert len(found.x) == len(found.y)
