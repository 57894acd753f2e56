"""γ and η against step or epoch, one above the other: one line for each schedule, however many runs follow it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

from momentumlab.errors import ConfigError
from momentumlab.figures import labels, legends, style, words
from momentumlab.figures.curves import AXES, SPARSE, check_x
from momentumlab.figures.labels import Value
from momentumlab.figures.looks import Look, Scale
from momentumlab.figures.style import Colour
from momentumlab.figures.thin import thinned
from momentumlab.figures.traces import Numbers, Trace, differing, is_number, traces

if TYPE_CHECKING:
    from momentumlab.results.reader import Result

NAMES = {"gamma": "momentum γ", "eta": "learning rate η"}
MOST = len(style.PALETTE)  # lines that a legend names
_ROOM = 14  # lines of letters that legends above one another have room for
_SAID_BY_LINES = ("gamma", "eta", "gamma schedule", "eta schedule")


@dataclass
class Course:
    """How γ or η goes: the numbers that some runs used, in words and as a line."""

    text: str
    settings: Mapping[str, Value]  # of one of the runs
    x: Numbers
    y: Numbers
    runs: set[int] = field(default_factory=set)

    @property
    def flat(self) -> bool:
        return bool((self.y == self.y[0]).all())

    def agrees(self, x: Numbers, y: Numbers) -> bool:
        """Whether the numbers are the same wherever both have some."""
        if x[0] == self.x[0] and y[0] != self.y[0]:
            return False  # most differ here already
        shared, mine, theirs = np.intersect1d(self.x, x, assume_unique=True, return_indices=True)
        return bool(len(shared)) and np.array_equal(self.y[mine], y[theirs])


Panel = tuple[str, list[Course]]  # gamma or eta, and its lines


def draw(results: Sequence["Result"], x: str = "step", title: str | None = None) -> Figure:
    """γ and η of all runs of `results`, which share one problem: what the update after step k used.

    Lines of one colour, above and below, are those of the same runs. A legend names each line; where it would be too
    long a colour bar speaks for them. Rules without a γ have none here.
    """
    found = [(trace, result) for result in results for trace in traces([result])]
    runs = [trace for trace, _ in found]
    check_x(runs, x)
    courses = {name: _courses(found, name, x) for name in NAMES}
    panels = [(name, lines) for name, lines in courses.items() if lines]
    if not panels:
        raise ConfigError("nothing to draw: no run has a recorded step with its γ and η yet")
    head = words.head(results, [*differing(runs), *_SAID_BY_LINES], runs, runs, missing="γ and η", title=title)
    figure = style.canvas(head.title, head.notes(_reading(courses)))
    every_axes = style.panels(figure, len(panels), shared=False, flat=True)
    _fill(figure, every_axes, panels, _looks(courses))
    _dress(every_axes, panels, x)
    figure.align_ylabels(every_axes)
    return figure


# ---- which lines there are ---------------------------------------------------------------------------------


def _courses(found: Sequence[tuple[Trace, "Result"]], name: str, x: str) -> list[Course]:
    """The different courses in the order of the runs, each as long as the longest run that follows it."""
    made: list[Course] = []
    same: dict[tuple[bytes, bytes], Course] = {}
    for place, (trace, result) in enumerate(found):
        if name not in trace.columns or (name == "gamma" and trace.settings.get("rule") == "sgd"):
            continue
        across, values = trace.along(x, name)
        if not len(values):
            continue
        key = (across.tobytes(), values.tobytes())
        course = same.get(key) or next((one for one in made if one.agrees(across, values)), None)
        if course is None:
            course = Course("", {}, across[:0], values[:0])
            made.append(course)
        if len(across) > len(course.x):
            course.x, course.y, course.settings = across, values, trace.settings
            course.text = _named(name, _described(trace, result, name), course)
        course.runs.add(place)
        same[key] = course
    return made


def _described(trace: Trace, result: "Result", name: str) -> dict[str, Value]:
    """The schedule of one run: its experiment's, with what was varied."""
    said = (result.experiment.get("optimizer") or {}).get(name)
    prefix = f"optimizer.{name}."
    varied = {key.removeprefix(prefix): value for key, value in trace.settings.items() if key.startswith(prefix)}
    whole = {**(said if isinstance(said, Mapping) else {}), **varied}
    return {key: value for key, value in whole.items() if value is not None}


def _named(name: str, schedule: Mapping[str, Any], course: Course) -> str:
    symbol = labels.symbol(name)
    if course.flat:
        return f"{symbol} = {labels.number(float(course.y[0]))}"
    if "schedule" not in schedule:
        return f"{symbol} from {labels.number(float(course.y[0]))} to {labels.number(float(course.y[-1]))}"
    return f"{symbol} = {labels.value_text(course.settings.get(name))}, {labels.schedule_words(schedule)}"


# ---- how they look -----------------------------------------------------------------------------------------


def _looks(courses: Mapping[str, Sequence[Course]]) -> dict[str, list[Look]]:
    """A look for every line, by the runs that follow it; where γ never changes its values keep their own."""
    order = list(dict.fromkeys(frozenset(line.runs) for lines in courses.values() for line in lines))

    def look(line: Course, own: bool) -> Look:
        rank = order.index(frozenset(line.runs))
        colour: Colour = style.PALETTE[rank % len(style.PALETTE)]
        if own:  # a single γ is of all runs, and has no colour that stands for some of them
            colour = style.gamma_colour(float(line.y[0])) if len(courses["gamma"]) > 1 else style.QUIET
        return Look(colour, style.DASHES[rank % len(style.DASHES)], style.MARKERS[rank % len(style.MARKERS)])

    return {name: [look(line, _own_colours(name, lines)) for line in lines] for name, lines in courses.items()}


