"""One run with torch's own optimizer and autograd: the article's four lines, and everybody's oracle.

optimizer.zero_grad()
loss = criterion(model(x), y)
loss.backward()
optimizer.step()
"""

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from momentumlab.engine.stack import Look
from momentumlab.engine.torch_optimizer import TorchOptimizer, flat, torch_arrays
from momentumlab.experiment import Cell
from momentumlab.optimizers.schedules import as_schedule
from momentumlab.optimizers.update import clipped
from momentumlab.problems.formulas import ForcesProblem, ObjectiveProblem
from momentumlab.problems.models import ModelProblem
from momentumlab.problems.problem import Problem
from momentumlab.results.checkpoint import State

Backward = Callable[[int], Tensor | None]
"""Computes the loss of a step, fills the gradients, and gives the loss."""


class TorchRun:
    """A stack of one, advanced by a class of torch.optim.

    γ and η are written into the optimizer before every step, so schedules work; torch keeps η outside the velocity.
    """

    def __init__(self, problem: Problem, cell: Cell, steps: int) -> None:
        section, seed = cell.experiment.optimizer, cell.experiment.seed
        self.runs = np.array([cell.run])
        assert isinstance(problem, ModelProblem | ObjectiveProblem | ForcesProblem)
        self.arrays = torch_arrays(problem)
        start = self.arrays.array(problem.arrays.numpy(problem.start([seed])))[0]
        self._parameters, self._backward = _road(problem, start, seed)
        self._gamma, self._eta = as_schedule(section.gamma, steps), as_schedule(section.eta, steps)
        self._clip = section.clip
        self._optimizer = TorchOptimizer(section, self._parameters)
        self._velocity = torch.zeros_like(start)[None]

    def look(self, step: int) -> Look:
        for parameter in self._parameters:
            parameter.grad = None  # zero_grad()
        loss = self._backward(step)
        gamma, eta = self._gamma(step), self._eta(step)
        self._optimizer.set(gamma, eta)
        return Look(
            loss=None if loss is None else loss.detach().reshape(1),
            gradient=self._gradient(),
            theta=flat(self._parameters)[None],
            compute_velocity=lambda: self._velocity,
            gamma=np.array([gamma]),
            eta=np.array([eta]),
        )

    def advance(self) -> None:
        if self._clip is not None:
            self._shorten(self._clip)
        self._velocity = self._optimizer.step()[None]

    def keep(self, rows: npt.NDArray[np.intp]) -> None:
        assert len(rows) == 1, "of a stack of one its run is kept"

    def state(self, step: int) -> State:
        del step
        file = io.BytesIO()
        parameters = [parameter.detach() for parameter in self._parameters]
        torch.save((parameters, self._velocity, self._optimizer.state()), file)
        return {"torch": np.frombuffer(file.getbuffer(), np.uint8)}

    def restore(self, step: int, state: State) -> None:
        del step
        file = io.BytesIO(state["torch"].tobytes())
        parameters, self._velocity, optimizer = torch.load(file, weights_only=True)  # runs no code
        with torch.no_grad():
            for parameter, value in zip(self._parameters, parameters, strict=True):
                parameter.copy_(value)
        self._optimizer.restore(optimizer)

    def _gradient(self) -> Tensor:
        return flat(parameter.grad for parameter in self._parameters if parameter.grad is not None)[None]

    def _shorten(self, limit: float) -> None:
        # All parameters together, as one vector; what was recorded before stays whole.
        short = clipped(self._gradient(), self.arrays.column([limit]), self.arrays)[0]
        pieces = short.split([parameter.numel() for parameter in self._parameters])
        for parameter, piece in zip(self._parameters, pieces, strict=True):
            parameter.grad = piece.view_as(parameter)


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
