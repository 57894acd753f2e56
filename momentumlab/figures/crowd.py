"""More curves than a legend can name: thin lines under a colour bar, the best one black."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from momentumlab.figures import labels, legends, style
from momentumlab.figures.looks import Scale, bar_key
from momentumlab.figures.series import Limits, Series, limits, visible
from momentumlab.figures.thin import thinned
from momentumlab.figures.traces import Family, ending

PANELS = 4
NOTE = "black: the best of each panel · × diverged"


def panels(keys: Sequence[str], lines: Sequence[Series]) -> list[tuple[str, list[Series]]]:
    """The lines in up to four panels, by the settings that the colour bar does not show; one panel where that fails."""
    key = bar_key(keys, [line.family for line in lines])
    rest = [other for other in keys if other != key]
    groups: dict[str, list[Series]] = {}
    for line in lines:
        groups.setdefault(_name(line.family, rest), []).append(line)
    if key is None or not rest or len(groups) > PANELS:
        return [("", list(lines))]
    return list(groups.items())


def _name(family: Family, keys: Sequence[str]) -> str:
    values = [(key, family.settings.get(key)) for key in keys]
    return ", ".join(labels.setting(key, value) for key, value in values if value is not None)


def draw(figure: Figure, every_axes: Sequence[Axes], keys: Sequence[str], lines: Sequence[Series],
         *, metric: str) -> None:  # fmt: skip
    """Fill the panels, whose y limits are set, and put the colour bar beside them."""
    key = bar_key(keys, [line.family for line in lines])
    scale = Scale(key, [line.family.settings[key] for line in lines]) if key else None
    groups = panels(keys, lines)
    reach = limits(lines, metric)
    for axes, (name, group) in zip(every_axes, groups, strict=True):
        _lines(axes, group, scale, reach)
        best = _best(axes, group, metric)
        if len(groups) == 1:
            _explain(axes, group, best, scale)
        else:
            _head(axes, name, group, _name(best.family, [key]) if best and key else "")
    if scale:
        scale.bar(figure, every_axes)


def _lines(axes: Axes, lines: Sequence[Series], scale: Scale | None, reach: Limits) -> None:
    colours = [scale.colour(line.family.settings[scale.key]) if scale else style.MIST for line in lines]
    paths = [np.column_stack(thinned(*visible(line, reach), columns=400)) for line in lines]
    width = float(np.clip(28 / len(lines), 0.5, 1.4))
    axes.add_collection(LineCollection(paths, colors=colours, linewidths=width, zorder=2), autolim=False)
    broken = [place for place, line in enumerate(lines) if line.broken]
    if broken:
        ends = np.array([paths[place][-1] for place in broken])
        axes.scatter(
            ends[:, 0],
            ends[:, 1],
            s=81,
            marker="X",
            color=[colours[place] for place in broken],
            edgecolors="white",
            linewidths=1.0,
            clip_on=False,
            zorder=4,
        )


def _best(axes: Axes, lines: Sequence[Series], metric: str) -> Series | None:
    """The line that ends best, drawn once more in black."""
    whole = [line for line in lines if not line.broken]
    if not whole or not labels.has_a_best(metric):
        return None
    best = (max if labels.higher_is_better(metric) else min)(whole, key=lambda line: line.last)
    axes.plot(*thinned(best.x, best.y), color=style.BLACK, linewidth=2.2, zorder=3)
    return best


def _explain(axes: Axes, lines: Sequence[Series], best: Series | None, scale: Scale | None) -> None:
    """The legend of a single panel."""
    entries: list[tuple[Line2D, str]] = []
    if best:
        entries.append((Line2D([], [], color=style.BLACK, linewidth=2.2), f"best at the end: {best.family.label}"))
    if not scale:
        entries.append((Line2D([], [], color=style.MIST), f"{len(lines) - len(entries)} others"))
    if broken := sum(line.broken for line in lines):
        cross = Line2D([], [], linestyle="", marker="X", markersize=9, color=style.QUIET)
        entries.append(
            (cross, f"{ending([trace for line in lines for trace in line.family.traces])}: {broken} of {len(lines)}")
        )
    if entries:
        handles, texts = zip(*entries, strict=True)
        legends.inside(axes, handles, texts)


def _head(axes: Axes, name: str, lines: Sequence[Series], best: str) -> None:
    """What a panel shows, its best and how many of its runs diverged."""
    broken = sum(line.broken for line in lines)
    facts = [f"best {best}"] if best else []
    facts += [f"{broken} of {len(lines)} ×"] if broken else []
    text = "\n".join(map(style.plain, legends.fold(f"{name}: {', '.join(facts)}" if facts else name, 40)))
    axes.set_title(text, fontsize=style.LABEL - 1, loc="left", parse_math=False)
