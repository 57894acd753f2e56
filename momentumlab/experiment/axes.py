"""The axes of a grid: what `--gamma 0,0.5,0.9` and `log:1e-3:1:7` stand for.

0,0.5,0.9          the values themselves; commas inside [ ], { } and quotes do not part
lin:0:0.99:64      64 values, evenly spaced from 0 to 0.99
log:1e-3:1:7       7 values, each the same multiple of the one before
1-log:1e-3:0.3:7   1 − x for such values x: γ close to 1
0..4               whole numbers, both ends
"""

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from momentumlab.errors import ConfigError
from momentumlab.experiment.explain import given, law
from momentumlab.experiment.keys import full_key, plain, unknown
from momentumlab.experiment.schema_schedules import ETA, GAMMA
from momentumlab.experiment.section import Seed
from momentumlab.experiment.strict_yaml import number_or_text, parse_value
from momentumlab.text import shown

LONGEST_AXIS = 10**6
_COUNTED = re.compile(r"\s*(-?\d{1,18})\s*\.\.\s*(-?\d{1,18})\s*")
_SPACED = re.compile(r"\s*(lin|log|1-log)\s*:(.*)")


@dataclass(frozen=True)
class Axis:
    """One thing that is varied: its full dotted key and its values in order."""

    key: str
    values: tuple[Any, ...]
    text: str | None = field(default=None, compare=False)  # as it was typed, if it was


def axis(key: str, values: Any) -> Axis:
    """The axis `key` with `values`: a text such as "0,0.5" or "log:1e-3:1:7", a list, or one value.

    Numbers of γ, η and seed are checked here. Raises ConfigError without the place, which the caller knows.
    """
    key = full_key(key)
    if problem := unknown(key):
        raise ConfigError(problem)
    if key in {"name", "sweep", "train.threads", "train.device"} or key.partition(".")[0] == "expect":
        raise ConfigError(f"{key} cannot be varied" + (": it decides no number" if "." in key else ""))
    elements = _parsed(values) if isinstance(values, str) else _elements(values, key)
    if not elements:
        raise ConfigError("got no values, must be a list such as [0, 0.9] or values such as lin:0:0.99:64")
    elements = [_seen_from_here(key, element) for element in elements]
    text = values if isinstance(values, str) else None
    return Axis(key, _checked(key, elements, f" of {shown(text)}" if text else ""), text)


def _seen_from_here(key: str, element: Any) -> Any:
    # A path is seen from where the command is typed, so that the result repeats it from anywhere; a file's is absolute.
    if key in {"data", "optimizer"} and isinstance(element, dict) and "path" in element:
        return element | {"path": _seen_from_here(f"{key}.path", element["path"])}
    is_path = key in {"data.path", "optimizer.path"} and isinstance(element, str) and element and "\0" not in element
    return os.path.abspath(element) if is_path else element


def parse_values(text: str, key: str) -> list[Any]:
    """The values that `text` stands for, in order; `key` is what a ConfigError calls their place."""
    try:
        return _parsed(text)
    except ConfigError as error:
        raise ConfigError([f"{key}: {problem}" for problem in error.problems]) from None


def _parsed(text: str) -> list[Any]:
    if spaced := _SPACED.fullmatch(text):
        return _spaced(spaced[1], spaced[2], f"got {shown(text)}")
    if counted := _COUNTED.fullmatch(text):
        return _counted(int(counted[1]), int(counted[2]), f"got {shown(text)}")
    parts = _split(text)
    for index, part in enumerate(parts):
        if not part.strip():
            raise ConfigError(f"element {index + 1} of {shown(text)} is empty: values are parted by one comma")
    return [parse_value(part) for part in parts]


def _elements(values: Any, key: str) -> list[Any]:
    values = plain(values, ("sweep", key))
    return values if isinstance(values, list) else [values]


