"""Many runs, the loop alone, the loss of every step kept: ours, one run after the other, and torch.func.vmap.

All train the same runs: γ evenly from 0 to 0.9, one seed, so one order of minibatches. They answer with the loss of
`some` of the runs at a tenth of the way and before the last update.
"""

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from momentumlab.engine.plan import Group, groups
from momentumlab.engine.stop import Stop
from momentumlab.engine.workers import train_all
from momentumlab.experiment import expand, load
from momentumlab.problems.build import build
from momentumlab.problems.problem import ORDER, stream
from momentumlab.results.rows import Rows

Changes = dict[str, Any]


def chosen(runs: int, some: int) -> list[int]:
    """The runs that are compared."""
    return [round(place) for place in np.linspace(0, runs - 1, some)]


def answer(losses: np.ndarray, which: list[int], steps: int) -> dict[str, float]:
    """What is compared, from losses (step, run of `which`)."""
    looked = (steps // 10, steps - 1)
    return {f"run {run} step {step}": float(losses[step, at]) for at, run in enumerate(which) for step in looked}


def with_samples(experiment: Any) -> Any:
    """The experiment with a problem that has samples to show: least squares of ours keep none."""
    return load(experiment.written(), set={"optimizer.backend": "torch"})


# ---- ours -----------------------------------------------------------------------------------------------------


class Keeping:
    """A stack that keeps the loss of every look, in (step, run)."""

    def __init__(self, stack: Any, losses: np.ndarray) -> None:
        self._stack = stack
        self._losses = losses

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stack, name)

    def look(self, step: int) -> Any:
        look = self._stack.look(step)
        loss, first = look.loss, self._stack.runs[0]  # none ends before the others, so they stay side by side
        of_stack = loss.cpu().numpy() if isinstance(loss, torch.Tensor) else loss
        self._losses[step, first : first + len(of_stack)] = of_stack
        return look


@dataclass(frozen=True)
class KeepingGroup(Group):
    """A group whose stacks keep their losses: for runs of which not every step is a row."""

    losses: np.ndarray = field(kw_only=True)

    def stack(self, cells: Any) -> Any:
        return Keeping(super().stack(cells), self.losses)


_KEPT = ("run", "step", "loss")


@dataclass
class Recorder:
    """Keeps rows and outcomes in memory, and no checkpoints."""

    blocks: list[Mapping[str, Any]] = field(default_factory=list)
    outcomes: dict[int, Any] = field(default_factory=dict)
    done: int = 0
    due: bool = False
    fail_fast: bool = False
    identity: str = ""

    def record(self, columns: Mapping[str, Any]) -> None:
        self.blocks.append(columns)

    def close_chunk(self, outcomes: Mapping[int, Any]) -> None:
        self.outcomes |= outcomes
        self.done += 1

    def saved(self, place: int) -> None:
        return None

    def checkpoint_of(self, place: int) -> Path:
        return Path(tempfile.gettempdir()) / f"benchmark-{os.getpid()}.{place}"

    def stop_chunk(self, outcomes: Mapping[int, Any]) -> None:
        raise RuntimeError("the training was stopped")

    def abandon_chunk(self) -> None:
        raise RuntimeError("a chunk was abandoned")

    def spool(self) -> Rows:
        return Rows(tempfile.TemporaryFile(), _KEPT, Path("losses"))

    def nameless_file(self) -> IO[bytes]:
        return tempfile.TemporaryFile()

    def take_chunk(self, rows: Rows, outcomes: Mapping[int, Any]) -> None:
        text = os.pread(rows._file.fileno(), 2**30, 0).decode("ascii")
        read = np.fromstring(text.replace("\n", ","), sep=",").reshape(-1, len(_KEPT)).T
        self.record(dict(zip(_KEPT, [*read[:2].astype(int), read[2]], strict=True)))
        self.close_chunk(outcomes)


