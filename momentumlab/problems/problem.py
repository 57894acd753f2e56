"""What the engine sees of a problem: a starting point, and for a stack of parameters its losses and gradients."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from momentumlab.arrays import Array, Arrays

START, ORDER, NOISE = range(3)
"""What a stream of random numbers is for: every purpose of a seed has its own."""


def stream(seed: int, purpose: int, count: int = 0) -> np.random.Generator:
    """Random numbers that are a function of (seed, purpose, count) and of nothing else.

    `count` is an epoch or a block of steps. No run's numbers depend on what was drawn before or for another run.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(purpose, count)))


@dataclass(frozen=True)
class Parameter:
    """One tensor of the problem's parameters; θ is all of them flattened, one after another."""

    name: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))


class Feed(Protocol):
    """The problem as the runs of one stack see it, each with the batches and the noise of its own seed."""

    def loss_and_gradient(self, theta: Array, step: int) -> tuple[Array | None, Array]:
        """J(θ), (run,), and ∇J(θ), (run, parameter), that the update after `step` updates uses.

        J is None where there is no landscape (scripted pushes).
        """
        ...


class Problem(Protocol):
    """What is minimised: a model with data and a loss, or an objective."""

    @property
    def arrays(self) -> Arrays:
        """The array library of its stacks."""
        ...

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The tensors that θ consists of, in order."""
        ...

    @property
    def minima(self) -> tuple[tuple[float, ...], ...]:
        """The known minima, each a θ; () where none is known."""
        ...

    @property
    def stack_limit(self) -> int:
        """How many runs are advanced at once: a function of the experiment alone."""
        ...

    @property
    def has_loss(self) -> bool:
        """Whether there is a landscape."""
        ...

    @property
    def steps_per_epoch(self) -> int | None:
        """None where nothing is repeated in epochs."""
        ...

    @property
    def evaluations(self) -> tuple[str, ...]:
        """The names of what `evaluate` gives, () where nothing is evaluated."""
        ...

    def start(self, seeds: Sequence[int]) -> Array:
        """θ₀ of every seed, (run, parameter)."""
        ...

    def feed(self, seeds: Sequence[int]) -> Feed:
        """The problem for a stack whose runs have these seeds."""
        ...

    def evaluate(self, theta: Array) -> dict[str, Array]:
        """`evaluations` for a stack of parameters: loss and accuracy over all data, each (run,)."""
        ...
