"""γ and η as an experiment says them: a number, or a mapping that describes how the number changes in time."""

import bisect
import math
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, PlainSerializer, Strict, Tag, model_validator

from momentumlab.experiment.ranges import Keys, Range, Says, refused
from momentumlab.experiment.section import LONGEST, Count, Section
from momentumlab.optimizers import schedules
from momentumlab.optimizers.schedules import Described, Schedule, as_schedule
from momentumlab.text import shown

GAMMA = Range(0, 1, high_open=True, why="at 1 the velocity never decays; try 0.99")
ETA = Range(0, low_open=True, why="η is the length of a step; try 0.01")

_Point = Annotated[
    tuple[Annotated[int, Range(0, LONGEST)], float],
    Strict(False),  # a list, as YAML has it
    Says("must be a step and the value from there on, such as [100, 0.01]"),
    PlainSerializer(list),
]
_Steps = Annotated[
    Count | None, Field(description="Updates until it ends, after the warm-up; unless given, all that the run makes.")
]
_Rise = Annotated[
    float,
    Range(0, 1, low_open=True, high_open=True),
    Field(description="The share of the updates that η rises and γ falls."),
]
_Warmup = Annotated[
    Annotated[int, Range(0, LONGEST)] | None,
    Field(description="Updates that rise in equal parts to its first value, before it begins."),
]


class ScheduleSection(Section):
    schedule: str

    @abstractmethod
    def function(self, steps: int) -> Schedule:
        """It without its warm-up, in a run that makes `steps` updates after that."""

    def problems(self, bounds: Range) -> Iterable[tuple[Keys, str]]:
        """What is out of `bounds` however long the run is: (keys, whole sentence)."""
        for key in ("value", "start", "low", "end"):
            value = getattr(self, key, None)
            law = _later(bounds) if key == "end" else bounds
            if value is not None and value not in law:
                yield (key,), f"got {shown(value)}, {law.law}"


class ConstantSchedule(ScheduleSection):
    """The same number at every update, but for a warm-up."""

    schedule: Literal["constant"] = Field(description="The shape: always the same.")
    value: float = Field(description="The number.")
    warmup: _Warmup = None

    def function(self, steps: int) -> Schedule:
        del steps
        return schedules.constant(self.value)


class StepSchedule(ScheduleSection):
    """A number that is multiplied by `factor` once each of the updates counted in `at` is done."""

    schedule: Literal["step"] = Field(description="The shape: a stair.")
    value: float = Field(description="The number before the first change.")
    factor: float = Field(description="What it is multiplied by at each change.")
    at: Annotated[list[Count], Field(min_length=1)] = Field(
        description="Updates after which it changes: with [3] the 4th update is the first with value·factor."
    )
    warmup: _Warmup = None

    @model_validator(mode="after")
    def _at_ascends(self) -> Self:
        if sorted(set(self.at)) != self.at:
            raise refused([(("at",), f"got {shown(self.at)}, must be ascending")])
        return self

    def function(self, steps: int) -> Schedule:
        del steps
        return schedules.step_decay(self.value, self.factor, self.at)

    def problems(self, bounds: Range) -> Iterable[tuple[Keys, str]]:
        at_step = self.function(LONGEST)
        for step in (0, *self.at):
            if (value := _value(at_step, step)) not in bounds:
                yield ("factor" if step else "value",), _makes_it(value, step, bounds)
                return  # what comes after follows from it


class LinearSchedule(ScheduleSection):
    """A number that goes straight from `value` to `end`."""

    schedule: Literal["linear"] = Field(description="The shape: a straight line.")
    value: float = Field(description="The number that it begins with.")
    end: float = Field(default=0.0, description="The number that it ends with.")
    steps: _Steps = None
    warmup: _Warmup = None

    def function(self, steps: int) -> Schedule:
        return schedules.linear(self.value, self.end, self.steps or steps)


class CosineSchedule(ScheduleSection):
    """A number that goes from `value` to `end` along half a cosine wave."""

    schedule: Literal["cosine"] = Field(description="The shape: half a cosine wave.")
    value: float = Field(description="The number that it begins with.")
    end: float = Field(default=0.0, description="The number that it ends with.")
    steps: _Steps = None
    warmup: _Warmup = None

    def function(self, steps: int) -> Schedule:
        return schedules.cosine(self.value, self.end, self.steps or steps)


class ExponentialSchedule(ScheduleSection):
    """A number that is multiplied by `factor` after every update."""

    schedule: Literal["exponential"] = Field(description="The shape: the same factor after every update.")
    value: float = Field(description="The number that it begins with.")
    factor: Annotated[float, Range(0, low_open=True)] = Field(
        description="What it is multiplied by after every update."
    )
    warmup: _Warmup = None

    def function(self, steps: int) -> Schedule:
        del steps
        return schedules.exponential(self.value, self.factor)


class ListSchedule(ScheduleSection):
    """Numbers, each from its step on."""

    schedule: Literal["list"] = Field(description="The shape: as listed.")
    points: Annotated[list[_Point], Field(min_length=1)] = Field(
        description="Steps and numbers, such as [[0, 0.1], [100, 0.01]]: the 101st update is the first with 0.01."
    )
    warmup: _Warmup = None

    @property
    def value(self) -> float:
        """The number that it begins with."""
        return self.points[0][1]

    @model_validator(mode="after")
    def _steps_ascend(self) -> Self:
        steps = [step for step, _ in self.points]
        if steps[0] != 0:
            raise refused([(("points",), f"begins at step {steps[0]}, must begin at step 0, before the first update")])
        if sorted(set(steps)) != steps:
            raise refused([(("points",), f"got steps {shown(steps)}, must be ascending")])
        return self

    def function(self, steps: int) -> Schedule:
        del steps
        return schedules.points(self.points)

    def problems(self, bounds: Range) -> Iterable[tuple[Keys, str]]:
        for step, value in self.points:
            law = _later(bounds) if step else bounds
            if value not in law:
                yield ("points",), _makes_it(value, step, law)


