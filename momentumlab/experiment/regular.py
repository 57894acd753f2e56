"""Regular grids: γ, η and seed around a few templates, of which only a handful of cells is validated."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any

from momentumlab.errors import ConfigError
from momentumlab.experiment.axes import Axis
from momentumlab.experiment.cells import NUMBERS, Cell, Lattice, Wheel, cell_of, training, with_numbers
from momentumlab.experiment.changes import value_key
from momentumlab.experiment.keys import full_key, short_key
from momentumlab.experiment.schema_optimizer import RuleOptimizer, has_gamma

MOST_LINES = 10
"""Problems of cells that are shown; the rest is counted."""

Labelled = Callable[[list[Cell]], Sequence[Cell]]


def lattice(
    written: dict[str, Any], axes: Sequence[Axis], zipped: bool, labelled: Labelled
) -> tuple[Lattice, int] | None:
    """The cells of a regular grid but for repeated ones, and how many those are; None where it is not regular.

    It is regular where the axes' γ and η are numbers that rules of our own have in every cell: by nothing else do the
    cells around a template differ then. `labelled` says what tells templates apart. Raises ConfigError with a line for
    each value that cannot be.
    """
    numbers = [axis for axis in axes if axis.key in NUMBERS]
    others = [axis for axis in axes if axis.key not in NUMBERS]
    if not numbers or (zipped and others) or any(value_key(axis.key, written) != axis.key for axis in numbers):
        return None
    *outer, inner = wheels = list(_wheels(numbers, zipped))
    middle = _at(wheels, [sorted(wheel.rows)[len(wheel.rows) // 2] for wheel in wheels])
    rows = itertools.product(*(axis.values for axis in others))
    combinations = [dict(zip((axis.key for axis in others), row, strict=True)) for row in rows]
    templates = _validated(written, combinations, wheels, middle)
    if templates is None or len(set(map(training, templates))) < len(templates):
        return None
    cells = Lattice.of(tuple(outer), labelled(templates), inner)
    every = [len(axis.values) for axis in axes[: 1 if zipped else None]]
    every += [len(axis.values) for axis in axes[1:] if zipped and axis.key == "seed"]
    return cells, math.prod(every) - len(cells)


def _wheels(numbers: Sequence[Axis], zipped: bool) -> Iterator[Wheel]:
    """γ and η, together if they are zipped, then the seed, each with its different values."""
    outer = [axis for axis in numbers if axis.key != "seed"]
    together = [outer] if zipped and outer else [[axis] for axis in outer]
    for axes in [*together, [axis for axis in numbers if axis.key == "seed"]]:
        rows = list(zip(*(axis.values for axis in axes), strict=True)) or [()]
        if len(set(rows)) < len(rows):
            rows = list({repr(row): row for row in rows}.values())  # −0 is not 0
        yield Wheel(tuple(short_key(axis.key) for axis in axes), rows)


def _at(wheels: Sequence[Wheel], rows: Sequence[tuple[float, ...]]) -> dict[str, float]:
    """The numbers of the wheels by short key, each wheel at one of its rows."""
    pairs = zip(wheels, rows, strict=True)
    return {key: number for wheel, row in pairs for key, number in zip(wheel.keys, row, strict=True)}


def _validated(
    written: dict[str, Any], combinations: Sequence[dict[str, Any]], wheels: Sequence[Wheel], middle: dict[str, float]
) -> list[Cell] | None:
    """A template of each combination, whose numbers are the middle ones; None where one is not regular.

    What is said of γ, η or a seed holds between any two numbers for which it holds, whatever the other two are: the
    lowest and the highest of each stand for all of them.
    """
    places = [(wheel, place) for wheel in wheels for place in range(len(wheel.keys))]
    templates: list[Cell] = []
    lines: dict[str, None] = {}
    for combination in combinations:
        try:
            template = _cell(written, combination, middle)
        except ConfigError as error:
            lines |= dict.fromkeys(error.problems)
            continue
        templates.append(template)
        every = [template]
        for wheel, place in places:
            ascending = sorted(wheel.rows, key=itemgetter(place))
            for rows in (ascending, ascending[::-1]):
                made, problems = _first_that_can_be(rows, wheel, written, combination, middle)
                every += made
                lines |= dict.fromkeys(problems)
        if not all(_is_regular(cell, template) for cell in every):
            return None
    if lines:
        raise ConfigError([*list(lines)[:MOST_LINES], *(["and more"] if len(lines) > MOST_LINES else [])])
    return templates


def _first_that_can_be(
    rows: Sequence[tuple[float, ...]],
    wheel: Wheel,
    written: dict[str, Any],
    combination: dict[str, Any],
    middle: dict[str, float],
) -> tuple[list[Cell], list[str]]:
    """The cell of the first row that can be, if it is among the first few, and what is wrong with those before it."""
    lines: list[str] = []
    for row in rows[: MOST_LINES + 1]:
        try:
            return [_cell(written, combination, middle | _at([wheel], [row]), wheel.keys)], lines
        except ConfigError as error:
            lines += error.problems
    return [], lines


def _cell(
    written: dict[str, Any], combination: dict[str, Any], numbers: dict[str, float], told: Sequence[str] = ()
) -> Cell:
    """A cell with its numbers as values; without a combination, the numbers `told` are named in what is wrong."""
    full = {full_key(key): number for key, number in numbers.items()}
    named = combination or {key: number for key, number in full.items() if short_key(key) in told} or full
    return replace(cell_of(0, written, full | combination, named), values=numbers | combination)


def _is_regular(cell: Cell, template: Cell) -> bool:
    """Whether the cell is the template but for its numbers, which a rule of ours has."""
    optimizer = cell.experiment.optimizer
    numbers = {key: value for key, value in cell.values.items() if full_key(key) in NUMBERS}
    ours = isinstance(optimizer, RuleOptimizer) and ("gamma" not in numbers or has_gamma(optimizer.kind))
    return ours and cell.experiment == with_numbers(template.experiment, numbers)
