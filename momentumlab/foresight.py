"""Before a run: what theory says of an experiment, from the curvature of its problem and the matrix of its rule.

The whole of it for one run (`foresee`: `momentumlab theory`), or in one line what `run` and `sweep` say before training
(`line`), where the curvature is exact and costs next to nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from momentumlab.engine.plan import Group
from momentumlab.errors import ConfigError
from momentumlab.experiment import Experiment, column, examples
from momentumlab.experiment.schema_optimizer import Optimizer
from momentumlab.optimizers.methods import beyond_theory, method_of
from momentumlab.optimizers.rules import RULES
from momentumlab.optimizers.update import Update
from momentumlab.problems.curvature import Curvature, curvature
from momentumlab.problems.formulas import ObjectiveProblem
from momentumlab.theory.method import Method, Numbers
from momentumlab.theory.modes import critical_eta, peak, spectral_radius
from momentumlab.theory.noise import Floor, noise_floor
from momentumlab.theory.prediction import Prediction, predict
from momentumlab.theory.stability import curvature_limit, largest_eta, rate
from momentumlab.theory.tuning import Tuning, best_eta, best_eta_of, best_gamma, best_gamma_of

_FOLLOWED = 64  # directions that are looked at one by one; of more the two ends, which decide for momentum
_MOST_STEPS = 2**18  # of an overshoot that is followed
_MOST_RUNS = 2**14  # of a sweep whose edge is said
_FEW_RUNS = 16  # of a rule with several memories, whose limit is searched for
_WIDE = 4096  # parameters up to which a line before a run costs next to nothing
_MOMENTUM = (Update(RULES["momentum"]), Update(RULES["torch_momentum"]))


@dataclass(frozen=True)
class Foresight:
    """What is known before a run; None where theory does not reach, and `notes` say why."""

    experiment: Experiment
    curvature: Curvature | None
    method: Method | None
    prediction: Prediction | None
    gamma_alone: Tuning | None  # the best γ at this η
    eta_alone: Tuning | None  # the best η at this γ
    overshoot: float | None  # the largest distance over the first one, of a direction from rest
    floor: Floor | None  # by direction, under the noise of the objective
    notes: tuple[str, ...]

    @property
    def gamma(self) -> float | None:
        """γ, of rules that have exactly one."""
        given = self.method.hyperparameters.get("gamma") if self.method else None
        return None if given is None else float(given)


def foresee(group: Group) -> Foresight:
    """What theory says of the first run of a group, before it."""
    with np.errstate(all="ignore"):  # numbers beyond all floats are said to be, and are no warning
        return _foreseen(group)


def _foreseen(group: Group) -> Foresight:
    experiment = group.experiment
    found, notes = _curvature(group)
    method = None
    if why := beyond_theory(experiment.optimizer):
        notes.append(f"theory does not reach {experiment.optimizer.kind}: {why}")
    else:
        method = method_of(experiment.optimizer, group.plan.steps)
        scheduled = [name for name in ("gamma", "eta") if _is_schedule(experiment.optimizer, name)]
        if scheduled:
            notes.append(f"{' and '.join(scheduled)} by a schedule: this is said of the first update alone")
    bending = directions(found)
    prediction = None if method is None or bending is None else _predicted(method, bending)
    if method is None or bending is None or prediction is None:
        if method is not None and bending is not None:
            notes.append("η·λ is beyond all floats: theory says nothing here")
        return Foresight(experiment, found, method, None, None, None, None, None, tuple(notes))
    tunable = bool(bending[0] > 0)
    return Foresight(
        experiment,
        found,
        method,
        prediction,
        gamma_alone(method, bending) if tunable and "gamma" in method.hyperparameters else None,
        eta_alone(method, bending) if tunable else None,
        _overshoot(method, bending) if prediction.stable else None,
        _floor(group.problem, found, method) if prediction.stable and tunable else None,
        tuple(notes),
    )


def critical_etas(group: Group, gammas: Sequence[float]) -> list[float]:
    """For each γ the η of the group's experiment that damps its steepest direction critically: (1 − √γ)²/λ_max.

    λ_max is that at the start. Raises ConfigError where the rule is not momentum, or λ_max is not known exactly.
    """
    optimizer = group.experiment.optimizer
    why = beyond_theory(optimizer)
    if why is None and method_of(optimizer, group.plan.steps).update not in _MOMENTUM:
        why = "its damping is not that of momentum alone"
    if why is not None:
        raise ConfigError(f"match: critical does not reach this {optimizer.kind}: {why}")
    found, notes = _curvature(group)
    if found is None:
        raise ConfigError([f"match: critical has no curvature to go by: {note}" for note in notes])
    if not found.complete:
        raise ConfigError("match: critical wants λ_max exactly, and of this model only an estimate is known")
    if found.largest <= 0:
        raise ConfigError("match: critical has nothing to damp: at the start no direction bends upwards")
    return [float(critical_eta(gamma, found.largest)) for gamma in gammas]


def line(groups: Sequence[Group]) -> str | None:
    """In one line what is to be expected of the runs; None where that is not known exactly and at once.

    For one run ηλ_max against the limit, the rate and the steps; for many how many are unstable, and the edge.
    """
    if not all(map(_is_cheap, groups)) or sum(len(group.cells) for group in groups) > _MOST_RUNS:
        return None
    with np.errstate(all="ignore"):
        return _line(groups)


def _line(groups: Sequence[Group]) -> str | None:
    known = [(group, found) for group in groups if (found := _curvature(group)[0]) is not None]
    if len(known) < len(groups) or any(directions(found) is None for _, found in known):
        return None
    if len(groups) == 1 and len(groups[0].cells) == 1:
        (group, found) = known[0]
        return _line_of_one(group, found)
    return _line_of_many(known)


def _predicted(method: Method, bending: Numbers) -> Prediction | None:
    """None where numbers leave the floats on the way."""
    try:
        told = predict(method, bending)
    except (ArithmeticError, ValueError, np.linalg.LinAlgError):
        return None
    return told if math.isfinite(told.rate) and math.isfinite(told.eta_curvature) else None


def _line_of_one(group: Group, found: Curvature) -> str | None:
    bending = directions(found)
    assert bending is not None  # the caller has looked
    told = _predicted(method_of(group.experiment.optimizer, group.plan.steps), bending)
    if told is None:
        return None
    where = "" if found.quadratic else " at the start"
    against = f"theory: ηλ_max = {number(told.eta_curvature)}{where}, limit {number(told.limit)}"
    if told.curvature_min < 0:
        return f"{against}; λ_min = {number(told.curvature_min)} is below 0, which every rule leaves"
    if not told.stable:
        return f"warning: {against}: unstable, the distance grows by {number(told.rate)} in every update"
    steps = "" if told.steps is None else f", {told.steps} updates to a millionth of the distance"
    return f"{against}: stable; rate {number(told.rate)} in every update{steps}"


def _line_of_many(known: Sequence[tuple[Group, Curvature]]) -> str | None:
    count, unstable, saddles = 0, 0, 0
    edges: list[float] = []
    for group, found in known:
        bending = directions(found)
        assert bending is not None  # the caller has looked
        method = method_of(group.experiment.optimizer, group.plan.steps)
        varied = {name: np.array(column(group.cells, name), float) for name in ("gamma", "eta")}
        many = method.at(**{name: values for name, values in varied.items() if name in method.hyperparameters})
        if many.why_not_linear():  # as a rule of somebody's own may be for some γ alone
            return None
        count += len(group.cells)
        if bending[0] < 0:
            saddles += len(group.cells)
            continue
        unstable += int((np.broadcast_to(rate(many, bending), len(group.cells)) >= 1).sum())
        # A decay takes its part of the limit, and a larger one at a larger η.
        closed = method.states == 2
        edge = largest_eta(many, bending[-1]) if closed else curvature_limit(many) * many.eta / bending[-1]
        edges += edge.ravel().tolist()
    said = f"{unstable} of {count} runs are predicted unstable"
    if edges:
        low, high = min(edges), max(edges)
        said += f"; the edge is at η = {number(low)}" + (f" to {number(high)}" if number(low) != number(high) else "")
    if saddles:
        said += f"; {saddles} start where some direction bends down, which every rule leaves"
    where = "" if all(found.quadratic for _, found in known) else ", by the curvature at the start"
    return f"{'warning: ' if unstable else ''}theory: {said}{where}"


def _has_closed_limit(group: Group) -> bool:
    return method_of(group.experiment.optimizer, group.plan.steps).states == 2


def _is_cheap(group: Group) -> bool:
    """Whether the curvature is exact and costs next to nothing, and one method stands for all of the group."""
    optimizer, problem = group.experiment.optimizer, group.problem
    parameters = sum(parameter.size for parameter in problem.parameters)
    own_numbers = {"gamma", "eta", "seed"}
    some = examples(group.cells)
    return (
        problem.has_loss
        and parameters <= _WIDE
        and (isinstance(problem, ObjectiveProblem) or _is_small_regression(group.experiment, parameters))
        and set(group.cells[0].values) <= own_numbers
        and group.experiment.train.batch_size in (None, "full")
        and beyond_theory(optimizer) is None
        and not any(_is_schedule(one.experiment.optimizer, name) for one in some for name in ("gamma", "eta"))
        and (len(group.cells) <= _FEW_RUNS or _has_closed_limit(group))
    )


def _is_small_regression(experiment: Experiment, parameters: int) -> bool:
    model = experiment.model
    return model is not None and model.kind == "linear" and experiment.loss == "mse" and parameters <= _FOLLOWED


def _curvature(group: Group) -> tuple[Curvature | None, list[str]]:
    """The curvature at the start, and what is to be said about it."""
    problem, experiment = group.problem, group.experiment
    if not problem.has_loss:
        return None, ["theory does not reach forces: there is no landscape, so nothing has a curvature"]
    try:
        with np.errstate(all="ignore"):
            found = curvature(problem, seed=experiment.seed)
    except np.linalg.LinAlgError:
        found = None
    if found is None or not np.isfinite(found.eigenvalues).all():
        return None, ["the curvature at the start is beyond all floats: theory says nothing here"]
    notes = []
    if not found.quadratic:
        notes.append("not a quadratic: this is said of the curvature at the start, and holds while θ stays near it")
    if not found.complete:
        notes.append(f"λ_max by Lanczos, ± {number(float(found.errors[-1]))}; λ_min ± {number(float(found.errors[0]))}")
    batch = experiment.train.batch_size
    if isinstance(batch, int):
        notes.append(
            f"minibatches of {batch}: theory is that of all data. Their noise leaves a floor and may lower the limit"
        )
    if found.smallest < 0 and found.bending.size and found.bending[0] < 0:
        notes.append("some direction bends down (λ_min < 0): no rule converges here, and each leaves at its rate")
    if not found.bending.size:
        notes.append("flat ground at the start: nothing bends, so no γ and η are better or worse here")
    elif found.condition is None and found.bending[0] > 0:
        notes.append(
            "λ_min is 0 within its error, and what lies between is not known: rate, steps and the best γ and η are "
            "those of the steepest direction alone, and flatter ones are slower"
        )
    elif len(found.bending) < len(found.eigenvalues):
        flat = len(found.eigenvalues) - len(found.bending)
        notes.append(f"{flat} flat direction{'s' if flat > 1 else ''} left out: θ does not move along a curvature of 0")
    return found, notes


def directions(found: Curvature | None) -> Numbers | None:
    """The curvatures that theory is asked about: all that bend, or the two ends of very many."""
    if found is None or not found.bending.size:
        return None
    return found.bending if len(found.bending) <= _FOLLOWED else found.bending[[0, -1]]


def _is_schedule(optimizer: Optimizer, name: str) -> bool:
    return hasattr(getattr(optimizer, name, None), "schedule")


def gamma_alone(method: Method, bending: Numbers) -> Tuning | None:
    """The best γ of a method whose η stays; None where none is stable."""
    if method.update in _MOMENTUM:
        return best_gamma(float(method.eta), bending[0], bending[-1])
    return best_gamma_of(method, bending)


def eta_alone(method: Method, bending: Numbers) -> Tuning:
    """The best η of a method whose γ stays."""
    if method.update in _MOMENTUM:
        return best_eta(float(method.hyperparameters["gamma"]), bending[0], bending[-1])
    return best_eta_of(method, bending)


def _overshoot(method: Method, bending: Numbers) -> float | None:
    # Where a direction takes longer than that to come to its peak, nobody waits for it.
    slowest = math.exp(-method.states / _MOST_STEPS)
    followed = [float(one) for one in bending if float(spectral_radius(method, one)) < slowest]
    return max((peak(method, one)[0] for one in followed), default=None)


def _floor(problem: Any, found: Curvature | None, method: Method) -> Floor | None:
    noise = getattr(problem, "noise", 0.0)
    if not noise or found is None or not found.complete:
        return None
    return noise_floor(method, found.bending, noise**2)


def number(value: float) -> str:
    """Four digits, as they are said; of what is just below 1 the distance to it."""
    said = f"{value:.4g}"
    return f"1 − {1 - value:.2g}" if said == "1" and value < 1 else said
