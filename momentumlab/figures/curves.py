"""A metric against step or epoch, for all runs of one problem on the same axes."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from momentumlab import hindsight
from momentumlab.errors import ConfigError
from momentumlab.figures import crowd, labels, legends, marks, style, words
from momentumlab.figures.looks import MANY, Look, looks
from momentumlab.figures.series import (
    Limits,
    Series,
    band_words,
    coincide,
    limits,
    rough,
    series,
    visible,
)
from momentumlab.figures.thin import COLUMNS, thinned
from momentumlab.figures.traces import EPOCH_MEANS, Numbers, Trace, families, having, traces
from momentumlab.text import nearest, shown

if TYPE_CHECKING:
    from momentumlab.results.reader import Result

AXES = {"step": "step k", "epoch": "epoch"}
SPARSE = 40  # lines with fewer points show them as markers
ENVELOPED = 8  # up to so many lines theory draws its own beside them
_BOUND: dict[str, Any] = {"linestyle": (0, (4, 2.4)), "linewidth": 1.2, "zorder": 1.9}  # behind the runs themselves


def draw(results: Sequence["Result"], metric: str = "loss", x: str = "step", title: str | None = None) -> Figure:
    """Curves of `metric` for all runs of `results`, which share one problem.

    A legend names up to ten families, saying only what differs; more are told apart by a colour bar. Seeds
    become a median and a band. A run that diverges ends in ×, and the y axis is cut where it would squash the
    others.
    """
    every = traces(results)
    runs = having(every, metric)
    check_x(runs, x)
    keys, groups = families(runs)
    lines = [line for line in (series(family, x, metric) for family in groups) if line is not None]
    reach = limits(lines, metric)
    head = words.head(results, keys, every, runs, missing=metric, title=title)
    count = len(crowd.panels(keys, lines)) if len(lines) > MANY else 1
    reading = [
        *([EPOCH_MEANS] if any(trace.by_epochs(metric) for trace in runs) else []),
        *_seed_notes(lines),
        *_cut_notes(reach),
        *([crowd.NOTE] if count > 1 else []),
    ]
    figure = style.canvas(head.title, head.notes(*reading))
    every_axes = style.panels(figure, count)
    for axes in every_axes:
        _dress(axes, lines, reach)
    _name_axes(figure, every_axes, labels.metric_label(metric), AXES[x])
    if len(lines) > MANY:
        crowd.draw(figure, every_axes, keys, lines, metric=metric)
    else:
        bounds = _envelopes(results, lines, x) if metric == "loss" else {}
        _few(every_axes[0], lines, looks(keys, [line.family for line in lines]), reach, bounds)
    return figure


def check_x(runs: Sequence[Trace], x: str) -> None:
    if x not in AXES:
        guess = nearest(x, AXES)
        meant = f" Did you mean {guess!r}?" if guess else ""
        raise ConfigError(f"x must be 'step' or 'epoch', got {shown(x)}.{meant}")
    if not all(trace.has(x) for trace in runs):
        raise ConfigError("x cannot be 'epoch': an objective has no data and therefore no epochs. Use 'step'")


def _dress(axes: Axes, lines: Sequence[Series], reach: Limits) -> None:
    if reach.logarithmic:
        style.log_axis(axes, reach.low, reach.high)
    ends = [float(visible(line, reach)[0][-1]) for line in lines]
    start, end = min(float(line.x[0]) for line in lines), max(ends)
    margin = 0.012 * (end - start) or 0.5
    axes.set_xlim(start - margin, end + margin)
    axes.set_ylim(reach.low, reach.high)
    style.whole_steps(axes)
    style.grid(axes)


def _name_axes(figure: Figure, every_axes: Sequence[Axes], y: str, x: str) -> None:
    if len(every_axes) == 1:
        every_axes[0].set_xlabel(x)
        every_axes[0].set_ylabel(y, parse_math=False)
    else:
        figure.supxlabel(x, fontsize=style.LABEL)
        figure.supylabel(y, fontsize=style.LABEL, parse_math=False)


def _envelopes(results: Sequence["Result"], lines: Sequence[Series], x: str) -> dict[int, tuple[Numbers, Numbers]]:
    """What theory says that the losses of a few lines never exceed: x and J of each that it knows, by its place."""
    if len(lines) > ENVELOPED:
        return {}
    found = {}
    for result in results:
        first = {place: line.family.traces[0] for place, line in enumerate(lines)}
        places = {trace.run: place for place, trace in first.items() if trace.columns is result.metrics}
        steps = {run: first[place].last_step for run, place in places.items()}
        for run, bound in (hindsight.loss_envelopes(result, steps) if steps else {}).items():
            across = first[places[run]].column(x)
            found[places[run]] = np.linspace(across[0], across[-1], len(bound)), bound
    return found


def _few(
    axes: Axes,
    lines: Sequence[Series],
    drawn: Sequence[Look],
    reach: Limits,
    bounds: Mapping[int, tuple[Numbers, Numbers]],
) -> None:
    """Up to ten lines and their legend; where lines lie on each other the lower one is wider, so both are seen."""
    sparse = max(len(line.x) for line in lines) <= SPARSE
    handles = []
    for place, (line, look) in enumerate(zip(lines, drawn, strict=True)):
        above = sum(coincide(line, other, reach) for other in lines[place + 1 :])
        looked: dict[str, Any] = {"color": look.colour, "linewidth": 2.4, "zorder": 2.0 + 0.01 * place}
        looked |= _telling_apart(line, look, reach, place=place, sparse=sparse)
        looked["linewidth"] += 2.4 * above
        handles.append(_curve(axes, line, reach, looked))
    texts = [marks.named(line.family) for line in lines]
    if bounds:
        for place, (across, bound) in bounds.items():
            axes.plot(*thinned(across, reach.near(bound)), color=drawn[place].colour, **_BOUND)
        handles.append(Line2D([], [], color=style.QUIET, **_BOUND))
        texts = [*(text or "measured" for text in texts), "theory: envelope"]
    if len(lines) > 1 or any(texts):
        legends.beside(axes, handles, texts)


def _telling_apart(line: Series, look: Look, reach: Limits, *, place: int, sparse: bool) -> dict[str, Any]:
    """What goes with the colour: dashes where a line is smooth, markers where it has few points or dashes would
    fall apart; these are not all at the same steps, where lines may meet."""
    if rough(line, reach):
        every = max(len(line.x) // 10, 1)
        marker = {"marker": look.marker, "markersize": 7, "markeredgecolor": "white", "markeredgewidth": 0.8}
        return {
            "linestyle": "solid",
            "linewidth": 1.3,
            "markevery": (every * (place + 1) // 10, every),
        } | marker
    return {"linestyle": look.dash} | ({"marker": look.marker, "markersize": 6} if sparse else {})


def _curve(axes: Axes, line: Series, reach: Limits, looked: dict[str, Any]) -> Line2D:
    """Draw a line with its band and its end; the handle that stands for it in a legend comes back."""
    colour, order = looked["color"], looked["zorder"]
    if line.low is not None and line.high is not None:
        x, low, high = thinned(line.x, line.low, line.high)
        top = reach.high * 10 if reach.logarithmic else 2 * reach.high - reach.low
        low, high = np.minimum(low, top), np.minimum(high, top)
        axes.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0, zorder=order - 1)
    handle = {key: value for key, value in looked.items() if key != "markevery"}
    x, y = thinned(*visible(line, reach))
    if len(x) > COLUMNS and rough(line, reach):
        # So close together strokes cover all between the lowest and the highest: one area is drawn in a tenth of the
        # time. Of three neighbours in a thinned line two are the lowest and the highest of a column.
        around = [np.append(y[:1], y[:-1]), y, np.append(y[1:], y[-1:])]
        low, high = np.minimum.reduce(around), np.maximum.reduce(around)
        axes.fill_between(x, low, high, color=colour, linewidth=0.7, zorder=order)
        looked = looked | {"linestyle": ""}
    axes.plot(x, y, **looked)
    if line.broken:
        end = {
            "color": colour,
            "marker": "X",
            "markersize": 12,
            "markeredgecolor": "white",
            "markeredgewidth": 1.2,
        }
        axes.plot(x[-1:], y[-1:], linestyle="", clip_on=False, **(end | {"zorder": 5}))
        handle |= end
    return Line2D([], [], **handle)


def _seed_notes(lines: Sequence[Series]) -> list[str]:
    counts = sorted({len(line.family.traces) for line in lines})
    if counts[-1] == 1:
        return []
    said = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else str(counts[-1])
    return [f"median of {said} seeds, band from {band_words(counts[-1])}"]


def _cut_notes(reach: Limits) -> list[str]:
    low, high = reach.cut
    notes = [f"above {labels.number(high, 2)}"] if high is not None else []
    notes += [f"below {labels.number(low, 2)}"] if low is not None else []
    return [f"curves are cut off {labels.listed(notes)}"] if notes else []
