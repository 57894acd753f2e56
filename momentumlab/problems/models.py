"""Models as problems: linear, softmax and mlp, stacked, with their gradient in closed form.

All three are layers of θ ↦ W·x + b with an activation between: linear and softmax have one layer, an mlp has several.
A stack's products are those of each run by itself, so every run's bits are those that it has alone. Autograd over
torch's own modules (`module`) is what these gradients are tested against.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from momentumlab.arrays import TorchArrays, on_accelerator
from momentumlab.problems.data import Dataset
from momentumlab.problems.layers import ACTIVATIONS, Layer, Pass, layers_of, outputs_of
from momentumlab.problems.losses import LOSSES, right_answers
from momentumlab.problems.problem import ORDER, Parameter, stream


class _Bytes(NamedTuple):
    """How much is computed at once."""

    stack: int  # a stack's arrays together
    block: int  # one layer of all runs, where all data is evaluated
    part: int  # the outputs that are judged at once


# About what stays in a core's cache: a block is read again before it leaves it.
_CACHED = _Bytes(stack=4 * 2**20, block=2 * 2**20, part=8 * 2**20)
# On an accelerator what keeps all of it at work, and leaves room in a small one's memory for what a step needs besides.
_AT_WORK = _Bytes(stack=2**30, block=2**28, part=2**28)


class ModelProblem:
    """Fit a layered model to data."""

    has_loss = True
    minima: tuple[tuple[float, ...], ...] = ()

    def __init__(self, specification: Any, loss: str, dataset: Dataset, train: Any) -> None:
        self.arrays = TorchArrays(train.dtype, train.device)
        self._bytes = _AT_WORK if on_accelerator(self.arrays) else _CACHED
        self.dataset = dataset
        self.loss_name = loss
        outputs = dataset.classes if dataset.classes is not None else int(dataset.y.shape[1])
        self.sizes: tuple[int, ...] = (dataset.x.shape[1], *getattr(specification, "hidden", ()), outputs)
        self.activation = ACTIVATIONS[getattr(specification, "activation", "relu")]
        self.parameters = _parameters(self.sizes)
        self.x, self.y = self._tensors(dataset.x, dataset.y)
        self.full_batch = train.batch_size == "full"
        self.batch_size = len(self.x) if self.full_batch else int(train.batch_size)
        self.steps_per_epoch = math.ceil(len(self.x) / self.batch_size)
        self._kinds = ("loss", "accuracy") if loss == "cross_entropy" else ("loss",)
        self.stack_limit = max(1, min(4096, self._bytes.stack // self._bytes_of_a_run()))
        self._parts = {"train": self._cut(self.x, self.y)}
        if dataset.test_x is not None and dataset.test_y is not None:
            self._parts["test"] = self._cut(*self._tensors(dataset.test_x, dataset.test_y))
        self.evaluations = tuple(f"{part}_{kind}" for part in self._parts for kind in self._kinds)
        blocks = {block.shape[2] for parts in self._parts.values() for part in parts for block in part.blocks}
        samples = {self.batch_size, len(self.x) % self.batch_size, *blocks}
        self._alone_differs = train.threads > 1 or 1 in {*self.sizes, *samples}
        self._start = specification.start
        self._viewed: Tensor | None = None
        self._views: list[Layer] = []

    def start(self, seeds: Sequence[int]) -> Tensor:
        if self._start is not None:
            started: Tensor = self.arrays.array([self._start] * len(seeds))
            return started
        return torch.stack([self._drawn(seed) for seed in seeds]).to(self.arrays.device)

    def feed(self, seeds: Sequence[int]) -> "Batches":
        return Batches(self, seeds)

    def evaluate(self, theta: Tensor) -> dict[str, Tensor]:
        """Loss, and for classes the share of right answers, over all of the training and of the test data."""
        measured = {}
        layers = self.layers(theta)
        for name, parts in self._parts.items():
            for kind, values in self._evaluate(layers, parts).items():
                measured[f"{name}_{kind}"] = values[: len(theta)]
        return measured

    def rows(self, runs: int) -> int:
        """How many rows a stack of so many runs is computed in.

        A product with one row or column, and every product on several threads, takes another road for a stack of one
        than for a stack of many, and rounds otherwise. A twin beside the single run keeps its bits those of a stack.
        """
        return 2 if runs == 1 and self._alone_differs else runs

    def layers(self, theta: Tensor) -> list[Layer]:
        """Views into θ, a row each for `rows`; kept while θ is the same tensor, which a rule changes in place."""
        if theta is not self._viewed:
            self._views = layers_of(theta.expand(self.rows(len(theta)), -1), self.sizes)
            self._viewed = theta
        return self._views

    def way(self, runs: int, samples: int) -> Pass:
        """What computes a stack of so many runs on batches of so many samples."""
        return Pass(self.sizes, self.activation, self.rows(runs), samples, self.arrays)

    def module(self) -> nn.Module:
        """The same model as torch's own module, its parameters in the order of θ."""
        if len(self.sizes) == 2:
            return self._linear(*self.sizes)
        activation = self.activation.module
        layers: list[nn.Module] = []
        for sizes in pairwise(self.sizes):
            layers += [self._linear(*sizes), activation()]
        return nn.Sequential(*layers[:-1])

    def criterion(self) -> nn.Module:
        """The same loss as torch's own module."""
        return nn.MSELoss() if self.loss_name == "mse" else nn.CrossEntropyLoss()

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

    def _evaluate(self, layers: list[Layer], parts: Sequence["Part"]) -> dict[str, Tensor]:
        rows = len(layers[0].weight)
        sums: dict[str, Tensor] = {kind: self.x.new_zeros(rows, dtype=torch.float64) for kind in self._kinds}
        for part in parts:
            target = part.target.expand(rows, -1, -1)
            output = outputs_of(layers, self.activation, [block.expand(rows, -1, -1) for block in part.blocks])
            if "accuracy" in sums:
                sums["accuracy"] += right_answers(output, target)
            sums["loss"] += LOSSES[self.loss_name](output, target)[0].double() * target.shape[2]
        samples = sum(part.target.shape[2] for part in parts)
        return {kind: values / samples for kind, values in sums.items()}

    def _cut(self, x: Tensor, y: Tensor) -> list["Part"]:
        # By the experiment alone, not by how many runs are here: another cut would give other bits.
        def samples(size: int, most: int) -> int:
            return max(1, most // (self.stack_limit * size * x.element_size()))

        part = samples(self.sizes[-1], self._bytes.part)
        block = samples(max(self.sizes[1:-1], default=1), self._bytes.block)
        parts = zip(torch.split(x, part), torch.split(y, part), strict=True)
        return [Part(torch.split(_in_columns(x[None]), block, dim=2), _in_columns(y[None])) for x, y in parts]

    def _bytes_of_a_run(self) -> int:
        parameters = sum(parameter.size for parameter in self.parameters)
        numbers = 4 * parameters + 2 * self.batch_size * sum(self.sizes)
        return numbers * int(np.dtype(self.arrays.dtype).itemsize)


class Part(NamedTuple):
    """Samples that are evaluated together, the same for all runs."""

    blocks: Sequence[Tensor]  # (1, feature, sample), one after another
    target: Tensor  # (1, output, sample)


class Batch(NamedTuple):
    """Samples that the runs of a stack are shown; for the layers and losses also with samples in columns."""

    x: Tensor  # (run, sample, feature)
    y: Tensor  # (run, sample) of class numbers, or (run, sample, output)
    columns: Tensor  # (run, feature, sample): x
    target: Tensor  # (run, output, sample): y, its class numbers as one output

    @classmethod
    def of(cls, x: Tensor, y: Tensor) -> "Batch":
        """A batch of these samples."""
        return cls(x, y, _in_columns(x), _in_columns(y))


class Batches:
    """The minibatches of a stack's runs: their order is a function of (seed, epoch)."""

    def __init__(self, problem: ModelProblem, seeds: Sequence[int]) -> None:
        self._problem = problem
        self._runs = len(seeds)
        self._seeds, of_run = np.unique(np.asarray(seeds, np.uint64), return_inverse=True)
        self._seed_of_run = torch.from_numpy(of_run).to(problem.arrays.device)
        self._epoch = -1
        self._order = torch.empty(0)  # (seed, sample)
        self._data = (problem.x, problem.y)  # where all runs are shown the same: in the order of this epoch
        self._shared: list[Batch] = []  # its batches
        self._passes: dict[int, Pass] = {}  # by the number of samples
        if problem.full_batch or len(self._seeds) == 1:
            self._share()

    def loss_and_gradient(self, theta: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """J, (run,), and ∇J, (run, parameter), which the next call overwrites."""
        return self.loss_and_gradient_on(theta, self.at(step))

    def loss_and_gradient_on(self, theta: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """The same on a batch that is given."""
        problem, runs, layers = self._problem, self._runs, self._problem.layers(theta)
        way = self._pass(batch.x.shape[1])
        loss, slope = LOSSES[problem.loss_name](way.forward(layers, batch.columns), batch.target)
        gradient = way.backward(layers, batch.x, slope())
        return (loss, gradient) if len(loss) == runs else (loss[:runs], gradient[:runs])

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """x (run, sample, feature) and y (run, sample …) that the update after `step` updates is shown."""
        batch = self.at(step)
        return batch.x[: self._runs], batch.y[: self._runs]

    def at(self, step: int) -> Batch:
        """The batch that the update after `step` updates is shown, with a row for each of the problem's `rows`."""
        problem = self._problem
        epoch, number = divmod(step, problem.steps_per_epoch)
        if epoch != self._epoch and not problem.full_batch:
            self._begin(epoch)
        if self._shared:
            return self._shared[number]
        samples = self._order[:, number * problem.batch_size : (number + 1) * problem.batch_size][self._seed_of_run]
        return Batch.of(problem.x[samples], problem.y[samples])

    def _share(self) -> None:
        # Every epoch is gathered into the same place; for many seeds these would be many copies of the data.
        problem = self._problem
        if not problem.full_batch:
            self._data = (torch.empty_like(problem.x), torch.empty_like(problem.y))
        rows = problem.rows(self._runs)
        for parts in zip(*(torch.split(whole, problem.batch_size) for whole in self._data), strict=True):
            x, y = (part.expand(rows, *part.shape) for part in parts)
            self._shared.append(Batch.of(x, y))

    def _begin(self, epoch: int) -> None:
        self._order, self._epoch = self._shuffled(epoch), epoch
        if self._shared:
            for whole, ordered in zip((self._problem.x, self._problem.y), self._data, strict=True):
                torch.index_select(whole, 0, self._order[0], out=ordered)

    def _pass(self, samples: int) -> Pass:
        if samples not in self._passes:
            self._passes[samples] = self._problem.way(self._runs, samples)
        return self._passes[samples]

    def _shuffled(self, epoch: int) -> Tensor:
        samples = len(self._problem.x)
        orders = [stream(int(seed), ORDER, epoch).permutation(samples) for seed in self._seeds]
        return torch.from_numpy(np.stack(orders)).to(self._problem.arrays.device, non_blocking=True)


def _in_columns(samples: Tensor) -> Tensor:
    # (run, sample …) -> (run, feature or output, sample)
    return samples.unsqueeze(1) if samples.dim() == 2 else samples.transpose(1, 2)


def _parameters(sizes: Sequence[int]) -> tuple[Parameter, ...]:
    # Named as in torch's state_dict: `weight`, `bias` of one layer; `0.weight`, `0.bias`, `2.weight` … of several.
    parameters = []
    for number, (inputs, outputs) in enumerate(pairwise(sizes)):
        prefix = f"{2 * number}." if len(sizes) > 2 else ""
        parameters += [Parameter(f"{prefix}weight", (outputs, inputs)), Parameter(f"{prefix}bias", (outputs,))]
    return tuple(parameters)
