"""Rates of runs whose theory is known: the one that was predicted, and the one that metrics.csv shows.

What is measured is read back once all rows are written, so that a result that was gone on with has the same bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from momentumlab.results.files import refused
from momentumlab.theory.fit import rate_of
from momentumlab.theory.method import Numbers

LARGEST = 64 * 2**20
"""Bytes of a metrics.csv up to which rates are measured: all that `record.every: auto` leaves."""
_ROWS = 4096  # of a run that are looked at: more would tell nothing more


@dataclass(frozen=True)
class Expected:
    """Runs of one problem whose theory is known, and what it takes to measure their rates."""

    runs: Sequence[int]
    rates: Numbers  # (run,): the spectral ones
    periods: Numbers  # (direction, run): updates of an oscillation
    lasting: npt.NDArray[np.bool_]  # (direction, run): the slowest ones, whose rate is that of the run
    floors: Numbers  # (run,): the distance, or √(J − J*), below which rounding makes the numbers
    column: str  # of metrics.csv: `distance`, or `loss`
    minimum: float  # J*, which is taken off the loss
    every: int  # the stride of the rows


@dataclass(frozen=True)
class Theory:
    """What theory knows of the runs of a result before they are trained."""

    expected: tuple[Expected, ...]
    landscape: Mapping[str, Any] | None  # as the manifest has it, where all runs share one

    def predicted(self, count: int) -> Numbers:
        """(run,): the rate of each of `count` runs; nan of those that theory does not know."""
        rates = np.full(count, np.nan)
        for some in self.expected:
            rates[np.asarray(some.runs)] = some.rates
        return rates

    def measured(self, metrics: Path, count: int) -> Numbers:
        """(run,): the rate at which each run came nearer in fact, or went away; nan where too little is left to tell.

        Raises ResultError where the file cannot be read.
        """
        rates = np.full(count, np.nan)
        try:
            if metrics.stat().st_size > LARGEST:
                return rates
            columns = _columns(metrics, ["run", "step", *{some.column: None for some in self.expected}])
        except OSError as error:
            raise refused(metrics, error) from error
        order = np.argsort(columns["run"].astype(np.int32), kind="stable")
        numbers = columns["run"][order]
        for some in self.expected:
            starts, ends = (np.searchsorted(numbers, some.runs, side) for side in ("left", "right"))
            for place, (run, start, end) in enumerate(zip(some.runs, starts, ends, strict=True)):
                rows = order[start:end]
                rows = rows[columns["step"][rows] % some.every == 0]  # the last one may stand off the stride
                if len(rows):
                    rates[run] = _rate(columns[some.column][rows], some, place)
        return rates


def _rate(values: Numbers, some: Expected, place: int) -> float:
    sizes = values if some.column == "distance" else np.sqrt(np.maximum(values - some.minimum, 0))
    stride = -(-len(sizes) // _ROWS)
    if not sizes[0] > some.floors[place]:
        return np.nan
    floor = max(float(some.floors[place] / sizes[0]), np.finfo(np.float64).eps)
    periods, lasting, every = some.periods[:, place], some.lasting[:, place], some.every * stride
    return rate_of(sizes[::stride], periods, lasting=lasting, every=every, floor=floor)


def _columns(metrics: Path, names: Sequence[str]) -> dict[str, npt.NDArray[np.float64]]:
    with metrics.open() as file:
        header = file.readline().rstrip("\n").split(",")
        if not file.readline():  # every run has failed
            return {name: np.empty(0) for name in names}
    # A path, and not lines: numpy reads it by itself then, in a third of the time.
    places = [header.index(name) for name in names]
    read = np.loadtxt(metrics, delimiter=",", skiprows=1, comments=None, usecols=places, ndmin=2)
    return dict(zip(names, read.T, strict=True))
