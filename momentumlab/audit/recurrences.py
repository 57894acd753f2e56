"""The recurrences that an optimizer can be found to follow: our rules with the options around them.

A recurrence is followed coordinate by coordinate, so a whole group is simulated as one vector.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from momentumlab.audit.script import Script, Vector
from momentumlab.optimizers.rules import RULES

UNKNOWN = "none that I know"

Dampening = Literal["skipped on step 1", "from step 1", "from step 1 where γ is not 0"]
Decay = Literal["coupled", "decoupled", "decoupled, not scaled by η"]
Started = Literal["at rest", "at the first gradient", "at the weights", "at the weights instead of the first gradient"]


@dataclass(frozen=True)
class Recurrence:
    """One formula with its options; `rule` is its line in RULES."""

    name: str
    rule: str
    formula: str
    form: Literal["classical", "torch"] | None = None  # None where there is but one
    dampening: Dampening | None = None
    weight_decay: Decay | None = None
    started: Started = "at rest"
    bias_corrected: bool = False
    turned: bool = False  # θ goes the other way than was asked

    @property
    def title(self) -> str:
        """The name with its form, as a sentence uses it."""
        return f"{self.name}, {self.form} form" if self.form else self.name


@dataclass(frozen=True)
class Values:
    """What an optimizer was given beside γ and η, as far as a recurrence knows it by name."""

    takes_gamma: bool = True
    further_betas: tuple[float, ...] = ()  # of betas=(γ, …), or β₂ beside β₁ = γ
    named: Mapping[str, Any] | None = None  # dampening, weight_decay, maximize, nu, beta1, gammas, weights

    def __getitem__(self, name: str) -> Any:
        value = (self.named or {}).get(name)
        return value if name not in _NUMBERS or isinstance(value, int | float) else None


_NUMBERS = ("dampening", "weight_decay", "nu", "beta1")  # with anything else by that name no formula is known

_MOMENTUM = (
    Recurrence("momentum", "momentum", "v ← γ·v + η·∇J, θ ← θ − v", "classical"),
    Recurrence("momentum", "torch_momentum", "b ← γ·b + ∇J, θ ← θ − η·b", "torch"),
)
_NESTEROV = (
    Recurrence("nesterov", "nesterov", "v ← γ·v + η·∇J, θ ← θ − (γ·v + η·∇J)", "classical"),
    Recurrence("nesterov", "torch_nesterov", "b ← γ·b + ∇J, θ ← θ − η·(∇J + γ·b)", "torch"),
)
_EMA = Recurrence("ema", "ema", "m ← γ·m + (1 − γ)·∇J, θ ← θ − η·m")
_OTHER_EMA = (
    replace(
        _EMA,
        name="ema, bias-corrected",
        formula="m ← γ·m + (1 − γ)·∇J, θ ← θ − η·m/(1 − γᵗ) in update t",
        bias_corrected=True,
    ),
    replace(
        _EMA,
        name="ema, started at the first gradient",
        formula="m ← ∇J in update 1, then m ← γ·m + (1 − γ)·∇J, θ ← θ − η·m",
        started="at the first gradient",
    ),
)
_SGD = Recurrence("sgd", "sgd", "θ ← θ − η·∇J")
_SIGNUM = Recurrence("signum", "signum", "m ← γ·m + (1 − γ)·∇J, θ ← θ − η·sign(m)")
_LION = Recurrence("lion", "lion", "θ ← θ − η·sign(β₁·m + (1 − β₁)·∇J), m ← γ·m + (1 − γ)·∇J")
_LION_OF_BETAS = replace(_LION, formula=_LION.formula.replace("γ", "β₂"))
_QHM = Recurrence("qhm", "qhm", "m ← γ·m + (1 − γ)·∇J, θ ← θ − η·((1 − ν)·∇J + ν·m)")
_AGGMO = Recurrence("aggmo", "aggmo", "vᵢ ← γᵢ·vᵢ + ∇J, θ ← θ − η·Σ wᵢ·vᵢ")


def candidates(values: Values) -> list[Recurrence]:
    """The recurrences that can be told apart for an optimizer with these arguments, the simplest first."""
    return [
        replace(plain, weight_decay=decay, formula=_towards(plain.formula, uphill=bool(values["maximize"])))
        for plain in _without_decay(values)
        for decay in (
            (None, "coupled", "decoupled", "decoupled, not scaled by η") if values["weight_decay"] else (None,)
        )
    ]


def started_at_the_weights(values: Values) -> list[Recurrence]:
    """The same with a memory that begins as θ, for those that keep one."""
    return [
        replace(recurrence, started=start)
        for recurrence in candidates(values)
        if recurrence.rule not in ("sgd", "aggmo") and recurrence.started == "at rest"
        for start in ("at the weights", "at the weights instead of the first gradient")
    ]


def turned(values: Values) -> list[Recurrence]:
    """The same with every step taken the other way."""
    uphill = not values["maximize"]
    return [
        replace(recurrence, turned=True, formula=_towards(recurrence.formula, uphill=uphill))
        for recurrence in candidates(values)
    ]


def simulate(recurrence: Recurrence, script: Script, gamma: float, values: Values, *, frozen_eta: bool) -> Vector:
    """(step, coordinate): θ after every update; `frozen_eta` leaves the change of η out."""
    rule = RULES[recurrence.rule]
    theta, path = script.start.copy(), []
    options = _hyperparameters(recurrence, gamma, values)
    memory = rule.at_rest(theta, options)
    with np.errstate(all="ignore"):  # a training that diverges does so here too
        for step, gradient in enumerate(script.gradients):
            eta = float(script.etas[0 if frozen_eta else step])
            push = _push(recurrence, gradient, theta, gamma, values, first=step == 0)
            if step == 0:
                memory, push = _first(recurrence, memory, push, theta, eta)
            theta = theta * _kept(recurrence, eta, values)
            scale = 1 - gamma ** (step + 1) if recurrence.bias_corrected else 1.0
            theta, memory = rule.update(theta, push, memory, **options | {"eta": eta / scale})
            path.append(theta.copy())
    return np.array(path)


def _without_decay(values: Values) -> Iterator[Recurrence]:
    yield _SGD
    yield from _MOMENTUM
    yield from _NESTEROV
    yield _EMA
    yield from _OTHER_EMA
    if values["dampening"]:
        for kind in ("skipped on step 1", "from step 1", "from step 1 where γ is not 0"):
            yield from (_dampened(plain, kind) for plain in _MOMENTUM)
    yield _SIGNUM
    if values["beta1"] is not None or values.further_betas:
        yield _LION_OF_BETAS if values.further_betas else _LION
    if values["nu"] is not None:
        yield _QHM
    if values["gammas"] or values.further_betas:
        yield _AGGMO


def _towards(formula: str, *, uphill: bool) -> str:
    """The formula with its step down or up: all that is remembered turns with it."""
    down, up = "θ ← θ − ", "θ ← θ + "
    return formula.replace(down, up) if uphill else formula.replace(up, down)


def _dampened(plain: Recurrence, kind: Dampening) -> Recurrence:
    skipped = kind == "skipped on step 1"
    name = "momentum, dampening skipped on step 1" if skipped else "momentum, dampened from step 1"
    formula = plain.formula.replace("∇J", "(1 − τ)·∇J") + (", in update 1 without 1 − τ" if skipped else "")
    return replace(plain, name=name, formula=formula, dampening=kind)


def _hyperparameters(recurrence: Recurrence, gamma: float, values: Values) -> dict[str, Any]:
    further = values.further_betas
    gammas = values["gammas"] or (gamma, *further)
    given = {
        "gamma": further[0] if recurrence.rule == "lion" and further else gamma,
        "beta1": gamma if further else values["beta1"],
        "nu": values["nu"],
        "gammas": gammas,
        "weights": values["weights"] or [1 / len(gammas)] * len(gammas),
        "eta": 0.0,
    }
    return {name: given[name] for name in RULES[recurrence.rule].hyperparameters}


def _push(
    recurrence: Recurrence, gradient: Vector, theta: Vector, gamma: float, values: Values, *, first: bool
) -> Vector:
    """What the rule takes as its gradient: turned round, with weight decay, dampened, in this order as in torch."""
    push = -gradient if values["maximize"] else gradient.copy()
    if recurrence.weight_decay == "coupled":
        push = push + values["weight_decay"] * theta
    if recurrence.turned:
        push = -push
    skipped = first and recurrence.dampening == "skipped on step 1"
    if recurrence.dampening is None or skipped or (gamma == 0 and recurrence.dampening != "from step 1"):
        return push
    return push * float(1 - values["dampening"])


def _first(recurrence: Recurrence, memory: Any, push: Vector, theta: Vector, eta: float) -> tuple[Any, Vector]:
    """Memory and push of update 1, for a memory that does not begin at rest."""
    if recurrence.started == "at the first gradient":
        return push.copy(), push
    if recurrence.started == "at the weights":
        return theta.copy(), push
    if recurrence.started == "at the weights instead of the first gradient":
        return memory, theta.copy() if RULES[recurrence.rule].eta_outside else theta / eta
    return memory, push


def _kept(recurrence: Recurrence, eta: float, values: Values) -> float:
    """The share of θ that decoupled weight decay leaves."""
    if recurrence.weight_decay == "decoupled":
        return float(1 - eta * values["weight_decay"])
    return float(1 - values["weight_decay"]) if recurrence.weight_decay == "decoupled, not scaled by η" else 1.0
