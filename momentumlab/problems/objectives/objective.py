"""What an objective is: a formula with its gradient, and where it is worth looking."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from momentumlab.arrays import Array

Formula = Callable[[Array, Any], Array]
Point = tuple[float, ...]


@dataclass(frozen=True)
class Objective:
    """A function J(θ) to minimise."""

    name: str
    formula: str  # J in mathtext, for a title
    value: Formula  # (theta (run, parameter), xp) -> (run,)
    gradient: Formula  # (theta (run, parameter), xp) -> (run, parameter), in closed form
    domain: tuple[tuple[float, float], ...]  # (low, high) of every coordinate
    start: Point  # where runs begin unless the experiment says
    minima: tuple[Point, ...]  # the known minima, global ones first; () where none is known or they fill a curve
    source: str

    @property
    def dimension(self) -> int:
        """How many parameters θ has."""
        return len(self.domain)
