"""How every figure looks: size, fonts, colours, dashes, ticks.

A rule and a γ have one colour everywhere. The colours are those of Okabe and Ito (2008), which the colour-blind tell
apart, without the yellow that white swallows; colour never stands alone, a dash or a marker goes with it.
"""

import functools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.markers import TICKLEFT
from matplotlib.ticker import Formatter, LogLocator, MaxNLocator, NullLocator

from momentumlab.figures.labels import number, power_of_ten
from momentumlab.text import safe

Colour = str | tuple[float, float, float]

BLUE, SKY, ORANGE, VERMILLION = "#0072B2", "#56B4E9", "#E69F00", "#D55E00"
GREEN, PURPLE, BROWN, BLACK = "#009E73", "#CC79A7", "#8C6D31", "#000000"
INK, QUIET, PALE, MIST = "#222222", "#666666", "#DDDDDD", "#999999"

PALETTE = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, BLACK)
FURTHER = ("#882255", "#44AA99", "#332288", "#AA4499")  # where the palette is not enough
RULE_COLOURS = {
    "sgd": BLUE,
    "momentum": ORANGE,
    "nesterov": GREEN,
    "ema": SKY,
    "qhm": VERMILLION,
    "aggmo": PURPLE,
    "signum": BROWN,
    "lion": BLACK,
}

# From cold to hot as a run forgets more slowly: it remembers 1/(1−γ) updates, so equal factors of 1−γ are equal steps.
_GAMMA_ANCHORS = ((0.0, BLUE), (0.5, SKY), (0.9, ORANGE), (0.99, VERMILLION), (0.999, "#7A1F00"))

DASHES: tuple[Any, ...] = (
    "solid",
    (0, (5, 1.6)),
    (0, (6, 1.6, 1.2, 1.6)),
    (0, (1.3, 1.3)),
    (0, (10, 2)),
    (0, (6, 1.6, 1.2, 1.6, 1.2, 1.6)),
    (0, (2.6, 1.6)),
    (0, (10, 2, 2, 2)),
    (0, (3, 1, 1, 1)),
    (0, (12, 2, 1.2, 2)),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "<", ">", "h", "p")

WIDTH, HEIGHT, DPI = 10.0, 6.25, 160  # inches and dots per inch: 1600 × 1000 pixels
TITLE, LABEL, TICK, NOTE = 18, 14, 12, 12  # points
_MARGIN = 0.15  # inches
_ROOM = WIDTH - 2 * _MARGIN

_CJK = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "PingFang SC",
    "Hiragino Sans GB",
    "SimHei",
    "Droid Sans Fallback",
    "Arial Unicode MS",
)


@contextmanager
def context() -> Iterator[None]:
    """Matplotlib's own defaults with ours on top, whatever the user has set; afterwards all is as before."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "font.family": list(fonts()),
                "text.parse_math": False,
                "text.color": INK,
                "axes.labelsize": LABEL,
                "axes.labelcolor": INK,
                "axes.edgecolor": QUIET,
                "axes.axisbelow": True,
                "axes.unicode_minus": True,
                "axes.spines.top": False,
                "axes.spines.right": False,
                "xtick.labelsize": TICK,
                "ytick.labelsize": TICK,
                "legend.fontsize": NOTE,
                "legend.frameon": False,
                "legend.handlelength": 3.2,
                "hatch.linewidth": 0.9,
                "svg.hashsalt": "momentumlab",
            }
        )
        yield


@functools.cache
def fonts() -> tuple[str, ...]:
    """DejaVu Sans, which comes with Matplotlib and has γ, η and ‖, then a font with Chinese letters if there is one."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return ("DejaVu Sans", *[name for name in _CJK if name in installed][:1])


def plain(text: str) -> str:
    """Foreign text made harmless, with □ for letters that no font here has (drawing those would warn)."""
    return "".join(letter if _drawable(letter) else "□" for letter in safe(text))


@functools.cache
def _drawable(letter: str) -> bool:
    faces = [font_manager.get_font(_file(name, False)) for name in fonts()]
    return letter in "\n " or any(face.get_char_index(ord(letter)) for face in faces)


