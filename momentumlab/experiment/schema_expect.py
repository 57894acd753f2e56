"""The expect section: what a run should give. It is looked at after the run and decides no number."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, PlainSerializer, Strict, model_validator

from momentumlab.experiment.ranges import Range, Says, broken, refused
from momentumlab.experiment.section import LONGEST, NotNegative, Section


def _ascending(bounds: tuple[Any, Any]) -> tuple[Any, Any]:
    if bounds[0] > bounds[1]:
        raise broken("must ascend")
    return bounds


_Steps = Annotated[
    tuple[Annotated[int, Range(0, LONGEST)], Annotated[int, Range(0, LONGEST)]],
    Strict(False),  # a list, as YAML has it
    AfterValidator(_ascending),
    Says("must be two whole numbers of at least 0, the lower one first, such as [40, 60]"),
    PlainSerializer(list),
]
_Bounds = Annotated[
    tuple[float, float],
    Strict(False),
    AfterValidator(_ascending),
    Says("must be two numbers, the lower one first, such as [1.95, 2.05]"),
    PlainSerializer(list),
]


class StepsTo(Section):
    """How soon a run comes down to a loss or a distance."""

    loss: float | None = Field(default=None, description="The loss that is to be reached.")
    distance: NotNegative | None = Field(default=None, description="The distance to the minimum that is to be reached.")
    between: _Steps = Field(description="The first recorded step there is one of these: both ends are included.")

    @model_validator(mode="after")
    def _one_goal(self) -> Self:
        if (self.loss is None) == (self.distance is None):
            raise refused([((), "give either loss or distance, such as {loss: 1e-3, between: [40, 60]}")])
        return self

    @property
    def column(self) -> Literal["loss", "distance"]:
        """What is followed."""
        return "distance" if self.loss is None else "loss"

    @property
    def goal(self) -> float:
        """What it has to come down to."""
        goal = self.distance if self.loss is None else self.loss
        assert goal is not None  # one of the two is given
        return goal


class Expect(Section):
    """What a run should give."""

    status: Literal["diverged", "finished"] | None = Field(default=None, description="How the run should end.")
    steps_to: StepsTo | None = Field(default=None, description="How soon it should come down to a loss or a distance.")
    final: Annotated[dict[str, _Bounds], Field(min_length=1)] | None = Field(
        default=None,
        description="Where numbers should be in the end: columns of metrics.csv or runs.csv with their lowest and "
        "highest value, both included.",
    )

    @model_validator(mode="after")
    def _expects_something(self) -> Self:
        if self.status is None and self.steps_to is None and self.final is None:
            raise refused([((), "expects nothing: give status, steps_to or final")])
        return self

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """The columns that are looked at, each with the key that asks for it."""
        followed = [(f"expect.steps_to.{self.steps_to.column}", self.steps_to.column)] if self.steps_to else []
        return (*followed, *((f"expect.final.{name}", name) for name in self.final or ()))
