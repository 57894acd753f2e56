"""The formulas of momentum, from simple to complex, each written once in plain arithmetic.

A rule takes the parameters θ, the gradient ∇J(θ) and what it remembers, and returns θ and the memory anew:

    theta, memory = rule.update(theta, gradient, memory, gamma, eta)

It imports nothing and uses only + − ·, so the same lines serve a Python float, a numpy array and a torch tensor, and a
whole stack of runs: then θ, ∇J and the memory are (run, parameter), γ and η are (run, 1). The memory starts at zero.
Arrays of θ and of the memory are changed in place, which halves what a step of a stack costs; the gradient never is.

Two forms of every optimizer exist, and they are the same optimizer only while η is constant:

    classical   η inside v: a push keeps the η of its own day          v ← γ·v + η·∇J
    torch       η outside:  today's η rescales all past pushes         b ← γ·b + ∇J,  step η·b
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Array = Any  # a float, a numpy array or a torch tensor: whatever knows + − ·
Update = Callable[[Array, Array, Array, Array, Array], tuple[Array, Array]]


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


@dataclass(frozen=True)
class Rule:
    """An update and how its memory is read as a velocity."""

    update: Update
    eta_outside: bool  # the memory is b, without η: the velocity that moves θ is η·b

    def velocity(self, memory: Array, eta: Array) -> Array:
        """v after an update that used `eta`: what the update took from θ (Nesterov: its inertial part)."""
        return eta * memory if self.eta_outside else memory


RULES: dict[tuple[str, str], Rule] = {
    ("sgd", "classical"): Rule(sgd, eta_outside=False),
    ("sgd", "torch"): Rule(sgd, eta_outside=False),
    ("momentum", "classical"): Rule(momentum, eta_outside=False),
    ("momentum", "torch"): Rule(torch_momentum, eta_outside=True),
    ("nesterov", "classical"): Rule(nesterov, eta_outside=False),
    ("nesterov", "torch"): Rule(torch_nesterov, eta_outside=True),
}
"""Every rule by (kind, form)."""