def _fill(figure: Figure, every_axes: Sequence[Axes], panels: Sequence[Panel], looks: Mapping[str, list[Look]]) -> None:
    beside_a_bar = any(len(lines) > MOST for _, lines in panels)
    heights = [_legend_lines(lines) for _, lines in panels]
    for axes, (name, lines) in zip(every_axes, panels, strict=True):
        if len(lines) > MOST:
            _many(figure, axes, name, lines)
        else:
            made = _few(axes, lines, looks[name], inside=beside_a_bar)
            for text in made.get_texts() if sum(heights) > _ROOM else ():
                text.set_fontsize(style.NOTE - 3)
    grid = every_axes[0].get_gridspec()
    if grid is not None and not beside_a_bar:
        grid.set_height_ratios([min(max(height, 6), 12) for height in heights])


def _reading(courses: Mapping[str, Sequence[Course]]) -> str:
    """What a colour means, where one stands for the same runs above and below and others do not."""
    above, below = ({frozenset(line.runs) for line in courses[name]} for name in NAMES)
    if _own_colours("gamma", courses["gamma"]) or len(above | below) > MOST or len(above | below) == 1:
        return ""
    return "one colour: the same runs" if above & below else ""


def _own_colours(name: str, lines: Sequence[Course]) -> bool:
    return name == "gamma" and all(line.flat for line in lines)


def _legend_lines(lines: Sequence[Course]) -> int:
    return sum(len(legends.fold(line.text)) for line in lines)


def _few(axes: Axes, lines: Sequence[Course], looks: Sequence[Look], *, inside: bool) -> Legend:
    """Up to a legend's length of lines; beside a colour bar the legend lies on the axes."""
    sparse = max(len(line.x) for line in lines) <= SPARSE
    handles = []
    for place, (line, look) in enumerate(zip(lines, looks, strict=True)):
        marker = {"marker": look.marker, "markersize": 6} if sparse and not line.flat else {}
        looked: dict[str, Any] = {"color": look.colour, "linestyle": look.dash, "linewidth": 2.4} | marker
        axes.plot(*thinned(line.x, line.y), zorder=2.0 + 0.01 * place, drawstyle=_drawn(line), **looked)
        handles.append(Line2D([], [], **looked))
    return (legends.inside if inside else legends.beside)(axes, handles, [line.text for line in lines])


def _drawn(line: Course) -> str:
    """Stairs where most numbers are those of the step before: each holds until the next."""
    return "steps-post" if len(line.y) > 1 and bool(np.mean(np.diff(line.y) == 0) > 0.5) else "default"


def _many(figure: Figure, axes: Axes, name: str, lines: Sequence[Course]) -> None:
    """Thin lines, under a colour bar of a number that tells them apart if there is one."""
    key = _telling(name, lines)
    values = [float(line.settings[key]) for line in lines] if key else []
    scale = Scale(key, values) if key else None
    colours = [scale.colour(value) for value in values] if scale else [style.MIST] * len(lines)
    for line, colour in zip(lines, colours, strict=True):
        axes.plot(*thinned(line.x, line.y, columns=400), color=colour, linewidth=1.2)
    if scale:
        scale.bar(figure, axes)


def _telling(name: str, lines: Sequence[Course]) -> str | None:
    """The numeric setting of γ or η, or of its schedule, with the most values; None where all are of one value."""
    prefix = f"optimizer.{name}."
    keys = dict.fromkeys(key for line in lines for key in line.settings if key == name or key.startswith(prefix))
    counts = {
        key: len({line.settings.get(key) for line in lines})
        for key in keys
        if all(is_number(line.settings.get(key)) for line in lines)
    }
    most = max(counts, key=lambda key: counts[key], default=None)
    return most if most and counts[most] > 1 else None


def _dress(every_axes: Sequence[Axes], panels: Sequence[Panel], x: str) -> None:
    every = [line for _, lines in panels for line in lines]
    start, end = min(float(line.x[0]) for line in every), max(float(line.x[-1]) for line in every)
    margin = 0.012 * (end - start) or 0.5
    for axes, (name, lines) in zip(every_axes, panels, strict=True):
        axes.set_xlim(start - margin, end + margin)
        _set_height(axes, name, np.concatenate([line.y for line in lines]))
        axes.set_ylabel(NAMES[name])
        style.whole_steps(axes)
        style.grid(axes)
        axes.label_outer()
    every_axes[-1].set_xlabel(AXES[x])


def _set_height(axes: Axes, name: str, values: Numbers) -> None:
    low, high = float(values.min()), float(values.max())
    if name == "eta" and _hugs_zero(values, high):
        positive = values[values > 0]
        # A cosine's last steps to 0 would take as many decades as they like.
        low = max(float(positive.min()), float(np.quantile(positive, 0.02)) / 3) / 1.4
        style.log_axis(axes, low, high * 1.4)
        axes.set_ylim(low, high * 1.4)
        return
    room = 0.08 * (high - low) or 0.05
    axes.set_ylim(*((low - room, high + room) if name == "gamma" else (-0.04 * high, 1.08 * high)))
    axes.locator_params(axis="y", nbins=6, steps=[1, 2, 5, 10])  # as many whatever the height, so that names stay put


def _hugs_zero(values: Numbers, high: float) -> bool:
    """Whether a quarter of the numbers would lie on the bottom of a linear axis without being 0."""
    return bool(np.mean((values > 0) & (values < 0.03 * high)) > 0.25)
