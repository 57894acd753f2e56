"""The cells of a heat map: what the runs of each pair of settings came to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from momentumlab.errors import ConfigError
from momentumlab.figures import labels
from momentumlab.figures.labels import Value
from momentumlab.figures.traces import Numbers, Trace, differing, is_number, sort_key
from momentumlab.text import safe

PANELS = 4


@dataclass(frozen=True)
class Table:
    """A panel: final values over two settings, (y, x); inf where the run diverged, nan where there is none."""

    name: str
    x: tuple[Value, ...]
    y: tuple[Value, ...]
    values: Numbers


def axes_keys(runs: Sequence[Trace]) -> tuple[str, str, list[str]]:
    """The settings across and upwards, and what else differs; ConfigError in words where there is no such pair."""
    keys = differing(runs)
    numeric = [key for key in keys if all(is_number(trace.settings.get(key)) for trace in runs)]
    chosen = numeric if len(numeric) > 1 else [*numeric, *(key for key in keys if key not in numeric)]
    if len(chosen) < 2:
        varied = f"only {labels.symbol(chosen[0])} varies" if chosen else "nothing varies"
        raise ConfigError(
            f"a heat map needs two settings that vary, and here {varied}. "
            "Sweep two, for example --gamma 0,0.5,0.9 --eta log:1e-3:1:7, or draw curves"
        )
    pair = sorted(chosen[:2], key=across_first)
    rest = [key for key in keys if key not in pair]
    count = len({tuple(trace.settings.get(key) for key in rest) for trace in runs})
    if count > PANELS:
        names = labels.listed([labels.symbol(key) for key in rest])
        raise ConfigError(
            f"a heat map shows up to {PANELS} panels, and here {safe(names)} would make {count}: draw fewer results"
        )
    return pair[0], pair[1], rest


def across_first(key: str) -> int:
    """A key for sorting two settings: η goes across, γ upwards, anything else where there is room."""
    return {"eta": 0, "gamma": 2}.get(key, 1)


def tables(runs: Sequence[Trace], pair: tuple[str, str], rest: Sequence[str], metric: str) -> list[Table]:
    x, y = (_ordered(runs, key) for key in pair)
    groups: dict[tuple[Value, ...], list[Trace]] = {}
    for trace in runs:
        groups.setdefault(tuple(trace.settings.get(key) for key in rest), []).append(trace)
    order = sorted(groups, key=lambda values: [sort_key(key, value) for key, value in zip(rest, values, strict=True)])
    return [Table(_name(rest, values), x, y, _grid(groups[values], pair, (x, y), metric)) for values in order]


def _ordered(runs: Sequence[Trace], key: str) -> tuple[Value, ...]:
    values = {trace.settings.get(key) for trace in runs}
    return tuple(sorted(values, key=lambda value: sort_key(key, value)))


def _name(keys: Sequence[str], values: Sequence[Value]) -> str:
    pairs = zip(keys, values, strict=True)
    return ", ".join(labels.setting(key, value) for key, value in pairs if value is not None)


def _grid(
    runs: Sequence[Trace], pair: tuple[str, str], sides: tuple[Sequence[Value], Sequence[Value]], metric: str
) -> Numbers:
    """(y, x): the median over the runs of each cell; a diverged one counts as worse than every number."""
    worst = -np.inf if labels.higher_is_better(metric) else np.inf
    cells: dict[tuple[int, int], list[float]] = {}
    columns, rows = ({value: place for place, value in enumerate(side)} for side in sides)
    for trace in runs:
        place = rows[trace.settings.get(pair[1])], columns[trace.settings.get(pair[0])]
        cells.setdefault(place, []).append(worst if trace.status == "diverged" else _final(trace, metric))
    grid = np.full((len(rows), len(columns)), np.nan)
    for place, finals in cells.items():
        known = sorted(final for final in finals if not np.isnan(final))
        if known:
            grid[place] = abs(_median(known)) if np.isinf(_median(known)) else _median(known)
    return grid


def _median(ordered: Sequence[float]) -> float:
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def _final(trace: Trace, metric: str) -> float:
    """The last number of a run that did not fail, nan where it has none."""
    if metric not in trace.columns or trace.status in {"failed", "interrupted"}:
        return np.nan
    values = trace.course("step", metric)[1]
    return float(values[-1]) if len(values) else np.nan


def best(tables: Sequence[Table], metric: str) -> tuple[int, int, int] | None:
    """Panel, row and column of the best cell."""
    values = np.stack([table.values for table in tables])
    if not np.isfinite(values).any() or not labels.has_a_best(metric):
        return None
    values = np.where(np.isfinite(values), -values if labels.higher_is_better(metric) else values, np.inf)
    panel, row, column = np.unravel_index(int(values.argmin()), values.shape)
    return int(panel), int(row), int(column)
