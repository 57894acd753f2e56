"""The rules of momentum for models of very many parameters: one pass over memory in place of four.

A model that does not fit into the processor's caches is trained as fast as memory can be read and written. The lines of
`rules.py` pass over the velocity, the gradient and θ eight times with an array in between; torch's fused kernel of SGD
passes five times. It computes the torch form, which for as long as η is constant is the classical form too: v = η·b.
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from momentumlab.arrays import Array
from momentumlab.optimizers.rules import RULES, Memory, Rule

MANY = 2**12
"""From so many parameters of a run on one pass is faster; below, a call for each run costs more than it saves."""

_LEAST = sys.float_info.min  # as γ: the kernel knows no buffer at γ = 0, and nothing is left of b times this


def fused(rule: Rule, eta_is_constant: bool) -> Rule:
    """The same rule in one pass over torch tensors of the processor, where there is one; otherwise `rule` itself.

    Equal but for rounding: a product and a sum are rounded once here, where the rule's own lines round twice. The
    classical forms need a constant η. What is given serves one stack, whose rows it remembers.
    """
    name = next((name for name, known in RULES.items() if known is rule), "")
    if name not in _NESTEROV or not hasattr(torch, "_fused_sgd_") or not (rule.eta_outside or eta_is_constant):
        return rule
    return Rule(OnePass(inertia=name != "sgd", nesterov=_NESTEROV[name]))


_NESTEROV = {"sgd": False, "momentum": False, "torch_momentum": False, "nesterov": True, "torch_nesterov": True}


class OnePass:
    """`torch_momentum` or `torch_nesterov`, or without inertia `sgd`, run by run: the kernel takes one γ and one η."""

    def __init__(self, *, inertia: bool, nesterov: bool) -> None:
        self._inertia = inertia
        self._nesterov = nesterov
        self._seen: Sequence[Any] = [None] * 5
        self._parts: list[Sequence[Any]] = [()] * 5
        self._kernels: list[Callable[[], None]] = []  # a call for each run, all its arguments given

    def __call__(self, theta: Array, gradient: Array, buffer: Array, gamma: Array, eta: Array) -> tuple[Array, Memory]:
        known = self._seen
        same = theta is known[0] and gradient is known[1] and buffer is known[2]
        if not (same and gamma is known[3] and eta is known[4]):
            # Seldom: as a rule works in place, the arrays of a stack stay what they are.
            self._kernels = self._prepared((theta, gradient, buffer, gamma, eta))
        for kernel in self._kernels:
            kernel()
        return theta, buffer

    def _prepared(self, given: Sequence[Array]) -> list[Callable[[], None]]:
        for place, (array, before) in enumerate(zip(given, self._seen, strict=True)):
            if array is not before:
                self._parts[place] = array.unbind() if place < 3 else array.flatten().tolist()
        self._seen = given
        return [
            partial(
                torch._fused_sgd_,
                [theta],
                [gradient],
                [buffer],
                momentum=(self._inertia and gamma) or _LEAST,
                lr=eta,
                dampening=0.0,
                weight_decay=0.0,
                nesterov=self._nesterov,
                maximize=False,
                is_first_step=False,
            )
            for theta, gradient, buffer, gamma, eta in zip(*self._parts, strict=True)
        ]
