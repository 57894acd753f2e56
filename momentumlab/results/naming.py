"""What a result is called: the experiment's name and a hash over everything that decides a number in it."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from momentumlab import __version__
from momentumlab.experiment import Grid


def result_name(grid: Grid, checksums: Mapping[str, str]) -> str:
    """`linreg-3f9a1c2e`: the same for everything that gives the same numbers.

    The name, threads, device and what is expected decide no number; a file of data or of a rule counts by its checksum
    and not by its path, a varied key by its axis and not by the value that it replaces.
    """
    return f"{grid.cells[0].experiment.name}-{identity(grid, checksums)[:8]}"


def identity(grid: Grid, checksums: Mapping[str, str]) -> str:
    """The hash in full, which two results share only if their numbers are the same."""
    experiment = grid.cells[0].experiment
    described = {
        "experiment": _deciding(experiment.resolved(), checksums),
        "axes": [[axis.key, [_by_content(value, checksums) for value in axis.values]] for axis in grid.axes],
        "zip": grid.zipped,
        "version": __version__,
    }
    text = json.dumps(described, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _deciding(experiment: dict[str, Any], checksums: Mapping[str, str]) -> dict[str, Any]:
    kept = {key: value for key, value in experiment.items() if key not in {"name", "expect", "sweep"}}
    kept["train"] = {k: v for k, v in experiment["train"].items() if k not in {"threads", "device"}}
    return kept | {key: _by_content(kept[key], checksums) for key in ("data", "optimizer") if key in kept}


def _by_content(value: Any, checksums: Mapping[str, str]) -> Any:
    # A file by what stands in it: its path, or the section that names it.
    if isinstance(value, dict) and "path" in value:
        return value | {"path": checksums[value["path"]]}
    return checksums.get(value, value) if isinstance(value, str) else value
