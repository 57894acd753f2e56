"""What a run was expected to give beside what it gave: the `expect` section of an experiment. Numpy only."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from momentumlab.errors import ConfigError
from momentumlab.experiment.schema_expect import Expect, StepsTo
from momentumlab.results.reader import Result
from momentumlab.text import nearest, safe, shown

_NOT_MEASURED = ("run", "status", "reason")  # of the columns of runs.csv and metrics.csv


@dataclass(frozen=True)
class Judged:
    """One expectation, what the run gave, and whether it held."""

    what: str  # status, steps to loss 0.001, final theta_0
    given: str | list[float]  # the status, or the lowest and the highest number
    found: str | float | None  # None where there is no such number
    held: bool
    got: str  # what was found, in words

    def __str__(self) -> str:
        return f"{self.what} {self._wanted} — got {self.got}: {'held' if self.held else 'did not hold'}"

    @property
    def _wanted(self) -> str:
        if isinstance(self.given, str):
            return self.given
        low, high = self.given
        return f"exactly {low:.12g}" if low == high else f"between {low:.12g} and {high:.12g}"

    def as_object(self) -> dict[str, Any]:
        """What JSON says of it."""
        return {"what": self.what, "given": self.given, "found": self.found, "held": self.held}


def refuse_unmeasured(expect: Expect, columns: Collection[str]) -> None:
    """Raise ConfigError with a line for every column that is expected to have a value and is not among `columns`."""
    measured = [name for name in dict.fromkeys(columns) if name not in _NOT_MEASURED]
    problems = []
    for key, name in expect.columns:
        if name not in measured:
            near = nearest(name, measured)
            hint = f" Did you mean {shown(near)}?" if near else ""
            problems.append(
                f"{safe(key)}: this run measures no {shown(name)}.{hint} It measures {safe(', '.join(measured))}."
            )
    if problems:
        raise ConfigError(problems)


def judge(expect: Expect, result: Result) -> tuple[Judged, ...]:
    """Each expectation of a result's first run, in the order of the experiment file, by the rows that were recorded.

    Raises ConfigError where the result has no such column.
    """
    refuse_unmeasured(expect, [*result.measured, *result.runs])
    judged = [] if expect.status is None else [_status(expect.status, result)]
    judged += [] if expect.steps_to is None else [_steps_to(expect.steps_to, result)]
    return (*judged, *(_final(name, *bounds, result) for name, bounds in (expect.final or {}).items()))


def _status(expected: str, result: Result) -> Judged:
    status = str(result.runs["status"][0])
    return Judged("status", expected, status, status == expected, f"{status} at step {result.runs['steps'][0]}")


def _steps_to(expected: StepsTo, result: Result) -> Judged:
    rows = result.some("step", expected.column)
    reached = np.flatnonzero(rows[expected.column] <= expected.goal)
    low, high = expected.between
    what = f"steps to {expected.column} {expected.goal:.12g}"
    if not reached.size:
        return Judged(what, [low, high], None, False, "never")
    step = int(rows["step"][reached[0]])
    every = int(np.diff(rows["step"]).max(initial=1))
    got = f"{step}, of rows every {every} steps" if every > 1 else str(step)
    return Judged(what, [low, high], step, low <= step <= high, got)


def _final(name: str, low: float, high: float, result: Result) -> Judged:
    values = result.some(name)[name] if name in result.measured else result.runs[name]
    value = float(values[-1]) if len(values) else float("nan")  # a run that failed at once has no row
    held = low <= value <= high
    short = f"{value:.6g}"
    got = short if (low <= float(short) <= high) == held else repr(value)  # 2.0500001 is not said to be 2.05
    return Judged(f"final {name}", [low, high], value if np.isfinite(value) else None, held, got)
