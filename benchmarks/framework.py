"""What every benchmark is made of: contestants, rows of contestants in turns, and a table that refuses unequal answers.

A contestant is a function in contestants/ that a process of its own calls (run_one.py). It measures itself and gives
{"seconds": …, "answer": {name: number}, "note": …}: the answer is compared before any time is printed.
"""

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
REPOSITORY = HERE.parent
PAGE = REPOSITORY / "docs" / "performance.md"
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

    @property
    def cells(self) -> tuple[str, ...]:
        """The line as the table shows it."""
        asked = f"{self.at_least:g}×" if self.at_least is not None else "—"
        if self.failure:
            return self.work, duration(self.ours), self.beside, "—", "—", asked, self.failure
        reached = self.at_least is None or self.ratio >= self.at_least
        note = "; ".join(filter(None, ["" if reached else "below what is asked", self.note]))
        return self.work, duration(self.ours), self.beside, duration(self.theirs), _times(self.ratio), asked, note


HEADER = ("work", "ours", "beside", "theirs", "ratio", "asked", "notes")


@dataclass(frozen=True)
class Limit:
    """One number of ours that has an upper bound: `value` of what the contestant gives."""

    work: str
    contestant: Contestant
    unit: str
    at_most: float | None = None


LIMITS_HEADER = ("work", "measured", "asked", "notes")


# ---- measuring -----------------------------------------------------------------------------------------------


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
    notes = dict.fromkeys(filter(None, [row.note, ours[-1].get("note"), theirs[label][-1].get("note")]))
    return Line(row.work, label, _median(ours), _median(theirs[label]), beside.at_least, "; ".join(notes))


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


# ---- the command ---------------------------------------------------------------------------------------------


def bench(
    name: str,
    rows: Sequence[Row],
    libraries: Sequence[str],
    arguments: Sequence[str] | None = None,
    limits: Sequence[Limit] = (),
    about: str = "",
) -> int:
    """The command of a benchmark: measure, print, and with --markdown write the section `name` of the page.

    Gives the exit status: 1 when a contestant failed or gave another answer than ours.
    """
    parser = argparse.ArgumentParser(description=f"The measurements of {PAGE.name}: {name}")
    parser.add_argument("word", nargs="*", help="measure only the rows whose name contains one of these")
    parser.add_argument("--markdown", action="store_true", help=f"also write the table into docs/{PAGE.name}")
    options = parser.parse_args(arguments)
    if options.word and options.markdown:
        parser.error("--markdown writes the whole table: leave the words out")

    def wanted(work: str) -> bool:
        return not options.word or any(word in work for word in options.word)

    about = ", ".join(filter(None, [about, surroundings(libraries)]))
    print(about)
    lines = print_rows([row for row in rows if wanted(row.work)])
    found, sound = print_limits([limit for limit in limits if wanted(limit.work)])
    if options.markdown:
        tables = [markdown(HEADER, (line.cells for line in lines)), markdown(LIMITS_HEADER, found) if found else ""]
        write_section(name, "\n\n".join(filter(None, [about, *tables])))
    return int(not sound or any(line.failure for line in lines))


# ---- printing ------------------------------------------------------------------------------------------------


_UNITS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))


def duration(seconds: float) -> str:
    """A time with three digits and the unit that it needs."""
    if math.isnan(seconds):
        return "—"
    unit, size = next((unit for unit in _UNITS if seconds >= unit[1]), _UNITS[-1])
    return f"{_three_digits(seconds / size)} {unit}"


def _times(ratio: float) -> str:
    return "—" if math.isnan(ratio) else f"{_three_digits(ratio)}×"


def _three_digits(number: float) -> str:
    places = max(0, 2 - math.floor(math.log10(number))) if number > 0 else 0
    return f"{number:,.{min(places, 3)}f}"


def print_rows(rows: Sequence[Row]) -> list[Line]:
    """Measure the rows and print each line as soon as it is known."""
    widths = (47, 8, 41, 8, 8, 7)
    if rows:
        print(_aligned(HEADER, widths))
    lines: list[Line] = []
    for row in rows:
        for line in measure(row):
            print(_aligned(line.cells, widths), flush=True)
            lines.append(line)
    return lines


def print_limits(limits: Sequence[Limit]) -> tuple[list[tuple[str, ...]], bool]:
    """Measure what has an upper bound; the cells of its table, and whether every one could be measured."""
    widths = (58, 12, 16)
    table: list[tuple[str, ...]] = []
    sound = True
    if limits:
        print("\n" + _aligned(LIMITS_HEADER, widths))
    for limit in limits:
        asked = f"at most {limit.at_most:g}" if limit.at_most is not None else "—"
        try:
            given = play(limit.contestant)
            over = limit.at_most is not None and given["value"] > limit.at_most
            note = "; ".join(filter(None, ["above what is asked" if over else "", given.get("note", "")]))
            cells = (limit.work, f"{given['value']:.4g} {limit.unit}", asked, note)
        except FailureError as error:
            sound = False
            cells = (limit.work, "—", asked, f"FAILED: {error}")
        table.append(cells)
        print(_aligned(cells, widths), flush=True)
    return table, sound


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join([*(cell.ljust(width) for cell, width in zip(cells, widths, strict=False)), cells[-1]]).rstrip()


def markdown(header: Sequence[str], table: Iterable[Sequence[str]]) -> str:
    """A table as a Markdown page writes it."""
    rows = [header, ["---"] * len(header), *table]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def write_section(name: str, text: str, page: Path = PAGE) -> None:
    """Put `text` between the marks of a section of the page, in place of what stood there."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{page.name} has no section {name}")
    page.write_text(f"{before}{begin}{text}\n{end}{after}", encoding="utf-8")


def surroundings(libraries: Sequence[str]) -> str:
    """Machine, versions and day, in one line."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = [f"{name} {metadata.version(name)}" for name in libraries]
    parts = [f"{processors} × {_processor()}", _memory(), platform.system(), f"Python {platform.python_version()}"]
    return ", ".join([*filter(None, parts), *versions, f"{datetime.now(UTC):%Y-%m-%d}"])


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _memory() -> str:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return ""
    return f"{size / 2**30:.0f} GiB"
