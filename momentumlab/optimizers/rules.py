"""The formulas of momentum, from simple to complex, each written once in plain arithmetic.

A rule takes the parameters θ, the gradient ∇J(θ), what it remembers and its hyperparameters by name, and returns θ and
the memory anew:

    theta, memory = rule.update(theta, gradient, memory, gamma=gamma, eta=eta)

It uses + − · and `sign`, so the same lines serve a Python float, a numpy array and a torch tensor, and a whole stack of
runs: then θ, ∇J and the memory are (run, parameter) and every hyperparameter is (run, 1). The memory starts at zero.
Arrays of θ and of the memory may be changed in place, which halves what a step of a stack costs; the gradient never is.

`sgd`, `momentum` and `nesterov` exist in two forms, which are the same optimizer only while η is constant; in all
other rules η stands outside:

    classical   η inside v: a push keeps the η of its own day          v ← γ·v + η·∇J
    torch       η outside:  today's η rescales all past pushes         b ← γ·b + ∇J,  step η·b
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from momentumlab.arrays import sign, zeros_like

Array = Any  # a float, a numpy array or a torch tensor: whatever knows + − ·
Memory = Any  # an Array, or a list of them (aggmo)
Update = Callable[..., tuple[Array, Memory]]
"""(theta, gradient, memory, **hyperparameters) -> (theta, memory)"""


def sgd(theta: Array, gradient: Array, velocity: Array, gamma: Array, eta: Array) -> tuple[Array, Array]:
    """Step down the slope of this moment; nothing is remembered.

        velocity = eta * gradient
        theta    = theta - velocity

    `momentum` with γ = 0, to the bit. Robbins and Monro 1951.
    """
    del velocity, gamma
    velocity = eta * gradient
    theta -= velocity
    return theta, velocity


def momentum(theta: Array, gradient: Array, velocity: Array, gamma: Array, eta: Array) -> tuple[Array, Array]:
    """Keep the share γ of the last step and add today's push: the article's formula.

        velocity = gamma * velocity + eta * gradient
        theta    = theta - velocity

    Differs from `torch_momentum` only while η changes: here each push keeps the η of its own day. Polyak 1964.
    """
    velocity *= gamma
    velocity += eta * gradient
    theta -= velocity
    return theta, velocity


def torch_momentum(theta: Array, gradient: Array, buffer: Array, gamma: Array, eta: Array) -> tuple[Array, Array]:
    """What `torch.optim.SGD(lr=η, momentum=γ)` computes: η stands outside the memory.

        buffer = gamma * buffer + gradient
        theta  = theta - eta * buffer

    Differs from `momentum` only while η changes: here today's η rescales every push of the past.
    """
    buffer *= gamma
    buffer += gradient
    theta -= eta * buffer
    return theta, buffer


def nesterov(theta: Array, gradient: Array, velocity: Array, gamma: Array, eta: Array) -> tuple[Array, Array]:
    """Momentum whose gradient is taken at the point where inertia is about to carry θ.

        velocity = gamma * velocity + eta * gradient
        theta    = theta - (gamma * velocity + eta * gradient)

    θ is that look-ahead point itself, so the gradient is the ordinary one at θ. Differs from `momentum` in one thing:
    the step already contains the next share of inertia. Nesterov 1983; in this arrangement Sutskever et al. 2013.
    """
    push = eta * gradient
    velocity *= gamma
    velocity += push
    theta -= gamma * velocity + push
    return theta, velocity


def torch_nesterov(theta: Array, gradient: Array, buffer: Array, gamma: Array, eta: Array) -> tuple[Array, Array]:
    """What `torch.optim.SGD(lr=η, momentum=γ, nesterov=True)` computes: η stands outside the memory.

        buffer = gamma * buffer + gradient
        theta  = theta - eta * (gradient + gamma * buffer)

    Differs from `nesterov` only while η changes, as `torch_momentum` does from `momentum`.
    """
    buffer *= gamma
    buffer += gradient
    theta -= eta * (gradient + gamma * buffer)
    return theta, buffer


def ema(theta: Array, gradient: Array, average: Array, gamma: Array, eta: Array) -> tuple[Array, Array]:
    """Follow the exponential moving average of the gradients.

        average = gamma * average + (1 - gamma) * gradient
        theta   = theta - eta * average

    Differs from `torch_momentum` in the factor 1 − γ: the step keeps its size when γ is changed, and
    `momentum` with (1 − γ)·η is the same optimizer. Gitman et al. 2019 call it normalised momentum.
    """
    average *= gamma
    average += (1 - gamma) * gradient
    theta -= eta * average
    return theta, average


def qhm(theta: Array, gradient: Array, average: Array, gamma: Array, eta: Array, nu: Array) -> tuple[Array, Array]:
    """Quasi-hyperbolic momentum: the share ν of the average, the rest of the gradient itself.

        average = gamma * average + (1 - gamma) * gradient
        theta   = theta - eta * ((1 - nu) * gradient + nu * average)

    Differs from `ema` in the gradient's own share: ν = 1 is `ema`, ν = 0 is `sgd`, ν = γ is Nesterov's. Ma and Yarats
    2019, who write α for η and β for γ.
    """
    average *= gamma
    average += (1 - gamma) * gradient
    theta -= eta * ((1 - nu) * gradient + nu * average)
    return theta, average


def aggmo(
    theta: Array,
    gradient: Array,
    velocities: Sequence[Array],
    gammas: Sequence[Array],
    eta: Array,
    weights: Sequence[Array],
) -> tuple[Array, list[Array]]:
    """Aggregated momentum: several velocities at once, each with a γ of its own.

        velocities = [gamma * velocity + gradient for gamma, velocity in zip(gammas, velocities)]
        theta      = theta - eta * sum(weight * velocity for weight, velocity in zip(weights, velocities))

    Differs from `torch_momentum` in their number: the small γ damp what the large one would overshoot. Lucas et al.
    2019, with equal weights 1/K.
    """
    velocities = [gamma * velocity + gradient for gamma, velocity in zip(gammas, velocities, strict=True)]
    theta -= eta * _weighted(velocities, weights)
    return theta, velocities


def signum(theta: Array, gradient: Array, average: Array, gamma: Array, eta: Array) -> tuple[Array, Array]:
    """Step by η in every coordinate, towards the side that the average of the gradients points to.

        average = gamma * average + (1 - gamma) * gradient
        theta   = theta - eta * sign(average)

    Differs from `ema` in the sign: the size of the gradient has no say. γ = 0 is sign descent. Bernstein et al. 2018.
    """
    average *= gamma
    average += (1 - gamma) * gradient
    theta -= eta * sign(average)
    return theta, average


def lion(theta: Array, gradient: Array, average: Array, gamma: Array, eta: Array, beta1: Array) -> tuple[Array, Array]:
    """Signum that looks at the gradient with one weight and remembers it with another.

        direction = beta1 * average + (1 - beta1) * gradient
        theta     = theta - eta * sign(direction)
        average   = gamma * average + (1 - gamma) * gradient

    Differs from `signum` only where β₁ ≠ γ. γ is the paper's β₂, the share of the average that is kept; its decoupled
    weight decay is an option of every rule. Chen et al. 2023.
    """
    theta -= eta * sign(beta1 * average + (1 - beta1) * gradient)
    average *= gamma
    average += (1 - gamma) * gradient
    return theta, average


def _weighted(velocities: Sequence[Array], weights: Sequence[Array]) -> Array:
    # Velocity by velocity: a sum over an axis would give other bits for other numbers of runs.
    first, *others = (weight * velocity for weight, velocity in zip(weights, velocities, strict=True))
    return sum(others, start=first)


@dataclass(frozen=True)
class Rule:
    """An update, and how its memory is read as a velocity."""

    update: Update
    eta_outside: bool = True  # the memory is without η: the velocity that moves θ is η·memory
    many: str = ""  # the hyperparameter that has one value for each of several velocities

    @cached_property
    def hyperparameters(self) -> tuple[str, ...]:
        """The names of what the update takes beside θ, ∇J and its memory."""
        return tuple(inspect.signature(self.update).parameters)[3:]

    def at_rest(self, theta: Array, hyperparameters: Mapping[str, Any]) -> Memory:
        """The memory before the first update: zero, in the shape of `theta`."""
        return [zeros_like(theta) for _ in hyperparameters[self.many]] if self.many else zeros_like(theta)

    def velocity(self, memory: Memory, hyperparameters: Mapping[str, Any]) -> Array:
        """v after an update with these hyperparameters: what the memory took from θ.

        momentum, ema, aggmo: the whole step. nesterov, qhm: its inertial part. signum, lion: η·average, whose signs
        the step is made of.
        """
        if self.many:
            memory = _weighted(memory, hyperparameters["weights"])
        return hyperparameters["eta"] * memory if self.eta_outside else memory

    def remembered(self, velocity: Array, eta: Array) -> Memory | None:
        """The memory that is read as this velocity, but for rounding; None where several could be."""
        if self.many:
            return None
        return velocity / eta if self.eta_outside else velocity


RULES: dict[str, Rule] = {
    "sgd": Rule(sgd, eta_outside=False),
    "momentum": Rule(momentum, eta_outside=False),
    "torch_momentum": Rule(torch_momentum),
    "nesterov": Rule(nesterov, eta_outside=False),
    "torch_nesterov": Rule(torch_nesterov),
    "ema": Rule(ema),
    "qhm": Rule(qhm),
    "aggmo": Rule(aggmo, many="gammas"),
    "signum": Rule(signum),
    "lion": Rule(lion),
}
"""Every rule by its name; sgd, momentum and nesterov of form torch begin with `torch_` (sgd is the same in both)."""
