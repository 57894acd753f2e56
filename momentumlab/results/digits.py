"""Columns of numbers as rows of text, a whole column at once.

A number is written with the fewest digits that read back to the same bits of its dtype. A column becomes a table of
bytes, one row a number, with NUL wherever it needs fewer characters than another; tables side by side, with commas
between them, are the rows of a CSV file once their NULs are taken out.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[Any]
Table = npt.NDArray[np.uint8]  # (row, character)
Mask = npt.NDArray[np.bool_]
_Whole = npt.NDArray[np.int64]

_TENS = 10.0 ** np.arange(23)  # all exact in float64
_WHOLE_TENS = 10 ** np.arange(19)
_LOW, _HIGH = 1e-4, 1e8  # between them a number is written without an exponent, and all that follows is exact
_MOST = {"float32": 9, "float64": 15}  # significant digits up to which arithmetic in float64 is exact
_SAMPLE = 64
_ZERO, _POINT, _MINUS, _COMMA, _NEWLINE = b"0.-,\n"


def is_quick(values: Column) -> bool:
    """Whether a column can be written at once: not float64 numbers that were computed, each with 16 or 17 digits."""
    if values.dtype.name == "float64":
        sample = values[:: max(1, len(values) // _SAMPLE)]
        return bool(np.mean((_shortest(sample)[0] > 0) | np.isnan(sample)) > 0.5) or _repeats(values)
    return values.dtype.kind in "iu" or values.dtype.name in _MOST


def _repeats(values: Column) -> bool:
    """Whether a float64 column seems to hold each of its numbers several times, as γ and η of many runs do."""
    few = (values[0], values[len(values) // 2])
    return values.dtype.name == "float64" and all(np.count_nonzero(values == number) > 1 for number in few)


def rows(columns: Sequence[Column]) -> str:
    """The columns, of one length, as lines of CSV; 3.0 is written 3, a missing value nan."""
    comma = np.full((len(columns[0]), 1), _COMMA, np.uint8)
    tables = [part for column in columns for part in (as_bytes(column), comma)]
    tables[-1] = np.full_like(comma, _NEWLINE)
    characters: Column = np.concatenate(tables, axis=1).ravel()
    written: bytes = characters[characters != 0].tobytes()
    return written.decode("ascii")


def as_bytes(values: Column) -> Table:
    """The numbers of a column of whole numbers, float32 or float64: (row, character), NUL where there is none."""
    if values.dtype.kind in "iu":
        return _signed(values < 0, _digits_of(np.abs(values.astype(np.int64))))
    if _repeats(values):
        different, place = np.unique(values.view(np.int64), return_inverse=True)  # by their bits: −0 is not 0
        return _one_table(different.view(np.float64))[place]
    return _one_table(values)


def _one_table(values: Column) -> Table:
    digits, number, places = _shortest(values)
    table = _signed(np.signbit(values), _decimal(number, places))
    missing = np.isnan(values)
    others = (digits == 0) & ~missing
    table = _with_texts(table, missing, ["nan"]) if missing.any() else table
    return _with_texts(table, others, one_by_one(values[others])) if others.any() else table


def one_by_one(values: Column) -> list[str]:
    """The texts of floating numbers of any size: Python's repr is the shortest of a float64, numpy's of others."""
    written = map(repr, values.tolist()) if values.dtype == np.float64 else values.astype(str).tolist()
    return [text.removesuffix(".0") for text in written]


def _with_texts(table: Table, rows: Mask, texts: list[str]) -> Table:
    """The table with these texts, or a single one, in some of its rows."""
    written = np.array([text.encode() for text in texts])
    characters = written.view(np.uint8).reshape(len(texts), -1)
    both = np.zeros((len(table), max(table.shape[1], characters.shape[1])), np.uint8)
    both[:, : table.shape[1]] = table
    both[rows] = 0
    both[rows, : characters.shape[1]] = characters
    return both


def _shortest(values: Column) -> tuple[_Whole, _Whole, _Whole]:
    """Each number x as m/10^k with the fewest digits: how many, m, and k; 0 digits where it was not found.

    m = round(x·10^k) is the number of d digits that is nearest to x. While m and 10^k are exact in float64 their
    quotient is what m/10^k reads back to (Clinger 1990): if that is x, d digits are enough.
    """
    with np.errstate(invalid="ignore"):  # a signalling nan is a nan
        size = np.abs(values.astype(np.float64))
    usual = (size >= _LOW) & (size < _HIGH)
    left = np.flatnonzero(usual)
    exponent = np.floor(np.log10(size[left])).astype(np.int64)
    digits, number, places = (np.zeros(len(values), np.int64) for _ in range(3))
    digits[size == 0] = 1
    size = size[left]
    for count in range(_MOST[values.dtype.name], 0, -1):
        behind = count - 1 - exponent
        up, down = _TENS[np.maximum(behind, 0)], _TENS[np.maximum(-behind, 0)]
        nearest = np.rint(size * up / down)
        fits = _reads_back(nearest * down / up, behind > 0, size, values.dtype.name)
        left, size, exponent = left[fits], size[fits], exponent[fits]
        if not len(left):
            break
        digits[left], places[left] = count, np.maximum(behind, 0)[fits]
        number[left] = (nearest * down)[fits]
    return digits, number, places


def _reads_back(decimal: Column, rounded: Mask, size: Column, dtype: str) -> Mask:
    again: Mask = decimal.astype(dtype) == size
    if dtype == "float32":
        # What was rounded to halfway between two float32 may be rounded the other way from there.
        again &= ~(rounded & (decimal.view(np.int64) & 0x1FFFFFFF == 0x10000000))
    return again


def _decimal(number: _Whole, places: _Whole) -> Table:
    """number/10^places, with a point where there are places behind it."""
    width = int(places.max(initial=0))
    unit = _WHOLE_TENS[places]
    whole = number // unit
    if not width:
        return _digits_of(whole)
    behind = _fixed((number - whole * unit) * _WHOLE_TENS[width - places], width)
    behind[np.arange(width) >= places[:, None]] = 0
    point = np.where(places > 0, _POINT, 0).astype(np.uint8)[:, None]
    return np.concatenate([_digits_of(whole), point, behind], axis=1)


def _digits_of(numbers: _Whole) -> Table:
    width = len(str(numbers.max(initial=0)))
    table = _fixed(numbers, width)
    table[:, :-1][numbers[:, None] < _WHOLE_TENS[width - 1 : 0 : -1]] = 0  # no zeros before the first digit
    return table


def _fixed(numbers: _Whole, width: int) -> Table:
    """The last `width` digits, zeros before them included."""
    # numpy divides unsigned numbers by a constant several times as fast as signed ones.
    left: npt.NDArray[Any] = numbers.astype(np.uint32 if width < 10 else np.uint64)
    ten = left.dtype.type(10)
    table = np.empty((len(numbers), width), np.uint8)
    for place in range(width - 1, -1, -1):
        without = left // ten
        table[:, place] = left - without * ten
        left = without
    table += np.uint8(_ZERO)
    return table


def _signed(negative: Mask, table: Table) -> Table:
    if not negative.any():
        return table
    return np.concatenate([np.where(negative, _MINUS, 0).astype(np.uint8)[:, None], table], axis=1)
