"""The optimizer section: a kind of its own for every rule, so that each knows exactly the keys that it has."""

import math
from collections.abc import Collection
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from momentumlab.experiment.ranges import Keys, Range, refused
from momentumlab.experiment.schema_data import FilePath
from momentumlab.experiment.schema_schedules import GAMMA, Eta, Gamma
from momentumlab.experiment.schema_torch import Arguments, Clip, TorchGammaOptimizer, TorchPlainOptimizer
from momentumlab.experiment.section import NotNegative, Section
from momentumlab.text import shown

SHARE = Range(0, 1)
_OPTIONS = ("weight_decay", "decoupled", "clip", "restart")

Form = Annotated[
    Literal["classical", "torch"],
    Field(description="Where η stands: inside the velocity (classical, the article) or outside (torch)."),
]
Scratch = Annotated[Literal["scratch"], Field(description="Our own rules; torch.optim has none such.")]
Backend = Annotated[Literal["scratch", "torch"], Field(description="Our own rules, or torch.optim's.")]
LearningRate = Annotated[Eta, Field(description="η, the learning rate.")]
Kept = Annotated[Gamma, Field(description="γ, the share of the memory that is kept.")]
Correction = Annotated[
    bool | None,
    Field(description="Rescale v by η_t/η_{t−1}: the classical form equals torch's under a schedule then."),
]


class RuleOptimizer(Section):
    """What every rule of ours has: its options, which stand behind the keys of the rule itself."""

    if TYPE_CHECKING:
        kind: Any
        backend: Any
        eta: Any
    weight_decay: NotNegative | None = Field(default=None, description="λ: each update takes the share ηλ of θ away.")
    decoupled: bool | None = Field(
        default=None,
        description="Whether the decay goes past the velocity, θ·(1 − ηλ), or λθ is added to ∇J; lion's does.",
    )
    clip: Clip = None

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        # pydantic has a base's fields first; a file, an error and the editor have kind first and the options last.
        for name in filter(cls.model_fields.__contains__, _OPTIONS):
            cls.model_fields[name] = cls.model_fields.pop(name)

    @property
    def rule(self) -> str:
        """The name of its formula among our rules."""
        return str(self.kind)

    @model_validator(mode="after")
    def _way_of_the_decay(self) -> Self:
        if self.weight_decay is None and self.decoupled is not None:
            raise refused([(("decoupled",), "does nothing without weight_decay: give one, or leave decoupled out")])
        if self.weight_decay is not None and self.decoupled is None:
            self.__dict__["decoupled"] = self.kind == "lion"  # as its paper has it
        return self


class _Restarts(RuleOptimizer):
    """What a rule with one memory has besides."""

    restart: Literal["function", "gradient"] | None = Field(
        default=None,
        description="Set the memory to zero where the loss has risen (function), or where ∇J·v < 0 (gradient).",
    )


class _AlsoTorchs(RuleOptimizer):
    """What torch.optim.SGD computes as well."""

    if TYPE_CHECKING:
        form: Any

    @property
    def rule(self) -> str:
        return f"torch_{self.kind}" if self.form == "torch" else self.kind

    @model_validator(mode="after")
    def _torch_can_do_it(self) -> Self:
        if self.backend == "torch" and (problems := _beyond_torch(self)):
            raise refused(problems)
        return self

    @model_validator(mode="after")
    def _correction_is_classical(self) -> Self:
        if getattr(self, "momentum_correction", None) and self.form == "torch":
            law = "rescales v as form torch does by itself: leave it out, or take form classical"
            raise refused([(("momentum_correction",), law)])
        return self


class SgdOptimizer(_AlsoTorchs):
    """Steps of η·∇J; nothing is remembered."""

    kind: Literal["sgd"] = Field(description="A step down the slope of this moment.")
    form: Form = "classical"
    backend: Backend = "scratch"
    gamma: Annotated[Gamma, Field(description="sgd has no γ: 0, or left out.")] = 0.0
    eta: LearningRate = 0.01

    @property
    def rule(self) -> str:
        return self.kind  # the same in both forms

    @model_validator(mode="after")
    def _no_gamma(self) -> Self:
        if self.gamma != 0:
            given = shown(self.gamma) if isinstance(self.gamma, float) else "a schedule"
            raise refused([(("gamma",), f"got {given}, but sgd has no γ: leave gamma out, or take kind momentum")])
        return self


class MomentumOptimizer(_Restarts, _AlsoTorchs):
    """The article's: v ← γv + η∇J."""

    kind: Literal["momentum"] = Field(default="momentum", description="The share γ of the last step, and a new push.")
    form: Form = "classical"
    backend: Backend = "scratch"
    gamma: Kept = 0.9
    eta: LearningRate = 0.01
    dampening: Annotated[float, SHARE] | None = Field(
        default=None, description="The share of ∇J that is left out of the velocity, from its second update on."
    )
    momentum_correction: Correction = None


class NesterovOptimizer(_Restarts, _AlsoTorchs):
    """Momentum whose gradient is taken where inertia is about to carry θ."""

    kind: Literal["nesterov"] = Field(description="Momentum that looks ahead.")
    form: Form = "classical"
    backend: Backend = "scratch"
    gamma: Kept = 0.9
    eta: LearningRate = 0.01
    momentum_correction: Correction = None


