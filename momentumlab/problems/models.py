"""Models as problems: linear, softmax and mlp, stacked, with their gradient in closed form.

All three are layers of θ ↦ x·Wᵀ + b with an activation between: linear and softmax have one layer, an mlp has
several. A stack multiplies every layer of all its runs in one batched product, and every run's bits are those that it
has alone. Autograd over torch's own modules (`module`) is what these gradients are tested against.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from momentumlab.arrays import TorchArrays
from momentumlab.problems.data import Dataset
from momentumlab.problems.problem import ORDER, Parameter, stream

_STACK_BYTES = 4 * 2**20  # a stack's arrays together: about what stays in a core's cache
_EVALUATION_BYTES = 4 * 2**20  # what is evaluated at once, likewise: a third of the time of all data at once


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


def gelu(z: Tensor) -> Tensor:
    """z·Φ(z), Φ the normal distribution. Hendrycks and Gimpel 2016.

    Not torch's own: that one rounds the last numbers of a tensor otherwise than the first, and where a run's numbers
    stand depends on its stack.
    """
    return z * _normal_distribution(z)


def gelu_backward(gradient: Tensor, z: Tensor, a: Tensor) -> Tensor:
    """The gradient by z, from the gradient by a = gelu(z)."""
    density = (z * z * -0.5).exp() * (1 / math.sqrt(2 * math.pi))
    return gradient * (_normal_distribution(z) + z * density)


def _normal_distribution(z: Tensor) -> Tensor:
    return 0.5 * (1 + torch.erf(z * math.sqrt(0.5)))


ACTIVATIONS = {
    "relu": Activation(torch.relu_, relu_backward, nn.ReLU),
    "tanh": Activation(torch.tanh_, lambda gradient, z, a: gradient * (1 - a * a), nn.Tanh),
    "gelu": Activation(gelu, gelu_backward, nn.GELU),
}


def mean_squared_error(output: Tensor, target: Tensor) -> tuple[Tensor, Callable[[], Tensor]]:
    """J = mean over samples and outputs of (output − target)², and what gives ∂J/∂output.

    output, target: (run, sample, output). Gives (run,) and (run, sample, output).
    """
    residual = output - target
    loss = (residual * residual).flatten(1).mean(1)
    return loss, lambda: residual * (2 / residual[0].numel())


def cross_entropy(output: Tensor, target: Tensor) -> tuple[Tensor, Callable[[], Tensor]]:
    """J = mean over samples of −log softmax(output)[class], and what gives ∂J/∂output.

    output: (run, sample, class); target: (run, sample) of class numbers. Gives (run,) and (run, sample, class).
    """
    index = target.unsqueeze(-1)
    score = output - output.amax(-1, keepdim=True)  # so that exp cannot overflow
    weight = score.exp()
    total = weight.sum(-1, keepdim=True)
    loss = (total.log() - score.gather(-1, index)).flatten(1).mean(1)

    def gradient() -> Tensor:
        samples = output.shape[1]
        share = weight / (total * samples)
        return share.scatter_add_(-1, index, share.new_full((), -1 / samples).expand(index.shape))

    return loss, gradient


LOSSES = {"mse": mean_squared_error, "cross_entropy": cross_entropy}


class Layer(NamedTuple):
    """The parameters of one layer of a stack."""

    weight: Tensor  # (run, output, input)
    bias: Tensor  # (run, 1, output)


class ModelProblem:
    """Fit a layered model to data."""

    has_loss = True
    minima: tuple[tuple[float, ...], ...] = ()

    def __init__(self, specification: Any, loss: str, dataset: Dataset, train: Any) -> None:
        self.arrays = TorchArrays(train.dtype, train.device)
        self.dataset = dataset
        self.loss_name = loss
        outputs = dataset.classes if dataset.classes is not None else int(dataset.y.shape[1])
        self.sizes: tuple[int, ...] = (dataset.x.shape[1], *getattr(specification, "hidden", ()), outputs)
        self.activation_name: str = getattr(specification, "activation", "relu")
        self.parameters = _parameters(self.sizes)
        self.x, self.y = self._tensors(dataset.x, dataset.y)
        self.full_batch = train.batch_size == "full"
        self.batch_size = len(self.x) if self.full_batch else int(train.batch_size)
        self.steps_per_epoch = math.ceil(len(self.x) / self.batch_size)
        self._parts = {"train": (self.x, self.y)}
        if dataset.test_x is not None and dataset.test_y is not None:
            self._parts["test"] = self._tensors(dataset.test_x, dataset.test_y)
        kinds = ("loss", "accuracy") if loss == "cross_entropy" else ("loss",)
        self.evaluations = tuple(f"{part}_{kind}" for part in self._parts for kind in kinds)
        self._alone_differs = train.threads > 1 or 1 in (*self.sizes, len(self.x) % self.batch_size, self.batch_size)
        self._start = specification.start
        self._viewed: Tensor | None = None
        self._views: list[Layer] = []
        self.stack_limit = max(1, min(4096, _STACK_BYTES // self._bytes_of_a_run()))

    def start(self, seeds: Sequence[int]) -> Tensor:
        if self._start is not None:
            started: Tensor = self.arrays.array([self._start] * len(seeds))
            return started
        return torch.stack([self._drawn(seed) for seed in seeds]).to(self.arrays.device)

    def feed(self, seeds: Sequence[int]) -> "Batches":
        return Batches(self, seeds)

    def evaluate(self, theta: Tensor) -> dict[str, Tensor]:
        """Loss, and for classes the share of right answers, over all of the training and of the test data."""
        runs = len(theta)
        stack = theta if runs > 1 else theta.expand(2, -1)  # for the reason that `_paired` gives
        measured = {}
        for part, (x, y) in self._parts.items():
            for kind, values in self._evaluate(stack, x, y).items():
                measured[f"{part}_{kind}"] = values[:runs]
        return measured

    def loss_and_gradient(self, theta: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """J and ∇J of a stack, (run,) and (run, parameter), on its batches: x (run, sample, feature)."""
        runs = len(theta)
        theta, x, y = (self._paired(array) for array in (theta, x, y))
        layers = self._layers(theta)
        inputs, before = self._forward(layers, x)
        loss, gradient = LOSSES[self.loss_name](before[-1], y)
        return loss[:runs], self._backward(layers, inputs, before, gradient())[:runs]

    def module(self) -> nn.Module:
        """The same model as torch's own module, its parameters in the order of θ."""
        if len(self.sizes) == 2:
            return self._linear(*self.sizes)
        activation = ACTIVATIONS[self.activation_name].module
        layers: list[nn.Module] = []
        for sizes in pairwise(self.sizes):
            layers += [self._linear(*sizes), activation()]
        return nn.Sequential(*layers[:-1])

    def criterion(self) -> nn.Module:
        """The same loss as torch's own module."""
        return nn.MSELoss() if self.loss_name == "mse" else nn.CrossEntropyLoss()

    def _paired(self, array: Tensor) -> Tensor:
        # A product with one row or column, and every product on several threads, takes another road for a stack of one
        # than for a stack of many, and rounds otherwise. A twin beside the single run keeps its bits those of a stack.
        if len(array) > 1 or not self._alone_differs:
            return array
        return array.expand(2, *array.shape[1:])

    def _linear(self, inputs: int, outputs: int) -> nn.Linear:
        return nn.Linear(inputs, outputs, device=self.arrays.device, dtype=self.arrays.torch_dtype)

    def _tensors(self, x: Any, y: Any) -> tuple[Tensor, Tensor]:
        target = torch.from_numpy(y) if self.loss_name == "cross_entropy" else self.arrays.array(y)
        return self.arrays.array(x), target.to(self.arrays.device)

    def _drawn(self, seed: int) -> Tensor:
        # In torch's own way and order, so that `torch.manual_seed(seed)` and its layers give the same start.
        generator = torch.Generator().manual_seed(seed)
        drawn = []
        for inputs, outputs in pairwise(self.sizes):
            weight = torch.empty(outputs, inputs, dtype=self.arrays.torch_dtype)
            nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
            bound = 1 / math.sqrt(inputs)
            bias = torch.empty(outputs, dtype=self.arrays.torch_dtype)
            drawn += [weight.flatten(), bias.uniform_(-bound, bound, generator=generator)]
        return torch.cat(drawn)

    def _layers(self, theta: Tensor) -> list[Layer]:
        # Views into θ, kept while θ is the same tensor: a rule changes it in place.
        if theta is not self._viewed:
            pieces = iter(torch.split(theta, [parameter.size for parameter in self.parameters], dim=1))
            self._views = [
                Layer(next(pieces).view(-1, outputs, inputs), next(pieces).unsqueeze(1))
                for inputs, outputs in pairwise(self.sizes)
            ]
            self._viewed = theta
        return self._views

    def _forward(self, layers: list[Layer], x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        # What goes into every layer and what comes out of it before the activation.
        activation = ACTIVATIONS[self.activation_name].forward
        inputs: list[Tensor] = [x]
        before: list[Tensor] = []
        for weight, bias in layers:
            if before:
                inputs.append(activation(before[-1]))
            before.append(torch.bmm(inputs[-1], weight.transpose(1, 2)).add_(bias))
        return inputs, before

    def _output(self, layers: list[Layer], x: Tensor) -> Tensor:
        # The same products as in `_forward`, nothing kept for the way back.
        activation = ACTIVATIONS[self.activation_name].forward
        output = x
        for number, (weight, bias) in enumerate(layers):
            inputs = activation(output) if number else output
            output = torch.bmm(inputs, weight.transpose(1, 2)).add_(bias)
        return output

    def _backward(
        self,
        layers: list[Layer],
        inputs: list[Tensor],
        before: list[Tensor],
        gradient: Tensor,
    ) -> Tensor:
        # From the last layer to the first: `gradient` is ∂J/∂(what comes out of the layer before its activation).
        activation = ACTIVATIONS[self.activation_name].backward
        pieces: list[Tensor] = []
        for number in reversed(range(len(layers))):
            pieces += [gradient.sum(1), torch.bmm(gradient.transpose(1, 2), inputs[number]).flatten(1)]
            if number:
                by_input = torch.bmm(gradient, layers[number].weight)
                gradient = activation(by_input, before[number - 1], inputs[number])
        return torch.cat(pieces[::-1], dim=1)

    def _evaluate(self, theta: Tensor, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        runs, size = len(theta), self._evaluation_size()
        loss = theta.new_zeros(runs, dtype=torch.float64)
        right = theta.new_zeros(runs, dtype=torch.float64)
        layers = self._layers(theta)
        for x_part, y_part in zip(torch.split(x, size), torch.split(y, size), strict=True):
            inputs, targets = x_part.expand(runs, -1, -1), y_part.expand(runs, *y_part.shape)
            output = self._output(layers, inputs)
            loss += LOSSES[self.loss_name](output, targets)[0].double() * len(x_part)
            if self.loss_name == "cross_entropy":
                right += (output.argmax(-1) == targets).sum(-1)
        measured = {"loss": loss / len(x)}
        if self.loss_name == "cross_entropy":
            measured["accuracy"] = right / len(x)
        return measured

    def _evaluation_size(self) -> int:
        # By the experiment alone, not by how many runs are here: another split would give other bits.
        return max(1, _EVALUATION_BYTES // (self.stack_limit * sum(self.sizes) * 8))

    def _bytes_of_a_run(self) -> int:
        parameters = sum(parameter.size for parameter in self.parameters)
        numbers = 4 * parameters + 2 * self.batch_size * sum(self.sizes)
        return numbers * int(np.dtype(self.arrays.dtype).itemsize)


class Batches:
    """The minibatches of a stack's runs: their order is a function of (seed, epoch)."""

    def __init__(self, problem: ModelProblem, seeds: Sequence[int]) -> None:
        self._problem = problem
        self._runs = len(seeds)
        self._seeds, of_run = np.unique(np.asarray(seeds, np.uint64), return_inverse=True)
        self._seed_of_run = torch.from_numpy(of_run).to(problem.arrays.device)
        self._epoch = -1
        self._order = torch.empty(0)  # (seed, sample)
        self._batches: list[tuple[Tensor, Tensor]] = []  # of this epoch, where all runs are shown the same
        if problem.full_batch:
            self._batches = [self._for_runs(problem.x[None], problem.y[None])]

    def loss_and_gradient(self, theta: Tensor, step: int) -> tuple[Tensor, Tensor]:
        return self._problem.loss_and_gradient(theta, *self.batch(step))

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """x (run, sample, feature) and y (run, sample …) that the update after `step` updates is shown."""
        problem = self._problem
        if problem.full_batch:
            return self._batches[0]
        epoch, number = divmod(step, problem.steps_per_epoch)
        if epoch != self._epoch:
            self._begin(epoch)
        if self._batches:
            return self._batches[number]
        samples = self._order[:, number * problem.batch_size : (number + 1) * problem.batch_size]
        return self._for_runs(problem.x[samples], problem.y[samples])

    def _begin(self, epoch: int) -> None:
        self._order, self._epoch = self._shuffled(epoch), epoch
        if (
            len(self._seeds) == 1
        ):  # gathered once for the whole epoch; for many seeds that would be many copies of the data
            size = self._problem.batch_size
            parts = (torch.split(whole[self._order], size, dim=1) for whole in (self._problem.x, self._problem.y))
            self._batches = [self._for_runs(x, y) for x, y in zip(*parts, strict=True)]

    def _for_runs(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        # (seed, sample …) -> (run, sample …); a batch that all share is not copied.
        if len(x) == 1:
            return x.expand(self._runs, *x.shape[1:]), y.expand(self._runs, *y.shape[1:])
        return x[self._seed_of_run], y[self._seed_of_run]

    def _shuffled(self, epoch: int) -> Tensor:
        samples = len(self._problem.x)
        orders = [stream(int(seed), ORDER, epoch).permutation(samples) for seed in self._seeds]
        return torch.from_numpy(np.stack(orders)).to(self._problem.arrays.device, non_blocking=True)


def _parameters(sizes: Sequence[int]) -> tuple[Parameter, ...]:
    # Named as in torch's state_dict: `weight`, `bias` of one layer; `0.weight`, `0.bias`, `2.weight` … of several.
    parameters = []
    for number, (inputs, outputs) in enumerate(pairwise(sizes)):
        prefix = f"{2 * number}." if len(sizes) > 2 else ""
        parameters += [Parameter(f"{prefix}weight", (outputs, inputs)), Parameter(f"{prefix}bias", (outputs,))]
    return tuple(parameters)
