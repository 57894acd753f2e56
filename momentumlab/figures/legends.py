"""Legends beside the axes, where they cover nothing."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from momentumlab.figures import style
from momentumlab.figures.labels import columns

# The taller a legend, the closer its lines: up to so many of them, points, and the gap between entries in letters.
_SIZES = ((16, style.NOTE, 0.7), (20, style.NOTE, 0.35), (24, style.NOTE - 2, 0.3), (math.inf, style.NOTE - 3.5, 0.2))


def beside(axes: Axes, handles: Sequence[Any], texts: Sequence[str], **options: Any) -> Legend:
    """A legend to the right of the axes. Handles and texts go in pairs, so that a text may begin with an underscore."""
    return _made(
        axes,
        handles,
        texts,
        {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "borderaxespad": 0.0} | options,
    )


def inside(axes: Axes, handles: Sequence[Any], texts: Sequence[str], **options: Any) -> Legend:
    """A legend on the axes, where it hides least."""
    made = _made(axes, handles, texts, {"loc": "best", "frameon": True, "framealpha": 0.9} | options)
    made.set_zorder(6)
    return made


def below(figure: Figure, handles: Sequence[Any], texts: Sequence[str], *, columns: int | None = None) -> Legend:
    """A legend under all axes: in a row, or in so many columns."""
    made = figure.legend(
        list(handles),
        [style.plain(text) for text in texts],
        loc="outside lower center",
        ncols=columns or max(3, len(handles)),
        columnspacing=1.6,
    )
    return _literal(made)


def _made(axes: Axes, handles: Sequence[Any], texts: Sequence[str], options: dict[str, Any]) -> Legend:
    folded = ["\n".join(style.plain(line) for line in fold(text)) for text in texts]
    lines = sum(text.count("\n") + 1 for text in folded)
    size, gap = next((size, gap) for most, size, gap in _SIZES if lines <= most)
    made = axes.legend(list(handles), folded, labelspacing=gap, fontsize=size, **options)
    return _literal(made)


def _literal(legend: Legend) -> Legend:
    """Dollar signs of foreign text are dollar signs."""
    for text in legend.get_texts():
        text.set_parse_math(False)
    return legend


def fold(text: str, most: int = 26) -> list[str]:
    """A text in lines that leave the axes their room, broken after commas where that is enough."""
    parts = [
        part for piece in _pieces(text, ", ") for part in ([piece] if columns(piece) <= most else _pieces(piece, " "))
    ]
    lines = [""]
    for part in parts:
        if lines[-1] and columns((lines[-1] + part).rstrip()) > most:
            lines.append("")
        lines[-1] += part
    return [line.rstrip() for line in lines]


def _pieces(text: str, mark: str) -> list[str]:
    """What `mark` divides, each piece with the mark that ends it."""
    *pieces, last = text.split(mark)
    return [*(piece + mark for piece in pieces), last]


def width(texts: Sequence[str]) -> float:
    """How wide, in inches and about, a legend beside the axes will be."""
    longest = max((columns(line) for text in texts for line in fold(text)), default=0)
    return (longest * 0.6 + 4.6) * style.NOTE / 72