def canvas(title: str, notes: Sequence[str] = (), formula: str = "") -> Figure:
    """An empty figure under its title and its notes: what was held fixed, how to read it.

    `formula` is our own mathtext; it stands to the right of the notes where there is room, otherwise below the title.
    """
    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    top = _written(figure, wrapped(plain(title), TITLE, 2, bold=True), 0.14, size=TITLE, color=INK, fontweight="bold")
    lines = [line for note in notes for line in wrapped(plain(note), NOTE, 2)]
    if formula:
        taken = max((breadth(line, NOTE) for line in lines), default=0.0)
        top, bottom = _formula(figure, formula, top, room=_ROOM - taken - 0.3)
    for line in lines:
        top = _written(figure, [line], top, size=NOTE, color=QUIET)
    top = max(top, bottom) if formula else top
    engine: Any = figure.get_layout_engine()
    engine.set(rect=(0.006, 0.006, 0.988, 1 - (top + 0.06) / HEIGHT), w_pad=0.05, h_pad=0.05)
    return figure


def _written(figure: Figure, lines: Sequence[str], top: float, *, size: float, **options: Any) -> float:
    """Write lines `top` inches below the upper edge; where the next may begin comes back."""
    style: dict[str, Any] = {"parse_math": False, "va": "top", "linespacing": 1.2, "fontsize": size} | options
    figure.text(_MARGIN / WIDTH, 1 - top / HEIGHT, "\n".join(lines), **style)
    return top + len(lines) * size * 1.32 / 72 + 0.03


def _formula(figure: Figure, formula: str, top: float, *, room: float) -> tuple[float, float]:
    """Write mathtext at the right edge if `room` inches are enough, else on its own line.

    Where the notes may begin and where the formula ends, in inches below the upper edge. (Fractions and sums are high.)
    """
    text = figure.text(1 - _MARGIN / WIDTH, 1 - top / HEIGHT, formula, fontsize=NOTE + 2, va="top", ha="right")
    text.set_parse_math(True)
    size = text.get_window_extent()
    bottom = top + size.height / DPI + 0.08
    if size.width / DPI <= room:
        return top, bottom
    text.set(x=_MARGIN / WIDTH, ha="left")
    return bottom, bottom


def height_left(figure: Figure) -> float:
    """Inches that the title and the notes leave to the axes and what stands around them."""
    engine: Any = figure.get_layout_engine()
    return float(engine.get()["rect"][3]) * HEIGHT


def panels(figure: Figure, count: int, *, shared: bool = True, flat: bool = False) -> list[Axes]:
    """Axes for up to four panels, their scales shared or not: side by side, flat ones above each other."""
    rows, columns = (count, 1) if flat else {1: (1, 1), 2: (1, 2)}.get(count, (2, 2))
    made = figure.subplots(rows, columns, sharex=shared, sharey=shared, squeeze=False).ravel()
    for empty in made[count:]:
        empty.set_axis_off()
    return list(made[:count])


def wrapped(text: str, size: float, most: int, *, bold: bool = False) -> list[str]:
    """`text` in at most `most` lines as wide as the figure; what does not fit ends in …. `γ = 0.9` stays together."""
    lines = [""]
    for word in _kept_together(text).split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if breadth(longer, size, bold=bold) <= _ROOM or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    kept = [*lines[: most - 1], " ".join(lines[most - 1 :])]
    return [_cut(line, size, bold=bold).replace("\u00a0", " ") for line in kept if line]


def _kept_together(text: str) -> str:
    """`text` with unbreakable spaces in `γ = 0.9` and in the short parts between dots."""
    parts = [part.replace(" ", "\u00a0") if len(part) < 40 else part for part in text.split(" · ")]
    joined = "\u00a0· ".join(parts) if len(parts) > 1 else text
    return joined.replace(" = ", "\u00a0=\u00a0")


def _cut(text: str, size: float, *, bold: bool) -> str:
    if breadth(text, size, bold=bold) <= _ROOM:
        return text
    while text and breadth(text + "…", size, bold=bold) > _ROOM:
        text = text[:-1]
    return text.rstrip() + "…"


