"""Tables of what was measured, on the terminal and in docs/performance.md, and the command of every benchmark."""

import argparse
import math
import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from framework import REPOSITORY, FailureError, Limit, Line, Row, measure, play

PAGE = REPOSITORY / "docs" / "performance.md"
HEADER = ("work", "ours", "beside", "theirs", "ratio", "asked", "notes")
LIMITS_HEADER = ("work", "measured", "asked", "notes")


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
        compared = markdown(HEADER, (cells(line) for line in lines)) if lines else ""
        tables = [compared, markdown(LIMITS_HEADER, found) if found else ""]
        write_section(name, "\n\n".join(filter(None, [about, *tables])))
    return int(not sound or any(line.failure for line in lines))


# ---- printing ------------------------------------------------------------------------------------------------


def cells(line: Line) -> tuple[str, ...]:
    """A line as the table shows it, in the order of HEADER."""
    asked = f"{line.at_least:g}×" if line.at_least is not None else "—"
    if line.failure:
        return line.work, duration(line.ours), line.beside, "—", "—", asked, line.failure
    below = line.at_least is not None and line.ratio < line.at_least
    note = "; ".join(filter(None, ["below what is asked" if below else "", line.note]))
    return line.work, duration(line.ours), line.beside, duration(line.theirs), _times(line.ratio), asked, note


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
            print(_aligned(cells(line), widths), flush=True)
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
            found = (limit.work, f"{given['value']:.4g} {limit.unit}", asked, note)
        except FailureError as error:
            sound = False
            found = (limit.work, "—", asked, f"FAILED: {error}")
        table.append(found)
        print(_aligned(found, widths), flush=True)
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
