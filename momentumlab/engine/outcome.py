"""What becomes of a run, and how that is kept in a checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from momentumlab.results.checkpoint import State


@dataclass
class Outcome:
    """What became of one run. A number that does not apply is nan."""

    status: str = "interrupted"  # finished | diverged | failed | interrupted
    reason: str = "not trained yet"
    steps: int = 0
    loss_first: float = float("nan")
    loss_last: float = float("nan")
    loss_best: float = float("nan")
    steps_to_target: float = float("nan")  # the step that first reached `train.target`
    evaluation: dict[str, float] = field(default_factory=dict)  # the last values
    theta: npt.NDArray[Any] | None = None  # (parameter,), after the last update


_PLAIN = [part.name for part in fields(Outcome) if part.name not in ("evaluation", "theta")]


def packed(outcomes: Mapping[int, Outcome]) -> State:
    """The outcomes of runs of one stack as arrays (run,), all of them named `ended_…`."""
    if not outcomes:
        return {}
    ends = list(outcomes.values())
    state = {f"ended_{name}": np.array([getattr(end, name) for end in ends]) for name in _PLAIN}
    for name in ends[0].evaluation:
        state[f"ended_evaluation_{name}"] = np.array([end.evaluation[name] for end in ends])
    return state | {"ended_runs": np.array(list(outcomes)), "ended_theta": np.array([end.theta for end in ends])}


def unpacked(state: Mapping[str, npt.NDArray[Any]]) -> dict[int, Outcome]:
    """What was `packed` into a state, by run number."""
    runs = state["ended_runs"].tolist() if "ended_runs" in state else []
    start = "ended_evaluation_"
    evaluations = {name.removeprefix(start): values for name, values in state.items() if name.startswith(start)}
    outcomes = {}
    for row, run in enumerate(runs):
        plain = {name: state[f"ended_{name}"][row] for name in _PLAIN}
        plain |= {"status": str(plain["status"]), "reason": str(plain["reason"]), "steps": int(plain["steps"])}
        evaluation = {name: values[row] for name, values in evaluations.items()}
        outcomes[run] = Outcome(**plain, evaluation=evaluation, theta=state["ended_theta"][row])
    return outcomes
