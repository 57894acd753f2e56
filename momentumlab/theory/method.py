"""A rule with its numbers, as theory sees it: a matrix for every direction of a quadratic.

In the direction of an eigenvector of the Hessian, of curvature λ, the gradient is λ·x with x the distance from the
minimum. A rule that is linear then multiplies its state s = (x, what it remembers) with one matrix in every update:

    s ← M(λ)·s,   M(λ) = A − λ·b·eᵀ

b is what a gradient of −1 adds to the state, and e picks x. The matrix is found by making an update of every basis
vector, with the same code that trains: rule, weight decay, dampening.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from momentumlab.arrays import NumpyArrays
from momentumlab.optimizers.rules import RULES, Memory
from momentumlab.optimizers.update import Moment, Update

Numbers = npt.NDArray[np.float64]
_FLOATS = NumpyArrays("float64")


@dataclass(frozen=True)
class Method:
    """An update and its hyperparameters: numbers, or arrays of one shape for many runs at once.

        Method.of("momentum", gamma=0.9, eta=0.01)
        Method.of("momentum", gamma=gamma[:, None], eta=eta)     a map over γ and η: (γ, η)
        Method(update_of(optimizer), {"gamma": 0.9, "eta": 0.01})  that of an experiment, with its options

    What asks a method about curvatures λ broadcasts them with the hyperparameters.
    """

    update: Update
    hyperparameters: Mapping[str, Any]

    @classmethod
    def of(
        cls, rule: str, *, weight_decay: float = 0.0, decoupled: bool = False, dampening: float = 0.0, **given: Any
    ) -> Self:
        """One of our rules by its name in `RULES`; of aggmo `weights` are equal unless given, sgd needs no γ."""
        decay = ("decoupled" if decoupled else "coupled") if weight_decay else None
        options = {"weight_decay": weight_decay, "dampening": dampening}
        update = Update(RULES[rule], weight_decay=decay, dampening=bool(dampening))  # type: ignore[arg-type]
        if rule == "aggmo":
            given.setdefault("weights", [1 / len(given["gammas"])] * len(given["gammas"]))
        if rule == "sgd":
            given.setdefault("gamma", 0.0)
        return cls(update, given | {name: number for name, number in options.items() if number})

    def at(self, **changes: Any) -> Self:
        """The same with other values of some hyperparameters."""
        return replace(self, hyperparameters={**self.hyperparameters, **changes})

    @property
    def eta(self) -> Any:
        """η, a number or an array."""
        return self.hyperparameters["eta"]

    @property
    def shape(self) -> tuple[int, ...]:
        """(…): that of all hyperparameters together, () of one run."""
        return self._columns(0.0)[0]

    @property
    def states(self) -> int:
        """How many numbers an update carries on in one direction: x and all that is remembered."""
        many = self.update.rule.many
        return 1 + (len(self.hyperparameters[many]) if many else 1)

    def matrix(self, curvature: npt.ArrayLike, *, at_rest: bool = False) -> Numbers:
        """M, (…, state, state), in a direction of this curvature λ; the first state is x.

        `at_rest` gives that of the first update, which dampening leaves out. Only for a method that is linear.
        """
        shape, (bend, given) = self._columns(curvature)
        basis = [np.repeat(vector[None], len(bend), 0) for vector in np.eye(self.states)]
        images = [self._after(state, bend * state[:, :1], given, at_rest) for state in basis]
        return np.stack(images, -1).reshape(*shape, self.states, self.states)

    def push(self) -> Numbers:
        """−b, (…, state): what a gradient of 1 adds to the state of an update."""
        shape, (one, given) = self._columns(1.0)
        return self._after(np.zeros((len(one), self.states)), one, given, False).reshape(*shape, self.states)

    def velocity(self) -> Numbers:
        """(…, state): the weights with which v is read from a state, v = Σ weight·state."""
        shape, (zero, given) = self._columns(0.0)
        basis = [np.repeat(vector[None], len(zero), 0) for vector in np.eye(self.states)[1:]]
        read = [self.update.rule.velocity(self._memory(state), given) for state in basis]
        return np.concatenate([zero, *read], -1).reshape(*shape, self.states)

    def why_not_linear(self) -> str | None:
        """Why no matrix describes an update, as the end of a sentence; None where one does."""
        if self.update.restart:
            return "restarts set its memory to zero now and then"
        if self.update.clip:
            return "clip shortens its long gradients"
        state = np.cos(np.arange(1.0, 1 + self.states))  # any numbers of both signs that no law connects
        _, (curvature, given) = self._columns(0.7)
        states = np.repeat(state[None], len(curvature), 0)
        with np.errstate(all="ignore"):
            found = self._after(states, curvature * states[:, :1], given, False)
            expected = (self.matrix(0.7) @ state).reshape(states.shape)
        # A few roundings of numbers around 1; a sign is off by its whole size.
        return None if np.allclose(found, expected, rtol=1e-9, atol=1e-12) else "its step does not grow with ∇J"

    def _columns(self, curvature: npt.ArrayLike) -> tuple[tuple[int, ...], tuple[Numbers, dict[str, Any]]]:
        """The shape of all numbers together, and λ and every hyperparameter as columns (cell, 1)."""
        given = {
            name: [np.asarray(one, np.float64) for one in value] if isinstance(value, list | tuple) else value
            for name, value in self.hyperparameters.items()
        }
        flat = [one for value in given.values() for one in (value if isinstance(value, list) else [value])]
        shape = np.broadcast_shapes(np.shape(curvature), *(np.shape(one) for one in flat))

        def column(value: Any) -> Any:
            return np.broadcast_to(np.asarray(value, np.float64), shape).reshape(-1, 1)

        columns = {
            name: [column(one) for one in value] if isinstance(value, list) else column(value)
            for name, value in given.items()
        }
        return shape, (column(curvature), columns)

    def _after(self, state: Numbers, gradient: Numbers, given: dict[str, Any], at_rest: bool) -> Numbers:
        """(cell, state) after one update of (cell, state): a stack whose runs are the cells."""
        theta = state[:, :1].copy()
        now = Moment(
            theta=theta,
            gradient=gradient,
            memory=self._memory(state),
            at_rest=np.full(theta.shape, at_rest),
            velocity=theta,  # none of these three is read: restarts and corrections of η are no part of theory
            eta_before=given["eta"],
            loss=None,
            loss_before=None,
        )
        theta, memory = self.update(now, given, _FLOATS)
        return np.concatenate([theta, *(memory if isinstance(memory, list) else [memory])], -1)

    def _memory(self, state: Numbers) -> Memory:
        parts = [state[:, index : index + 1].copy() for index in range(1, self.states)]
        return parts if self.update.rule.many else parts[0]


def effective_eta(method: Method) -> Any:
    """(…): how far one gradient of 1 has moved θ in the end: η/(1 − γ) for momentum, η for sgd, ema and qhm.

    The push at once, and all that the memory of it adds while it decays. Infinite for γ = 1.
    """
    free, push = method.matrix(0.0), method.push()
    decay = np.eye(method.states - 1) - free[..., 1:, 1:]
    remembered = np.linalg.solve(decay, push[..., 1:, None])[..., 0]
    return -(push[..., 0] + (free[..., 0, 1:] * remembered).sum(-1))
