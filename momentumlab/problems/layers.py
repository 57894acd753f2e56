"""The way forward and back through a stack's layers W·x + b, in closed form.

Between the layers samples stand in columns: (run, output, sample). Then every product takes the parameters as they
stand in θ, gives the gradient as it stands in ∇J, and each run's sums are over numbers that lie side by side.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from momentumlab.arrays import TorchArrays


@dataclass(frozen=True)
class Activation:
    """A nonlinearity z ↦ a, its slope carried back from a, z and the gradient, and torch's module for it.

    Both ways may overwrite what they are given (z, and the gradient), as long as the way back gets what it needs.
    """

    forward: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor, Tensor, Tensor], Tensor]  # (gradient by a, z, a) -> gradient by z
    module: Callable[[], nn.Module]


def relu_backward(gradient: Tensor, z: Tensor, a: Tensor) -> Tensor:
    """The gradient by z, in place of the gradient by a = max(0, z)."""
    passed: Tensor = torch.ops.aten.threshold_backward.grad_input(gradient, a, 0, grad_input=gradient)
    return passed


def tanh_backward(gradient: Tensor, z: Tensor, a: Tensor) -> Tensor:
    """The gradient by z, in place of the gradient by a = tanh(z)."""
    return gradient.mul_(1 - a * a)


def gelu(z: Tensor) -> Tensor:
    """z·Φ(z), Φ the normal distribution. Hendrycks and Gimpel 2016.

    Not torch's own: that one rounds the last numbers of a tensor otherwise than the first, and where a run's numbers
    stand depends on its stack.
    """
    return z * _normal_distribution(z)


def gelu_backward(gradient: Tensor, z: Tensor, a: Tensor) -> Tensor:
    """The gradient by z, in place of the gradient by a = gelu(z)."""
    density = (z * z * -0.5).exp() * (1 / math.sqrt(2 * math.pi))
    return gradient.mul_(_normal_distribution(z) + z * density)


def _normal_distribution(z: Tensor) -> Tensor:
    return 0.5 * (1 + torch.erf(z * math.sqrt(0.5)))


ACTIVATIONS = {
    "relu": Activation(torch.relu_, relu_backward, nn.ReLU),
    "tanh": Activation(torch.tanh_, tanh_backward, nn.Tanh),
    "gelu": Activation(gelu, gelu_backward, nn.GELU),
}


class Layer(NamedTuple):
    """The parameters of one layer of a stack, or their gradient."""

    weight: Tensor  # (run, output, input)
    bias: Tensor  # (run, output)


def layers_of(theta: Tensor, sizes: Sequence[int]) -> list[Layer]:
    """Views into θ, or into ∇J, (run, parameter): layer after layer, weight and then bias."""
    shapes = list(pairwise(sizes))
    pieces = iter(
        torch.split(theta, [size for inputs, outputs in shapes for size in (outputs * inputs, outputs)], dim=1)
    )
    return [Layer(next(pieces).view(-1, outputs, inputs), next(pieces)) for inputs, outputs in shapes]


def output_of(layers: Sequence[Layer], activation: Activation, x: Tensor) -> Tensor:
    """What comes out of the last layer, (run, output, sample); x: (run, sample, feature)."""
    output = x.transpose(1, 2)
    for number, (weight, bias) in enumerate(layers):
        inputs = activation.forward(output) if number else output
        output = torch.bmm(weight, inputs).add_(bias.unsqueeze(2))
    return output


class Pass:
    """Forward and back through the layers of a stack on batches of one size.

    Its arrays are used again and again: fresh ones cost a single run a sixth of the time.
    """

    def __init__(self, sizes: Sequence[int], activation: Activation, runs: int, samples: int, arrays: TorchArrays):
        def empty(*shape: int) -> Tensor:
            return torch.empty(shape, dtype=arrays.torch_dtype, device=arrays.device)

        self._activation = activation
        self._before = [empty(runs, outputs, samples) for outputs in sizes[1:]]
        self._slopes = [empty(runs, outputs, samples) for outputs in sizes[1:-1]]
        self._inputs: list[Tensor] = []  # of every layer, (run, input, sample)
        self._gradient = empty(runs, sum(outputs * (inputs + 1) for inputs, outputs in pairwise(sizes)))
        self._pieces = layers_of(self._gradient, sizes)

    def forward(self, layers: Sequence[Layer], x: Tensor) -> Tensor:
        """What comes out of the last layer, (run, output, sample); x: (run, sample, feature).

        The caller may overwrite it, before it calls `backward`.
        """
        self._inputs = [x.transpose(1, 2)]
        for number, (weight, bias) in enumerate(layers):
            if number:
                self._inputs.append(self._activation.forward(self._before[number - 1]))
            torch.bmm(weight, self._inputs[-1], out=self._before[number]).add_(bias.unsqueeze(2))
        return self._before[-1]

    def backward(self, layers: Sequence[Layer], slope: Tensor) -> Tensor:
        """∇J, (run, parameter), valid until the next call, from `slope` = ∂J/∂output, (run, output, sample)."""
        for number in reversed(range(len(layers))):
            piece = self._pieces[number]
            torch.sum(slope, 2, out=piece.bias)
            torch.bmm(slope, self._inputs[number].transpose(1, 2), out=piece.weight)
            if number:
                by_input = torch.bmm(layers[number].weight.transpose(1, 2), slope, out=self._slopes[number - 1])
                slope = self._activation.backward(by_input, self._before[number - 1], self._inputs[number])
        return self._gradient
