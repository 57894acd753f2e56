"""Reading a table of numbers from a CSV file, every bad cell named by its line and column."""

import csv
import io
import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from momentumlab.errors import DataError
from momentumlab.foreign import opened
from momentumlab.problems.files import (
    Problems,
    Table,
    did_you_mean,
    existing_file,
    first_bytes,
    listed,
    unreadable,
)
from momentumlab.text import safe, shown


def read_csv(path: str | Path, features: Sequence[str], target: str) -> Table:
    """The named columns of a CSV file with a header row, in UTF-8; blank lines are skipped.

    Raises DataError that names every bad cell by its line in the file and its column (the first ten, then a
    count).
    """
    _check_roles(features, target)
    file = existing_file(path)
    _check_is_text(file)
    try:
        with io.TextIOWrapper(opened(file, links=True), "utf-8-sig", newline="") as lines:
            return _read_rows(safe(path), lines, [*features, target])
    except UnicodeDecodeError as problem:
        raise DataError(_not_utf8(file)) from problem
    except OSError as problem:
        raise unreadable(path, problem) from problem


def _check_roles(features: Sequence[str], target: str) -> None:
    problems = [
        f"data.features: {shown(name)} is named twice. Name every column once."
        for position, name in enumerate(features)
        if name in features[:position]
    ]
    if not features:
        problems.append("data.features: is empty. Name at least one column to predict from.")
    if target in features:
        problems.append(f"data.target: {shown(target)} is among data.features too. It can be only one of both.")
    if problems:
        raise DataError(problems)


def _check_is_text(file: Path) -> None:
    beginning = first_bytes(file, 65536)
    if beginning.startswith(b"PK\x03\x04"):
        raise DataError(f"{safe(file)}: is a spreadsheet or another zip file. Export it as CSV (UTF-8).")
    if beginning.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in beginning:
        raise DataError(f"{safe(file)}: is UTF-16 or not text at all. Save it as CSV in UTF-8.")


def _not_utf8(file: Path) -> str:
    # The decoder reads in blocks and does not know the line, so it is looked for.
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as problem:
                byte = f"byte 0x{line[problem.start]:02x}"
                return f"{safe(file)}:{number}: is not UTF-8 ({byte}). Save the file as CSV in UTF-8."
    return f"{safe(file)}: is not UTF-8. Save the file as CSV in UTF-8."


def _read_rows(path: str, lines: Iterable[str], names: Sequence[str]) -> Table:
    """The table of the columns `names`, the last of them the target."""
    rows = _records(path, lines)
    header = [name.strip() for name in next(rows, (1, []))[1]]
    columns = list(zip(names, _column_indices(path, header, names), strict=True))
    values, line_numbers = array("d"), array("q")
    problems = Problems("bad cell or row", "bad cells or rows")
    for line, cells in rows:
        if len(cells) != len(header):
            problems.add(f"{path}:{line}: {_cells(len(cells))} in the row, {_cells(len(header))} in the header.")
            continue
        line_numbers.append(line)
        for name, index in columns:
            number = _number(cells[index])
            values.append(math.nan if number is None else number)
            if number is None:
                problem = _cell_problem(cells[index], is_target=name == names[-1])
                problems.add(f"{_place(path, line, name)}: {problem}")
    problems.raise_any()
    if not line_numbers:
        raise DataError(f"{path}: holds a header and no rows below it. One row a sample is needed.")
    numbers = np.frombuffer(values).reshape(-1, len(names))  # (sample, column)
    x, y = numbers[:, :-1].copy(), numbers[:, -1:].copy()
    target = names[-1]
    return Table(x, y, tuple(names[:-1]), (target,), lambda row: _place(path, line_numbers[row], target))


def _records(path: str, lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    # (line on which the row begins, its cells); a quoted cell may span lines.
    reader = csv.reader(lines, strict=True, skipinitialspace=True)
    line = 1
    try:
        for cells in reader:
            if len(cells) > 1 or (cells and cells[0].strip()):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as problem:
        message = f"cannot be read as CSV ({safe(problem)}). Is a quotation mark wrong or left open?"
        raise DataError(f"{path}:{line}: {message}") from problem


def _column_indices(path: str, header: Sequence[str], names: Sequence[str]) -> list[int]:
    if not header:
        raise DataError(f"{path}: is empty. A first row with the names of the columns is needed.")
    problems = [problem for name in names if (problem := _column_problem(header, name))]
    if problems:
        problems[-1] += f" The first row holds {listed(header)}.{_header_advice(header)}"
        raise DataError([f"{path}: {problem}" for problem in problems])
    return [header.index(name.strip()) for name in names]


def _column_problem(header: Sequence[str], name: str) -> str | None:
    count = header.count(name.strip())
    if count > 1:
        return f"{count} columns are called {shown(name)}: rename all but one."
    if count == 0:
        return f"no column is called {shown(name)}.{did_you_mean(name, header)}"
    return None


def _header_advice(header: Sequence[str]) -> str:
    if len(header) == 1 and any(separator in header[0] for separator in ";\t|"):
        return " Save the file with commas between the columns."
    if all(_is_float(name) for name in header):
        return " That looks like data: the names of the columns belong there."
    return ""


def _number(cell: str) -> float | None:
    # None where there is no finite number. Python's 1_000 is none here, nor are the digits of other scripts, as in the
    # experiment file.
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in cell and cell.isascii() else None


def _cell_problem(cell: str, *, is_target: bool) -> str:
    if not cell.strip():
        return "the cell is empty. Write a finite number, or leave the row out."
    advice = ""
    if not _is_float(cell):
        advice = " Classes are written 0, 1, 2 …" if is_target else ""
        advice = " Decimals are written with a point." if _is_float(cell.replace(",", ".", 1)) else advice
    return f"got {shown(cell)}. A finite number is needed.{advice}"


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _place(path: str, line: int, name: str) -> str:
    return f"{path}:{line}: column {shown(name)}"


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"
