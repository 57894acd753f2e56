"""The cells of a grid: each a run with its experiment, made one by one or, of a regular grid, when it is asked for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, overload

from pydantic import ValidationError

from momentumlab.errors import ConfigError
from momentumlab.experiment.changes import changed, value_key
from momentumlab.experiment.explain import given, problems
from momentumlab.experiment.keys import short_key
from momentumlab.experiment.schema import Experiment
from momentumlab.experiment.schema_optimizer import has_gamma

NUMBERS = ("optimizer.gamma", "optimizer.eta", "seed")
"""The keys of axes whose values are numbers, each valid whatever the others are."""


@dataclass(frozen=True)
class Cell:
    """One run of the grid: its number, what is varied in it by short key, and its whole experiment."""

    run: int
    values: dict[str, Any]
    experiment: Experiment

    def said(self, name: str) -> Any:
        """What runs.csv says of it: its number, γ and η as typed (a schedule's `value`), its seed, a varied key.

        An empty text where there is no such key.
        """
        if name in {"gamma", "eta"}:
            setting = getattr(self.experiment.optimizer, name)
            return getattr(setting, "value", setting)
        if name == "run":
            return self.run
        return self.experiment.seed if name == "seed" else self.values.get(name, "")


def cell_of(run: int, written: dict[str, Any], combination: dict[str, Any], named: Mapping[str, Any]) -> Cell:
    """The cell in which the values of `combination`, by full key, are written over what the user said.

    Raises ConfigError with every problem, each with the values `named`.
    """
    data = changed(written, {value_key(key, written): value for key, value in combination.items()})
    optimizer = data.get("optimizer", {})
    if "optimizer.gamma" in combination and not has_gamma(optimizer.get("kind", "momentum")):
        del optimizer["gamma"]  # without a γ it is the same training in every cell of this axis
    try:
        return Cell(run, combination, Experiment.model_validate(data))
    except ValidationError as error:
        where = "with " + ", ".join(f"{short_key(key)}={given(value)}" for key, value in named.items())
        raise ConfigError([problem.line(where) for problem in problems(error, data)]) from None


def training(cell: Cell) -> str:
    """All that decides what is trained in a cell, as a text."""
    return cell.experiment.model_dump_json(exclude={"name"})


def with_numbers(experiment: Experiment, numbers: Mapping[str, float]) -> Experiment:
    """The experiment with these numbers for γ, η or seed, by short key, in place of those it was validated with."""
    of_optimizer = {key: number for key, number in numbers.items() if key != "seed"}
    of_experiment: dict[str, Any] = {key: number for key, number in numbers.items() if key == "seed"}
    return experiment.settled(optimizer=experiment.optimizer.settled(**of_optimizer), **of_experiment)


@dataclass(frozen=True)
class Wheel:
    """Short keys of γ, η or seed that advance together, and their numbers at each position."""

    keys: tuple[str, ...]
    rows: Sequence[tuple[float, ...]]


@dataclass(frozen=True)
class Lattice(Sequence[Cell]):
    """Cells that differ in γ, η and seed alone around a few templates: a million of them take no more room than one.

    The outer wheels turn slowest, the first of them slowest of all, then come the templates, then the inner wheel. A
    template is a whole cell; what the wheels hold takes the place of its numbers.
    """

    outer: tuple[Wheel, ...]
    templates: tuple[Cell, ...]
    inner: Wheel
    chosen: tuple[int, ...]  # the templates whose cells these are
    places: range  # which of their cells

    @classmethod
    def of(cls, outer: tuple[Wheel, ...], templates: Sequence[Cell], inner: Wheel) -> Self:
        """All cells of these wheels and templates."""
        whole = cls(outer, tuple(templates), inner, tuple(range(len(templates))), range(0))
        return replace(whole, places=range(whole._size))

    @property
    def examples(self) -> tuple[Cell, ...]:
        """A cell of each template."""
        return tuple(self.templates[number] for number in self.chosen)

    def around(self, examples: Sequence[int]) -> Self:
        """All cells around some of the `examples`, by their places."""
        part = replace(self, chosen=tuple(self.chosen[place] for place in examples))
        return replace(part, places=range(part._size))

    def column(self, name: str) -> list[Any]:
        """What `Cell.said` gives for each of the cells."""
        seeds, templates = len(self.inner.rows), len(self.chosen)
        if name == "run":
            stride = seeds * len(self.templates)
            starts = [number * seeds for number in self.chosen]
            blocks = (divmod(place, seeds * templates) for place in self.places)
            return [turns * stride + starts[inside // seeds] + inside % seeds for turns, inside in blocks]
        stride = seeds * templates
        for wheel in reversed(self.outer):
            if name in wheel.keys:
                return self._turning([row[wheel.keys.index(name)] for row in wheel.rows], stride)
            stride *= len(wheel.rows)
        if name in self.inner.keys:
            return self._turning([seed for (seed,) in self.inner.rows], 1)
        return self._turning([template.said(name) for template in self.examples], seeds)

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, place: int) -> Cell: ...
    @overload
    def __getitem__(self, place: slice) -> Self: ...
    def __getitem__(self, place: int | slice) -> Cell | Self:
        if isinstance(place, slice):
            return replace(self, places=self.places[place])
        return self._cell(self.places[place])

    def __iter__(self) -> Iterator[Cell]:
        return map(self._cell, self.places)

    @property
    def _size(self) -> int:
        size = len(self.chosen) * len(self.inner.rows)
        for wheel in self.outer:
            size *= len(wheel.rows)
        return size

    def _turning(self, values: Sequence[Any], stride: int) -> list[Any]:
        """One of `values` for each of the cells, the next one after every `stride` of them."""
        return [values[place // stride % len(values)] for place in self.places]

    def _cell(self, place: int) -> Cell:
        turns, inside = divmod(place, len(self.inner.rows))
        turns, chosen = divmod(turns, len(self.chosen))
        number = self.chosen[chosen]
        run = (turns * len(self.templates) + number) * len(self.inner.rows) + inside
        numbers: dict[str, float] = {}
        for wheel in reversed(self.outer):
            turns, position = divmod(turns, len(wheel.rows))
            numbers = dict(zip(wheel.keys, wheel.rows[position], strict=True)) | numbers
        seed = dict(zip(self.inner.keys, self.inner.rows[inside], strict=True))
        template = self.templates[number]
        return Cell(run, numbers | template.values | seed, with_numbers(template.experiment, numbers | seed))


def column(cells: Sequence[Cell], name: str) -> Sequence[Any]:
    """What `Cell.said` gives for each of the cells; of a lattice without making them."""
    return cells.column(name) if isinstance(cells, Lattice) else [cell.said(name) for cell in cells]


def examples(cells: Sequence[Cell]) -> Sequence[Cell]:
    """Cells that have among them all that the cells have but for numbers: one of each template, otherwise all."""
    return cells.examples if isinstance(cells, Lattice) else cells


def around(cells: Sequence[Cell], places: Sequence[int]) -> Sequence[Cell]:
    """The cells that some of their `examples` stand for, by the places of these."""
    return cells.around(places) if isinstance(cells, Lattice) else tuple(cells[place] for place in places)