def ours(config: str, runs: int, steps: int, some: int, changes: Changes) -> dict[str, Any]:
    """One plan as `sweep` trains it, rows as `record.every: auto` decides, in memory."""
    experiment = load(config, set=changes)
    plan = groups(expand(experiment, gamma=[float(gamma) for gamma in np.linspace(0, 0.9, runs)]))
    every_step = all(group.plan.every == 1 for group in plan)
    recorder = Recorder()
    begun = time.perf_counter()
    losses = np.empty((steps + 1, runs))
    if not every_step:
        plan = [_keeping(group, losses) for group in plan]
    train_all(plan, recorder, lambda updates: None, Stop({}))
    if every_step:
        for block in recorder.blocks:
            losses[block["step"], block["run"]] = block["loss"]
    seconds = time.perf_counter() - begun
    if any(outcome.status != "finished" for outcome in recorder.outcomes.values()):
        raise RuntimeError("a run did not come to its end")
    which = chosen(runs, some)
    return {"seconds": seconds, "answer": answer(losses[:, which], which, steps)}


def _keeping(group: Group, losses: np.ndarray) -> KeepingGroup:
    return KeepingGroup(**{one.name: getattr(group, one.name) for one in fields(Group)}, losses=losses)


# ---- the others: models ---------------------------------------------------------------------------------------


