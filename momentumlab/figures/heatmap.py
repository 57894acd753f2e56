"""Where a run ends, over two settings: a cell a pair, diverged cells hatched, the best one marked."""

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from momentumlab import hindsight
from momentumlab.figures import cells, labels, legends, style, words
from momentumlab.figures.cells import Table
from momentumlab.figures.labels import Value
from momentumlab.figures.traces import EPOCH_MEANS, Numbers, Trace, having, traces
from momentumlab.figures.vast import vast

if TYPE_CHECKING:
    from momentumlab.results.reader import Result

_EDGED = 256  # cells beyond are smaller than what an edge would cover
_NUMBERED = 12  # up to so many rows and columns the cells carry their numbers
_BROKEN: dict[str, Any] = {"facecolor": "#F2F2F2", "edgecolor": "#8A8A8A", "hatch": "////", "linewidth": 0.0}
_MISSING: dict[str, Any] = {"facecolor": "white", "edgecolor": "#C8C8C8", "hatch": "..", "linewidth": 0.0}


def draw(results: Sequence["Result"], metric: str = "loss", title: str | None = None) -> Figure:
    """The final `metric` over the two settings that vary: η across and γ upwards where they are among them.

    Seeds give their median. Up to four panels show what else differs. ConfigError unless two settings vary.
    """
    rest: list[str] = []
    if found := vast(results, metric):
        every, tables, starts = [found.example], [found.table], found.starts
        x_key, y_key, seeds = found.across, found.upwards, found.seeds
    else:
        every = traces(results)
        having(every, metric)
        x_key, y_key, rest = cells.axes_keys(every)
        tables = cells.tables(every, (x_key, y_key), rest, metric)
        first = [trace.along("step", metric)[1] for trace in having(every, metric)]
        starts = np.concatenate([run[run > 0][:1] for run in first])
        seeds = len({trace.settings.get("seed") for trace in every})
    norm = _norm(tables, starts[starts > 0], metric)
    head = words.head(results, [x_key, y_key, *rest], every, every, missing=metric, title=title)
    figure = style.canvas(head.title, head.notes(*_seed_notes(seeds), *_mean_notes(every, metric)))
    panels = style.panels(figure, len(tables))
    colours = colormaps["viridis_r" if labels.higher_is_better(metric) else "viridis"]
    for axes, table in zip(panels, tables, strict=True):
        mesh = _panel(axes, table, norm, colours, alone=len(tables) == 1)
    _name_axes(panels, labels.symbol(x_key), labels.symbol(y_key))
    _bar(figure, panels, mesh, tables, metric=metric)
    edges = _edge(panels[0], results[0], tables[0]) if (x_key, y_key) == ("eta", "gamma") and len(results) == 1 else []
    _legend(figure, panels, tables, (x_key, y_key), metric=metric, more=edges)
    return figure


def _edge(axes: Axes, result: "Result", table: Table) -> list[tuple[Any, str]]:
    """Draw the largest stable η of each γ where theory knows it and it lies inside; its entry in the legend."""
    gammas, etas = np.array(table.y, np.float64), np.array(table.x, np.float64)
    known = hindsight.edge(result, gammas)
    if known is None or len(etas) < 2:
        return []
    # Cells stand at whole numbers; between two η the place goes by logarithm, as the η of a sweep mostly do.
    places = np.interp(np.log(known), np.log(etas), np.arange(len(etas)), left=np.nan, right=np.nan)
    if np.isnan(places).all():
        return []
    rows = np.arange(len(gammas), dtype=np.float64)
    ends = np.concatenate([[-0.5], rows, [len(gammas) - 0.5]])  # the outer cells are crossed to their ends
    across = np.concatenate([places[:1], places, places[-1:]])
    for colour, width in (("white", 4.6), (style.BLACK, 2.2)):
        (line,) = axes.plot(across, ends, color=colour, linewidth=width, linestyle="solid", zorder=4)
    line.set_gid("edge")
    return [(Line2D([], [], color=style.BLACK, linewidth=2.2), "edge (theory)")]


