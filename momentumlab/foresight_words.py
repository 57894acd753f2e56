"""What is known before a run, as `momentumlab theory` prints it: a table for people and an object for programs."""

import math
from typing import Any

from momentumlab.foresight import Foresight, directions, number
from momentumlab.optimizers.rules import RULES
from momentumlab.optimizers.update import Update
from momentumlab.theory import filter as velocity
from momentumlab.theory.method import effective_eta


def as_object(foresight: Foresight) -> dict[str, Any]:
    """What `momentumlab theory --json` prints: null where theory does not reach, or a number is infinite."""
    found, told, gamma = foresight.curvature, foresight.prediction, foresight.gamma
    bending = directions(found)
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
