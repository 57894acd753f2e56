"""What to try after a sweep: the best that was measured, and what theory would choose, with a command that tries it."""

import math
import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from momentumlab import hindsight
from momentumlab.foresight import eta_alone, gamma_alone, number
from momentumlab.results.reader import Result
from momentumlab.summary import SYMBOLS, rank, setting, varied_columns
from momentumlab.summary import number as measured_number
from momentumlab.theory.method import Method, Numbers
from momentumlab.theory.stability import limit
from momentumlab.theory.tuning import best

_SCORES = {"test_loss": "test loss", "train_loss": "training loss", "loss_last": "loss"}
_MANY = 20  # values of a seed that a command still lists


def advice(result: Result, asked: Sequence[str], elsewhere: Sequence[str] = ()) -> list[str]:
    """Two sentences after a sweep: the best measured, and what theory would choose; the second where it is of use.

    `asked` is how the user named the experiment: the config and the options that change it, as typed; `elsewhere` the
    options that say where results lie.
    """
    tuned = [name for name in ("gamma", "eta") if _values(result, name).size > 1]
    second = _chosen(result, tuned, asked, elsewhere) if tuned else None
    return [_best_measured(result), *([second] if second else [])]


def _best_measured(result: Result) -> str:
    """The settings whose runs ended best, over seeds by their median."""
    runs, names = result.runs, [name for name in varied_columns(result) if name != "seed"]
    metric, scores = rank(result)
    row, seeds, score = _best_of(scores, [runs[name] for name in names])
    if not math.isfinite(score):
        return "best measured: none, no run came to its end with a finite loss"
    said = {name: setting(runs[name][row]) for name in names}
    settings = [f"{SYMBOLS.get(name, name)} = {one}" for name, one in said.items() if one]
    of = f"median of {seeds} seeds: " if seeds > 1 else ""
    alone = set(names) <= {"gamma", "eta"}  # beside other rules, say, a value of γ is no edge
    border = [f"{SYMBOLS[name]} = {said[name]}" for name in names if alone and _on_border(result, name, row)]
    lies = f"; the best lies at the edge of what was swept: {', '.join(border)}" if border else ""
    what = f"{of}{_SCORES[metric]} {measured_number(score)}"
    return f"best measured: {', '.join([*settings, what])}{lies}"


