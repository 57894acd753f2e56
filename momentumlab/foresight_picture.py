"""What is known before a run as a picture: the stability map over (η, γ), and on it the run or the runs of a result."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from momentumlab.errors import ConfigError, ResultError
from momentumlab.figures import labels
from momentumlab.foresight import Foresight, directions, number
from momentumlab.problems.curvature import Curvature
from momentumlab.text import safe
from momentumlab.theory.method import Method, Numbers
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

    method, bending, best = _mapped(foresight)
    experiment = foresight.experiment
    return stability.draw(
        f"{experiment.name}: where {labels.setting('rule', experiment.optimizer.kind)} converges, and how fast",
        [_spectrum(foresight.curvature, bending), *foresight.notes[:1]],
        method,
        bending,
        best,
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


def _mapped(foresight: Foresight) -> tuple[Method, Numbers, Tuning | None]:
    """The method with one γ and the curvatures above 0; ConfigError where one is missing. The best γ and η if known."""
    method, told, kind = foresight.method, foresight.prediction, foresight.experiment.optimizer.kind
    found, bending = foresight.curvature, directions(foresight.curvature)
    if method is None or told is None or found is None or bending is None:
        raise ConfigError(f"--draw: there is nothing to draw: {'; '.join(foresight.notes)}")
    if foresight.gamma is None or kind == "sgd":
        edge = f"it is stable for η below {number(told.limit / told.curvature_max)}"
        raise ConfigError(f"--draw: {kind} has no single γ, so there is no map over η and γ; {edge}")
    if bending[0] < 0:
        raise ConfigError("--draw: some direction bends down, and every rule leaves it: no γ and η is stable here")
    # Where only the steepest direction is known, nobody knows what would be best for the others.
    if found.condition is None or told.gamma_best is None or told.eta_best is None or told.rate_best is None:
        return method, bending, None
    return method, bending, Tuning(told.gamma_best, told.eta_best, told.rate_best)


def _spectrum(found: Curvature | None, bending: Numbers) -> str:
    low, high = (labels.number(float(end)) for end in bending[[0, -1]])
    if found is None or found.condition is None:
        return f"λ_max = {high}; flatter directions are not known, and slower than what is drawn"
    return f"λ from {low} to {high}, κ = {labels.number(float(bending[-1] / bending[0]))}"


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
