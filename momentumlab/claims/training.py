"""Trainings in memory, by the engine that trains everything: nothing is written but what an experiment measures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from momentumlab.engine.loop import train
from momentumlab.engine.measure import Columns
from momentumlab.engine.outcome import Outcome
from momentumlab.engine.plan import groups
from momentumlab.experiment import expand, load
from momentumlab.results.checkpoint import State

Numbers = npt.NDArray[np.float64]
Objective = Mapping[str, Any]
"""The objective section of an experiment: {"kind": "quadratic", "eigenvalues": [1, 100]}."""
Pair = tuple[float, float]
"""γ and η of a run."""

_BURN_IN = 1000  # updates after which 0.99 has forgotten its start: √γ of it are 0.007


@dataclass(frozen=True)
class Run:
    """A run and its rows: what was kept of them, each (step,), from θ₀ to where it ended."""

    gamma: float
    eta: float
    status: str  # finished or diverged
    columns: Columns


@dataclass(frozen=True)
class Average:
    """The mean over all late steps of all seeds, for every pair of γ and η, and its standard error; each (pair,)."""

    mean: Numbers
    error: Numbers


class _Recorder:
    """The engine's keeper of rows; no state of these short trainings is kept."""

    due = False

    def __init__(self, record: Callable[[Columns], None]) -> None:
        self.record = record

    def save(self, state: State) -> None:
        raise AssertionError("no state is ever due")


def trained(
    objective: Objective, pairs: Sequence[Pair], steps: int, keep: Sequence[str], seeds: int = 1, every: int = 1
) -> list[Run]:
    """Train every pair of γ and η, all of them different, with so many seeds; the seed is fastest.

    `keep` names the columns of metrics.csv that are kept of every `every`th step.
    """
    blocks: list[Columns] = []

    def record(columns: Columns) -> None:
        blocks.append({name: columns[name] for name in ("run", *keep)})

    ends = _train(objective, pairs, steps, seeds, every, record)
    runs = np.concatenate([block["run"] for block in blocks])
    order = np.argsort(runs, kind="stable")  # rows come by step, then run
    places = np.split(order, np.cumsum(np.bincount(runs))[:-1])
    columns = {name: np.concatenate([block[name] for block in blocks]) for name in keep}
    return [
        Run(*pairs[number // seeds], ends[number].status, {name: values[rows] for name, values in columns.items()})
        for number, rows in enumerate(places)
    ]


def in_the_end(objective: Objective, pairs: Sequence[Pair], steps: int, seeds: int) -> dict[str, Average]:
    """What noise leaves: the means of loss, ‖v‖² (`jitter`) and the share of updates that turn v₀ around (`flips`).

    Over so many steps after the start is forgotten.
    """
    count = len(pairs) * seeds
    sums = {name: np.zeros(count) for name in ("loss", "jitter", "flips")}
    before = np.zeros((0, count), np.bool_)

    def record(columns: Columns) -> None:
        nonlocal before
        late = columns["step"].reshape(-1, count)[:, 0] > _BURN_IN
        loss, speed, velocity = (
            columns[name].reshape(-1, count)[late] for name in ("loss", "velocity_norm", "velocity_0")
        )
        sums["loss"] += loss.sum(0)
        sums["jitter"] += (speed**2).sum(0)
        sides = np.concatenate([before, velocity > 0])
        sums["flips"] += (sides[1:] != sides[:-1]).sum(0)
        before = sides[-1:]

    _train(objective, pairs, _BURN_IN + steps, seeds, 1, record)
    counted = {"loss": steps, "jitter": steps, "flips": steps - 1}
    return {name: _average(total.reshape(-1, seeds) / counted[name]) for name, total in sums.items()}


def _average(values: Numbers) -> Average:
    return Average(values.mean(1), values.std(1, ddof=1) / np.sqrt(values.shape[1]))


def _train(
    objective: Objective,
    pairs: Sequence[Pair],
    steps: int,
    seeds: int,
    every: int,
    record: Callable[[Columns], None],
) -> dict[int, Outcome]:
    experiment = load({"objective": dict(objective), "train": {"steps": steps}, "record": {"every": every}})
    gammas, etas = zip(*pairs, strict=True)
    (group,) = groups(expand(experiment, gamma=gammas, eta=etas, seed=range(seeds), zip=True))
    outcomes: dict[int, Outcome] = {}
    for cells in group.chunks:
        train(group.stack(cells), group.problem, group.plan, _Recorder(record), lambda updates: None, outcomes)
    return outcomes
