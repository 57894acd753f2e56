"""The optimizer section: a kind of its own for every rule, so that each knows exactly the keys that it has."""

import math
from collections.abc import Collection
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from momentumlab.experiment.ranges import Keys, Range, broken, refused
from momentumlab.experiment.schema_data import FilePath
from momentumlab.experiment.schema_schedules import GAMMA, Eta, Gamma
from momentumlab.experiment.section import NotNegative, Section
from momentumlab.text import shown

SHARE = Range(0, 1)

Form = Annotated[
    Literal["classical", "torch"],
    Field(description="Where η stands: inside the velocity (classical, the article) or outside (torch)."),
]
Scratch = Annotated[Literal["scratch"], Field(description="Our own rules; torch.optim has none such.")]
Backend = Annotated[Literal["scratch", "torch"], Field(description="Our own rules, or torch.optim's.")]
LearningRate = Annotated[Eta, Field(description="η, the learning rate.")]
Kept = Annotated[Gamma, Field(description="γ, the share of the memory that is kept.")]
WeightDecay = Annotated[NotNegative | None, Field(description="λ: each update takes the share ηλ of θ away.")]
Decoupled = Annotated[
    bool | None,
    Field(description="Whether the decay goes past the velocity, θ·(1 − ηλ), or λθ is added to ∇J; lion's does."),
]
Clip = Annotated[
    Annotated[float, Range(0, low_open=True)] | None,
    Field(description="The largest ‖∇J‖ that enters an update: a longer gradient is shortened to it."),
]
Restart = Annotated[
    Literal["function", "gradient"] | None,
    Field(description="Set the memory to zero where the loss has risen (function), or where ∇J·v < 0 (gradient)."),
]
Correction = Annotated[
    bool | None,
    Field(description="Rescale v by η_t/η_{t−1}: the classical form equals torch's under a schedule then."),
]


class RuleOptimizer(Section):
    """What is asked of every rule of ours. Each lists its fields itself, in the order of the file."""

    if TYPE_CHECKING:
        kind: Any
        backend: Any
        eta: Any
        weight_decay: float | None
        decoupled: bool | None
        clip: float | None

    @property
    def rule(self) -> str:
        """The name of its formula among our rules."""
        return str(self.kind)

    @model_validator(mode="after")
    def _way_of_the_decay(self) -> Self:
        if self.decoupled is None and self.weight_decay is not None:
            self.__dict__["decoupled"] = self.kind == "lion"  # as its paper has it
        return self


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
    weight_decay: WeightDecay = None
    decoupled: Decoupled = None
    clip: Clip = None

    @property
    def rule(self) -> str:
        return self.kind  # the same in both forms

    @model_validator(mode="after")
    def _no_gamma(self) -> Self:
        if self.gamma != 0:
            given = shown(self.gamma) if isinstance(self.gamma, float) else "a schedule"
            raise refused([(("gamma",), f"got {given}, but sgd has no γ: leave gamma out, or take kind momentum")])
        return self


class MomentumOptimizer(_AlsoTorchs):
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
    weight_decay: WeightDecay = None
    decoupled: Decoupled = None
    clip: Clip = None
    restart: Restart = None


class NesterovOptimizer(_AlsoTorchs):
    """Momentum whose gradient is taken where inertia is about to carry θ."""

    kind: Literal["nesterov"] = Field(description="Momentum that looks ahead.")
    form: Form = "classical"
    backend: Backend = "scratch"
    gamma: Kept = 0.9
    eta: LearningRate = 0.01
    momentum_correction: Correction = None
    weight_decay: WeightDecay = None
    decoupled: Decoupled = None
    clip: Clip = None
    restart: Restart = None


class EmaOptimizer(RuleOptimizer):
    """The exponential moving average of the gradients."""

    kind: Literal["ema"] = Field(description="Steps along the moving average of the gradients.")
    backend: Scratch = "scratch"
    gamma: Kept = 0.9
    eta: LearningRate = 0.01
    weight_decay: WeightDecay = None
    decoupled: Decoupled = None
    clip: Clip = None
    restart: Restart = None


class QhmOptimizer(RuleOptimizer):
    """Quasi-hyperbolic momentum."""

    kind: Literal["qhm"] = Field(description="A share ν of the moving average, the rest of the gradient itself.")
    backend: Scratch = "scratch"
    gamma: Kept = 0.9
    nu: float = Field(default=0.7, description="ν, the share of the average in a step: 0 is sgd, 1 is ema.")
    eta: LearningRate = 0.01
    weight_decay: WeightDecay = None
    decoupled: Decoupled = None
    clip: Clip = None
    restart: Restart = None


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
    weight_decay: WeightDecay = None
    decoupled: Decoupled = None
    clip: Clip = None

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


class SignumOptimizer(RuleOptimizer):
    """Steps of equal size, by the sign of the average."""

    kind: Literal["signum"] = Field(description="The sign of the moving average, η in every coordinate.")
    backend: Scratch = "scratch"
    gamma: Kept = 0.9
    eta: LearningRate = 0.01
    weight_decay: WeightDecay = None
    decoupled: Decoupled = None
    clip: Clip = None
    restart: Restart = None


class LionOptimizer(RuleOptimizer):
    """Signum that looks with β₁ and remembers with γ."""

    kind: Literal["lion"] = Field(description="The sign of the average mixed with ∇J by β₁; γ is the paper's β₂.")
    backend: Scratch = "scratch"
    gamma: Annotated[Gamma, Field(description="γ, the paper's β₂: the share of the average that is kept.")] = 0.99
    beta1: Annotated[float, SHARE] = Field(default=0.9, description="β₁, the share of the average in the direction.")
    eta: LearningRate = 0.01
    weight_decay: WeightDecay = None
    decoupled: Decoupled = None
    clip: Clip = None
    restart: Restart = None