def _checked(key: str, elements: list[Any], quoted: str) -> tuple[Any, ...]:
    check = _checks().get(key)
    if check is None:
        return tuple(plain(element, ("sweep", key, index)) for index, element in enumerate(elements))
    values, problems = [], []
    for index, element in enumerate(elements):
        try:
            values.append(check.validate_python(element))
        except ValidationError as error:
            problems.append(f"element {index + 1}{quoted} is {given(element)}: {law(error)}")
    if problems:
        raise ConfigError(problems)
    return tuple(values)


@cache
def _checks() -> dict[str, TypeAdapter[Any]]:
    strict = ConfigDict(strict=True, allow_inf_nan=False)
    return {
        "optimizer.gamma": TypeAdapter(Annotated[float, GAMMA], config=strict),
        "optimizer.eta": TypeAdapter(Annotated[float, ETA], config=strict),
        "seed": TypeAdapter(Seed, config=strict),
    }


def _counted(first: int, last: int, got: str) -> list[int]:
    if last < first:
        raise ConfigError(f"{got}, must ascend: write {last}..{first}")
    _fits(last - first + 1, got)
    return list(range(first, last + 1))


def _spaced(spacing: str, bounds: str, got: str) -> list[float]:
    try:
        low, high, count = (number_or_text(part.strip()) for part in bounds.split(":"))
    except ValueError:
        raise ConfigError(f"{got}, must read {spacing}:LOW:HIGH:COUNT, such as {_EXAMPLES[spacing]}") from None
    if not all(_is_number(bound) for bound in (low, high)):
        raise ConfigError(f"{got}, its two bounds must be finite numbers: such as {_EXAMPLES[spacing]}")
    if spacing != "lin" and min(low, high) <= 0:
        raise ConfigError(f"{got}, its two bounds must be greater than 0: such as {_EXAMPLES[spacing]}")
    if not isinstance(count, int) or count < 1:
        raise ConfigError(f"{got}, its count must be a whole number of at least 1: such as {_EXAMPLES[spacing]}")
    _fits(count, got)
    return _SPACINGS[spacing](float(low), float(high), count)


_EXAMPLES = {"lin": "lin:0:0.99:64", "log": "log:1e-3:1:7", "1-log": "1-log:1e-3:0.3:7"}


def _fits(count: int, got: str) -> None:
    if count > LONGEST_AXIS:
        raise ConfigError(f"{got}, which makes {count} values: an axis has at most {LONGEST_AXIS}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _evenly(low: float, high: float, count: int) -> list[float]:
    """Both ends exactly as typed; between them numbers of at most 14 digits, for tables and legends."""
    return [low, *(_short(number) for number in _between(low, high, count)), high][:count]


def _evenly_in_log(low: float, high: float, count: int) -> list[float]:
    exponents = _between(math.log10(low), math.log10(high), count)
    return [low, *(_short(10**exponent) for exponent in exponents), high][:count]


def _below_one(low: float, high: float, count: int) -> list[float]:
    return [_short(1 - x) for x in _evenly_in_log(low, high, count)]


def _between(low: float, high: float, count: int) -> list[float]:
    return [low + (high - low) * index / (count - 1) for index in range(1, count - 1)]


def _short(number: float) -> float:
    return float(f"{number:.14g}")


_SPACINGS: dict[str, Callable[[float, float, int], list[float]]] = {
    "lin": _evenly,
    "log": _evenly_in_log,
    "1-log": _below_one,
}


def _split(text: str) -> list[str]:
    """`text` at its commas, but for those within brackets and quotes."""
    parts: list[str] = []
    start, depth, quote, before = 0, 0, "", ""
    for place, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"" and before in {"", "[", "{", ",", ":"}:
            quote = character
        elif character == "," and depth == 0:
            parts.append(text[start:place])
            start, before = place + 1, ""
            continue
        depth += (character in "[{") - (character in "]}") if not quote else 0
        before = before if character.isspace() else character
    return [*parts, text[start:]]
