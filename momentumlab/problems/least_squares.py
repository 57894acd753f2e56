"""Least squares with few parameters: a linear model shown all of its data in every update, on a handful of numbers.

The mean squared error of a linear model is a function of θ that a triangle of numbers holds exactly, however many
samples there were: with the QR decomposition [x 1 y] = Q·[R z; 0 ρ] of n samples, or n samples times outputs

    J(θ) = (‖R·θ − z‖² + ρ²) / n          ∇J(θ) = 2·Rᵀ·(R·θ − z) / n

So an update costs what the parameters cost, and not what the samples cost. Unlike the normal equations, a QR loses no
digits. Golub 1965.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from momentumlab.arrays import NARROW, Array, NumpyArrays, vector
from momentumlab.experiment import Experiment
from momentumlab.problems.models import ModelProblem

Numbers = npt.NDArray[Any]


def few_parameters(experiment: Experiment, model: ModelProblem) -> bool:
    """Whether an experiment is least squares of few parameters that our own rules train on the processor."""
    return (
        experiment.model is not None
        and experiment.model.kind == "linear"
        and experiment.loss == "mse"
        and model.full_batch
        and experiment.optimizer.backend == "scratch"
        and experiment.train.device == "cpu"
        and sum(parameter.size for parameter in model.parameters) <= NARROW
    )


class LeastSquares:
    """A linear model of few parameters, all its data in every update, on numpy.

    θ is the model's: the weights output by output, then the biases.
    """

    has_loss = True
    minima: tuple[tuple[float, ...], ...] = ()
    stack_limit = 4096

    def __init__(self, model: ModelProblem) -> None:
        self.arrays = NumpyArrays(model.arrays.dtype)
        self.parameters = model.parameters
        self.steps_per_epoch = model.steps_per_epoch
        self.evaluations = model.evaluations
        self._model = model
        self.dataset = dataset = model.dataset
        self._train = Triangle(dataset.x, dataset.y, self.arrays)
        self._parts = {"train": self._train}
        if dataset.test_x is not None and dataset.test_y is not None:
            self._parts["test"] = Triangle(dataset.test_x, dataset.test_y, self.arrays)

    def start(self, seeds: Sequence[int]) -> Array:
        return self.arrays.array(self._model.arrays.numpy(self._model.start(seeds)))

    def feed(self, seeds: Sequence[int]) -> "LeastSquares":
        del seeds  # all data, whatever the seed: the problem is its own feed
        return self

    def loss_and_gradient(self, theta: Array, step: int) -> tuple[Array, Array]:
        del step
        residuals = self._train.residuals(theta)
        return self._train.loss(residuals), self._train.gradient(residuals)

    def evaluate(self, theta: Array) -> dict[str, Array]:
        return {f"{part}_loss": triangle.loss(triangle.residuals(theta)) for part, triangle in self._parts.items()}


class Triangle:
    """What is left of a data set: R (row, input), z (row, output) and ρ², all divided so that J is a plain sum."""

    def __init__(self, x: Numbers, y: Numbers, arrays: NumpyArrays) -> None:
        samples, outputs = y.shape
        inputs = np.column_stack([x, np.ones(samples)]).astype(np.float64)
        triangle = np.linalg.qr(np.column_stack([inputs, y]), mode="r") / np.sqrt(samples * outputs)
        width = inputs.shape[1]
        kind = np.dtype(arrays.dtype).type
        with np.errstate(over="ignore"):  # a loss beyond float32 is inf from the start, which is an outcome
            self._r = triangle[:width, :width].astype(kind)
            self._twice = 2 * self._r
            self._z = triangle[:width, width:].astype(kind)
            self._rest = kind((triangle[width:, width:] ** 2).sum())

    def residuals(self, theta: Array) -> list[list[Array]]:
        """R·θ − z by output and row, each (run,), written out number by number: elementwise in the runs."""
        inputs, outputs = self._r.shape[1], self._z.shape[1]
        residuals = []
        for output, z in enumerate(self._z.T):
            weights = range(output * (inputs - 1), (output + 1) * (inputs - 1))
            columns = [theta[:, index] for index in (*weights, outputs * (inputs - 1) + output)]
            residuals.append([_products(self._r[row, row:], columns[row:]) - z[row] for row in range(len(z))])
        return residuals

    def loss(self, residuals: list[list[Array]]) -> Array:
        """J, (run,)"""
        return sum((u * u for rows in residuals for u in rows), start=self._rest)

    def gradient(self, residuals: list[list[Array]]) -> Array:
        """∇J, (run, parameter)"""
        columns = range(self._r.shape[1])
        by_input = [[_products(self._twice[: index + 1, index], rows) for index in columns] for rows in residuals]
        weights = [by_weight for of_output in by_input for by_weight in of_output[:-1]]
        return vector([*weights, *(of_output[-1] for of_output in by_input)], np)


def _products(numbers: Numbers, arrays: Sequence[Array]) -> Array:
    # Σ numberᵢ·arrayᵢ, as far as there are both
    first, *others = (number * array for number, array in zip(numbers, arrays, strict=False))
    return sum(others, start=first)
