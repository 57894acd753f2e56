"""A rule at work: what happens to the parameters in one update, with the options around the formula."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from momentumlab.arrays import Array, Arrays
from momentumlab.optimizers.rules import Memory, Rule

_NUMBERS = ("clip", "weight_decay", "dampening")  # the options that are numbers


@dataclass
class Moment:
    """A stack between two updates: all that the next one depends on, beside its hyperparameters."""

    theta: Array  # (run, parameter)
    gradient: Array  # (run, parameter), ∇J(θ)
    memory: Memory  # (run, parameter), or a list of such
    at_rest: Array  # (run, 1), whether there was no update yet
    velocity: Array  # (run, parameter), v after the last update
    eta_before: Array  # (run, 1), η of the last update
    loss: Array | None  # (run,), J(θ)
    loss_before: Array | None  # (run,), J before the last update; at rest, J

    def of(self, runs: npt.NDArray[np.intp], arrays: Arrays) -> "Moment":
        """The same for these runs alone, given by their rows."""

        def rows(part: Any) -> Any:
            if isinstance(part, list):
                return [arrays.rows(one, runs) for one in part]
            return None if part is None else arrays.rows(part, runs)

        return Moment(**{name: rows(part) for name, part in vars(self).items()})


@dataclass(frozen=True)
class Update:
    """A rule with its options, which are applied in this order.

        restart              the memory is set to zero where J has risen (function) or ∇J·v < 0 (gradient)
        clip                 ∇J ← ∇J·min(1, c/‖∇J‖)
        weight_decay         coupled: ∇J ← ∇J + λθ
        dampening            ∇J ← (1 − τ)·∇J, but for an update from rest, and where γ = 0, as torch has it
        momentum_correction  v ← v·η_t/η_{t−1}: the classical form follows torch's under a schedule of η
        weight_decay         decoupled: θ ← θ·(1 − ηλ)
        rule

    Restarts: O'Donoghue and Candès 2015. Correction: Goyal et al. 2017. Decoupled decay: Loshchilov and Hutter 2019.
    Runs with an equal Update are computed in the same way, so they can share a stack.
    """

    rule: Rule
    restart: Literal["function", "gradient"] | None = None
    clip: bool = False
    weight_decay: Literal["coupled", "decoupled"] | None = None
    dampening: bool = False
    momentum_correction: bool = False

    @cached_property
    def hyperparameters(self) -> tuple[str, ...]:
        """The names of all numbers that an update takes."""
        return (*self.rule.hyperparameters, *(name for name in _NUMBERS if getattr(self, name)))

    def __call__(self, now: Moment, given: Mapping[str, Any], arrays: Arrays) -> tuple[Array, Memory]:
        """θ and the memory after the update; every hyperparameter in `given` is a column (run, 1), or a list of them.

        Neither the gradient nor anything in `given` is changed.
        """
        theta, gradient, memory = now.theta, now.gradient, now.memory
        if self._has_options:
            theta, gradient, memory = self._with_options(now, given, arrays)
        names = self.rule.hyperparameters
        if len(given) > len(names):  # those of the options too
            given = {name: given[name] for name in names}
        return self.rule.update(theta, gradient, memory, **given)

    @cached_property
    def _has_options(self) -> bool:
        return self != Update(self.rule)

    def _with_options(self, now: Moment, given: Mapping[str, Any], arrays: Arrays) -> tuple[Array, Array, Memory]:
        # θ, ∇J and the memory as the rule is to see them.
        where = arrays.module.where
        theta, gradient, memory, at_rest = now.theta, now.gradient, now.memory, now.at_rest
        if self.restart:
            again = self._restarts(now, arrays)
            memory, at_rest = where(again, 0, memory), at_rest | again
        if self.clip:
            gradient = clipped(gradient, given["clip"], arrays)
        if self.weight_decay == "coupled":
            gradient = gradient + given["weight_decay"] * theta
        if self.dampening:
            gradient = where(at_rest | (given["gamma"] == 0), gradient, (1 - given["dampening"]) * gradient)
        if self.momentum_correction:
            memory = where(now.eta_before == 0, memory, memory * (given["eta"] / now.eta_before))
        if self.weight_decay == "decoupled":
            theta = theta * (1 - given["eta"] * given["weight_decay"])
        return theta, gradient, memory

    def _restarts(self, now: Moment, arrays: Arrays) -> Array:
        # (run, 1)
        if self.restart == "gradient":
            return arrays.dot(now.gradient, now.velocity)[:, None] < 0
        assert now.loss is not None  # whatever has no loss is refused this criterion
        return (now.loss > now.loss_before)[:, None]


def clipped(gradient: Array, limit: Array, arrays: Arrays) -> Array:
    """The gradient of each run, shortened to the length `limit` where it is longer: (run, parameter)."""
    length = arrays.norm(gradient)[:, None]
    return gradient * (limit / arrays.module.maximum(length, limit))
