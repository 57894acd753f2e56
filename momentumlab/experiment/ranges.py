"""Ranges and laws as data: one object checks a value, words the error and writes the JSON Schema.

Two kinds of error leave this file; `explain.py` puts the place before them.
    law       the value breaks the law: "got 1.2, must be in [0, 1): …"
    problems  whole sentences, each with the keys that it is about
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

Keys = tuple[str, ...]


def broken(law: str) -> PydanticCustomError:
    """The error of a value that breaks `law`, a phrase such as "must be ascending"."""
    return PydanticCustomError("law", "{law}", {"law": law})


def refused(problems: Iterable[tuple[Keys, str]]) -> PydanticCustomError:
    """The error of a section whose parts disagree: (keys below it, whole sentence) for each problem."""
    return PydanticCustomError("problems", "several problems", {"problems": list(problems)})


@dataclass(frozen=True)
class Range:
    """The finite numbers from `low` to `high`; `why` ends the sentence with a reason or a way out."""

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False
    why: str = ""

    def __contains__(self, number: float) -> bool:
        above = number > self.low if self.low_open else number >= self.low
        below = number < self.high if self.high_open else number <= self.high
        return -math.inf < number < math.inf and above and below

    @property
    def law(self) -> str:
        """What a number must be, as an error says it."""
        return f"must be {self._bounds()}" + (f": {self.why}" if self.why else "")

    def check(self, number: float) -> float:
        """`number` itself when it is inside; otherwise the error that says the law."""
        if number not in self:
            raise broken(self.law)
        return number

    def _bounds(self) -> str:
        if self.high == math.inf:
            return f"{'greater than' if self.low_open else 'at least'} {self.low}"
        return f"in {'(' if self.low_open else '['}{self.low}, {self.high}{')' if self.high_open else ']'}"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        bounds = {
            "exclusiveMinimum" if self.low_open else "minimum": self.low,
            "exclusiveMaximum" if self.high_open else "maximum": self.high,
        }
        return handler(core) | {key: bound for key, bound in bounds.items() if math.isfinite(bound)}


@dataclass(frozen=True)
class Says:
    """One sentence for a value of several shapes, in place of one error for each shape."""

    law: str

    def check(self, value: Any, inner: core_schema.ValidatorFunctionWrapHandler) -> Any:
        """What the inner validator makes of `value`, or the error that says the law."""
        try:
            return inner(value)
        except ValidationError:
            raise broken(self.law) from None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(self.check, handler(source))
