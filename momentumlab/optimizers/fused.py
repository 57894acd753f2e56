"""The rules of momentum for models of very many parameters: one pass over memory in place of four.

A model that does not fit into the processor's caches is trained as fast as memory can be read and written. The lines of
`rules.py` pass over the velocity, the gradient and θ eight times with an array in between; torch's fused kernel of SGD
passes five times. It computes the torch form, which for as long as η is constant is the classical form too: v = η·b.
"""

import torch

from momentumlab.arrays import Array
from momentumlab.optimizers.rules import RULES, Memory, Rule

MANY = 2**16
"""From so many parameters of a run on one pass is faster; below, a call for each run costs more than it saves."""

_LEAST = 5e-324  # as γ: the kernel knows no buffer at γ = 0, and nothing is left of b times this


def fused(rule: Rule, eta_is_constant: bool) -> Rule:
    """The same rule in one pass over torch tensors of the processor, where there is one; otherwise `rule` itself.

    Equal but for rounding: a product and a sum are rounded once here, where the rule's own lines round twice. The
    classical forms need a constant η.
    """
    name = next((name for name, known in RULES.items() if known is rule), "")
    if not hasattr(torch, "_fused_sgd_") or not (rule.eta_outside or eta_is_constant):
        return rule
    return _FUSED.get(name, rule)


def fused_sgd(theta: Array, gradient: Array, buffer: Array, gamma: Array, eta: Array) -> tuple[Array, Memory]:
    """`sgd`, which remembers its last push."""
    return _in_one_pass(theta, gradient, buffer, gamma * 0, eta, nesterov=False)


def fused_momentum(theta: Array, gradient: Array, buffer: Array, gamma: Array, eta: Array) -> tuple[Array, Memory]:
    """`torch_momentum`."""
    return _in_one_pass(theta, gradient, buffer, gamma, eta, nesterov=False)


def fused_nesterov(theta: Array, gradient: Array, buffer: Array, gamma: Array, eta: Array) -> tuple[Array, Memory]:
    """`torch_nesterov`."""
    return _in_one_pass(theta, gradient, buffer, gamma, eta, nesterov=True)


_FUSED = {
    "sgd": Rule(fused_sgd),
    "momentum": Rule(fused_momentum),
    "torch_momentum": Rule(fused_momentum),
    "nesterov": Rule(fused_nesterov),
    "torch_nesterov": Rule(fused_nesterov),
}


def _in_one_pass(
    theta: Array, gradient: Array, buffer: Array, gamma: Array, eta: Array, *, nesterov: bool
) -> tuple[Array, Memory]:
    # Run by run, as the kernel takes one γ and one η.
    rows = (array.unbind() for array in (theta, gradient, buffer))
    numbers = (column.flatten().tolist() for column in (gamma, eta))
    for one_theta, one_gradient, one_buffer, one_gamma, one_eta in zip(*rows, *numbers, strict=True):
        torch._fused_sgd_(
            [one_theta],
            [one_gradient],
            [one_buffer],
            momentum=one_gamma or _LEAST,
            lr=one_eta,
            dampening=0.0,
            weight_decay=0.0,
            nesterov=nesterov,
            maximize=False,
            is_first_step=False,
        )
    return theta, buffer
