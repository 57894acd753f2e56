"""CSV files of users: what is read, and what is said about what cannot be."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from momentumlab.errors import DataError
from momentumlab.problems.csv_table import read_csv
from momentumlab.problems.files import Table

GOOD = "x,y\n1,2\n3,4\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table.csv"


def read(path: Path, content: str | bytes, features: tuple[str, ...] = ("x",), target: str = "y") -> Table:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_csv(path, features, target)


def problems(path: Path, content: str | bytes, **columns: object) -> list[str]:
    """What is said about a bad file, without the path of its folder."""
    with pytest.raises(DataError) as caught:
        read(path, content, **columns)  # type: ignore[arg-type]
    return [problem.replace(f"{path.parent}/", "") for problem in caught.value.problems]


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        "\ufeff" + GOOD,
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r"),
        GOOD.rstrip("\n"),
        "\n  \nx,y\n\n1,2\n\n3,4\n\n",
        ' x , "y"\n 1 , "2"\n3.0,\t4e0\n',
        "name,y,x\nanna,2,1\nböb,4,3\n",
        "y,other,other,x\n2,,,1\n4,,,3\n",
    ],
    ids=[
        "plain",
        "bom",
        "windows",
        "old mac",
        "no last newline",
        "blanks",
        "spaces",
        "words",
        "unused twice",
    ],
)
def test_the_named_columns_are_read(path: Path, content: str) -> None:
    table = read(path, content)

    np.testing.assert_array_equal(table.x, [[1], [3]])
    np.testing.assert_array_equal(table.y, [[2], [4]])
    assert (table.feature_names, table.target_names) == (("x",), ("y",))


def test_features_come_in_the_order_asked_for(path: Path) -> None:
    table = read(path, "a,b,c\n1,2,3\n", features=("c", "a"), target="b")
    np.testing.assert_array_equal(table.x, [[3, 1]])


def test_numbers_are_read_to_the_last_bit(path: Path) -> None:
    numbers = np.random.default_rng(0).standard_normal(200) * 10.0 ** np.arange(-100, 100)
    table = read(path, "x,y\n" + "".join(f"{number!r},0\n" for number in numbers.tolist()))
    np.testing.assert_array_equal(table.x[:, 0], numbers)


def test_every_bad_cell_is_named_by_line_and_column_with_its_text(path: Path) -> None:
    content = 'x,y\n1,abc\n\n,3\nnan,1e999\n1_000,-inf\n"1,5",7\n"\x1b[31m",1\n'

    assert problems(path, content) == [
        "table.csv:2: column 'y': got 'abc'. A finite number is needed. Classes are written 0, 1, 2 …",
        "table.csv:4: column 'x': the cell is empty. Write a finite number, or leave the row out.",
        "table.csv:5: column 'x': got 'nan'. A finite number is needed.",
        "table.csv:5: column 'y': got '1e999'. A finite number is needed.",
        "table.csv:6: column 'x': got '1_000'. A finite number is needed.",
        "table.csv:6: column 'y': got '-inf'. A finite number is needed.",
        "table.csv:7: column 'x': got '1,5'. A finite number is needed. Decimals are written with a point.",
        "table.csv:8: column 'x': got '\\x1b[31m'. A finite number is needed.",
    ]


def test_a_row_that_spans_lines_is_named_by_its_first(path: Path) -> None:
    assert problems(path, 'x,y,note\n1,2,"one\ntwo"\nq,2,"one\ntwo"\n') == [
        "table.csv:4: column 'x': got 'q'. A finite number is needed."
    ]


@pytest.mark.parametrize(
    ("bad", "rest"), [(10, None), (11, "1 more bad cell or row"), (60, "50 more bad cells or rows")]
)
def test_of_many_bad_cells_ten_are_named_and_the_rest_counted(path: Path, bad: int, rest: str | None) -> None:
    said = problems(path, "x,y\n" + "a,1\n" * bad)
    assert said[9].startswith("table.csv:11: ")
    assert said[10:] == ([f"… and {rest}."] if rest else [])


def test_ragged_rows_are_named_with_both_counts(path: Path) -> None:
    assert problems(path, "x,y\n1\n1,2,3\n4,5\n") == [
        "table.csv:2: 1 cell in the row, 2 cells in the header.",
        "table.csv:3: 3 cells in the row, 2 cells in the header.",
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("X,y\n1,2\n", ["no column is called 'x'. Did you mean 'X'? The first row holds 'X', 'y'."]),
        (
            "xx,z\n1,2\n",
            ["no column is called 'x'. Did you mean 'xx'?", "no column is called 'y'. The first row"],
        ),
        ("x,y,x\n1,2,3\n", ["2 columns are called 'x': rename all but one."]),
        ("x;y\n1;2\n", ["no column is called 'x'.", "Save the file with commas between the columns."]),
        ("1,2\n3,4\n", ["no column is called 'x'.", "the names of the columns belong there."]),
        (",".join(f"c{n}" for n in range(30)), ["no column is called 'x'.", "'c18', 'c19' and 10 more."]),
    ],
)
def test_a_wrong_header_is_explained(path: Path, content: str, said: list[str]) -> None:
    for found, expected in zip(problems(path, content), said, strict=True):
        assert found.startswith("table.csv: ")
        assert expected in found


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "table.csv: is empty. A first row with the names of the columns is needed."),
        ("\n \n", "table.csv: is empty. A first row with the names of the columns is needed."),
        ("x,y\n", "table.csv: holds a header and no rows below it. One row a sample is needed."),
        ('x,y\n1,"2\n3,4\n', "table.csv:2: cannot be read as CSV"),
        ('x,y\n1,"2"3\n', "table.csv:2: cannot be read as CSV"),
        ("x,y\n1," + "2" * 200_000, "table.csv:2: cannot be read as CSV"),
        (b"x,y\n1,2\n\xff,3\n", "table.csv:3: is not UTF-8 (byte 0xff). Save the file as CSV in UTF-8."),
        (b"x,y\n" + b"1,2\n" * 5000 + b"\xe9,1\n", "table.csv:5002: is not UTF-8"),
        (GOOD.encode("utf-16"), "table.csv: is UTF-16 or not text at all."),
        (b"\x00\x01\x02", "table.csv: is UTF-16 or not text at all."),
        (b"PK\x03\x04", "table.csv: is a spreadsheet or another zip file. Export it as CSV (UTF-8)."),
    ],
)
def test_a_file_that_is_no_table_is_explained(path: Path, content: str | bytes, said: str) -> None:
    (found,) = problems(path, content)
    assert found.startswith(said)


@pytest.mark.parametrize(
    ("features", "target", "said"),
    [
        (("x", "x"), "y", "data.features: 'x' is named twice"),
        (("x", "y"), "y", "data.target: 'y' is among data.features too"),
        ((), "y", "data.features: is empty"),
    ],
)
def test_a_column_has_one_role(path: Path, features: tuple[str, ...], target: str, said: str) -> None:
    (found,) = problems(path, GOOD, features=features, target=target)
    assert found.startswith(said)


def test_the_place_of_a_sample_is_its_line(path: Path) -> None:
    table = read(path, "x,y\n1,2\n\n3,4\n")
    assert table.place(1) == f"{path}:4: column 'y'"


ALPHABET = 'xy,"\n\r 0123456789.-e_naif\t;\0é\x1b'


def outcome(path: Path, content: bytes) -> Table | DataError:
    try:
        return read(path, content)
    except DataError as problem:
        return problem


@given(st.one_of(st.text(alphabet=ALPHABET, max_size=60).map(str.encode), st.binary(max_size=60)))
def test_any_file_is_read_or_refused_in_words(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        for beginning in (b"", b"x,y\n"):
            found = outcome(Path(folder) / "table.csv", beginning + content)
            if isinstance(found, DataError):
                assert all(text.isprintable() for text in found.problems)
            else:
                assert np.isfinite(found.x).all()
                assert np.isfinite(found.y).all()
                assert len(found.x) == len(found.y) > 0
