"""Columns of numbers as CSV text and back, without losing a bit.

A number is written with the fewest digits that read back to the same bits of its dtype; a missing value is `nan`.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from momentumlab.errors import ResultError
from momentumlab.results.digits import is_quick, one_by_one, rows
from momentumlab.text import shown

Column = npt.NDArray[Any]

_COUNTS = ("run", "step")  # the columns of whole numbers in a table of numbers alone
_LARGEST_COUNT = 2**53  # up to here every whole number is a float


def texts(values: Column) -> list[str]:
    """The values of a column as they stand in a CSV file."""
    return one_by_one(values) if values.dtype.kind == "f" else [str(value) for value in values.tolist()]


def joined(blocks: Sequence[Mapping[str, Column]]) -> dict[str, Column]:
    """Blocks of rows as one: a column that a block lacks is nan there, and keeps the dtype that it has in others."""
    kinds = {name: values.dtype for block in reversed(blocks) for name, values in block.items()}
    lengths = [len(next(iter(block.values()))) for block in blocks]
    return {
        name: np.concatenate(
            [
                block[name] if name in block else np.full(length, np.nan, kind)
                for block, length in zip(blocks, lengths, strict=True)
            ]
        )
        for name, kind in kinds.items()
    }


def rows_text(columns: Mapping[str, Column], header: Sequence[str]) -> str:
    """Rows as CSV text, in the order of `header`; a column that is absent is `nan` throughout."""
    missing = np.full(len(next(iter(columns.values()), ())), np.nan)
    ordered = [columns.get(name, missing) for name in header]
    if len(missing) and 2 * sum(map(is_quick, ordered)) > len(ordered):
        return rows(ordered)
    return "".join(",".join(row) + "\n" for row in zip(*map(texts, ordered), strict=True))


def table_text(columns: Mapping[str, Sequence[Any] | Column]) -> str:
    """A small table with words in it as CSV text with its header; numbers as in `texts`."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    cells = (texts(values) if isinstance(values, np.ndarray) else map(_cell, values) for values in columns.values())
    writer.writerows(zip(*cells, strict=True))
    return file.getvalue()


def read_numbers(text: str, place: str) -> dict[str, Column]:
    """The columns of a CSV text that holds numbers alone; `run` and `step` as whole numbers.

    A last line without its newline is still being written and is left out. Raises ResultError naming `place` and the
    line.
    """
    whole = text[: text.rfind("\n") + 1]
    header, _, body = whole.partition("\n")
    names = header.split(",")
    if not header or len(set(names)) != len(names):
        raise ResultError(f"{place}:1: this is not the header of a metrics file: {shown(header)}")
    try:
        numbers = np.loadtxt(io.StringIO(body), delimiter=",", ndmin=2, comments=None) if body else None
    except ValueError:
        raise ResultError(_first_bad_line(body, len(names), place)) from None
    if numbers is None:
        numbers = np.empty((0, len(names)))
    if numbers.shape[1] != len(names):
        raise ResultError(f"{place}:2: {numbers.shape[1]} fields, expected {len(names)}.")
    counts = [index for index, name in enumerate(names) if name in _COUNTS]
    if not _whole(numbers[:, counts]).all():
        raise ResultError(_first_broken_count(body, names, place))
    return {
        name: numbers[:, index].astype(np.int64) if index in counts else numbers[:, index]
        for index, name in enumerate(names)
    }


def read_table(text: str, place: str) -> dict[str, Column]:
    """The columns of a CSV text with words in it: a column of numbers where every cell is one."""
    rows = list(csv.reader(io.StringIO(text)))
    if not rows:
        raise ResultError(f"{place}: the file is empty.")
    header, body = rows[0], rows[1:]
    for number, row in enumerate(body, start=2):
        if len(row) != len(header):
            raise ResultError(f"{place}:{number}: {len(row)} fields, expected {len(header)}.")
    return {name: _column(name, [row[index] for row in body]) for index, name in enumerate(header)}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()  # as YAML writes it
    if isinstance(value, list):
        return f"[{', '.join(_cell(element) for element in value)}]"
    if isinstance(value, np.generic):
        return texts(np.asarray([value]))[0]
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return str(value)


def _column(name: str, cells: list[str]) -> Column:
    whole = {"run", "seed", "steps"}
    if name in {"status", "reason"}:
        return np.array(cells, dtype=object)
    try:
        return np.array([int(cell) if name in whole else float(cell) for cell in cells])
    except ValueError:
        return np.array(cells, dtype=object)


def _whole(numbers: Column) -> npt.NDArray[np.bool_]:
    whole: npt.NDArray[np.bool_] = (np.floor(numbers) == numbers) & (np.abs(numbers) <= _LARGEST_COUNT)
    return whole


def _first_broken_count(body: str, names: Sequence[str], place: str) -> str:
    for number, line in enumerate(body.splitlines(), start=2):
        for name, cell in zip(names, line.split(","), strict=False):
            if name in _COUNTS and cell and not _whole(np.array(float(cell))):
                return f"{place}:{number}: {name}: got {shown(cell)}, must be a whole number"
    raise AssertionError("there is one, or nobody would have asked")


def _first_bad_line(body: str, fields: int, place: str) -> str:
    for number, line in enumerate(body.splitlines(), start=2):
        cells = line.split(",")
        if len(cells) != fields:
            return f"{place}:{number}: {len(cells)} fields, expected {fields}."
        for cell in cells:
            try:
                float(cell)
            except ValueError:
                return f"{place}:{number}: {shown(cell)} is not a number."
    return f"{place}: this is not a table of numbers."
