"""What is known before a run as a picture: the stability map over (η, γ), with the run or the runs of a result on it."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from momentumlab.errors import ConfigError, ResultError
from momentumlab.foresight import Foresight, directions, number
from momentumlab.text import safe
from momentumlab.theory.tuning import Tuning

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from momentumlab.figures.stability import Outcomes
    from momentumlab.results.reader import Result

_STEM = "stability"


def draw(foresight: Foresight, result: "Result | None" = None) -> "Figure":
    """The map of the experiment's rule on its curvature, with its γ and η or with the runs of a `result` of it.

    ConfigError, in words, where there is no such map: a rule without one γ, a direction that bends down, a result that
    varies more than γ, η and seed.
    """
    from momentumlab.figures import stability

    if why := _why_not(foresight):
        raise ConfigError(f"--draw: {why}")
    bending = directions(foresight.curvature)
    method, told = foresight.method, foresight.prediction
    assert bending is not None and method is not None and told is not None
    assert told.gamma_best is not None and told.eta_best is not None and told.rate_best is not None
    experiment = foresight.experiment
    where = f"λ from {number(bending[0])} to {number(bending[-1])}, κ = {number(bending[-1] / bending[0])}"
    return stability.draw(
        f"{experiment.name}: where {experiment.optimizer.kind} converges, and how fast",
        [where, *foresight.notes[:1]],
        method,
        bending,
        Tuning(told.gamma_best, told.eta_best, told.rate_best),
        None if result is None else _outcomes(result),
    )


def place(foresight: Foresight, result: "Result | None", out: Path | None) -> Path:
    """The file for the picture: `out` where it ends as a file does, otherwise in that folder.

    Without it, figures/ of the result, or runs/theory.
    """
    if out is not None and out.suffix and not out.is_dir():
        return out
    if result is None or out is not None:
        return (out or Path("runs") / "theory") / f"{foresight.experiment.name}-{_STEM}.png"
    folder = result.folder / "figures"
    if folder.is_symlink():
        raise ResultError(f"{safe(folder)}: is a symbolic link, which is not followed. --out names where to draw.")
    return folder / f"{_STEM}.png"


def _why_not(foresight: Foresight) -> str | None:
    kind, bending, told = foresight.experiment.optimizer.kind, directions(foresight.curvature), foresight.prediction
    if bending is None or foresight.method is None or told is None:
        return f"there is nothing to draw: {'; '.join(foresight.notes)}"
    if bending[0] < 0:
        return "some direction bends down, which every rule leaves: no γ and η is stable here"
    if foresight.gamma is None:
        edge = f"{kind} is stable for η below {number(told.limit / told.curvature_max)}"
        return f"{kind} has no single γ, so there is no map over (η, γ); {edge}, at its other hyperparameters"
    return None


def _outcomes(result: "Result") -> "Outcomes":
    from momentumlab.figures.stability import Outcomes
    from momentumlab.figures.traces import varied

    if others := varied(result):
        raise ConfigError(f"--draw: the map is one of γ and η, and {safe(result.name)} varies {', '.join(others)} too")
    for name in ("gamma", "eta"):
        if isinstance(result.experiment["optimizer"].get(name), dict):
            raise ConfigError(
                f"--draw: {name} of {safe(result.name)} follows a schedule, so its runs have no one place"
            )
    runs = result.runs
    ended = np.isin(runs["status"].astype(str), ("finished", "diverged"))
    if not ended.any():
        raise ConfigError(f"--draw: no run of {safe(result.name)} has come to its end")
    return Outcomes(
        runs["gamma"][ended].astype(float),
        runs["eta"][ended].astype(float),
        runs["status"][ended].astype(str) == "diverged",
    )