def batches(problem: Any, seed: int, steps: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """What our runs of this seed are shown: all data, or X[perm[i:i+64]]."""
    if problem.full_batch:
        for _ in range(steps):
            yield problem.x, problem.y
        return
    for epoch in range(steps // problem.steps_per_epoch):
        order = torch.from_numpy(stream(seed, ORDER, epoch).permutation(len(problem.x))).to(problem.x.device)
        for start in range(0, len(order), problem.batch_size):
            rows = order[start : start + problem.batch_size]
            yield problem.x[rows], problem.y[rows]


def sequential(config: str, runs: int, steps: int, some: int, changes: Changes) -> dict[str, Any]:
    """The plain loop with torch.optim.SGD, one run after the other; `some` of them, scaled to all."""
    experiment = load(config, set=changes)
    problem: Any = build(with_samples(experiment))
    gammas, which = np.linspace(0, 0.9, runs), chosen(runs, some)
    _plain_run(problem, experiment, 0.5, problem.steps_per_epoch)  # torch loads half of itself in the first one
    begun = time.perf_counter()
    losses = np.array([_plain_run(problem, experiment, float(gammas[run]), steps) for run in which]).T
    seconds = (time.perf_counter() - begun) * runs / some
    note = "" if some == runs else f"{some} of {runs} runs, scaled"
    return {"seconds": seconds, "answer": answer(losses, which, steps), "note": note}


def _plain_run(problem: Any, experiment: Any, gamma: float, steps: int) -> np.ndarray:
    model, criterion = problem.module(), problem.criterion()
    torch.nn.utils.vector_to_parameters(problem.start([experiment.seed])[0], model.parameters())
    optimizer = torch.optim.SGD(model.parameters(), lr=experiment.optimizer.eta, momentum=gamma)
    losses = []
    for x, y in batches(problem, experiment.seed, steps):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses).cpu().numpy()


def vmap(config: str, runs: int, steps: int, some: int, changes: Changes, train: int = 0) -> dict[str, Any]:
    """torch.func: the gradient of one run, vmapped over stacked parameters; `train` runs of them, scaled to all.

    The first call, in which torch loads its compiler, is not counted.
    """
    experiment = load(config, set=changes)
    problem: Any = build(with_samples(experiment))
    places = chosen(runs, train or runs)
    gammas = torch.tensor(np.linspace(0, 0.9, runs)[places], dtype=torch.float32)
    _vmapped(problem, experiment, gammas, 2 if problem.full_batch else problem.steps_per_epoch)
    begun = time.perf_counter()
    losses = _vmapped(problem, experiment, gammas, steps).numpy()
    seconds = (time.perf_counter() - begun) * runs / len(places)
    which = [run for run in places if run in chosen(runs, some)]
    note = "" if len(places) == runs else f"{len(places)} of {runs} runs, scaled"
    columns = [places.index(run) for run in which]
    return {"seconds": seconds, "answer": answer(losses[:, columns], which, steps), "note": note}


def _vmapped(problem: Any, experiment: Any, gammas: torch.Tensor, steps: int) -> torch.Tensor:
    model, criterion = problem.module(), problem.criterion()
    torch.nn.utils.vector_to_parameters(problem.start([experiment.seed])[0], model.parameters())

    def loss_of(parameters: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        loss: torch.Tensor = criterion(torch.func.functional_call(model, parameters, (x,)), y)
        return loss

    step_of = torch.func.vmap(torch.func.grad_and_value(loss_of), in_dims=(0, None, None))
    theta = {name: p.detach().repeat(len(gammas), *[1] * p.dim()) for name, p in model.named_parameters()}
    velocity = {name: torch.zeros_like(p) for name, p in theta.items()}
    column = {name: gammas.view(-1, *[1] * (p.dim() - 1)) for name, p in theta.items()}
    losses = []
    for x, y in batches(problem, experiment.seed, steps):
        gradient, loss = step_of(theta, x, y)
        for name, p in theta.items():
            velocity[name].mul_(column[name]).add_(gradient[name], alpha=experiment.optimizer.eta)
            p.sub_(velocity[name])
        losses.append(loss)
    return torch.stack(losses)


# ---- the others: Rosenbrock -----------------------------------------------------------------------------------


def rosenbrock(theta: torch.Tensor) -> torch.Tensor:
    """J of one run."""
    x, y = theta
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def sequential_rosenbrock(runs: int, steps: int, some: int) -> dict[str, Any]:
    """Autograd and torch.optim.SGD, one run after the other; `some` of them, scaled to all."""
    gammas, which = np.linspace(0, 0.9, runs), chosen(runs, some)

    def run(gamma: float, steps: int) -> torch.Tensor:
        theta = torch.tensor([-1.2, 1.0], dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.SGD([theta], lr=5e-4, momentum=gamma)
        losses = []
        for _ in range(steps):
            loss = rosenbrock(theta)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return torch.stack(losses)

    run(0.5, 10)
    begun = time.perf_counter()
    losses = torch.stack([run(float(gammas[place]), steps) for place in which], dim=1).numpy()
    seconds = (time.perf_counter() - begun) * runs / some
    return {"seconds": seconds, "answer": answer(losses, which, steps), "note": f"{some} of {runs} runs, scaled"}


def vmap_rosenbrock(runs: int, steps: int, some: int) -> dict[str, Any]:
    """torch.func over stacked θ; the first call is not counted."""
    gammas = torch.tensor(np.linspace(0, 0.9, runs)).unsqueeze(1)
    step_of = torch.func.vmap(torch.func.grad_and_value(rosenbrock))

    def train(steps: int) -> torch.Tensor:
        theta = torch.tensor([[-1.2, 1.0]], dtype=torch.float64).repeat(runs, 1)
        velocity = torch.zeros_like(theta)
        losses = []
        for _ in range(steps):
            gradient, loss = step_of(theta)
            velocity.mul_(gammas).add_(gradient, alpha=5e-4)
            theta.sub_(velocity)
            losses.append(loss)
        return torch.stack(losses)

    train(2)
    begun = time.perf_counter()
    losses = train(steps).numpy()
    seconds = time.perf_counter() - begun
    which = chosen(runs, some)
    return {"seconds": seconds, "answer": answer(losses[:, which], which, steps)}


# ---- the machine's limit --------------------------------------------------------------------------------------


def gemm_peak(runs: int, epochs: int) -> dict[str, Any]:
    """How long the products of digits MLP runs would take at the speed of large ones on all threads."""
    from contestants import median_seconds

    size = 2048
    one, other = torch.randn(size, size), torch.randn(size, size)
    out = torch.empty(size, size)
    rate = 2 * size**3 / median_seconds(lambda: torch.mm(one, other, out=out), lasting=1.5)
    problem: Any = build(load("digits_mlp"))
    inputs, hidden, outputs = problem.sizes
    forward = inputs * hidden + hidden * outputs  # products a sample; as many for the weights' gradients
    products = 2 * forward + hidden * outputs  # and those that carry the gradient back through the last layer
    work = 2 * products * len(problem.x) * epochs * runs
    note = f"{rate / 1e9:.0f} GFLOP/s in products of {size} × {size} on {torch.get_num_threads()} threads"
    return {"seconds": work / rate, "note": note}
