"""A number of a result that is not what its other numbers say."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from momentumlab.results.reader import Columns
from momentumlab.text import shown

Numbers = npt.NDArray[Any]
Rows = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

ROUNDINGS = 64
"""A recomputed number may differ by so many roundings of the largest term in its formula: the memory is read back from
η·memory, and sums are taken in another order."""


@dataclass(frozen=True)
class Deviation:
    """A cell of a result that does not follow; `expected` may be words where no single number does."""

    file: str
    row: int  # 0-based, in the file
    run: int
    step: int | None  # None in files that know no steps
    column: str
    expected: float | str
    got: float | str

    def __str__(self) -> str:
        line = f":{self.row + 2}" if self.file.endswith(".csv") else ""
        step = "" if self.step is None else f", step {self.step}"
        expected = self.expected if isinstance(self.expected, str) else repr(self.expected)
        return (
            f"{self.file}{line}: run {self.run}{step}: {self.column} is {shown(self.got)}, "
            f"and the other numbers give {expected}"
        )


def in_metrics(column: str, row: int, expected: float | str, metrics: Columns) -> Deviation:
    """A deviation in a cell of metrics.csv."""
    run, step, got = (metrics[name][row].item() for name in ("run", "step", column))
    value = expected if isinstance(expected, str) else np.asarray(expected).item()
    return Deviation("metrics.csv", int(row), run, step, column, value, got)


def first_apart(column: str, expected: npt.ArrayLike, wrong: Mask, rows: Rows, metrics: Columns) -> Iterator[Deviation]:
    """The first of the wrong cells, in the order of the file; `expected` and `wrong` have one entry for each row."""
    places = np.flatnonzero(wrong)
    if len(places):
        place = places[np.argmin(rows[places])]
        yield in_metrics(column, rows[place], np.asarray(expected)[place], metrics)


def rounding(dtype: str) -> float:
    """How far a recomputed number may be off, as a share of the largest term in its formula."""
    return ROUNDINGS * float(np.finfo(dtype).eps)
