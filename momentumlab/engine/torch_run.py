"""One run with torch's own optimizer and autograd: the article's four lines, and everybody's oracle.

optimizer.zero_grad()
loss = criterion(model(x), y)
loss.backward()
optimizer.step()
"""

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from momentumlab.arrays import TorchArrays
from momentumlab.engine.stack import Look
from momentumlab.experiment import Cell
from momentumlab.optimizers.schedules import as_schedule
from momentumlab.problems.formulas import ForcesProblem, ObjectiveProblem
from momentumlab.problems.models import ModelProblem
from momentumlab.problems.problem import Problem

Backward = Callable[[int], Tensor | None]
"""Computes the loss of a step, fills the gradients, and gives the loss."""


class TorchRun:
    """A stack of one, advanced by torch.optim.SGD.

    γ and η are written into the optimizer before every step, so schedules work; torch keeps η outside the velocity.
    """

    def __init__(self, problem: Problem, cell: Cell) -> None:
        optimizer, seed = cell.experiment.optimizer, cell.experiment.seed
        self.runs = np.array([cell.run])
        assert isinstance(problem, ModelProblem | ObjectiveProblem | ForcesProblem)
        self.arrays = problem.arrays if isinstance(problem, ModelProblem) else TorchArrays(problem.arrays.dtype)
        start = self.arrays.array(problem.arrays.numpy(problem.start([seed])))[0]
        self._parameters, self._backward = _road(problem, start, seed)
        self._gamma, self._eta = as_schedule(optimizer.gamma), as_schedule(optimizer.eta)
        self._optimizer = torch.optim.SGD(
            self._parameters,
            lr=self._eta(0),
            momentum=self._gamma(0),
            nesterov=optimizer.kind == "nesterov" and self._gamma(0) > 0,
        )
        self._nesterov = optimizer.kind == "nesterov"
        self._velocity = torch.zeros_like(start)[None]

    def look(self, step: int) -> Look:
        self._optimizer.zero_grad()
        loss = self._backward(step)
        gamma, eta = self._gamma(step), self._eta(step)
        # γ = 0 turns Nesterov off: torch refuses the pair, and the two are the same update then.
        self._optimizer.param_groups[0].update(lr=eta, momentum=gamma, nesterov=self._nesterov and gamma > 0)
        return Look(
            loss=None if loss is None else loss.detach().reshape(1),
            gradient=self._flat(parameter.grad for parameter in self._parameters),
            theta=self._flat(self._parameters),
            velocity=self._velocity,
            gamma=np.array([gamma]),
            eta=np.array([eta]),
        )

    def advance(self) -> None:
        self._optimizer.step()
        group = self._optimizer.param_groups[0]
        # Without momentum torch keeps no buffer: the velocity is the step itself, η·∇J.
        moved = [
            self._optimizer.state[parameter].get("momentum_buffer") if group["momentum"] else parameter.grad
            for parameter in self._parameters
        ]
        self._velocity = group["lr"] * self._flat(moved)

    def keep(self, rows: npt.NDArray[np.intp]) -> None:
        raise AssertionError(f"a stack of one has nothing to keep of rows {rows}")

    def _flat(self, tensors: Iterable[Tensor | None]) -> Tensor:
        # A copy: torch changes its parameters in place, and rows are written later.
        return torch.cat([tensor.detach().flatten() for tensor in tensors if tensor is not None])[None]


def _road(
    problem: ModelProblem | ObjectiveProblem | ForcesProblem, start: Tensor, seed: int
) -> tuple[list[torch.nn.Parameter], Backward]:
    if isinstance(problem, ModelProblem):
        return _model(problem, start, seed)
    parameter = torch.nn.Parameter(start)
    if isinstance(problem, ForcesProblem):
        return [parameter], _forces(problem, parameter, seed)
    return [parameter], _objective(problem, parameter, seed)


def _model(problem: ModelProblem, start: Tensor, seed: int) -> tuple[list[torch.nn.Parameter], Backward]:
    model, criterion, batches = problem.module(), problem.criterion(), problem.feed([seed])
    torch.nn.utils.vector_to_parameters(start, model.parameters())

    def backward(step: int) -> Tensor:
        x, y = batches.batch(step)
        loss: Tensor = criterion(model(x[0]), y[0])
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    return list(model.parameters()), backward


def _objective(problem: ObjectiveProblem, parameter: torch.nn.Parameter, seed: int) -> Backward:
    noise = problem.gradient_noise([seed])

    def backward(step: int) -> Tensor:
        loss: Tensor = problem.objective.value(parameter[None], torch)
        loss.backward()  # type: ignore[no-untyped-call]
        assert parameter.grad is not None
        noisy = noise.added_to(parameter.grad.numpy()[None], step)
        parameter.grad.copy_(torch.from_numpy(noisy[0]))
        return loss

    return backward


def _forces(problem: ForcesProblem, parameter: torch.nn.Parameter, seed: int) -> Backward:
    feed = problem.feed([seed])

    def backward(step: int) -> None:
        _, push = feed.loss_and_gradient(parameter.detach().numpy()[None], step)
        parameter.grad = torch.from_numpy(push[0])

    return backward
