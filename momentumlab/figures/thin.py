"""Long lines with as few points as a screen can show. Numpy only."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

COLUMNS = 800
"""Columns of a picture, two pixels each: less than the width of a line."""


def thinned(x: Numbers, *lines: Numbers, columns: int = COLUMNS) -> list[Numbers]:
    """x and the lines on it, with fewer points where there are more than two for a column: the same picture.

    All are finite; `x` ascends and is cut into `columns` of equal width. Of every column and every line the lowest and
    the highest point stay, so no spike is lost, and so do the first and the last point of all.
    """
    if len(x) <= 2 * columns:
        return [x, *lines]
    edges = np.searchsorted(x, np.linspace(x[0], x[-1], columns, endpoint=False))
    bounds = list(pairwise(np.unique([*edges, len(x)]).tolist()))
    kept = {0, len(x) - 1}
    for line in lines:
        kept.update(start + int(line[start:end].argmin()) for start, end in bounds)
        kept.update(start + int(line[start:end].argmax()) for start, end in bounds)
    rows = np.array(sorted(kept))
    return [x[rows], *(line[rows] for line in lines)]