def breadth(text: str, size: float, *, bold: bool = False) -> float:
    """How wide a line of text is, in inches; a little more, since letters are fitted to whole pixels."""
    return 1.04 * sum(_advance(letter, bold) for letter in text) * size / 72


@functools.cache
def _advance(letter: str, bold: bool) -> float:
    """The width of a letter in units of its size; those that DejaVu lacks, Chinese ones, are square."""
    face = font_manager.get_font(_file(fonts()[0], bold))
    if not face.get_char_index(ord(letter)):
        return 1.0
    face.set_size(100.0, 72)
    return float(face.load_char(ord(letter)).linearHoriAdvance) / 65536 / 100


@functools.cache
def _file(family: str, bold: bool) -> str:
    properties = font_manager.FontProperties(family=[family], weight="bold" if bold else "normal")
    return str(font_manager.findfont(properties))


def gamma_position(gamma: float) -> float:
    """Where γ stands between forgetting at once, 0, and remembering a thousand updates, 1 and beyond: −log₁₀(1−γ)/3."""
    return -math.log10(max(1.0 - gamma, 1e-12)) / 3


def gamma_colour(gamma: float) -> tuple[float, float, float]:
    """The colour of γ, the same in every figure: 0, 0.5, 0.9, 0.99 have those of the palette, others lie between."""
    return colour_at(gamma_position(gamma))


def colour_at(position: float) -> tuple[float, float, float]:
    """The colour at a position of γ's scale."""
    places = [gamma_position(gamma) for gamma, _ in _GAMMA_ANCHORS]
    colours = np.array([rgb(colour) for _, colour in _GAMMA_ANCHORS])
    red, green, blue = (float(np.interp(position, places, colours[:, channel])) for channel in range(3))
    return red, green, blue


def rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return red, green, blue


def sequence_colour(position: float) -> tuple[float, float, float]:
    """A colour of the sequential map for other numbers than γ, position in [0, 1]: viridis without its pale end."""
    red, green, blue, _ = matplotlib.colormaps["viridis"](0.85 * position)
    return red, green, blue


def grid(axes: Axes) -> None:
    axes.grid(True, which="major", color=PALE, linewidth=0.8)


def whole_steps(axes: Axes) -> None:
    """Ticks of steps and epochs at whole numbers."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 2.5, 5, 10]))


def log_axis(axes: Axes, low: float, high: float) -> None:
    """A logarithmic y axis with few ticks, said as 0.01 where that is short and as 10⁻⁷ where it is not."""
    axes.set_yscale("log", nonpositive="clip")
    decades = math.log10(high / low)
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2.2 else (1.0,), numticks=9))
    axes.yaxis.set_major_formatter(Decades(low, high))
    axes.yaxis.set_minor_locator(NullLocator())
    if decades < 9:
        _minor_ticks(axes, low, high)


def _minor_ticks(axes: Axes, low: float, high: float) -> None:
    """The uneven ticks that say "logarithmic", as one line: Matplotlib's own are half the cost of a figure."""
    exponents = np.arange(math.floor(math.log10(low)), math.ceil(math.log10(high)))
    places = np.outer(10.0**exponents, np.arange(2, 10)).ravel()
    places = places[(places >= low) & (places <= high)]
    axes.plot(
        np.zeros(len(places)), places, linestyle="", marker=TICKLEFT, markersize=3, color=QUIET,
        transform=axes.get_yaxis_transform(), clip_on=False, zorder=1, gid="minor ticks",
    )  # fmt: skip


class Decades(Formatter):
    """Ticks of a logarithmic axis, all in one manner: decimals when the axis is near 1, otherwise powers of ten."""

    def __init__(self, low: float, high: float) -> None:
        self._decimals = low >= 0.9e-4 and high <= 1e5

    def __call__(self, x: float, pos: int | None = None) -> str:
        exponent = math.floor(math.log10(x) + 1e-9)
        mantissa = round(x / 10.0**exponent)
        if self._decimals:
            return f"{x:.{max(0, -exponent)}f}"
        return power_of_ten(exponent) if mantissa == 1 else f"{mantissa}×{power_of_ten(exponent)}"


def short(x: float, pos: int | None = None) -> str:
    """A tick of a colour bar."""
    del pos
    return number(x, 3)
