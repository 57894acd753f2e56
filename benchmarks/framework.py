"""What every benchmark is made of: contestants, and rows of them in turns. Unequal answers are refused.

A contestant is a function in contestants/ that a process of its own calls (run_one.py). It measures itself and gives
{"seconds": …, "answer": {name: number}, "note": …}: the answer is compared before any time is printed.
"""

import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
REPOSITORY = HERE.parent
_LONGEST = 900  # seconds that a contestant may take

Given = dict[str, Any]
Play = Callable[["Contestant"], Given]


class FailureError(Exception):
    """A contestant gave no number, or not the answer that ours gave."""


@dataclass(frozen=True)
class Contestant:
    """One way to do the work of a row."""

    label: str
    function: str  # module:function in contestants/
    arguments: Mapping[str, Any] = field(default_factory=dict)
    threads: int = 1  # of torch and BLAS, in the process and in what it starts
    rounds: int = 99  # it sits out the later ones: for those that take minutes


@dataclass(frozen=True)
class Beside:
    """Whom a row is measured beside, and how many times as fast ours is asked to be."""

    contestant: Contestant
    at_least: float | None = None
    compared: bool = True  # False for what has no answer: a bound of the machine, a page of help


@dataclass(frozen=True)
class Row:
    """One piece of work: ours and the others, and how near their answers must be."""

    work: str
    ours: Contestant
    beside: tuple[Beside, ...]
    tolerance: float = 0  # relative
    rounds: int = 3
    note: str = ""


@dataclass(frozen=True)
class Line:
    """One line of the table: a row beside one of the others."""

    work: str
    beside: str
    ours: float = math.nan
    theirs: float = math.nan
    at_least: float | None = None
    note: str = ""
    failure: str = ""

    @property
    def ratio(self) -> float:
        """How many times as fast ours is."""
        return self.theirs / self.ours


@dataclass(frozen=True)
class Limit:
    """One number of ours that has an upper bound: `value` of what the contestant gives."""

    work: str
    contestant: Contestant
    unit: str
    at_most: float | None = None


def play(contestant: Contestant) -> Given:
    """What the contestant gives, in a process of its own. Raises FailureError in its own last words."""
    told = json.dumps({"function": contestant.function, "arguments": dict(contestant.arguments)})
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(contestant.threads))
    # The package beside these benchmarks is what is measured, wherever another may be installed.
    environment = os.environ | threads | {"PYTHONPATH": str(REPOSITORY), "NO_COLOR": "1"}
    try:
        done = subprocess.run(
            [sys.executable, str(HERE / "run_one.py"), told],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_LONGEST,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise FailureError(f"took longer than {_LONGEST} s") from None
    if done.returncode:
        raise FailureError((done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1][:200])
    given: Given = json.loads(done.stdout.splitlines()[-1])
    return given


def measure(row: Row, play: Play = play) -> list[Line]:
    """All contestants of a row in turns, round after round: one line for each of the others."""
    ours: list[Given] = []
    theirs: dict[str, list[Given]] = {beside.contestant.label: [] for beside in row.beside}
    failures: dict[str, str] = {}
    for number in range(row.rounds):
        try:
            ours.append(play(row.ours))
        except FailureError as error:
            return [_failed(row, beside, f"FAILED (ours): {error}") for beside in row.beside]
        for beside in row.beside:
            label = beside.contestant.label
            if label in failures or number >= beside.contestant.rounds:
                continue
            try:
                theirs[label].append(given := play(beside.contestant))
                if beside.compared:
                    check_equal(ours[-1]["answer"], given["answer"], row.tolerance)
            except FailureError as error:
                failures[label] = f"FAILED: {error}"
    return [_line(row, beside, ours, theirs, failures) for beside in row.beside]


def _line(row: Row, beside: Beside, ours: list[Given], theirs: Mapping[str, list[Given]], failures: Given) -> Line:
    label = beside.contestant.label
    if label in failures:
        return _failed(row, beside, failures[label])
    unmeasured = theirs[label][-1].get("unmeasured")
    if unmeasured:
        return Line(row.work, label, _median(ours), note=f"not measured: {unmeasured}")
    told = {"ours": ours[-1].get("note"), "theirs": theirs[label][-1].get("note")}
    notes = [row.note, *(f"{whose} {note}" for whose, note in told.items() if note)]
    return Line(row.work, label, _median(ours), _median(theirs[label]), beside.at_least, "; ".join(filter(None, notes)))


def _failed(row: Row, beside: Beside, words: str) -> Line:
    return Line(row.work, beside.contestant.label, at_least=beside.at_least, failure=words)


def _median(given: Iterable[Given]) -> float:
    return statistics.median(one["seconds"] for one in given)


def check_equal(ours: Mapping[str, float], theirs: Mapping[str, float], tolerance: float) -> None:
    """Raise FailureError unless what both answer agrees, each number to `tolerance` of the larger."""
    common = ours.keys() & theirs.keys()
    if not common:
        raise FailureError("the answers have no number in common")
    for name in sorted(common):
        if not math.isclose(ours[name], theirs[name], rel_tol=tolerance):  # nan is close to nothing
            raise FailureError(f"unequal answers: {name} is {ours[name]:.9g} here and {theirs[name]:.9g} there")
