"""Heat maps of very many runs, from their outcomes alone: a trace for each would take gigabytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from momentumlab.figures.cells import Table, across_first
from momentumlab.figures.traces import Numbers, Trace, example, varied

if TYPE_CHECKING:
    from momentumlab.results.reader import Result

MOST_TRACES = 20_000
"""From so many runs on no curve can be told from another, and a default picture is a heat map or none."""


@dataclass(frozen=True)
class Vast:
    """The final losses of a finished grid over two numbers, with what a heat map of them needs besides."""

    across: str
    upwards: str
    table: Table
    starts: Numbers  # (run,), the first losses
    example: Trace
    seeds: int


def is_vast(results: Sequence["Result"]) -> bool:
    """Whether these results have so many runs."""
    return sum(len(result.runs["run"]) for result in results) > MOST_TRACES


def vast(results: Sequence["Result"], metric: str) -> Vast | None:
    """The grid of a vast result; None where it has another shape, or where its last loss is not what is drawn."""
    if len(results) > 1 or not is_vast(results) or metric != "loss" or not results[0].finished:
        return None
    result, runs = results[0], results[0].runs
    keys = [key for key in ("gamma", "eta", *varied(result)) if bool((runs[key][1:] != runs[key][:1]).any())]
    numbers = all(runs[key].dtype.kind in "fi" and np.isfinite(runs[key]).all() for key in keys)
    minibatches = result.experiment["train"].get("batch_size", "full") != "full"  # of which epochs have means
    if len(keys) != 2 or not numbers or minibatches or not np.isfinite(runs["loss_first"]).any():
        return None
    across, upwards = sorted(keys, key=across_first)
    x, column = np.unique(runs[across], return_inverse=True)
    y, row = np.unique(runs[upwards], return_inverse=True)
    if 2 * len(np.unique(row * len(x) + column)) <= len(x) * len(y):
        return None
    values = _medians(row * len(x) + column, _finals(result), len(x) * len(y)).reshape(len(y), len(x))
    table = Table("", tuple(x.tolist()), tuple(y.tolist()), values)
    return Vast(across, upwards, table, runs["loss_first"], example(result), len(np.unique(runs["seed"])))


def _finals(result: "Result") -> Numbers:
    """(run,): the last loss, inf of a diverged run, nan of one that failed."""
    status = result.runs["status"]
    finals = np.where(status == "finished", result.runs["loss_last"], np.nan)
    return np.where(status == "diverged", np.inf, finals)


def _medians(cells: "np.ndarray[tuple[int], np.dtype[np.intp]]", values: Numbers, count: int) -> Numbers:
    """(cell,): the median of each cell's values that are numbers, inf among them; nan where there is none."""
    known = ~np.isnan(values)
    cells, values = cells[known], values[known]
    ordered = values[np.lexsort((values, cells))]
    counts = np.bincount(cells, minlength=count)
    starts = np.cumsum(counts) - counts
    some = counts > 0
    medians = np.full(count, np.nan)
    low, high = (starts + (counts - 1) // 2)[some], (starts + counts // 2)[some]
    medians[some] = (ordered[low] + ordered[high]) / 2
    return medians
