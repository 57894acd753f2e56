"""What every section of an experiment has in common, and the number types that several of them use."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from momentumlab.experiment.ranges import Range


class Section(BaseModel):
    """A frozen mapping of known keys, taken as written: no text for a number, no number for a truth value."""

    # Built on first use, all sections at once with the experiment that they belong to: half the price of one by one.
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True, defer_build=True)

    def settled(self, **values: object) -> Self:
        """A copy with `values` filled in as defaults: they do not count as written by the user."""
        # What model_copy does, in a fifth of its time: a grid of a million runs asks for two million copies. Unlike
        # model_copy(update=…) it does not mark the values as written.
        copy = self.__class__.__new__(self.__class__)
        object.__setattr__(copy, "__dict__", self.__dict__ | values)
        for name in ("__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__"):
            object.__setattr__(copy, name, getattr(self, name))  # of frozen sections nobody changes them
        return copy


LONGEST = 10**9  # updates or epochs of one run: beyond it a number is a slip of the finger
Count = Annotated[int, Range(1, LONGEST)]
# torch's CPU generator looks at the lowest 32 bits only: larger seeds would repeat smaller ones.
SEED = Range(0, 2**32 - 1)
Seed = Annotated[int, SEED]
NotNegative = Annotated[float, Range(0)]
Numbers = Annotated[list[float], Field(min_length=1)]
