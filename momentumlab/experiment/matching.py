"""What is held equal while γ varies: `sweep --match` decides the η of every cell.

eta        η, as it stands
effective  the effective learning rate of the experiment as written: η/(1 − γ), how far one gradient of 1 moves θ in the
           end; where the memory is an average of gradients, η itself
critical   the damping of the steepest direction, η = (1 − √γ)²/λ_max: the largest η at which no direction oscillates
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from momentumlab.errors import ConfigError
from momentumlab.experiment.axes import Axis
from momentumlab.experiment.explain import given
from momentumlab.experiment.keys import short_key
from momentumlab.experiment.schema import Experiment
from momentumlab.text import nearest

MATCHES = ("eta", "effective", "critical")
CriticalEtas = Callable[[Experiment, Sequence[float]], Sequence[float]]
"""The η of critical damping for each γ: that takes the curvature of the problem, which this room does not know."""

_MOST_PAIRS = 10_000  # that a result's experiment.yaml holds as numbers
_SUMS = ("momentum", "nesterov", "SGD")  # the velocity adds gradients up: η_eff = η/(1 − γ)
_AVERAGES = ("ema", "qhm", "sgd")  # it averages them, or there is none: η_eff = η
_OTHER_RULES = ("optimizer.kind", "optimizer.dampening", "optimizer.arguments")
_WITHOUT_CURVATURE = ("train.", "record.", "optimizer.form", "optimizer.backend")


def check_match(match: object) -> None:
    """Raise ConfigError, without the place, where it is not one of `MATCHES`."""
    if match not in MATCHES:
        guess = nearest(match, MATCHES) if isinstance(match, str) else None
        hint = f". Did you mean {guess!r}?" if guess else ""
        raise ConfigError(f"got {given(match)}, must be eta, effective or critical{hint}")


def matched(
    match: str, experiment: Experiment, axes: Sequence[Axis], zipped: bool, critical: CriticalEtas | None
) -> tuple[tuple[Axis, ...], str]:
    """The axes, paired, with the η that makes what `match` names equal for every γ; and in words what that is.

    η is computed in float64 and not rounded. All axes but the seed are written out, each combination as a pair. Raises
    ConfigError where η is varied too or γ is not, and where theory does not know what would be equal.
    """
    others = [axis for axis in axes if axis.key != "seed"]
    gamma = _gamma_axis(match, others)
    if problems := list(_rivals(match, experiment, axes)):
        raise ConfigError(problems)
    pairs = len(gamma.values) if zipped else math.prod(len(axis.values) for axis in others)
    if pairs > _MOST_PAIRS:
        raise ConfigError(f"match: {match} writes every γ with its η, and {pairs:,} are more than {_MOST_PAIRS:,}")
    values = [axis.values for axis in others]
    rows = list(zip(*values, strict=True) if zipped else itertools.product(*values))
    gammas = [row[others.index(gamma)] for row in rows]
    effective = match == "effective"
    etas, equal = _effective(experiment, gammas) if effective else _critical(experiment, gammas, critical)
    written = [Axis(axis.key, column) for axis, column in zip(others, zip(*rows, strict=True), strict=True)]
    seeds = [axis for axis in axes if axis.key == "seed"]
    return (*written, Axis("optimizer.eta", tuple(etas)), *seeds), f"match: {equal}; η is {_from_to(etas)}"


def match_of_eta(experiment: Experiment, axes: Sequence[Axis]) -> str:
    """In words what is equal for every γ where η stays as it stands."""
    _gamma_axis("eta", axes)
    varied = next((axis.values for axis in axes if axis.key == "optimizer.eta"), None)
    eta: Any = experiment.optimizer.eta
    etas = varied or (float(getattr(eta, "value", eta)),)
    return f"match: η is equal for every γ, {_from_to(etas)}"


def _gamma_axis(match: str, axes: Sequence[Axis]) -> Axis:
    for axis in axes:
        if axis.key == "optimizer.gamma":
            return axis
    raise ConfigError(f"match: {match} says what is equal while γ varies: vary γ, such as --gamma 0,0.5,0.9")


def _rivals(match: str, experiment: Experiment, axes: Sequence[Axis]) -> Iterator[str]:
    """What is varied and would decide η too, or what is to be equal."""
    for axis in axes:
        inner = dict.fromkeys(name for value in axis.values if isinstance(value, dict) for name in value)
        for key in [f"{axis.key}.{name}" for name in inner] or [axis.key]:
            if key.startswith("optimizer.eta"):
                yield f"match: {match} decides η by γ, so {short_key(key)} cannot be varied: take --match eta for that"
            elif key.startswith(_OTHER_RULES):
                yield f"match: {match} is of one rule, so {key} cannot be varied"
            elif match == "critical" and _bends(key, experiment):
                yield f"match: critical is of one curvature, so {short_key(key)} cannot be varied"


def _bends(key: str, experiment: Experiment) -> bool:
    """Whether another value of the key may be another λ_max, or another rule."""
    if key == "seed":
        objective = experiment.objective
        drawn = experiment.model.start is None if experiment.model else objective and objective.start == "random"
        return bool(drawn) and getattr(experiment.model or objective, "kind", "") not in ("linear", "quadratic")
    return key != "optimizer.gamma" and not key.startswith(_WITHOUT_CURVATURE)


def _effective(experiment: Experiment, gammas: Sequence[float]) -> tuple[Sequence[float], str]:
    optimizer, eta = experiment.optimizer, _number(experiment, "eta")
    kind = optimizer.kind
    if getattr(optimizer, "dampening", None) or getattr(optimizer, "arguments", {}).get("dampening"):
        raise ConfigError("match: effective is not known with dampening, which is left out where γ is 0")
    if kind in _AVERAGES:
        return [eta] * len(gammas), f"the effective learning rate, of {kind} η itself, is {eta:.6g}"
    if kind not in _SUMS:
        raise ConfigError(f"match: effective is known for {', '.join((*_SUMS, *_AVERAGES))}, not for {kind}")
    effective = eta / (1 - _number(experiment, "gamma"))
    return [effective * (1 - gamma) for gamma in gammas], f"the effective learning rate η/(1 − γ) is {effective:.6g}"


def _critical(
    experiment: Experiment, gammas: Sequence[float], critical: CriticalEtas | None
) -> tuple[Sequence[float], str]:
    if critical is None:
        raise ConfigError("match: critical asks for the curvature of the problem, which is not looked at here")
    _number(experiment, "eta")
    etas = critical(experiment, gammas)
    return etas, "the steepest direction is critically damped, η = (1 − √γ)²/λ_max"


def _number(experiment: Experiment, name: str) -> float:
    """γ or η of the experiment as written; a schedule's value."""
    setting = getattr(experiment.optimizer, name)
    if getattr(setting, "schedule", "") == "list":
        raise ConfigError(f"match: {name} is a list of points, which has no value to go by: take another schedule")
    return float(getattr(setting, "value", setting))


def _from_to(etas: Sequence[float]) -> str:
    low, high = min(etas), max(etas)
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"
