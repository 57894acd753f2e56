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
        copy = self.model_copy()
        copy.__dict__.update(values)  # past model_copy(update=…), which would mark them as written
        return copy


LONGEST = 10**9  # updates or epochs of one run: beyond it a number is a slip of the finger
Count = Annotated[int, Range(1, LONGEST)]
# torch's CPU generator looks at the lowest 32 bits only: larger seeds would repeat smaller ones.
SEED = Range(0, 2**32 - 1)
Seed = Annotated[int, SEED]
NotNegative = Annotated[float, Range(0)]
Numbers = Annotated[list[float], Field(min_length=1)]