def _best_of(scores: Numbers, settings: Sequence[npt.NDArray[Any]]) -> tuple[int, int, float]:
    """A row of the best settings, how many runs have them, and the median of their scores."""
    codes = np.zeros(len(scores), np.int64)
    for values in settings:
        _, places = np.unique(values if values.dtype.kind in "fi" else values.astype(str), return_inverse=True)
        _, codes = np.unique(codes * (int(places.max()) + 1) + places, return_inverse=True)
    order = np.lexsort((scores, codes))
    counts = np.bincount(codes)
    starts = np.cumsum(counts) - counts
    low, high = (scores[order[starts + part // 2]] for part in (counts - 1, counts))
    best_one = int(np.argmin(medians := (low + high) / 2))
    return int(order[starts[best_one]]), int(counts[best_one]), float(medians[best_one])


def _on_border(result: Result, name: str, row: int) -> bool:
    # γ = 0 is the end of all γ, and nothing was left out beyond it.
    values, value = _values(result, name), result.runs[name][row]
    return values.size > 1 and value in (values[0], values[-1]) and not (name == "gamma" and value == 0)


def _chosen(result: Result, tuned: Sequence[str], asked: Sequence[str], elsewhere: Sequence[str]) -> str | None:
    """What theory would choose of what was swept, with a command to try."""
    shared, method = hindsight.landscape(result), hindsight.method(result)
    if shared is None or method is None or method.shape not in ((), result.runs["run"].shape):
        return f"theory knows no best γ and η of this sweep exactly; of one run it says: {_command('theory', asked)}"
    bending = shared.curvature[shared.bends]
    one = method.at(**{name: _values(result, name)[0] for name in ("gamma", "eta") if name in method.hyperparameters})
    with np.errstate(all="ignore"):
        if len(tuned) == 2:
            return _pair(one, bending, [*asked, *elsewhere])
        options = [*asked, *elsewhere, *_kept(result, tuned[0])]
        return _gamma(one, bending, options) if tuned[0] == "gamma" else _eta(one, bending, options)


def _pair(method: Method, bending: Numbers, asked: Sequence[str]) -> str | None:
    tuning = best(method, bending)
    if tuning is None:
        return None
    gamma = [] if math.isnan(tuning.gamma) else ["--gamma", f"{tuning.gamma:.4g}"]
    eta = ["--eta", f"{tuning.eta:.4g}"]
    said = f"γ = {number(tuning.gamma)} and η = {number(tuning.eta)}" if gamma else f"η = {number(tuning.eta)}"
    command = _command("run", [*asked, *gamma, *eta])
    return f"theory would choose {said}, rate {hindsight.rate_words(tuning.rate)}: {command}"


def _gamma(method: Method, bending: Numbers, options: Sequence[str]) -> str | None:
    tuning = gamma_alone(method, bending)
    if tuning is None:
        return f"at η = {number(float(method.eta))} every γ is unstable: a smaller η is needed"
    # As far to either side as 1 − γ by half and by as much again: γ is felt in 1/(1 − γ).
    lost = 1 - tuning.gamma
    around = [max(0.0, 1 - 1.5 * lost), tuning.gamma, 1 - 0.4 * lost]
    values = ",".join(dict.fromkeys(_gamma_text(gamma) for gamma in around))
    said = f"best γ at η = {number(float(method.eta))} is about {_gamma_text(tuning.gamma)}"
    return f"{said}: {_command('sweep', [*options, '--gamma', values])}"


def _eta(method: Method, bending: Numbers, options: Sequence[str]) -> str:
    tuning = eta_alone(method, bending)
    end = float(limit(method.at(eta=1.0))) / float(bending[-1])
    beyond = (tuning.eta + min(end, 3 * tuning.eta)) / 2  # between the best and the edge
    values = ",".join(dict.fromkeys(_below(eta) for eta in (tuning.eta / 2, tuning.eta, beyond)))
    at = f" at γ = {number(tuning.gamma)}" if not math.isnan(tuning.gamma) else ""
    said = f"best η{at} is about {_below(tuning.eta)}, the edge is at {number(end)}"
    return f"{said}: {_command('sweep', [*options, '--eta', values])}"


def _kept(result: Result, tuned: str) -> list[str]:
    """The options that hold what was not tuned where it was: a number that the experiment itself has not, and seeds."""
    kept: list[str] = []
    for name in ("gamma", "eta"):
        own = (result.experiment.get("optimizer") or {}).get(name)
        values = _values(result, name)
        if name != tuned and values.size == 1 and own != values[0]:
            kept += [f"--{name}", repr(float(values[0]))]
    seeds = _values(result, "seed").astype(int).tolist()
    if len(seeds) > 1:
        listed = len(seeds) <= _MANY or seeds != list(range(seeds[0], seeds[-1] + 1))
        kept += ["--seed", ",".join(map(str, seeds)) if listed else f"{seeds[0]}..{seeds[-1]}"]
    return kept


def _values(result: Result, name: str) -> Numbers:
    """What a column of runs.csv holds, each once, from the smallest; nothing where it is not of numbers."""
    values = result.runs[name]
    if values.dtype.kind not in "fi":
        return np.empty(0)
    return np.unique(values[np.isfinite(values)]).astype(np.float64)


def _gamma_text(gamma: float) -> str:
    """γ with as many digits that 1 − γ has two, and never 1."""
    digits = 2 + max(0, math.floor(-math.log10(1 - gamma))) if gamma < 1 else 0
    return f"{min(gamma, 1 - 10.0**-digits):.{digits}f}".rstrip("0").rstrip(".") or "0"


def _below(eta: float) -> str:
    """η with three digits, rounded down: what stands just below the edge shall not come to lie beyond it."""
    scale = 10.0 ** (2 - math.floor(math.log10(eta)))
    return f"{math.floor(eta * scale * (1 + 1e-12)) / scale:.3g}"


def _command(verb: str, arguments: Sequence[str]) -> str:
    return shlex.join(["momentumlab", verb, *arguments])