class EtaCycleSchedule(ScheduleSection):
    """η up to `value` and down again, while γ may do the opposite."""

    schedule: Literal["one_cycle"] = Field(description="The shape: up, then down, along halves of a cosine wave.")
    value: float = Field(description="The highest η.")
    start: float | None = Field(default=None, description="The η that it begins with; value/25 unless given.")
    end: float | None = Field(default=None, description="The η that it ends with; value/250000 unless given.")
    rise: _Rise = 0.3
    steps: _Steps = None
    warmup: _Warmup = None

    def function(self, steps: int) -> Schedule:
        start = self.value / 25 if self.start is None else self.start
        end = self.value / 250_000 if self.end is None else self.end
        return schedules.one_cycle(start, self.value, end, self.steps or steps, self.rise)


class GammaCycleSchedule(ScheduleSection):
    """γ down to `low` and up again, while η does the opposite."""

    schedule: Literal["one_cycle"] = Field(description="The shape: down, then up, along halves of a cosine wave.")
    value: float = Field(default=0.95, description="The γ that it begins and ends with.")
    low: float = Field(default=0.85, description="The γ where η is highest.")
    rise: _Rise = 0.3
    steps: _Steps = None
    warmup: _Warmup = None

    def function(self, steps: int) -> Schedule:
        return schedules.one_cycle(self.value, self.low, self.value, self.steps or steps, self.rise)


class SutskeverSchedule(ScheduleSection):
    """γ that comes nearer to 1 the longer it trains."""

    schedule: Literal["sutskever"] = Field(description="The shape: 1 − 1/2, 1 − 1/4, 1 − 1/6 … up to value.")
    value: float = Field(default=0.99, description="The highest γ.")
    every: Count = Field(default=250, description="Updates between two changes.")
    warmup: _Warmup = None

    def function(self, steps: int) -> Schedule:
        del steps
        return schedules.sutskever(self.value, self.every)


class DemonSchedule(ScheduleSection):
    """γ that falls to 0 so that γ/(1 − γ) falls along a line."""

    schedule: Literal["demon"] = Field(description="The shape: decaying momentum.")
    value: float = Field(default=0.9, description="The γ that it begins with.")
    steps: _Steps = None
    warmup: _Warmup = None

    def function(self, steps: int) -> Schedule:
        return schedules.demon(self.value, self.steps or steps)


_ForBoth = (
    ConstantSchedule | StepSchedule | LinearSchedule | CosineSchedule | ExponentialSchedule | ListSchedule
)  # fmt: skip
_GammaSchedule = Annotated[
    _ForBoth | GammaCycleSchedule | SutskeverSchedule | DemonSchedule, Field(discriminator="schedule")
]
_EtaSchedule = Annotated[_ForBoth | EtaCycleSchedule, Field(discriminator="schedule")]


def out_of_range(setting: float | Described, bounds: Range, steps: int) -> str | None:
    """What the first of a run's `steps` updates whose value is not in `bounds` makes of it; None where all are.

    For a setting that was read, so that all of its values lie in `bounds` but for those that only the length of the
    run decides: an exponential schedule's. η may come down to 0.
    """
    if isinstance(setting, int | float):
        return None
    at_step, law = as_schedule(setting, steps), _later(bounds)
    if _value(at_step, steps - 1) in law:
        return None
    # Such a schedule goes in one direction: once out of range, always.
    first = bisect.bisect_left(range(steps), True, key=lambda step: _value(at_step, step) not in law)
    return _makes_it(_value(at_step, first), first, law)


def _value(at_step: Schedule, step: int) -> float:
    try:
        return at_step(step)
    except OverflowError:
        return math.inf


def _later(bounds: Range) -> Range:
    """The law of all values but the first: to come down to 0 is how many schedules of η end."""
    return replace(bounds, low_open=False)


def _makes_it(value: float, step: int, bounds: Range) -> str:
    law = bounds.law if math.isfinite(value) else "must be finite"
    return f"makes it {shown(value)} at update {step + 1}, {law}"


def _stays_in(bounds: Range) -> AfterValidator:
    """A number or a schedule whose values are within `bounds`, as far as they are known without the run's length."""

    def check(setting: float | ScheduleSection) -> float | ScheduleSection:
        if not isinstance(setting, ScheduleSection):
            return bounds.check(setting)
        if problems := list(setting.problems(bounds)):
            raise refused(problems)
        return setting

    return AfterValidator(check)


def _shape(setting: Any) -> str:
    return "a schedule" if isinstance(setting, dict | ScheduleSection) else "a number"


# The ranges stand twice: at the number for the JSON Schema, around both shapes for the values of a schedule.
Gamma = Annotated[
    Annotated[Annotated[float, GAMMA], Tag("a number")] | Annotated[_GammaSchedule, Tag("a schedule")],
    Discriminator(_shape),
    _stays_in(GAMMA),
]
Eta = Annotated[
    Annotated[Annotated[float, ETA], Tag("a number")] | Annotated[_EtaSchedule, Tag("a schedule")],
    Discriminator(_shape),
    _stays_in(ETA),
]
