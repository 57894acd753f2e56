"""torch's own optimizers as kinds of the optimizer section: which there are, their γ and their arguments."""

import math
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field, model_validator

from momentumlab.experiment.ranges import Keys, Range, refused
from momentumlab.experiment.schema_schedules import GAMMA, Eta, Gamma
from momentumlab.experiment.section import Section
from momentumlab.text import shown


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
    problems = [(keys, sentence) for name, value in given.items() for keys, sentence in _wrong(name, value)]
    if problems:
        raise refused(problems)
    return given


def _wrong(name: str, value: Any) -> list[tuple[Keys, str]]:
    if not name.isidentifier():
        return [((), f"must name arguments, and {shown(name)} is no name")]
    elements = value if isinstance(value, list) else [value]
    if not all(isinstance(element, float | int | str | None) for element in elements):
        return [((name,), f"got {shown(value)}, must be a number, a word, true, false, or a list of them")]
    numbers = [element for element in elements if isinstance(element, float | int)]
    infinite = not all(abs(number) <= sys.float_info.max for number in numbers)
    return [((name,), f"got {shown(value)}, must be finite")] if infinite else []


Arguments = Annotated[dict[str, Any], AfterValidator(_arguments)]
"""What a class or a function takes by name beside γ and η: numbers, words, true, false, nothing, and lists of them."""
Clip = Annotated[
    Annotated[float, Range(0, low_open=True)] | None,
    Field(description="The largest ‖∇J‖ that enters an update: a longer gradient is shortened to it."),
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
    def _gamma_said_once(self) -> Self:
        betas = self.arguments.get("betas") if TORCH_CLASSES[self.kind].gamma_argument == "betas" else None
        beta1 = betas[0] if isinstance(betas, list) and betas else None
        if "gamma" not in self.model_fields_set:
            self.__dict__["gamma"] = _share(beta1, TORCH_CLASSES[self.kind].gamma, betas)
        elif beta1 is not None and beta1 != self.gamma:
            other = self.gamma if isinstance(self.gamma, float) else "a schedule"
            twice = f"got {shown(betas)}, and gamma, which is β₁, is {other}: keep one of the two"
            raise refused([(("arguments", "betas"), f"{twice}; [null, β₂] leaves β₁ to gamma")])
        return self


def _share(beta1: Any, default: float, betas: Any) -> float:
    gamma = default if beta1 is None else beta1
    if not isinstance(gamma, float | int) or gamma not in GAMMA:
        raise refused([(("arguments", "betas"), f"got {shown(betas)}, whose first is γ: it {GAMMA.law}")])
    return float(gamma)


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