class FileOptimizer(RuleOptimizer):
    """A rule that the user has written: code, which runs only with --allow-code."""

    kind: Literal["file"] = Field(description="A rule of your own, in a Python file; it runs with --allow-code only.")
    path: FilePath = Field(
        description="A Python file with one function (theta, gradient, memory, gamma, eta) -> (theta, memory)."
    )
    backend: Scratch = "scratch"
    gamma: Kept = 0.9
    eta: LearningRate = 0.01
    arguments: dict[str, float | list[float]] = Field(
        default={}, description="Further hyperparameters of the function, by name."
    )
    weight_decay: WeightDecay = None
    decoupled: Decoupled = None
    clip: Clip = None
    restart: Restart = None


# ---- torch's own classes -----------------------------------------------------------------------------------


class TorchClass(NamedTuple):
    """A class of torch.optim: which argument is its γ, and its own η and γ."""

    gamma_argument: str  # "momentum", "betas" (γ is β₁) or "" where it has none
    eta: float
    gamma: float = math.nan


TORCH_CLASSES = {
    "ASGD": TorchClass("", 0.01),
    "Adadelta": TorchClass("", 1.0),
    "Adafactor": TorchClass("", 0.01),
    "Adagrad": TorchClass("", 0.01),
    "Adam": TorchClass("betas", 0.001, 0.9),
    "AdamW": TorchClass("betas", 0.001, 0.9),
    "Adamax": TorchClass("betas", 0.002, 0.9),
    "Muon": TorchClass("momentum", 0.001, 0.95),
    "NAdam": TorchClass("betas", 0.002, 0.9),
    "RAdam": TorchClass("betas", 0.001, 0.9),
    "RMSprop": TorchClass("momentum", 0.01, 0.0),
    "Rprop": TorchClass("", 0.01),
    "SGD": TorchClass("momentum", 0.001, 0.0),
}
"""What can be trained by name."""
NOT_TRAINED = {
    "LBFGS": "LBFGS evaluates the loss several times in one update, and a row here is one evaluation",
    "SparseAdam": "SparseAdam takes sparse gradients, and all gradients here are dense: take Adam",
}
"""The classes of torch.optim that are not trained here, and why."""


def _arguments(given: dict[str, Any]) -> dict[str, Any]:
    for name, value in given.items():
        if not name.isidentifier():
            raise broken(f"must name arguments, and {shown(name)} is no name")
        numbers = value if isinstance(value, list) else [value]
        if not all(isinstance(number, float | int | bool | str | None) for number in numbers):
            raise broken(f"must hold numbers, texts, true, false and lists of them, and {name} is {shown(value)}")
    return given


Arguments = Annotated[
    dict[str, Any],
    AfterValidator(_arguments),
]
_FURTHER = "Further arguments of the class, by their names in torch."
Torchs = Annotated[Literal["torch"], Field(description="torch.optim's own class.")]


class _TorchOptimizer(Section):
    if TYPE_CHECKING:
        kind: Any
        eta: Any
        arguments: dict[str, Any]

    @model_validator(mode="after")
    def _as_torch_has_it(self) -> Self:
        defaults = TORCH_CLASSES[self.kind]
        if "eta" not in self.model_fields_set:
            self.__dict__["eta"] = defaults.eta
        ours = {"lr": "eta"} | ({"momentum": "gamma"} if defaults.gamma_argument else {})
        if taken := [name for name in ours if name in self.arguments]:
            raise refused([(("arguments", name), f"write optimizer.{ours[name]} instead") for name in taken])
        return self


class TorchGammaOptimizer(_TorchOptimizer):
    """A class of torch.optim with a γ."""

    kind: Literal["Adam", "AdamW", "Adamax", "Muon", "NAdam", "RAdam", "RMSprop", "SGD"] = Field(
        description="A class of torch.optim."
    )
    backend: Torchs = "torch"
    gamma: Annotated[Gamma, Field(description="γ: the argument momentum, or β₁ of betas; torch's unless given.")] = 0.9
    eta: Annotated[Eta, Field(description="η, torch's lr; torch's own unless given.")] = 0.001
    arguments: Arguments = Field(default={}, description=_FURTHER)
    clip: Clip = None

    @model_validator(mode="after")
    def _gamma_as_torch_has_it(self) -> Self:
        if "gamma" not in self.model_fields_set:
            betas = self.arguments.get("betas")
            first = betas[0] if isinstance(betas, list) and betas else TORCH_CLASSES[self.kind].gamma
            if not _is_share(first):
                raise refused([(("arguments", "betas"), f"got {shown(betas)}, whose first is γ: it {GAMMA.law}")])
            self.__dict__["gamma"] = float(first)
        return self


class TorchPlainOptimizer(_TorchOptimizer):
    """A class of torch.optim without a γ."""

    kind: Literal["ASGD", "Adadelta", "Adafactor", "Adagrad", "Rprop"] = Field(
        description="A class of torch.optim without γ."
    )
    backend: Torchs = "torch"
    eta: Annotated[Eta, Field(description="η, torch's lr; torch's own unless given.")] = 0.01
    arguments: Arguments = Field(default={}, description=_FURTHER)
    clip: Clip = None

    @model_validator(mode="after")
    def _eta_has_an_effect(self) -> Self:
        if self.kind == "Rprop" and not isinstance(self.eta, float):
            raise refused([(("eta",), "got a schedule, but Rprop uses η in its first update only: write a number")])
        return self

    @property
    def gamma(self) -> float:
        """It has none: nan."""
        return math.nan


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


def _is_share(number: Any) -> bool:
    return isinstance(number, float | int) and number in GAMMA


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
