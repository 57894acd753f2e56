"""Whether some runs have a landscape that can be drawn, and which. Numpy only."""

from collections.abc import Mapping, Sequence
from typing import Any

from momentumlab.errors import ConfigError
from momentumlab.figures.traces import Trace, differing
from momentumlab.problems.objectives import OBJECTIVES, Objective, build
from momentumlab.text import safe

_SAME_GROUND = {"objective.start", "objective.noise"}


def landscape_of(experiment: Mapping[str, Any]) -> Objective:
    """The objective of an experiment; ConfigError in words where there is no landscape to draw."""
    described = experiment.get("objective")
    if not described:
        raise ConfigError(
            "a landscape needs an objective, and this experiment trains a model: draw curves or a heat map"
        )
    if described.get("kind") not in OBJECTIVES:
        raise ConfigError(f"{safe(described.get('kind'))} has no landscape: draw forces or curves")
    from momentumlab.experiment import load

    objective = build(load({"objective": described, "optimizer": {}}).objective)
    if objective.dimension > 2:
        raise ConfigError(
            f"a landscape needs one or two parameters, and this objective has {objective.dimension}: draw curves"
        )
    return objective


def one_landscape(runs: Sequence[Trace]) -> None:
    """ConfigError when the runs differ in the shape of their objective."""
    bent = [key for key in differing(runs) if key.startswith("objective.") and key not in _SAME_GROUND]
    if bent:
        raise ConfigError(f"the runs differ in {safe(bent[0])}, so each has a landscape of its own: draw curves")