def _norm(tables: Sequence[Table], starts: Numbers, metric: str) -> Normalize:
    """Colours by logarithm where finals span decades; those far above every start do not stretch the scale."""
    values = np.concatenate([table.values[np.isfinite(table.values)] for table in tables])
    if not len(values):
        return Normalize(0.0, 1.0)
    low, high = float(values.min()), float(values.max())
    if labels.signed(metric):
        return Normalize(low, high)
    high = max(min(high, 10 * float(starts.max())), low) if len(starts) else high
    positive = values[values > 0]
    if low >= 0 and len(positive) and high > 30 * positive.min():
        return LogNorm(max(float(positive.min()), high * 1e-30), high, clip=False)
    return Normalize(low, high if high > low else low + (abs(low) or 1.0))


def _panel(axes: Axes, table: Table, norm: Normalize, colours: Colormap, *, alone: bool) -> QuadMesh:
    rows, columns = table.values.shape
    finite = np.ma.masked_invalid(table.values)
    if isinstance(norm, LogNorm):
        # A loss of exactly zero has the colour of the lowest.
        finite = np.ma.maximum(finite, float(norm.vmin or 0.0))
    large = max(rows, columns) <= 2 * _NUMBERED
    mesh = axes.pcolormesh(np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5, finite, norm=norm, cmap=colours)
    edges = 1.0 if large else 0.1 if max(rows, columns) <= _EDGED else 0.0
    mesh.set(edgecolors="white" if large else "face" if edges else "none", linewidth=edges)
    for where, look in ((np.isinf(table.values), _BROKEN), (np.isnan(table.values), _MISSING)):
        if where.any():
            axes.add_patch(PathPatch(_squares(where), **look))
    _ticks(axes, table, alone=alone)
    if table.name:
        axes.set_title(style.plain(table.name), fontsize=style.LABEL, loc="left", parse_math=False)
    if max(rows, columns) <= (_NUMBERED if alone else _NUMBERED // 2):
        _write_numbers(axes, table, norm, colours, size=min(12.0, (150.0 if alone else 75.0) / columns + 2))
    return mesh


def _squares(where: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]") -> Path:
    """The cells as one path, neighbours in a row as one rectangle: thousands of hatched cells are drawn at once."""
    edges = np.diff(np.pad(where, ((0, 0), (1, 1))).astype(np.int8))
    (rows, starts), (_, ends) = np.nonzero(edges == 1), np.nonzero(edges == -1)
    low, high, left, right = rows - 0.5, rows + 0.5, starts - 0.5, ends - 0.5
    corners = [(left, low), (right, low), (right, high), (left, high), (left, low)]
    points = np.stack([np.stack(corner, -1) for corner in corners], 1)
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
    return Path(points.reshape(-1, 2), np.tile(codes, len(rows)))


def _ticks(axes: Axes, table: Table, *, alone: bool) -> None:
    """True values as ticks, as many as can be read."""
    for axis, values, most in (
        (axes.xaxis, table.x, 10 if alone else 5),
        (axes.yaxis, table.y, 14 if alone else 7),
    ):
        places = np.arange(len(values))
        if len(values) > most:
            places = places[:: -(-(len(values) - 1) // (most - 1))]
        texts = labels.distinct([values[place] for place in places], 3)
        axis.set_ticks(list(places), [style.plain(text) for text in texts])
    axes.tick_params(length=3)
    axes.spines[:].set_visible(False)


def _write_numbers(axes: Axes, table: Table, norm: Normalize, colours: Colormap, *, size: float) -> None:
    for row, column in itertools.product(*(range(length) for length in table.values.shape)):
        value = float(table.values[row, column])
        if np.isfinite(value):
            red, green, blue, _ = colours(norm(max(value, float(norm.vmin or 0.0))))
            dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.55
            ink = "white" if dark else style.INK
            axes.text(column, row, labels.number(value, 2), ha="center", va="center", color=ink, fontsize=size)


def _name_axes(panels: Sequence[Axes], x: str, y: str) -> None:
    """Names on the outer axes; a single letter stands upright."""
    for axes in panels:
        place = axes.get_subplotspec()
        if place is not None and place.is_last_row():
            axes.set_xlabel(style.plain(x), fontsize=style.LABEL + 2, parse_math=False)
        if place is not None and place.is_first_col():
            upright: dict[str, Any] = {"rotation": 0, "ha": "right", "va": "center"} if len(y) == 1 else {}
            axes.set_ylabel(style.plain(y), fontsize=style.LABEL + 2, parse_math=False, **upright)


def _bar(figure: Figure, panels: Sequence[Axes], mesh: QuadMesh, tables: Sequence[Table], *, metric: str) -> None:
    low, high = (float(end or 0.0) for end in mesh.get_clim())
    values = np.concatenate([table.values[np.isfinite(table.values)] for table in tables])
    beyond = "max" if len(values) and values.max() > high else "neither"
    bar = figure.colorbar(mesh, ax=list(panels), pad=0.02, aspect=28, extend=beyond)
    if isinstance(mesh.norm, LogNorm):
        bar.locator = LogLocator(subs=(1.0, 3.0) if high < 1000 * low else (1.0,), numticks=10)
        bar.formatter = style.Decades(low, high)
        bar.minorlocator = NullLocator()
    else:
        bar.formatter = FuncFormatter(style.short)
    bar.update_ticks()
    bar.outline.set_visible(False)
    better = " (dark is better)" if labels.has_a_best(metric) else ""
    bar.set_label(f"{labels.metric_name(metric)} at the end{better}", fontsize=style.LABEL, parse_math=False)


def _legend(
    figure: Figure,
    panels: Sequence[Axes],
    tables: Sequence[Table],
    pair: tuple[str, str],
    *,
    metric: str,
    more: Sequence[tuple[Any, str]],
) -> None:
    """What the frame and the hatching mean, and `more`, below the axes."""
    entries: list[tuple[Any, str]] = []
    best = cells.best(tables, metric)
    if best:
        panel, row, column = best
        handle = _mark(panels[panel], row, column, few=max(tables[panel].values.shape) <= 2 * _NUMBERED)
        entries.append((handle, _best_words(tables[panel], row, column, pair, metric=metric)))
    counts = [int(sum(test(table.values).sum() for table in tables)) for test in (np.isinf, np.isnan)]
    for count, look, word in zip(counts, (_BROKEN, _MISSING), ("diverged", "no result"), strict=True):
        if count:
            entries.append((Patch(**look), f"{word}: {labels.counted(count, 'cell')}"))
    entries += more
    if entries:
        handles, texts = zip(*entries, strict=True)
        legends.below(figure, handles, texts)


def _mark(axes: Axes, row: int, column: int, *, few: bool) -> Any:
    """Mark the best cell, with a frame where cells are large and a star where they are small; the legend's handle."""
    if not few:
        star: dict[str, Any] = {"marker": "*", "markersize": 17, "markerfacecolor": "white"}
        star |= {"markeredgecolor": "black", "linestyle": "", "zorder": 5}
        axes.plot([column], [row], clip_on=False, **star)
        return Line2D([], [], **star)
    for colour, width in ((style.BLACK, 5.0), ("white", 2.0)):
        frame = Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=colour, linewidth=width, zorder=5)
        axes.add_patch(frame).set_clip_on(False)
    return Patch(facecolor="white", edgecolor=style.BLACK, linewidth=2.0)


def _best_words(table: Table, row: int, column: int, pair: tuple[str, str], *, metric: str) -> str:
    chosen: Mapping[str, Value] = {pair[1]: table.y[row], pair[0]: table.x[column]}
    settings = ", ".join(labels.setting(key, value) for key, value in chosen.items())
    value = labels.number(float(table.values[row, column]), 3)
    return f"best: {f'{table.name}, ' if table.name else ''}{settings}, {labels.metric_name(metric)} {value}"


def _mean_notes(runs: Sequence[Trace], metric: str) -> list[str]:
    return [f"{EPOCH_MEANS}, here of the last"] if any(trace.by_epochs(metric) for trace in runs) else []


def _seed_notes(seeds: int) -> list[str]:
    return [f"median of {seeds} seeds"] if seeds > 1 else []
