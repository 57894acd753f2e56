"""Columns of numbers as CSV text and back, without losing a bit.

A number is written with the fewest digits that read back to the same bits of its dtype; a missing value is `nan`.
"""

import csv
import io
import itertools
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from momentumlab.errors import ResultError
from momentumlab.foreign import opened
from momentumlab.results.digits import rows
from momentumlab.text import no_formula, safe, shown, with_formula

Column = npt.NDArray[Any]

_ROWS_AT_ONCE = 4096
_WHOLE_NUMBERS = {"run", "seed", "steps"}
_COUNTS = ("run", "step")  # the columns of whole numbers in a table of numbers alone
_LONGEST_LINE = 2**20  # characters
_LARGEST_COUNT = 2**53  # up to here every whole number is a float


def texts(values: Column) -> list[str]:
    """The values of a column as they stand in a CSV file."""
    if values.dtype.kind != "f":
        return [str(value) for value in values.tolist()]
    return rows([values]).decode("ascii").splitlines()


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


def rows_text(columns: Mapping[str, Column], header: Sequence[str]) -> bytes:
    """Rows as CSV text, in the order of `header`; a column that is absent is `nan` throughout."""
    missing = np.full(len(next(iter(columns.values()), ())), np.nan)
    return rows([columns.get(name, missing) for name in header])


