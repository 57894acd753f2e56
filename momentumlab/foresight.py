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
from momentumlab.experiment import Experiment, column, examples
from momentumlab.experiment.schema_optimizer import Optimizer
from momentumlab.optimizers.methods import beyond_theory, method_of
from momentumlab.optimizers.rules import RULES
from momentumlab.optimizers.update import Update
from momentumlab.problems.curvature import Curvature, curvature
from momentumlab.problems.formulas import ObjectiveProblem
from momentumlab.theory import filter as velocity
from momentumlab.theory.method import Method, Numbers, effective_eta
from momentumlab.theory.modes import peak, spectral_radius
from momentumlab.theory.noise import Floor, noise_floor
from momentumlab.theory.prediction import Prediction, predict
from momentumlab.theory.stability import curvature_limit, rate
from momentumlab.theory.tuning import Tuning, best_eta, best_eta_of, best_gamma, best_gamma_of

_FOLLOWED = 64  # directions that are looked at one by one; of more the two ends, which decide for momentum
_MOST_STEPS = 2**18  # of an overshoot that is followed
_MOST_RUNS = 2**14  # of a sweep whose edge is said
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
    bending = _directions(found)
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
        _gamma_alone(method, bending) if tunable and "gamma" in method.hyperparameters else None,
        _eta_alone(method, bending) if tunable else None,
        _overshoot(method, bending) if prediction.stable else None,
        _floor(group.problem, found, method) if prediction.stable and tunable else None,
        tuple(notes),
    )


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
    if len(known) < len(groups) or any(_directions(found) is None for _, found in known):
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
    bending = _directions(found)
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


def _line_of_many(known: Sequence[tuple[Group, Curvature]]) -> str:
    count, unstable, saddles = 0, 0, 0
    edges: list[float] = []
    for group, found in known:
        bending = _directions(found)
        assert bending is not None  # the caller has looked
        method = method_of(group.experiment.optimizer, group.plan.steps)
        varied = {name: np.array(column(group.cells, name), float) for name in ("gamma", "eta")}
        many = method.at(**{name: values for name, values in varied.items() if name in method.hyperparameters})
        count += len(group.cells)
        if bending[0] < 0:
            saddles += len(group.cells)
            continue
        unstable += int((np.broadcast_to(rate(many, bending), len(group.cells)) >= 1).sum())
        edges += (curvature_limit(many) * many.eta / bending[-1]).ravel().tolist()
    said = f"{unstable} of {count} runs are predicted unstable"
    if edges:
        low, high = min(edges), max(edges)
        said += f"; the edge is at η = {number(low)}" + (f" to {number(high)}" if number(low) != number(high) else "")
    if saddles:
        said += f"; {saddles} start where some direction bends down, which every rule leaves"
    where = "" if all(found.quadratic for _, found in known) else ", by the curvature at the start"
    return f"{'warning: ' if unstable else ''}theory: {said}{where}"


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
    elif len(found.bending) < len(found.eigenvalues):
        flat = len(found.eigenvalues) - len(found.bending)
        notes.append(f"{flat} flat direction{'s' if flat > 1 else ''} left out: θ does not move along a curvature of 0")
    return found, notes


def _directions(found: Curvature | None) -> Numbers | None:
    """The curvatures that theory is asked about: all that bend, or the two ends of very many."""
    if found is None or not found.bending.size:
        return None
    return found.bending if len(found.bending) <= _FOLLOWED else found.bending[[0, -1]]


def _is_schedule(optimizer: Optimizer, name: str) -> bool:
    return hasattr(getattr(optimizer, name, None), "schedule")


def _gamma_alone(method: Method, bending: Numbers) -> Tuning | None:
    if method.update in _MOMENTUM:
        return best_gamma(float(method.eta), bending[0], bending[-1])
    return best_gamma_of(method, bending)


def _eta_alone(method: Method, bending: Numbers) -> Tuning:
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
    """Four digits, as they are said."""
    return f"{value:.4g}"


# ---- in words and as an object ---------------------------------------------------------------------------------------


