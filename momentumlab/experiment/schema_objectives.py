"""The objective sections: formulas that are minimised without data. `dimension` counts their coordinates."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from momentumlab.experiment.ranges import Range, Says, refused
from momentumlab.experiment.section import NotNegative, Numbers, Section
from momentumlab.text import shown

Start = Annotated[Numbers | Literal["random"], Says("must be random or a list of numbers such as [1.0, 1.0]")]


class _Objective(Section):
    kind: str
    start: Start | None = Field(
        default=None, description="The starting point; random draws it from the objective's domain by seed."
    )
    noise: NotNegative = Field(default=0.0, description="The standard deviation of the noise added to each gradient.")


class Quadratic(_Objective):
    """½ Σ λᵢ xᵢ²: a bowl, or a ravine where the eigenvalues λ differ."""

    kind: Literal["quadratic"] = Field(description="½ Σ λᵢ xᵢ², a bowl or a ravine.")
    eigenvalues: Numbers = Field(default=[1.0, 100.0], description="The curvatures λᵢ along the axes.")
    condition: Annotated[float, Range(1)] | None = Field(
        default=None,
        description="Largest over smallest: log-spaced eigenvalues from 1 to this, in place of a list.",
    )
    dimension: Annotated[int, Range(1, 10**6)] = Field(
        default=2, description="How many eigenvalues, together with condition."
    )

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Self:
        written = self.model_fields_set
        if "eigenvalues" in written and written & {"condition", "dimension"}:
            raise refused([((), "give either eigenvalues, or condition and dimension, not both")])
        if "dimension" in written and self.condition is None:
            raise refused([(("condition",), "missing: with dimension it makes the eigenvalues; or give eigenvalues")])
        if self.condition is None:
            self.__dict__["dimension"] = len(self.eigenvalues)
            return self
        if self.dimension == 1 and self.condition > 1:
            raise refused([(("dimension",), "got 1, but a condition above 1 needs two eigenvalues or more")])
        self.__dict__["eigenvalues"] = _log_spaced(self.condition, self.dimension)
        return self

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        derived = ("dimension", "condition") if self.condition is None else ("eigenvalues",)
        return {key: value for key, value in handler(self).items() if key not in derived}


class Curve(_Objective):
    """A formula of one coordinate without options."""

    dimension: ClassVar[int] = 1

    kind: Literal["double_well", "inflection"] = Field(description="A formula of one coordinate.")


class Plateau(_Objective):
    """A slope, a flat stretch of the given width, and a bowl behind it: only inertia gets across."""

    dimension: ClassVar[int] = 1

    kind: Literal["plateau"] = Field(description="A slope, a flat stretch, and a bowl behind it.")
    width: Annotated[float, Range(0, low_open=True)] = Field(default=1.0, description="The length of the flat stretch.")


class Surface(_Objective):
    """A formula of two coordinates without options."""

    dimension: ClassVar[int] = 2

    kind: Literal[
        "product",
        "booth",
        "saddle",
        "monkey_saddle",
        "three_hump_camel",
        "rosenbrock",
        "beale",
        "himmelblau",
        "styblinski_tang",
        "rastrigin",
        "ackley",
    ] = Field(description="A formula of two coordinates.")


class Forces(_Objective):
    """No landscape: `pushes` are the gradients of updates 1, 2, 3 …, and zero afterwards."""

    kind: Literal["forces"] = Field(description="Scripted pushes in place of a landscape.")
    pushes: Annotated[list[Numbers], Field(min_length=1)] = Field(
        description="The gradient of each update, as a list of equally long lists."
    )

    @property
    def dimension(self) -> int:
        """The length of each push."""
        return len(self.pushes[0])

    @model_validator(mode="after")
    def _all_is_scripted(self) -> Self:
        problems: list[tuple[tuple[str, ...], str]] = []
        if len(lengths := {len(push) for push in self.pushes}) > 1:
            problems.append((("pushes",), f"must be equally long lists, got lengths {sorted(lengths)}"))
        if self.start == "random":
            problems.append((("start",), "got 'random', but forces have no domain to draw from: give numbers"))
        if self.noise:
            problems.append((("noise",), f"got {shown(self.noise)}, but forces are scripted: leave noise out"))
        if problems:
            raise refused(problems)
        return self


Objective = Annotated[Quadratic | Curve | Plateau | Surface | Forces, Field(discriminator="kind")]


def _log_spaced(condition: float, dimension: int) -> list[float]:
    """`dimension` eigenvalues from 1 to `condition`, each the same multiple of the one before."""
    return [condition ** (index / max(dimension - 1, 1)) for index in range(dimension)]
