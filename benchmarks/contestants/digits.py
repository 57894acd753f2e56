"""One run of the digits MLP, the loop alone: ours with all its metrics, and the two loops that people write."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler, TensorDataset

from contestants.stacks import Recorder, answer, batches
from momentumlab.engine.plan import groups
from momentumlab.engine.stop import Stop
from momentumlab.engine.workers import train_all
from momentumlab.experiment import load, single
from momentumlab.problems.build import build
from momentumlab.problems.problem import ORDER, stream


def ours(epochs: int, every: int = 1) -> dict[str, Any]:
    """The loop with every metric of every `every`-th step, in memory; nobody evaluates here.

    With `every` past the end, only the loss is looked at, in every step, to see a run that diverges.
    """
    experiment = load("digits_mlp", set={"train.epochs": epochs, "record.every": every, "record.evaluate": False})
    plan = groups(single(experiment))
    recorder = Recorder()
    begun = time.perf_counter()
    train_all(plan, recorder, lambda updates: None, Stop({}))
    seconds = time.perf_counter() - begun
    by_step = {
        int(step): float(loss)
        for block in recorder.blocks
        for step, loss in zip(block["step"], block["loss"], strict=True)
    }
    steps = plan[0].plan.steps
    looked = {step: by_step[step] for step in (steps // 10, steps - 1, steps) if step in by_step}
    return {"seconds": seconds, "answer": {f"run 0 step {step}": loss for step, loss in looked.items()}}


class SameOrder(Sampler[int]):
    """The samples as our run is shown them, a new order every epoch."""

    def __init__(self, seed: int, samples: int) -> None:
        self.seed, self.samples, self.epoch = seed, samples, 0

    def __iter__(self) -> Iterator[int]:
        order = stream(self.seed, ORDER, self.epoch).permutation(self.samples)
        self.epoch += 1
        return iter(order.tolist())

    def __len__(self) -> int:
        return self.samples


def data_loader(epochs: int) -> dict[str, Any]:
    """DataLoader(TensorDataset(X, y), batch_size=64), shuffled; loss.item() each step."""
    experiment, problem = _problem()
    sampler = SameOrder(experiment.seed, len(problem.x))
    loader = DataLoader(TensorDataset(problem.x, problem.y), batch_size=problem.batch_size, sampler=sampler)
    return _loop(experiment, problem, (batch for _ in range(epochs) for batch in loader))


def indexed(epochs: int) -> dict[str, Any]:
    """X[perm[i:i+64]]; loss.item() each step."""
    experiment, problem = _problem()
    return _loop(experiment, problem, batches(problem, experiment.seed, epochs * problem.steps_per_epoch))


def _problem() -> tuple[Any, Any]:
    experiment = load("digits_mlp")
    return experiment, build(experiment)


def _loop(experiment: Any, problem: Any, shown: Iterator[Any]) -> dict[str, Any]:
    model, criterion = problem.module(), problem.criterion()
    torch.nn.utils.vector_to_parameters(problem.start([experiment.seed])[0], model.parameters())
    options = {"lr": experiment.optimizer.eta, "momentum": experiment.optimizer.gamma}
    optimizer = torch.optim.SGD(model.parameters(), **options)
    losses = []
    begun = time.perf_counter()
    for x, y in shown:
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    seconds = time.perf_counter() - begun
    return {"seconds": seconds, "answer": answer(np.array(losses)[:, None], [0], len(losses))}
