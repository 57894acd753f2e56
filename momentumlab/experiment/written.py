"""An experiment as the YAML file that repeats it."""

from typing import Any

import yaml

from momentumlab.experiment.axes import Axis
from momentumlab.experiment.grid import Grid
from momentumlab.experiment.keys import short_key
from momentumlab.experiment.schema import Experiment
from momentumlab.experiment.strict_yaml import number_or_text

_MOST_VALUES = 10_000
_PROBLEM = ("data", "model", "loss", "objective")


def repeated_by(experiment: Experiment, grid: Grid) -> str:
    """The YAML text on which the same command trains the same runs: everything resolved, the axes as the sweep section.

    Where an axis changes the kind of the problem, or of the optimizer more than γ and η, the defaults of one run do not
    fit another: a γ that came from `betas` would stand against other betas. Of these sections only what the user said
    is written then, and reading it fills in the same defaults.
    """
    data = {key: value for key, value in experiment.resolved().items() if key != "sweep"}
    changed = {axis.key.removesuffix(".kind") for axis in grid.axes}
    shaped = {key.partition(".")[0] for key in changed - {"optimizer.gamma", "optimizer.eta"}}
    unfit = [*(_PROBLEM if changed & {*_PROBLEM} else ()), *(("optimizer",) if "optimizer" in shaped else ())]
    if unfit:
        said = experiment.written()
        data = {key: said.get(key) if key in unfit else value for key, value in data.items()}
        data = {key: value for key, value in data.items() if value is not None}
    if grid.axes:
        data["sweep"] = {short_key(axis.key): _written(axis) for axis in grid.axes}
        if grid.zipped:
            data["sweep"]["zip"] = True
    return to_yaml(data)


def _written(axis: Axis) -> list[Any] | str:
    # Its values, unless they are so many that no file would be read that holds them.
    return axis.text if axis.text and len(axis.values) > _MOST_VALUES else list(axis.values)


def to_yaml(data: dict[str, Any]) -> str:
    """Plain data as YAML that `parse` reads back to the same data."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Quoted where our reader would take the bare word for a number (1e-3): PyYAML quotes what it would misread itself.
    style = None if isinstance(number_or_text(text), str) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