def as_object(foresight: Foresight) -> dict[str, Any]:
    """What `momentumlab theory --json` prints: null where theory does not reach, or a number is infinite."""
    found, told, gamma = foresight.curvature, foresight.prediction, foresight.gamma
    bending = _directions(found)
    method, floor = foresight.method, foresight.floor
    values: dict[str, Any] = {
        "curvature_max": None if bending is None else float(bending[-1]),
        "curvature_min": None if bending is None else float(bending[0]),
        "condition": found.condition if found else None,
        "limit": told.limit if told else None,
        "stable": told.stable if told else None,
        "rate": told.rate if told else None,
        "gamma_best": told.gamma_best if told else None,
        "eta_best": told.eta_best if told else None,
        "rate_best": told.rate_best if told else None,
        "steps": told.steps if told else None,
        "name": foresight.experiment.name,
        "rule": foresight.experiment.optimizer.kind,
        "gamma": gamma,
        "eta": float(method.eta) if method else None,
        "eigenvalues": len(found.eigenvalues) if found and found.complete else None,
        "curvature_error": float(found.errors.max()) if found else None,
        "quadratic": found.quadratic if found else None,
        "eta_curvature": told.eta_curvature if told else None,
        "gamma_alone": foresight.gamma_alone.gamma if foresight.gamma_alone else None,
        "rate_gamma_alone": foresight.gamma_alone.rate if foresight.gamma_alone else None,
        "eta_alone": foresight.eta_alone.eta if foresight.eta_alone else None,
        "rate_eta_alone": foresight.eta_alone.rate if foresight.eta_alone else None,
        "eta_effective": float(effective_eta(method)) if method else None,
        "time_constant": None if gamma is None else float(velocity.time_constant(gamma)),
        "stopping_distance": None if gamma is None else float(velocity.stopping_distance(gamma)),
        "overshoot": foresight.overshoot,
        "noise_floor": float(floor.loss.sum()) if floor else None,
        "noise_distance": math.sqrt(float(floor.theta.sum())) if floor else None,
    }
    finite = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }
    return finite | {"notes": list(foresight.notes)}


def lines(foresight: Foresight) -> list[str]:
    """The same for people: symbol, value and meaning, aligned, then where theory does not reach."""
    values = as_object(foresight)
    settings = [f"{symbol} = {number(values[name])}" for name, symbol in _SETTINGS if values[name] is not None]
    formulas = _FORMULAS.get(foresight.method.update, {}) if foresight.method else {}
    rows = [
        (symbol, number(values[name]), meaning + formulas.get(name, ""))
        for name, symbol, meaning in _ROWS
        if values[name] is not None
    ]
    if values["stable"] is not None:
        place = 1 + [symbol for symbol, _, _ in rows].index("ηλ_max")
        if values["limit"] is None:
            rows.insert(place, ("limit", "none", "no ηλ is too large"))
        rows.insert(place + 1, ("stable", *_verdict(values)))
    wide = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    table = [f"{symbol:<{wide[0]}}  {value:>{wide[1]}}  {meaning}" for symbol, value, meaning in rows]
    return [f"{values['name']}: {', '.join([values['rule'], *settings])}", *table, *(f"! {n}" for n in foresight.notes)]


def _verdict(values: dict[str, Any]) -> tuple[str, str]:
    if values["stable"]:
        return "yes", "every direction comes to rest"
    if values["curvature_min"] < 0:
        return "no", "a direction that bends down is left, by every rule"
    return "no", "some direction grows in every update"


_SETTINGS = (("gamma", "γ"), ("eta", "η"))
_ROWS = (
    ("curvature_max", "λ_max", "curvature of the steepest direction"),
    ("curvature_min", "λ_min", "curvature of the flattest direction that bends"),
    ("eigenvalues", "n", "directions, all of them known exactly"),
    ("condition", "κ", "condition number, λ_max/λ_min: how long and narrow the valley is"),
    ("eta_curvature", "ηλ_max", "what has to stay below the limit"),
    ("limit", "limit", "the rule's own, of ηλ"),
    ("rate", "rate", "factor of the distance to the minimum in an update, in the end"),
    ("steps", "steps", "updates from rest until the distance stays below a millionth"),
    ("gamma_best", "γ*", "best γ, together with η*"),
    ("eta_best", "η*", "best η of this rule"),
    ("rate_best", "rate*", "what they reach"),
    ("gamma_alone", "γ alone", "best γ at this η"),
    ("rate_gamma_alone", "rate", "what γ alone reaches"),
    ("eta_alone", "η alone", "best η at this γ"),
    ("rate_eta_alone", "rate", "what η alone reaches"),
    ("eta_effective", "η_eff", "effective learning rate: how far one gradient of 1 moves θ in the end"),
    ("time_constant", "τ", "time constant, −1/ln γ: updates in which a push falls to 1/e"),
    ("stopping_distance", "coasts", "stopping distance on flat ground, γ/(1 − γ), in steps of the velocity"),
    ("overshoot", "peak", "largest distance of a direction on the way, over that of its start"),
    ("noise_floor", "floor", "how far the noise keeps the loss above its minimum in the end, on average"),
    ("noise_distance", "jitter", "how far the noise keeps θ from the minimum in the end, root mean square"),
)
_FORMULAS = {
    Update(RULES[rule]): {"limit": f": {limit}", "eta_effective": f", {effective}"}
    for rule, limit, effective in (
        ("sgd", "2", "η"),
        ("momentum", "2(1 + γ)", "η/(1 − γ)"),
        ("torch_momentum", "2(1 + γ)", "η/(1 − γ)"),
        ("nesterov", "(2 + 2γ)/(1 + 2γ)", "η/(1 − γ)"),
        ("torch_nesterov", "(2 + 2γ)/(1 + 2γ)", "η/(1 − γ)"),
        ("ema", "2(1 + γ)/(1 − γ)", "η"),
    )
}