class EmaOptimizer(_Restarts):
    """The exponential moving average of the gradients."""

    kind: Literal["ema"] = Field(description="Steps along the moving average of the gradients.")
    backend: Scratch = "scratch"
    gamma: Kept = 0.9
    eta: LearningRate = 0.01


class QhmOptimizer(_Restarts):
    """Quasi-hyperbolic momentum."""

    kind: Literal["qhm"] = Field(description="A share ν of the moving average, the rest of the gradient itself.")
    backend: Scratch = "scratch"
    gamma: Kept = 0.9
    nu: float = Field(default=0.7, description="ν, the share of the average in a step: 0 is sgd, 1 is ema.")
    eta: LearningRate = 0.01


class AggmoOptimizer(RuleOptimizer):
    """Aggregated momentum: several velocities at once."""

    kind: Literal["aggmo"] = Field(description="The mean of several velocities, each with a γ of its own.")
    backend: Scratch = "scratch"
    gammas: Annotated[list[Annotated[float, GAMMA]], Field(min_length=1, max_length=16)] = Field(
        default=[0.0, 0.9, 0.99], description="The γ of each velocity."
    )
    weights: list[float] | None = Field(
        default=None, description="The weight of each velocity in the step; equal parts of 1 unless given."
    )
    eta: LearningRate = 0.01

    @property
    def gamma(self) -> float:
        """There is no single γ: nan."""
        return math.nan

    @model_validator(mode="after")
    def _a_weight_each(self) -> Self:
        if self.weights is not None and len(self.weights) != len(self.gammas):
            one_each = f"must have one number for each of the {len(self.gammas)} gammas"
            raise refused([(("weights",), f"got {shown(self.weights)}, {one_each}")])
        return self


class SignumOptimizer(_Restarts):
    """Steps of equal size, by the sign of the average."""

    kind: Literal["signum"] = Field(description="The sign of the moving average, η in every coordinate.")
    backend: Scratch = "scratch"
    gamma: Kept = 0.9
    eta: LearningRate = 0.01


class LionOptimizer(_Restarts):
    """Signum that looks with β₁ and remembers with γ."""

    kind: Literal["lion"] = Field(description="The sign of the average mixed with ∇J by β₁; γ is the paper's β₂.")
    backend: Scratch = "scratch"
    gamma: Annotated[Gamma, Field(description="γ, the paper's β₂: the share of the average that is kept.")] = 0.99
    beta1: Annotated[float, SHARE] = Field(default=0.9, description="β₁, the share of the average in the direction.")
    eta: LearningRate = 0.01


class FileOptimizer(_Restarts):
    """A rule that the user has written: code, which runs only with --allow-code."""

    kind: Literal["file"] = Field(description="A rule of your own, in a Python file; it runs with --allow-code only.")
    path: FilePath = Field(
        description="A Python file with one function (theta, gradient, memory, gamma, eta) -> (theta, memory)."
    )
    backend: Scratch = "scratch"
    gamma: Kept = 0.9
    eta: LearningRate = 0.01
    arguments: Arguments = Field(default={}, description="Further hyperparameters of the function, by name.")


Optimizer = (
    SgdOptimizer
    | MomentumOptimizer
    | NesterovOptimizer
    | EmaOptimizer
    | QhmOptimizer
    | AggmoOptimizer
    | SignumOptimizer
    | LionOptimizer
    | FileOptimizer
    | TorchGammaOptimizer
    | TorchPlainOptimizer
)


def _momentum_unless_said(section: Any) -> Any:
    return {"kind": "momentum", **section} if isinstance(section, dict) and "kind" not in section else section


AnyOptimizer = Annotated[Optimizer, Field(discriminator="kind"), BeforeValidator(_momentum_unless_said)]


def keys_of(kind: object) -> Collection[str]:
    """The keys that an optimizer of this kind has; of an unknown kind, none."""
    section = _by_kind().get(str(kind))
    return section.model_fields.keys() if section else ()


def backends_of(kind: object) -> tuple[str, ...]:
    """The backends that an optimizer of this kind can have."""
    section = _by_kind().get(str(kind))
    return get_args(section.model_fields["backend"].annotation) if section else ()


def has_gamma(kind: object) -> bool:
    """Whether γ means something to this kind."""
    return kind != "sgd" and "gamma" in keys_of(kind)


@cache
def _by_kind() -> dict[str, type[Section]]:
    sections = get_args(Optimizer)
    return {kind: section for section in sections for kind in get_args(section.model_fields["kind"].annotation)}


def _beyond_torch(optimizer: _AlsoTorchs) -> list[tuple[Keys, str]]:
    problems: list[tuple[Keys, str]] = []
    if optimizer.form == "classical" and not isinstance(optimizer.eta, float):
        problems.append(
            (
                ("form",),
                "backend torch knows the classical form under a constant η only, and eta is a schedule: "
                "take form torch (another optimizer under a schedule) or backend scratch",
            )
        )
    beyond = [key for key in ("decoupled", "restart", "momentum_correction") if getattr(optimizer, key, None)]
    return [*problems, *(((key,), "torch.optim.SGD does not have it: take backend scratch") for key in beyond)]
