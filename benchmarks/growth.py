"""How the time grows with runs, steps, parameters and rows, drawn: `make growth` makes docs/growth.png.

    python benchmarks/growth.py [PICTURE]

Every point is a process of its own, and the better of two: growth is wanted here, not a fair comparison.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framework import REPOSITORY, Contestant, play
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
from tables import duration

ROUNDS = 2
# Okabe and Ito's colours, each with a marker and a dash of its own.
LOOKS = (("#0072B2", "o", "solid"), ("#D55E00", "s", "dashed"))

Seconds = Callable[[int], float]


@dataclass(frozen=True)
class Curve:
    """One way in which the work grows."""

    label: str
    sizes: Sequence[int]
    seconds: Seconds


@dataclass(frozen=True)
class Panel:
    """Curves over the same quantity."""

    title: str
    across: str
    curves: Sequence[Curve]


def panels() -> list[Panel]:
    """The four questions."""
    runs = [1, 16, 256, 4096, 16384]
    steps = [10, 100, 1000, 10_000]
    updates = {2: "2", 9610: "10k", 11_007_690: "11M", 99_998_566: "100M"}
    rows = [1000, 10_000, 100_000, 1_000_000]
    return [
        Panel(
            "more runs",
            "runs",
            [
                Curve("linreg, 100 steps", runs, lambda count: _loop("linreg", count, 100)),
                Curve("rosenbrock, 100 steps", runs, lambda count: _loop("rosenbrock", count, 100)),
            ],
        ),
        Panel(
            "longer runs",
            "steps",
            [
                Curve("linreg, one run", steps, lambda count: _loop("linreg", 1, count)),
                Curve("rosenbrock, one run", steps, lambda count: _loop("rosenbrock", 1, count)),
            ],
        ),
        Panel(
            "larger models",
            "parameters",
            [Curve("one update", list(updates), lambda count: _update(updates[count]))],
        ),
        Panel(
            "more rows",
            "rows of metrics.csv",
            [
                Curve("float32, to CSV and back", rows, lambda count: _rows(count, "float32")),
                Curve("float64, to CSV and back", rows, lambda count: _rows(count, "float64")),
            ],
        ),
    ]


def _loop(config: str, runs: int, steps: int) -> float:
    length = {"train.epochs": steps} if config == "linreg" else {"train.steps": steps}
    given = {"config": config, "runs": runs, "steps": steps, "some": 1, "changes": length}
    return _best("stacks:ours", given)


def _update(size: str) -> float:
    return _best("updates:engine", {"size": size})


def _rows(rows: int, dtype: str) -> float:
    return _best("files:ours", {"rows": rows, "dtype": dtype})


def _best(function: str, arguments: dict[str, Any]) -> float:
    best = play(Contestant("ours", function, arguments))["seconds"]
    for _ in range(ROUNDS - 1):
        if best < 0.3:  # what takes longer is steady enough
            best = min(best, play(Contestant("ours", function, arguments))["seconds"])
    return float(best)


def measure(panels: Sequence[Panel]) -> dict[str, list[float]]:
    """Seconds of every point, by the label of its curve; each is printed as soon as it is known."""
    measured: dict[str, list[float]] = {}
    for panel in panels:
        for curve in panel.curves:
            seconds = measured[curve.label] = []
            for size in curve.sizes:
                seconds.append(curve.seconds(size))
                print(f"{curve.label}: {size:,} {panel.across}, {duration(seconds[-1])}", flush=True)
    return measured


def draw(panels: Sequence[Panel], measured: Mapping[str, Sequence[float]]) -> Figure:
    """One figure of four panels, log-log, each with a line of slope 1."""
    figure = Figure(figsize=(9.6, 7.2), dpi=150, layout="constrained")
    for axes, panel in zip(figure.subplots(2, 2).flat, panels, strict=True):
        _draw(axes, panel, measured)
    return figure


def _draw(axes: Axes, panel: Panel, measured: Mapping[str, Sequence[float]]) -> None:
    for curve, (colour, marker, dash) in zip(panel.curves, LOOKS, strict=False):
        axes.plot(curve.sizes, measured[curve.label], color=colour, marker=marker, linestyle=dash, label=curve.label)
    # Below all curves, so that nothing hides it: a curve that runs along it costs the same for each.
    each = min(
        seconds / size
        for curve in panel.curves
        for seconds, size in zip(measured[curve.label], curve.sizes, strict=True)
    )
    ends = panel.curves[0].sizes[0], panel.curves[0].sizes[-1]
    guide = [each / 2 * size for size in ends]
    axes.plot(
        ends, guide, color="#666666", linewidth=1, linestyle="dotted", label="slope 1: twice as many, twice the time"
    )
    axes.set(xscale="log", yscale="log", xlabel=panel.across, ylabel="time", title=panel.title)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda seconds, _: _power(seconds)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    times = [seconds for curve in panel.curves for seconds in measured[curve.label]]
    low, high = min(times) / 3, max(times) * 2
    axes.set_ylim(low, high * (high / low) ** 0.3)  # room for the legend


def _power(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)):
        if seconds >= size * 0.999:
            return f"{seconds / size:g} {unit}"
    return ""


def main() -> None:
    picture = Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY / "docs" / "images" / "growth.png"
    growing = panels()
    figure = draw(growing, measure(growing))
    FigureCanvasAgg(figure).print_png(picture, metadata={"Software": None})
    print(picture)


if __name__ == "__main__":
    main()
