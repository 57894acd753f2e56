"""Claim 2, it damps oscillation: one steep direction at several ηλ, and the zig-zag at the best tunings."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from momentumlab.claims.finding import LEAST_GAIN, Experiment, Finding, Quantity, Trial, Value, gain, word
from momentumlab.claims.quadratics import GAMMAS, MOST, counted, momentum, said
from momentumlab.claims.training import Run, trained
from momentumlab.theory.modes import spectral_radius, trajectory
from momentumlab.theory.stability import limit
from momentumlab.theory.tuning import gradient_descent, heavy_ball

_ACCURACY = 1e-3
_STEEP: dict[str, Any] = {"kind": "quadratic", "eigenvalues": [1.0], "start": [1.0]}  # λ = 1: η is ηλ
_ETAS = (0.5, 1.5, 1.9, 1.99, 2.5, 3.5)
_CONDITIONS = (10.0, 100.0, 1000.0)
_LONG = 10  # times κ updates, in which the slower of two such runs shrinks to 2·10⁻⁹
_TOLERANCE = 1e-6  # relative, of a way that is summed up


def damps(*, quick: bool) -> Finding:
    """Updates and way until x stays below a thousandth, by ηλ and γ; and the way of the zig-zag, by κ."""
    del quick  # all of it takes a second
    pairs = [(gamma, eta) for gamma in GAMMAS for eta in _ETAS]
    runs = trained(_STEEP, pairs, MOST, ["distance", "theta_0"])
    steep, way, zigzag = _steep(runs), _way(runs), _zigzag()
    return Finding(
        2,
        "抑制震荡:在反复波动的方向上相互抵消",
        "It damps oscillation: pushes cancel in a direction that goes back and forth.",
        (steep, way, zigzag),
        [*_trials_of_steepness(steep), _turns_back(way), _as_long(zigzag)],
        {
            "paths": {run.gamma: run.columns["theta_0"] for run in runs if run.eta == 1.99},
            "counts": {gamma: steep.of("steps", word(gamma)) for gamma in GAMMAS},
        },
    )


def _rows_of(runs: Sequence[Run], gamma: float) -> list[Run]:
    return [run for run in runs if run.gamma == gamma]


def _steep(runs: Sequence[Run]) -> Experiment:
    quantities = [
        counted(("steps", word(gamma)), f"γ = {word(gamma)}", _rows_of(runs, gamma), [1.0], _ACCURACY)
        for gamma in GAMMAS
    ]
    setting = {"objective": _STEEP, "gamma": list(GAMMAS), "eta": list(_ETAS), "accuracy": _ACCURACY}
    return Experiment("one steep direction, updates to a thousandth", setting, "ηλ", _ETAS, quantities)


def _way(runs: Sequence[Run]) -> Experiment:
    quantities = []
    for gamma in GAMMAS:
        measured = [
            _length(run.columns["theta_0"]) if run.status == "finished" else None for run in _rows_of(runs, gamma)
        ]
        theory = [
            _length(trajectory(momentum(gamma, eta), 1.0, MOST))
            if spectral_radius(momentum(gamma, eta), 1.0) < 1
            else None
            for eta in _ETAS
        ]
        margins = [_TOLERANCE * (one or 0.0) for one in theory]
        quantities.append(Quantity(("way", word(gamma)), f"γ = {word(gamma)}", measured, theory, margins))
    setting = {"objective": _STEEP, "gamma": list(GAMMAS), "eta": list(_ETAS), "steps": MOST}
    return Experiment("the same runs: how far they go back and forth, Σ|Δx|", setting, "ηλ", _ETAS, quantities)


def _length(path: Any) -> float:
    return float(np.abs(np.diff(path)).sum())


def _zigzag() -> Experiment:
    measured: dict[str, list[Value]] = {"0": [], "best": []}
    for condition in _CONDITIONS:
        objective = {"kind": "quadratic", "eigenvalues": [1.0, condition], "start": [1.0, 1.0]}
        tunings = (gradient_descent(1.0, condition), heavy_ball(1.0, condition))
        runs = trained(objective, [(one.gamma, one.eta) for one in tunings], _LONG * int(condition), ["theta_1"])
        for name, run in zip(measured, runs, strict=True):
            measured[name].append(_length(run.columns["theta_1"]))
    margins = [_TOLERANCE * condition for condition in _CONDITIONS]
    quantities = [
        Quantity(("way", name), words, values, _CONDITIONS, margins)
        for (name, values), words in zip(measured.items(), ("γ = 0", "γ*"), strict=True)
    ]
    setting = {"condition": list(_CONDITIONS), "gamma": [0, "best"], "eta": "best"}
    return Experiment("both tuned at their best: the zig-zag across the ravine", setting, "κ", _CONDITIONS, quantities)


def _trials_of_steepness(steep: Experiment) -> list[Trial]:
    """γ > 0 against γ = 0 at the same ηλ: where √γ < |1 − ηλ|, where not, and beyond gradient descent's limit."""
    without = steep.of("steps", "0")
    groups: dict[str, list[tuple[float, int, str]]] = {"below": [], "above": [], "beyond": []}
    for gamma in GAMMAS[1:]:
        for eta, together in steep.of("steps", word(gamma)).items():
            alone = without[eta]
            if eta >= limit(momentum(gamma, eta)):
                continue  # neither of them converges
            words = f"at ηλ = {word(eta)} γ = {word(gamma)} takes {said(together)}, γ = 0 {said(alone)}"
            less = math.sqrt(gamma) < abs(1 - eta)
            group = "beyond" if eta >= limit(momentum(0.0, eta)) else "below" if less else "above"
            groups[group].append((gain(alone, together), -(together or MOST), words))
    return [
        _trial_of("where √γ < |1 − ηλ|", groups["below"], claimed=True),
        _trial_of("beyond gradient descent's limit, 2 ≤ ηλ < 2(1 + γ)", groups["beyond"], claimed=True),
        _trial_of("where √γ ≥ |1 − ηλ|", groups["above"], claimed=False),
    ]


def _trial_of(when: str, gains: Sequence[tuple[float, int, str]], *, claimed: bool) -> Trial:
    """Holds where every pair gains; shown is the pair that gains most, or where none is claimed to, least."""
    sooner = sum(effect >= LEAST_GAIN for effect, _, _ in gains)
    effect, _, words = (max if claimed else min)(gains)
    return Trial(when, f"{words}; sooner in {sooner} of {len(gains)} pairs", sooner == len(gains), effect)


def _turns_back(way: Experiment) -> Trial:
    alone, together = (way.of("way", gamma)[0.5] for gamma in ("0", "0.9"))
    words = f"at ηλ = 0.5 x goes a way of {word(together)} with γ = 0.9, of {word(alone)} with γ = 0"
    return Trial.of_gain("where gradient descent never turns back, ηλ ≤ 1", words, alone / together)


def _as_long(zigzag: Experiment) -> Trial:
    alone, together = (zigzag.of("way", gamma)[100.0] for gamma in ("0", "best"))
    words = f"at κ = 100 the zig-zag is {word(together)} long with γ*, {word(alone)} with γ = 0"
    return Trial.of_gain("with both tuned at their best", words, alone / together)
