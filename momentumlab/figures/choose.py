"""Which kinds of figure make sense for some results, without drawing any. Numpy only."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from momentumlab.errors import ConfigError
from momentumlab.figures import cells
from momentumlab.figures.paths import need_paths
from momentumlab.figures.terrain import landscape_of, one_landscape
from momentumlab.figures.traces import Trace, is_number, recorded, traces
from momentumlab.figures.vast import is_vast, vast

if TYPE_CHECKING:
    from momentumlab.results.reader import Result

MOST_PATHS = 100  # beyond it paths cover each other and the landscape; `--kind landscape` draws them all the same
KINDS = ("curves", "heatmap", "landscape", "forces", "schedule")


def kinds_for(results: Sequence["Result"]) -> list[str]:
    """The kinds to draw of results that share a problem, the most telling first.

    Scripted pushes have forces. Anything else with a loss has curves; a grid over two numbers a heat map; an objective
    of one or two parameters whose path was recorded a landscape. A γ or η that changes in a run has its schedule drawn.
    Of tens of thousands of runs a heat map is drawn or nothing.
    """
    if is_vast(results):
        return ["heatmap"] if vast(results, "loss") else []
    runs = traces(results)
    if (results[0].experiment.get("objective") or {}).get("kind") == "forces":
        return ["forces", *(["schedule"] if _changes(runs) else [])]
    wanted = {
        "curves": "loss" in recorded(runs),
        "heatmap": _is_grid(runs),
        "landscape": len(runs) <= MOST_PATHS and _has_landscape(results, runs),
        "schedule": _changes(runs),
    }
    return [kind for kind, sensible in wanted.items() if sensible]


def _changes(runs: Sequence[Trace]) -> bool:
    """Whether γ or η is another one later in some run."""
    known = [trace.along("step", name)[1] for trace in runs for name in ("gamma", "eta") if name in trace.columns]
    return any((values != values[:1]).any() for values in known)


def _is_grid(runs: Sequence[Trace]) -> bool:
    """Whether two numeric settings make a grid of which more than half of the cells were run."""
    try:
        x, y, _ = cells.axes_keys(runs)
    except ConfigError:
        return False
    if not all(is_number(trace.settings.get(key)) for trace in runs for key in (x, y)):
        return False
    columns, rows = ({trace.settings.get(key) for trace in runs} for key in (x, y))
    pairs = {(trace.settings.get(x), trace.settings.get(y)) for trace in runs}
    return 2 * len(pairs) > len(columns) * len(rows)


def _has_landscape(results: Sequence["Result"], runs: Sequence[Trace]) -> bool:
    try:
        objective = landscape_of(results[0].experiment)
        one_landscape(need_paths(runs, objective.dimension))
    except ConfigError:
        return False
    return True
