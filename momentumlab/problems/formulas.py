"""Objectives as problems: a formula and its gradient, or scripted pushes. Numpy only."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from momentumlab.arrays import NARROW, Array, NumpyArrays
from momentumlab.problems.objectives import Objective, build
from momentumlab.problems.problem import NOISE, START, Parameter, stream
from momentumlab.problems.tape import Player, Tape

_NOISE_BLOCK = 256  # steps of noise drawn at once: one generator a block is a hundredth of one generator a step
_NOISE_NUMBERS = 2**24  # drawn at once for a seed, at most


class ObjectiveProblem:
    """Minimise a formula J(θ), with or without noise on its gradient.

    The loss is exact; noise, of standard deviation `noise` in every coordinate, is added to the gradient alone and is a
    function of (seed, step).
    """

    has_loss = True
    steps_per_epoch = None
    evaluations = ()

    def __init__(self, specification: Any, dtype: str) -> None:
        self.objective: Objective = build(specification)
        self.noise: float = specification.noise
        self.arrays = NumpyArrays(dtype)
        self.parameters = (Parameter("theta", (self.objective.dimension,)),)
        self.minima = self.objective.minima
        self.stack_limit = _stack_limit(self.objective.dimension)
        self._start = specification.start

    @cached_property
    def tape(self) -> Tape | None:
        """J and ∇J as calls for narrow stacks; None where there are so many parameters that it would gain nothing."""
        objective = self.objective
        if objective.dimension > NARROW:
            return None
        return Tape(objective.value, objective.gradient, objective.dimension, self.arrays.dtype)

    def start(self, seeds: Sequence[int]) -> Array:
        if self._start == "random":
            return self.arrays.array([self._random_start(seed) for seed in seeds])
        start = self.objective.start if self._start is None else self._start
        return self.arrays.array([start] * len(seeds))

    def feed(self, seeds: Sequence[int]) -> "_ObjectiveFeed":
        return _ObjectiveFeed(self, seeds)

    def evaluate(self, theta: Array) -> dict[str, Array]:
        del theta
        return {}

    def gradient_noise(self, seeds: Sequence[int]) -> "GradientNoise":
        """The noise on the gradients of a stack whose runs have these seeds."""
        return GradientNoise(self.noise, self.objective.dimension, seeds)

    def _random_start(self, seed: int) -> npt.NDArray[np.float64]:
        low, high = np.array(self.objective.domain).T
        start: npt.NDArray[np.float64] = stream(seed, START).uniform(low, high)
        return start


class _ObjectiveFeed:
    def __init__(self, problem: ObjectiveProblem, seeds: Sequence[int]) -> None:
        self._objective = problem.objective
        self._tape = problem.tape
        self._player: Player | None = None
        self._noise = problem.gradient_noise(seeds)

    def loss_and_gradient(self, theta: Array, step: int) -> tuple[Array, Array]:
        if self._tape is None:
            loss, gradient = self._objective.value(theta, np), self._objective.gradient(theta, np)
        else:
            if self._player is None or self._player.theta is not theta:
                self._player = self._tape.player(theta)
            loss, gradient = self._player.play()
        return loss, self._noise.added_to(gradient, step)


class GradientNoise:
    """Gaussian noise on the gradients of a stack, a function of (seed, step)."""

    def __init__(self, scale: float, dimension: int, seeds: Sequence[int]) -> None:
        self._scale = scale
        self._dimension = dimension
        self._seeds, self._seed_of_run = np.unique(np.asarray(seeds, np.uint64), return_inverse=True)
        self._together = _steps_together(dimension)
        self._drawn_last = (-1, -1)  # the number of the block, and of the part of it that stands in `_part`
        self._streams: list[np.random.Generator] = []  # of each seed, behind that part
        self._part: npt.NDArray[np.float64] = np.empty(0)  # (step, parameter, seed)

    def added_to(self, gradient: Array, step: int) -> Array:
        """`gradient` (run, parameter) with the noise of this step, of the gradient's dtype."""
        if self._scale == 0:
            return gradient
        number, row = divmod(step, _NOISE_BLOCK)
        part, row = divmod(row, self._together)
        if (number, part) != self._drawn_last:
            self._draw(number, part)
        noise = self._scale * self._part[row][:, self._seed_of_run].T
        return gradient + noise.astype(gradient.dtype)

    def _draw(self, number: int, part: int) -> None:
        block, last = self._drawn_last
        if number != block or part < last:
            self._streams, last = [stream(int(seed), NOISE, number) for seed in self._seeds], -1
        shape = (self._together, self._dimension)
        for _ in range(last, part):  # a generator goes on where it stopped: the parts are those of the whole block
            self._part = np.stack([drawn.standard_normal(shape) for drawn in self._streams], axis=-1)
        self._drawn_last = number, part


def _steps_together(dimension: int) -> int:
    # A whole block, but of so many dimensions that it would take gigabytes an equal part of it.
    steps = _NOISE_BLOCK
    while steps > 1 and steps * dimension > _NOISE_NUMBERS:
        steps //= 2
    return steps


class ForcesProblem:
    """No landscape: the gradients of updates 1, 2, 3 … are written down, and zero afterwards."""

    has_loss = False
    steps_per_epoch = None
    evaluations = ()
    minima = ()

    def __init__(self, specification: Any, dtype: str) -> None:
        self.arrays = NumpyArrays(dtype)
        self.pushes = self.arrays.array(specification.pushes)  # (update, parameter)
        dimension = self.pushes.shape[1]
        self.parameters = (Parameter("theta", (dimension,)),)
        self.stack_limit = _stack_limit(dimension)
        self._start = [0.0] * dimension if specification.start is None else specification.start

    def start(self, seeds: Sequence[int]) -> Array:
        return self.arrays.array([self._start] * len(seeds))

    def feed(self, seeds: Sequence[int]) -> "ForcesProblem":
        del seeds  # the pushes are the same for every seed, so the problem is its own feed
        return self

    def loss_and_gradient(self, theta: Array, step: int) -> tuple[None, Array]:
        push = self.pushes[step] if step < len(self.pushes) else np.zeros_like(self.pushes[0])
        return None, np.broadcast_to(push, theta.shape).astype(theta.dtype)

    def evaluate(self, theta: Array) -> dict[str, Array]:
        del theta
        return {}


def _stack_limit(dimension: int) -> int:
    # A few hundred kilobytes of each array: numpy's fixed cost a step is spread and the work stays in the cache.
    return max(1, min(4096, 65536 // dimension))
