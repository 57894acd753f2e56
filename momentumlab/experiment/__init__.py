"""What to run: from a YAML file, a shipped name or a mapping to an experiment, from axes to a grid of them.

    experiment = load("linreg", set=["train.epochs=50"], gamma=0.9)
    grid = expand(experiment, gamma="0,0.5,0.9", seed="0..4")

Nothing in this room imports numpy or torch.
"""

from momentumlab.experiment.axes import Axis, parse_values
from momentumlab.experiment.cells import Cell, around, column, examples
from momentumlab.experiment.grid import Grid, expand, single
from momentumlab.experiment.load import load
from momentumlab.experiment.schema import Experiment
from momentumlab.experiment.strict_yaml import parse
from momentumlab.experiment.written import repeated_by

__all__ = [
    "Axis",
    "Cell",
    "Experiment",
    "Grid",
    "around",
    "column",
    "examples",
    "expand",
    "load",
    "parse",
    "parse_values",
    "repeated_by",
    "single",
]
