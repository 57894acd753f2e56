"""The memory that runs will need, estimated before anything of theirs is made.

The factors are peaks that were measured, less what Python and torch take by themselves.
"""

from itertools import pairwise

import numpy as np

from momentumlab.experiment import Experiment
from momentumlab.memory import free_memory, refuse_beyond_memory
from momentumlab.problems.problem import Problem

_OF_THETA = 10  # θ, v, ∇J, and what an update and its start hold besides
_OF_THETA_WATCHED = 12  # what optional metrics keep of the step before, and their vectors in float64
_OF_A_LAYER = 4  # what comes out of it for each sample of a batch, and its slope, in training and in evaluation
_TRIFLE = 2**24  # bytes that are taken without asking the system, which reads a dozen files to answer
_OF_THE_RESULT = 2  # every run's last θ: as it came, and in parameters.npz


def refuse_too_large(experiment: Experiment, problem: Problem, runs: int) -> None:
    """Raise ConfigError, which says what would fit, where so many runs of a problem need more memory than is free."""
    size = sum(parameter.size for parameter in problem.parameters)
    number = np.dtype(problem.arrays.dtype).itemsize
    together = min(runs, 1 if experiment.optimizer.backend == "torch" else problem.stack_limit)
    kept = _OF_THE_RESULT * size * number
    stack = together * number * _numbers(experiment, size, *_layers(problem))
    if stack + runs * kept < _TRIFLE:
        return
    if stack + kept > free_memory():
        refuse_beyond_memory(stack + kept, _named(size), _smaller(experiment, problem, number))
    fits = int((free_memory() - stack) / kept)
    refuse_beyond_memory(stack + runs * kept, f"{_named(size)} in {runs:,} runs", f"at most {fits:,} runs")


def _named(size: int) -> str:
    return f"training {size:,} parameters"


def _layers(problem: Problem) -> tuple[tuple[int, ...], int]:
    """The widths of a model's layers, and the samples of a batch; none of an objective."""
    return getattr(problem, "sizes", ()), getattr(problem, "batch_size", 0)


def _numbers(experiment: Experiment, size: int, widths: tuple[int, ...], samples: int) -> int:
    """How many numbers one run of a stack holds."""
    return _of_theta(experiment) * size + _OF_A_LAYER * samples * sum(widths)


def _of_theta(experiment: Experiment) -> int:
    record = experiment.record
    return _OF_THETA + _OF_THETA_WATCHED * bool(record.forces or record.path or record.energy)


def _smaller(experiment: Experiment, problem: Problem, number: int) -> str:
    """What would fit in place of a problem of which not even one run does."""
    widths, samples = _layers(problem)
    hidden = widths[1:-1]

    def bytes_of(widest: int) -> int:
        narrowed = (widths[0], *(min(width, widest) for width in hidden), widths[-1])
        size = sum(outputs * (inputs + 1) for inputs, outputs in pairwise(narrowed))
        return number * (_numbers(experiment, size, narrowed, samples) + _OF_THE_RESULT * size)

    free = free_memory()
    if hidden and bytes_of(1) <= free:
        low, high = 1, max(hidden)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if bytes_of(middle) <= free else (low, middle - 1)
        return f"hidden layers of a width of at most {low:,}"
    if widths:
        return f"fewer features, or a smaller train.batch_size than {samples:,}"
    dimension = int(free / number / (_of_theta(experiment) + _OF_THE_RESULT))
    return f"an objective of at most {dimension:,} dimensions"
