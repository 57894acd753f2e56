"""After a run: what theory says beside what was measured, from a result alone. Numpy only."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from momentumlab.errors import MomentumLabError
from momentumlab.experiment import load
from momentumlab.optimizers.methods import beyond_theory, method_of
from momentumlab.results.reader import Columns, Result
from momentumlab.theory.method import Method, Numbers
from momentumlab.theory.modes import envelope, roots
from momentumlab.theory.stability import limit
from momentumlab.theory.tuning import steps_to_loss

FLOOR = 0.01
"""A loss has come to its floor where it stays within so much of the least possible one."""
_AXES = ("gamma", "eta", "seed")
_WIDEST = 64
_FOLLOWED = 2**20  # numbers of an envelope: directions times steps


@dataclass(frozen=True)
class Landscape:
    """The quadratic that all runs of a result share: J* + ½ Σ λ·x²."""

    curvature: Numbers  # λ, (direction,) from the smallest; of very many the two ends
    start: Numbers | None  # x of θ₀, (direction,), where all runs start at the same place
    loss_minimum: float  # J*

    @property
    def bends(self) -> npt.NDArray[np.bool_]:
        """(direction,): along the others nothing moves."""
        bends: npt.NDArray[np.bool_] = self.curvature > 0
        return bends


def landscape(result: Result) -> Landscape | None:
    """What the manifest says of it; None where it says nothing, or nothing that can be."""
    said = result.manifest.get("theory")
    if not isinstance(said, Mapping):
        return None
    curvature, start = _numbers(said.get("curvature")), _numbers(said.get("start"))
    minimum = _numbers([said.get("loss_minimum")])
    if curvature is None or minimum is None or (curvature < 0).any() or not curvature.any():
        return None
    if start is not None and start.shape != curvature.shape:
        return None
    return Landscape(curvature, start, float(minimum[0]))


def method(result: Result) -> Method | None:
    """The method of all runs, its γ and η (run,); None where more differs, and where theory does not reach."""
    runs, names = result.runs, list(result.runs)
    if set(names[: names.index("status")]) - {"run", *_AXES}:
        return None
    try:
        experiment = load({key: value for key, value in result.experiment.items() if key != "sweep"})
    except MomentumLabError:
        return None
    optimizer = experiment.optimizer
    scheduled = any(isinstance((result.experiment["optimizer"] or {}).get(name), Mapping) for name in ("gamma", "eta"))
    if optimizer.kind == "file" or scheduled or beyond_theory(optimizer):  # to read a result runs nobody's code
        return None
    known = method_of(optimizer, 1)
    numbers = {name: runs[name] for name in ("gamma", "eta") if name in known.hyperparameters}
    return known.at(**numbers) if all(values.dtype.kind in "fi" for values in numbers.values()) else None


def edge(result: Result, gammas: npt.ArrayLike) -> Numbers | None:
    """The largest stable η of each γ, (γ,); None where theory does not know it, or where it is not of γ alone."""
    known, shared = method(result), landscape(result)
    if known is None or shared is None or "weight_decay" in known.hyperparameters:
        return None
    if "gamma" not in known.hyperparameters:
        return None
    return np.asarray(limit(known.at(gamma=np.asarray(gammas), eta=1.0)) / shared.curvature[-1], np.float64)


def loss_envelopes(result: Result, steps: Mapping[int, int]) -> dict[int, Numbers]:
    """By run what J never exceeds, (step,), for t = 0 up to its `steps`.

    Without runs that theory does not know, and those where nothing oscillates, which are their own envelope.
    """
    known, shared = method(result), landscape(result)
    if known is None or known.states > 2 or shared is None or shared.start is None:
        return {}
    bending, start = shared.curvature[shared.bends], shared.start[shared.bends]
    found = {}
    for row, run in enumerate(result.runs["run"].tolist()):
        if steps.get(run, _FOLLOWED) * len(bending) >= _FOLLOWED:
            continue
        own = known.at(**{name: result.runs[name][row] for name in ("gamma", "eta") if name in known.hyperparameters})
        if not roots(own, bending).imag.any():
            continue
        with np.errstate(over="ignore", invalid="ignore"):
            distances = start * envelope(own, bending, steps[run])
            found[run] = np.asarray(shared.loss_minimum + 0.5 * (bending * distances**2).sum(-1), np.float64)
    return found


def rates(result: Result) -> tuple[Numbers, Numbers] | None:
    """The rates of the runs, predicted and measured, each (run,); None where theory knows none."""
    if not {"rate_predicted", "rate_measured"} <= result.runs.keys():
        return None
    return result.runs["rate_predicted"], result.runs["rate_measured"]


def rate_words(value: float) -> str:
    """A rate as it is said: four decimals, and of what is just below 1 the distance to it."""
    if math.isnan(value):
        return "—"
    said = f"{value:.4f}"
    return f"1 − {1 - value:.1g}" if said == "1.0000" and value < 1 else said


def columns(result: Result, metrics: Columns, *, floors: bool = True) -> list[tuple[str, list[str]]]:
    """What a table of the runs says of theory: the header and the words, (run,), of each column; [] where it is mute.

    `metrics` has the columns run, step and loss. `floors` adds how long the way to the floor of the loss is.
    """
    pair = rates(result)
    if pair is None:
        return []
    predicted, measured = ([rate_words(value) for value in one.tolist()] for one in pair)
    found = [("rate", measured), ("rate (theory)", predicted)]
    floor = to_floor(result, metrics) if floors else None
    if floor is not None:
        found.append(("to floor", floor[0]))
        found += [("to floor (theory)", floor[1])] if floor[1] is not None else []
    return found


def line(result: Result) -> str | None:
    """Prediction against fact of a single run, in one line; None where theory knows nothing."""
    told = {header: words[0] for header, words in columns(result, result.some("run", "step", "loss"))}
    if not told:
        return None
    said = f"rate {told['rate']} measured, {told['rate (theory)']} predicted"
    if "to floor (theory)" not in told:
        return said
    return f"{said}; steps to the floor of the loss: {told['to floor']} measured, {told['to floor (theory)']} predicted"


def to_floor(result: Result, metrics: Columns) -> tuple[list[str], list[str] | None] | None:
    """How many epochs each run took until its loss stays at its floor, in words: measured, and as theory predicts.

    `metrics` has the columns run, step and loss. None where no floor is known, or where it is 0; no prediction where
    theory knows none.
    """
    shared = landscape(result)
    if shared is None or not shared.loss_minimum > 0 or "loss" not in metrics or rates(result) is None:
        return None
    measured = _settled(result, metrics, (1 + FLOOR) * shared.loss_minimum)
    known = method(result)
    if known is None or shared.start is None:
        return measured, None
    bending, start = shared.curvature[shared.bends], shared.start[shared.bends]
    most = max(1, 2**19 // len(result.runs["run"]) // len(bending))
    known = known.at(eta=np.broadcast_to(known.eta, len(result.runs["run"])))
    with np.errstate(all="ignore"):
        found = steps_to_loss(known, bending, FLOOR * shared.loss_minimum, start, most=most)
    unstable = result.runs["rate_predicted"] >= 1
    pairs = zip(found.tolist(), unstable.tolist(), strict=True)
    return measured, ["—" if never else str(steps) if steps >= 0 else f">{most}" for steps, never in pairs]


def _settled(result: Result, metrics: Columns, floor: float) -> list[str]:
    """(run,): the first recorded step from which on the loss stays at or below the floor."""
    order = np.lexsort((metrics["step"], metrics["run"]))
    numbers, steps = metrics["run"][order], metrics["step"][order]
    above = np.flatnonzero(~(metrics["loss"][order] <= floor))
    words = []
    for run, status in zip(result.runs["run"], result.runs["status"], strict=True):
        start, end = np.searchsorted(numbers, run, "left"), np.searchsorted(numbers, run, "right")
        last = np.searchsorted(above, end) - 1
        first = above[last] + 1 if last >= 0 and above[last] >= start else start
        if status != "finished" or start == end:
            words.append("—")
        else:
            words.append(str(steps[first]) if first < end else f">{steps[end - 1]}")
    return words


def _numbers(given: Any) -> Numbers | None:
    """A list of finite numbers, from somebody's JSON; None where it is none, or is too long to be ours."""
    if not isinstance(given, list) or not 0 < len(given) <= _WIDEST:
        return None
    if not all(isinstance(one, int | float) and not isinstance(one, bool) and abs(one) < 1e300 for one in given):
        return None
    return np.array(given, np.float64) if all(map(math.isfinite, given)) else None
