"""γ and η as numbers or as functions of the step, resolved in one place.

A schedule maps `step`, the number of updates already done, to the value that the next update uses.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

Schedule = Callable[[int], float]


class StepShape(Protocol):
    """What a `step` schedule is described by: see `step_decay`."""

    @property
    def value(self) -> float: ...
    @property
    def factor(self) -> float: ...
    @property
    def at(self) -> Sequence[int]: ...


def constant(value: float) -> Schedule:
    """The same value at every step."""
    return lambda step: value


def step_decay(value: float, factor: float, at: Sequence[int]) -> Schedule:
    """`value`, multiplied by `factor` once each of the updates counted in `at` is done.

    at=[3]: updates 1, 2 and 3 use `value`, the 4th is the first that uses `value * factor`.
    """
    return lambda step: value * factor ** sum(step >= done for done in at)


def as_schedule(given: float | StepShape) -> Schedule:
    """The function of the step that a number or a described schedule stands for."""
    if isinstance(given, int | float):
        return constant(float(given))
    return step_decay(given.value, given.factor, given.at)
