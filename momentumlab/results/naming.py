"""What a result is called: the experiment's name and a hash over everything that decides a number in it."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from momentumlab import __version__
from momentumlab.experiment import Grid


def result_name(grid: Grid, checksums: Mapping[str, str]) -> str:
    """`linreg-3f9a1c2e`: the same for everything that gives the same numbers.

    The name, threads and device decide no number; a data file counts by its checksum and not by its path, a varied
    key by its axis and not by the value that it replaces.
    """
    experiment = grid.cells[0].experiment
    described = {
        "experiment": _deciding(experiment.resolved(), checksums),
        "axes": [[axis.key, list(axis.values)] for axis in grid.axes],
        "zip": grid.zipped,
        "version": __version__,
    }
    text = json.dumps(described, sort_keys=True, separators=(",", ":"), default=str)
    return f"{experiment.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _deciding(experiment: dict[str, Any], checksums: Mapping[str, str]) -> dict[str, Any]:
    kept = {key: value for key, value in experiment.items() if key not in {"name", "sweep"}}
    kept["train"] = {k: v for k, v in experiment["train"].items() if k not in {"threads", "device"}}
    if "path" in experiment.get("data", {}):
        kept["data"] = experiment["data"] | {"path": checksums[experiment["data"]["path"]]}
    return kept
