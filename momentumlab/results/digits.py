"""Columns of numbers as rows of text, many rows at once.

A number is written with the fewest digits that read back to the same bits of its dtype. The digits of float64 come from
the JSON writer of pydantic_core, which finds them ten times as fast as Python's repr. A float32 is first made the
float64 whose fewest digits are its own.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic_core import to_json

Column = npt.NDArray[Any]

_TENS = 10.0 ** np.arange(23)  # all exact in float64
_LOW, _HIGH = 1e-4, 1e8  # between them all that follows is exact
_MOST = 9  # significant digits of a float32


def rows(columns: Sequence[Column]) -> bytes:
    """The columns, of one length, as lines of CSV; 3.0 is written 3, a missing value nan.

    Whole numbers up to 2^53, float32 or float64.
    """
    numbers = np.column_stack([_as_float64(column) for column in columns])
    if not len(numbers):
        return b""
    lines = to_json(numbers.tolist(), inf_nan_mode="constants")[2:-2].replace(b"],[", b"\n") + b"\n"
    lines = lines.replace(b".0,", b",").replace(b".0\n", b"\n")
    return lines.replace(b"NaN", b"nan").replace(b"Infinity", b"inf")


def _as_float64(values: Column) -> Column:
    """The float64 with the same fewest digits."""
    if values.dtype != np.float32:
        return values.astype(np.float64, copy=False)
    decimal = _decimal(values)
    others = np.isnan(decimal) & np.isfinite(values)
    decimal[others] = values[others].astype(str).astype(np.float64)
    return np.where(np.isfinite(values), np.copysign(decimal, values), values)


def _decimal(values: Column) -> Column:
    """The size of each float32 x as the float64 nearest to m/10^k, of the fewest digits; nan where it is not found.

    m = round(x·10^k) is the number of d digits that is nearest to x. m and 10^k are exact in float64, so that their
    quotient is what m/10^k reads back to (Clinger 1990): if that is x, d digits are enough.
    """
    with np.errstate(invalid="ignore"):  # a signalling nan is a nan
        size = np.abs(values.astype(np.float64))
    decimal = np.where(size == 0, 0.0, np.nan)
    left = np.flatnonzero((size >= _LOW) & (size < _HIGH))
    size = size[left]
    exponent = np.floor(np.log10(size)).astype(np.int64)
    for count in range(_MOST, 0, -1):
        behind = count - 1 - exponent
        up, down = _TENS[np.maximum(behind, 0)], _TENS[np.maximum(-behind, 0)]
        nearest = np.rint(size * up / down) * down / up
        # What was rounded to halfway between two float32 may be rounded the other way from there.
        halfway = (behind > 0) & (nearest.view(np.int64) & 0x1FFFFFFF == 0x10000000)
        fits = (nearest.astype(np.float32) == size) & ~halfway
        left, size, exponent = left[fits], size[fits], exponent[fits]
        if not len(left):
            break
        decimal[left] = nearest[fits]
    return decimal