def table_text(columns: Mapping[str, Sequence[Any] | Column]) -> str:
    """A small table with words in it as CSV text with its header; numbers as in `texts`."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*map(_cells, columns.values()), strict=True))
    return file.getvalue()


def _cells(values: Sequence[Any] | Column) -> Iterable[str]:
    if isinstance(values, np.ndarray):
        return texts(values)
    return texts(np.array(values)) if all(type(value) is float for value in values) else map(_cell, values)


def read_numbers(source: str | Path, place: str, only: Collection[str] | None = None) -> dict[str, Column]:
    """The columns of a CSV text or file of numbers, `only` some of them if asked for; `run` and `step` whole numbers.

    A last line without its newline is still being written and is left out. Raises ResultError naming `place` and the
    line, and OSError or UnicodeDecodeError where the file cannot be read.
    """
    with closing(_whole_lines(source, place)) as lines:
        header = next(lines, "").removesuffix("\n")
        names = header.split(",")
        if not header or len(set(names)) != len(names):
            raise ResultError(f"{place}:1: this is not the header of a metrics file: {shown(header)}")
        wanted = [index for index, name in enumerate(names) if only is None or name in only]
        numbers = _numbers(lines, wanted, len(names), source, place)
    counts = [index for index, column in enumerate(wanted) if names[column] in _COUNTS]
    if not _whole(numbers[:, counts]).all():
        raise ResultError(_first_broken_count(source, names, place))
    return {
        names[column]: numbers[:, index].astype(np.int64) if index in counts else numbers[:, index]
        for index, column in enumerate(wanted)
    }


def read_header(source: str | Path, place: str) -> list[str]:
    """The names of the columns of a CSV text or file of numbers."""
    with closing(_whole_lines(source, place)) as lines:
        return next(lines, "").removesuffix("\n").split(",")


def has_rows(source: str | Path, place: str) -> bool:
    """Whether a CSV text or file has a whole line after its header."""
    with closing(_whole_lines(source, place)) as lines:
        return len(list(itertools.islice(lines, 2))) == 2


def _numbers(lines: Iterator[str], wanted: list[int], fields: int, source: str | Path, place: str) -> Column:
    """(row, wanted column)"""
    first = next(lines, None)
    if first is None:
        return np.empty((0, len(wanted)))
    if first.count(",") + 1 != fields:
        raise ResultError(f"{place}:2: {first.count(',') + 1} fields, expected {fields}.")
    some = wanted if len(wanted) < fields else None
    try:
        numbers: Column = np.loadtxt(
            itertools.chain([first], lines), delimiter=",", ndmin=2, comments=None, usecols=some
        )
    except ValueError:
        raise ResultError(_first_bad_line(source, fields, place)) from None
    return numbers


def _whole_lines(source: str | Path, place: str) -> Generator[str]:
    for number, line in enumerate(_lines(source, place), start=1):
        if line == "\n":
            raise ResultError(f"{place}:{number}: the line is empty.")
        if line.endswith("\n"):
            yield line


def read_table(source: str | Path, place: str) -> dict[str, Column]:
    """The columns of a CSV text or file with words in it: a column of numbers where every cell is one.

    Raises ResultError naming `place` and the line, and OSError or UnicodeDecodeError where the file cannot be read.
    """
    words = {"status", "reason"}
    known = len(words)
    table = _table(source, place, words)
    # Words that came after numbers: what was read of their column is numbers.
    return table if len(words) == known else _table(source, place, words)


def _table(source: str | Path, place: str, words: set[str]) -> dict[str, Column]:
    """The columns of a table; the name of one that is not of numbers joins the `words`."""
    with closing(_lines(source, place)) as lines:
        reader = csv.reader(lines)
        header = next(reader, None)
        if not header:
            raise ResultError(f"{place}: the file is empty.")
        if len(set(header)) != len(header):
            raise ResultError(f"{place}:1: a column is there twice.")
        known: dict[str, str] = {}
        blocks: list[list[Column]] = [[] for _ in header]
        while rows := _some_rows(reader, place):
            for number, row in enumerate(rows, start=2 + sum(map(len, blocks[0]))):
                if len(row) != len(header):
                    raise ResultError(f"{place}:{number}: {len(row)} fields, expected {len(header)}.")
            for name, block, cells in zip(header, blocks, zip(*rows, strict=True), strict=True):
                if name not in words:
                    try:
                        block.append(_column(cells, whole=name in _WHOLE_NUMBERS))
                        continue
                    except (ValueError, OverflowError):
                        words.add(name)
                # Each word once: many runs end alike.
                block.append(np.array([known.setdefault(cell, with_formula(cell)) for cell in cells], dtype=object))
    return {name: np.concatenate(block or [np.array([])]) for name, block in zip(header, blocks, strict=True)}


def _some_rows(reader: Iterator[list[str]], place: str) -> list[list[str]]:
    try:
        return list(itertools.islice(reader, _ROWS_AT_ONCE))
    except csv.Error as error:
        raise ResultError(f"{place}: this is not CSV ({safe(error)}).") from None


def is_number(cell: str, name: str) -> bool:
    """Whether a cell of the column `name` is a number."""
    try:
        _column([cell], whole=name in _WHOLE_NUMBERS)
    except (ValueError, OverflowError):
        return False
    return True


def _column(cells: Sequence[str], *, whole: bool) -> Column:
    """Cells as numbers. Raises ValueError or OverflowError where one is none."""
    together = "".join(cells)
    if not together.isascii() or "_" in together:  # Python reads 1_000 and the digits of all scripts
        raise ValueError
    return np.array([int(cell) for cell in cells], np.int64) if whole else np.array([float(cell) for cell in cells])


def _lines(source: str | Path, place: str) -> Generator[str]:
    """The lines of a CSV text or file, in pieces, so that none of any length is ever held.

    Raises ResultError for one that is too long to be of a result.
    """
    with io.StringIO(source) if isinstance(source, str) else io.TextIOWrapper(opened(source), "utf-8") as file:
        rest = ""
        while block := file.read(_LONGEST_LINE):
            *lines, rest = (rest + block).split("\n")
            yield from (f"{line}\n" for line in lines)
            if len(rest) > _LONGEST_LINE:
                raise ResultError(f"{place}: a line of more than {_LONGEST_LINE} characters; the file is damaged.")
        if rest:
            yield rest


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()  # as YAML writes it
    if isinstance(value, list):
        return f"[{', '.join(_cell(element) for element in value)}]"
    if isinstance(value, np.generic | float):
        return texts(np.asarray([value]))[0]
    return no_formula(str(value))


def _whole(numbers: Column) -> npt.NDArray[np.bool_]:
    whole: npt.NDArray[np.bool_] = (np.floor(numbers) == numbers) & (np.abs(numbers) <= _LARGEST_COUNT)
    return whole


def _first_broken_count(source: str | Path, names: Sequence[str], place: str) -> str:
    for number, line in _body(source, place):
        for name, cell in zip(names, line.split(","), strict=False):
            if name in _COUNTS and cell and not _whole(np.array(float(cell))):
                return f"{place}:{number}: {name}: got {shown(cell)}, must be a whole number"
    raise AssertionError("there is one, or nobody would have asked")


def _first_bad_line(source: str | Path, fields: int, place: str) -> str:
    for number, line in _body(source, place):
        cells = line.split(",")
        if len(cells) != fields:
            return f"{place}:{number}: {len(cells)} fields, expected {fields}."
        for cell in cells:
            try:
                float(cell)
            except ValueError:
                return f"{place}:{number}: {shown(cell)} is not a number."
    return f"{place}: this is not a table of numbers."


def _body(source: str | Path, place: str) -> Iterator[tuple[int, str]]:
    """The lines after the header with their numbers."""
    lines = ((number, line.removesuffix("\n")) for number, line in enumerate(_whole_lines(source, place), start=1))
    return itertools.islice(lines, 1, None)
