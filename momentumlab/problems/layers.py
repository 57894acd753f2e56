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
    transposed: Tensor  # (run, input, output), the same weight
    bias: Tensor  # (run, output, 1)


def layers_of(theta: Tensor, sizes: Sequence[int]) -> list[Layer]:
    """Views into θ, or into ∇J, (run, parameter): layer after layer, weight and then bias."""
    layers = []
    begin = 0
    for inputs, outputs in pairwise(sizes):
        middle, end = begin + outputs * inputs, begin + outputs * (inputs + 1)
        weight = theta[:, begin:middle].view(-1, outputs, inputs)
        layers.append(Layer(weight, weight.transpose(1, 2), theta[:, middle:end].unsqueeze(2)))
        begin = end
    return layers


def outputs_of(layers: Sequence[Layer], activation: Activation, columns: Sequence[Tensor]) -> Tensor:
    """What comes out of the last layer, (run, output, sample).

    columns: the samples, in blocks (run, feature, sample) one after another: what fits into a core's cache.
    """
    runs, outputs, _ = layers[-1].bias.shape
    output = columns[0].new_empty(runs, outputs, sum(block.shape[2] for block in columns))
    blocks = torch.split(output, [block.shape[2] for block in columns], dim=2)
    for samples, block in zip(columns, blocks, strict=True):
        inputs = samples
        for layer in layers[:-1]:
            inputs = activation.forward(torch.bmm(layer.weight, inputs).add_(layer.bias))
        torch.bmm(layers[-1].weight, inputs, out=block)
    return output.add_(layers[-1].bias)


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
        self._after: list[Tensor] = []  # of every layer but the last, (run, output, sample)
        self._gradient = empty(runs, sum(outputs * (inputs + 1) for inputs, outputs in pairwise(sizes)))
        self._pieces = layers_of(self._gradient, sizes)

    def forward(self, layers: Sequence[Layer], columns: Tensor) -> Tensor:
        """What comes out of the last layer, (run, output, sample); columns: (run, feature, sample).

        The caller may overwrite it, before it calls `backward`.
        """
        self._after = []
        inputs = columns
        for layer, before in zip(layers, self._before, strict=True):
            torch.bmm(layer.weight, inputs, out=before).add_(layer.bias)
            if before is not self._before[-1]:
                inputs = self._activation.forward(before)
                self._after.append(inputs)
        return self._before[-1]

    def backward(self, layers: Sequence[Layer], x: Tensor, slope: Tensor) -> Tensor:
        """∇J, (run, parameter), valid until the next call.

        x: (run, sample, feature); slope = ∂J/∂output, (run, output, sample).
        """
        for number in range(len(layers) - 1, 0, -1):
            before, after, piece = self._before[number - 1], self._after[number - 1], self._pieces[number]
            torch.sum(slope, 2, keepdim=True, out=piece.bias)
            torch.bmm(slope, after.mT, out=piece.weight)
            by_input = torch.bmm(layers[number].transposed, slope, out=self._slopes[number - 1])
            slope = self._activation.backward(by_input, before, after)
        torch.sum(slope, 2, keepdim=True, out=self._pieces[0].bias)
        torch.bmm(slope, x, out=self._pieces[0].weight)
        return self._gradient
