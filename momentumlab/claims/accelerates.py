"""Claim 1, it accelerates: updates until the distance stays below a millionth, on quadratics."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from momentumlab.claims.finding import Experiment, Finding, Quantity, Trial, gain, word
from momentumlab.claims.quadratics import GAMMAS, MOST, counted, expected, momentum, said, updates
from momentumlab.claims.training import Pair, Run, in_the_end, trained
from momentumlab.theory.modes import critical_gamma, trajectory
from momentumlab.theory.noise import noise_floor
from momentumlab.theory.tuning import best_eta, heavy_ball

_ACCURACY = 1e-6
_EIGENVALUES = [1.0, 100.0]
_RAVINE: dict[str, Any] = {"kind": "quadratic", "eigenvalues": _EIGENVALUES, "start": [1.0, 1.0]}
_ETA = 1 / _EIGENVALUES[-1]
_SHARES = np.geomspace(0.1, 1, 25)  # of the η that theory finds best for a γ; just beyond it is the limit
_EFFECTIVE = (_ETA, 10 * _ETA)  # η/(1 − γ): what gradient descent could use too, and what is beyond its limit
_ARTICLE, _ARTICLE_ETA = 2.0, 0.01  # the curvatures of the article's regression, for x of variance 1, and its η
_ROUNDING = 1e-12
_ERRORS = 4.0  # standard errors that a mean may be away


def accelerates(*, quick: bool) -> Finding:
    """Settled counts at equal η, at the best η of each γ, at equal η/(1 − γ); then where the claim is false."""
    same_runs = trained(_RAVINE, [(gamma, _ETA) for gamma in GAMMAS], MOST, ["distance"])
    same = _same_eta(same_runs)
    best, tried = _best_eta()
    matched, bowl, article, noisy = _same_effective(), _no_ravine(), _article(), _noisy(quick)
    return Finding(
        1,
        "加速收敛:在相同方向上不断累积速度",
        "It accelerates: speed builds up in a direction that stays the same.",
        (same, best, matched, bowl, article, noisy),
        [*_trials_of_counts(same, best, matched, bowl), _too_much(article), _floor(noisy)],
        {"distances": {run.gamma: run.columns["distance"] for run in same_runs}, "tried": tried},
    )


def _same_eta(runs: list[Run]) -> Experiment:
    counts = counted(("steps",), "updates", runs, _EIGENVALUES, _ACCURACY)
    setting = {"objective": _RAVINE, "gamma": list(GAMMAS), "eta": _ETA, "accuracy": _ACCURACY}
    return Experiment("the same η = 1/L for every γ", setting, "γ", GAMMAS, [counts, _speedup(counts)])


def _speedup(counts: Quantity) -> Quantity:
    both: list[Sequence[Any]] = [counts.measured, counts.theory or ()]
    measured, theory = ([gain(values[0], value) for value in values] for values in both)
    margins = [0.01 * value for value in theory]  # of counts that are one off
    return Quantity(("speedup",), "times as fast", measured, theory, margins)


def _best_eta() -> tuple[Experiment, dict[float, tuple[list[float], list[int | None]]]]:
    """Every γ with its best η, γ* among them, and beside it what a grid of η finds; and the counts of that grid."""
    tuned = heavy_ball(*_EIGENVALUES)
    gammas = (0.0, 0.5, tuned.gamma, 0.9, 0.99)
    etas = [best_eta(gamma, *_EIGENVALUES).eta for gamma in gammas]
    pairs: list[Pair] = [(gamma, eta * share) for gamma, eta in zip(gammas, etas, strict=True) for share in _SHARES]
    runs = trained(_RAVINE, pairs, MOST, ["distance"])
    count = len(_SHARES)
    at_best = counted(("steps",), "updates", runs[count - 1 :: count], _EIGENVALUES, _ACCURACY)
    measured = [updates(run, _ACCURACY) for run in runs]
    theory = [expected(pair, _EIGENVALUES, _ACCURACY) for pair in pairs]
    least, least_expected = (
        [_least(counts[start : start + count]) for start in range(0, len(runs), count)] for counts in (measured, theory)
    )
    quantities = [
        Quantity(("eta",), "best η", etas),
        at_best,
        Quantity(("least_steps",), f"least of {count} η tried", least, least_expected, 1.0),
    ]
    tried = {
        gamma: ([eta for _, eta in pairs[start : start + count]], measured[start : start + count])
        for gamma, start in zip(gammas, range(0, len(runs), count), strict=True)
    }
    setting = {"objective": _RAVINE, "gamma": list(gammas), "eta": etas, "accuracy": _ACCURACY}
    return Experiment("the best η for each γ", setting, "γ", gammas, quantities), tried


def _least(counts: list[int | None]) -> int | None:
    return min((count for count in counts if count is not None), default=None)


def _same_effective() -> Experiment:
    pairs = [(gamma, effective * (1 - gamma)) for effective in _EFFECTIVE for gamma in GAMMAS]
    runs = trained(_RAVINE, pairs, MOST, ["distance"])
    quantities = [
        counted(("steps", word(effective)), f"updates at {word(effective)}", some, _EIGENVALUES, _ACCURACY)
        for effective, some in zip(_EFFECTIVE, (runs[: len(GAMMAS)], runs[len(GAMMAS) :]), strict=True)
    ]
    setting = {"objective": _RAVINE, "gamma": list(GAMMAS), "eta_effective": list(_EFFECTIVE), "accuracy": _ACCURACY}
    return Experiment("the same η/(1 − γ) for every γ", setting, "γ", GAMMAS, quantities)


def _no_ravine() -> Experiment:
    bowl = {"kind": "quadratic", "eigenvalues": [1.0], "start": [1.0]}
    runs = trained(bowl, [(gamma, 1.0) for gamma in GAMMAS], MOST, ["distance"])
    counts = counted(("steps",), "updates", runs, [1.0], _ACCURACY)
    setting = {"objective": bowl, "gamma": list(GAMMAS), "eta": 1.0, "accuracy": _ACCURACY}
    return Experiment("no ravine: κ = 1, η = 1/L", setting, "γ", GAMMAS, [counts])


def _article() -> Experiment:
    eta, steps = _ARTICLE_ETA, 100
    objective = {"kind": "quadratic", "eigenvalues": [_ARTICLE, _ARTICLE], "start": [1.0, 1.0]}
    gammas = (0.0, 0.5, critical_gamma(eta * _ARTICLE), 0.9, 0.99)
    runs = trained(objective, [(gamma, eta) for gamma in gammas], steps, ["theta_0"])
    left = [float(run.columns["theta_0"][-1]) for run in runs]
    theory = [float(trajectory(momentum(gamma, eta), _ARTICLE, steps)[-1]) for gamma in gammas]
    setting = {"objective": objective, "gamma": list(gammas), "eta": eta, "steps": steps}
    quantity = Quantity(("factor",), "share of the error left", left, theory, _ROUNDING)
    return Experiment("the article's regression, both λ = 2: 100 epochs at η = 0.01", setting, "γ", gammas, [quantity])


def _noisy(quick: bool) -> Experiment:
    objective = {"kind": "quadratic", "eigenvalues": _EIGENVALUES, "start": [0.0, 0.0], "noise": 1.0}
    steps, seeds = (1500, 100) if quick else (4000, 200)
    found = in_the_end(objective, [(gamma, _ETA) for gamma in GAMMAS], steps, seeds)["loss"]
    theory = [float(noise_floor(momentum(gamma, _ETA), _EIGENVALUES).loss.sum()) for gamma in GAMMAS]
    quantity = Quantity(("loss",), "mean J in the end", found.mean.tolist(), theory, (_ERRORS * found.error).tolist())
    setting = {"objective": objective, "gamma": list(GAMMAS), "eta": _ETA, "steps": steps, "seeds": seeds}
    return Experiment("under noise: how near it comes at the same η", setting, "γ", GAMMAS, [quantity])


def _trials_of_counts(same: Experiment, best: Experiment, matched: Experiment, bowl: Experiment) -> list[Trial]:
    plain, tuned, round_ = (one.of("steps") for one in (same, best, bowl))
    usable, beyond = (matched.of("steps", word(effective)) for effective in _EFFECTIVE)
    return [
        _trial("at the same η, γ well chosen", plain, _fastest(plain)),
        _trial("at the best η of each γ", tuned, _fastest(tuned)),
        _trial(f"beyond gradient descent's limit, η/(1 − γ) = {word(_EFFECTIVE[1])}", beyond, 0.9),
        _trial("at the same η with too much γ", plain, 0.99),
        _trial(f"at the same η/(1 − γ) = {word(_EFFECTIVE[0])}, which both can use", usable, 0.9),
        _trial("without a ravine, κ = 1", round_, 0.9),
    ]


def _fastest(counts: dict[float, int | None]) -> float:
    return min(counts, key=lambda gamma: counts[gamma] or MOST)


def _trial(when: str, counts: dict[float, int | None], gamma: float) -> Trial:
    words = f"γ = {word(gamma)} takes {said(counts[gamma])}, γ = 0 {said(counts[0.0])}"
    return Trial.of_gain(when, words, gain(counts[0.0], counts[gamma]))


def _too_much(article: Experiment) -> Trial:
    left = {gamma: abs(share) for gamma, share in article.of("factor").items()}
    critical = critical_gamma(_ARTICLE_ETA * _ARTICLE)
    words = (
        f"the article's regression keeps {word(left[0.99])} of its error with γ = 0.99, "
        f"{word(left[critical])} with γ = {word(critical)}"
    )
    return Trial.of_gain("with γ above the critical one, (1 − √(ηλ))²", words, left[critical] / left[0.99])


def _floor(noisy: Experiment) -> Trial:
    floors = noisy.of("loss")
    words = f"at the same η it stays at J = {word(floors[0.9])} with γ = 0.9, at {word(floors[0.0])} with γ = 0"
    return Trial.of_gain("under noise", words, floors[0.0] / floors[0.9])
