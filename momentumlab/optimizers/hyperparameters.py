"""The hyperparameters of everything that can be converted: which, in what range, and as exact numbers."""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from numbers import Real
from typing import Any, NamedTuple

from momentumlab.errors import ConfigError
from momentumlab.optimizers.quasi_hyperbolic import WRITTEN, Values, hyperparameters, rounded
from momentumlab.optimizers.schedules import Schedule
from momentumlab.text import nearest, safe, shown

SCHEDULED = ("gamma", "eta")
LISTS = ("gammas", "weights")
OPTIONAL = ("weights",)  # aggmo's: 1/K each


class Law(NamedTuple):
    """What a number must be, and how one is typed."""

    holds: Callable[[float | Fraction], bool]
    says: str
    example: str = ""


def _is_share(number: float | Fraction) -> bool:
    return 0 <= number < 1


def _is_above_zero(number: float | Fraction) -> bool:
    return 0 < number < math.inf


def _is_finite(number: float | Fraction) -> bool:
    return -math.inf < number < math.inf


_SHARE = "must be in [0, 1): at 1 the velocity never decays"
_ABOVE = "must be greater than 0 and finite"
_FINITE = "must be a finite number"
LAWS = {
    "gamma": Law(_is_share, _SHARE, "--gamma 0.9"),
    "eta": Law(_is_above_zero, _ABOVE, "--eta 0.1"),
    "nu": Law(_is_finite, _FINITE, "--set nu=0.7"),
    "gammas": Law(_is_share, _SHARE, "--set gammas=[0,0.9]"),
    "weights": Law(_is_finite, _FINITE),
    "beta1": Law(_is_share, _SHARE, "--set beta1=0.9"),
    "beta2": Law(_is_finite, _FINITE, "--set beta2=0.9"),
    "smoothness": Law(_is_above_zero, _ABOVE, "--set smoothness=100"),
    "convexity": Law(_is_above_zero, _ABOVE, "--set convexity=1"),
    "beta": Law(lambda number: 0 <= number <= 1, "must be in [0, 1]", "--set beta=0.9"),
    "c": Law(lambda number: 0 < number <= 1, "must be in (0, 1]", "--set c=0.1"),
    "proportional": Law(_is_finite, _FINITE, "--set proportional=-0.9"),
    "integral": Law(_is_above_zero, _ABOVE, "--set integral=0.1"),
    "derivative": Law(_is_finite, _FINITE, "--set derivative=8.1"),
}
_COMES_DOWN = Law(lambda number: 0 <= number < math.inf, "must be 0 or more, and finite")  # η at a schedule's end


def exact(source: str, given: Mapping[str, Any], steps: int) -> list[Values]:
    """The source's hyperparameters in each of `steps` updates; ConfigError with everything that is wrong with them."""
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ConfigError(f"steps: got {shown(steps)}, must be a whole number, at least 1")
    given = {name: value for name, value in given.items() if value is not None}
    problems = [*_misnamed(source, given), *_out_of_range(source, given, steps)]
    if problems:
        raise ConfigError(problems)
    constants = {name: _exact(value) for name, value in given.items() if not callable(value)}
    if source == "aggmo":
        constants.setdefault("weights", [Fraction(1, len(constants["gammas"]))] * len(constants["gammas"]))
    schedules = {name: value for name, value in given.items() if callable(value)}
    return [constants | {name: _exact(schedule(step)) for name, schedule in schedules.items()} for step in range(steps)]


def inexact(values: Values, about: str) -> dict[str, float | list[float]]:
    """`values` as floats; ConfigError where one is out of its range."""
    floats = {
        name: [rounded(one) for one in value] if isinstance(value, list) else rounded(value)
        for name, value in values.items()
    }
    refuse(floats, about)
    return floats


def refuse(values: Mapping[str, Any], about: str) -> None:
    """ConfigError where one of the results that `about` gives is out of its range."""
    problems = [
        f"{about}: {name} would be {rounded(number):.6g}, {LAWS[name].says}"
        for name, value in values.items()
        for number in (value if isinstance(value, list) else [value])
        if not LAWS[name].holds(number)
    ]
    if problems:
        raise ConfigError(problems)


def wrong(name: str, value: Any) -> str | None:
    """What is wrong with a hyperparameter that is a number or a list of them, in words; None where nothing is."""
    law = LAWS[name]
    if name not in LISTS:
        return None if law.holds(_number(value)) else f"got {shown(value)}, {law.says}"
    if not isinstance(value, list | tuple) or not value:
        return f"got {shown(value)}, must be a list such as [0, 0.9]"
    bad = [one for one in value if not law.holds(_number(one))]
    return f"got {shown(bad[0])} in {shown(value)}, each {law.says}" if bad else None


def uneven(given: Mapping[str, Any]) -> str | None:
    """What is wrong with the lengths of aggmo's lists, in words; None where nothing is."""
    lengths = {name: len(given[name]) for name in LISTS if isinstance(given.get(name), list | tuple) and given[name]}
    counts = " and ".join(f"{count} {name}" for name, count in lengths.items())
    return f"got {counts}, must be one weight for each of gammas" if len(set(lengths.values())) > 1 else None


def _misnamed(source: str, given: Mapping[str, Any]) -> list[str]:
    takes = hyperparameters(source)
    problems = [f"{source} needs {name}: {LAWS[name].example}" for name in takes if name not in {*given, *OPTIONAL}]
    for name in given:
        if name not in takes:
            guess = nearest(name, takes)
            problems.append(
                f"{source}: unknown hyperparameter {safe(name)}. Allowed: {', '.join(takes)}."
                + (f" Did you mean {guess!r}?" if guess else "")
            )
    return problems


def _out_of_range(source: str, given: Mapping[str, Any], steps: int) -> list[str]:
    known = [name for name in hyperparameters(source) if name in given]
    problems = [f"{source}: {name}: {words}" for name in known if (words := _wrong(source, name, given[name], steps))]
    lengths = uneven(given)
    return problems + ([f"{source}: {lengths}"] if lengths else [])


def _wrong(source: str, name: str, value: Any, steps: int) -> str | None:
    """What is wrong with one hyperparameter, in words."""
    if callable(value):
        if name in SCHEDULED and source in WRITTEN:
            return _wrong_schedule(name, value, steps)
        return f"got a schedule, must be a number: only {' and '.join(SCHEDULED)} of {', '.join(WRITTEN)} can have one"
    return wrong(name, value)


def _wrong_schedule(name: str, schedule: Schedule, steps: int) -> str | None:
    """The first update with a value out of range; η may come down to 0, but not begin there."""
    for step in range(steps):
        law = _COMES_DOWN if name == "eta" and step else LAWS[name]
        value = _value_at(schedule, step)
        if not law.holds(value):
            return f"its schedule makes it {value:.6g} at update {step + 1}, {law.says}"
    return None


def _value_at(schedule: Schedule, step: int) -> float:
    try:
        return _number(schedule(step))
    except OverflowError:
        return math.inf


def _number(value: Any) -> float:
    """A number as a float, an infinity beyond all floats; anything else as nan, which is in no range."""
    try:
        return float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    except OverflowError:
        return math.inf


def _exact(value: Any) -> Any:
    """Numbers as they are typed: 0.1 is a tenth."""
    return [_exact(one) for one in value] if isinstance(value, list | tuple) else Fraction(repr(float(value)))
