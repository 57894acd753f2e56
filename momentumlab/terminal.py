"""How the commands speak: tables, bars and words, each to the stream and in the form that whoever reads needs."""

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from momentumlab.text import safe

if TYPE_CHECKING:
    from momentumlab.summary import Table

_LINES_AT_ONCE = 1000


def say_all(lines: Iterable[str]) -> None:
    """Say each of the lines."""
    for line in lines:
        say(line)


def say(text: str) -> None:
    """A message, to the standard error."""
    sys.stdout.flush()  # so that a pipe of both keeps the order in which they were written
    typer.echo("\n".join(map(safe, text.split("\n"))), err=True)


@contextmanager
def progress(quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A bar for the training."""
    # On a terminal, nothing in a pipe or for work that is done before anybody looks.
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("updates"), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=4)
    task = bar.add_task("training", total=None)

    def advance(done: int, total: int) -> None:
        bar.start()  # with the first update: what is found needs no bar
        bar.update(task, completed=done, total=total)

    try:
        yield advance
    finally:
        bar.stop()


def print_table(table: "Table") -> None:
    """A result: a table on a terminal, tabs between the cells in a pipe."""
    if not sys.stdout.isatty():
        lines = table.tabbed()
        while some := list(itertools.islice(lines, _LINES_AT_ONCE)):
            typer.echo("\n".join(some))
        return
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(box=None, pad_edge=False, header_style="bold")
    for name in table.header:
        drawn.add_column(Text(safe(name)), overflow="fold")
    for row in table.rows:
        drawn.add_row(*(Text(safe(cell)) for cell in row))
    Console().print(drawn)


def print_json(value: Any) -> None:
    """A result as one line of JSON."""
    import json

    text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)
    if not text.isprintable():  # of what steers a terminal JSON lets pass most
        text = "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in text)
    typer.echo(text)
