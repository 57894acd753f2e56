"""What a stack of runs costs beside plain PyTorch loops: `make bench`.

Each row trains the same runs twice, by us (from the experiment to its CSV) and by the loop that people write, in one
process, in turns, and prints medians. Losses are compared before times are. What counts of ours is what the runs cost
beyond the same sweep with two runs; the loops are charged no start-up at all. A process has one thread; our sweep takes
a process for each processor where that is worth it, people's loop is one.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable

import numpy as np
import torch

import momentumlab
from momentumlab.experiment import load
from momentumlab.problems.build import build
from momentumlab.problems.problem import ORDER, stream

ROUNDS = 3


def plain_loops(config: str, gammas: np.ndarray, epochs: int) -> np.ndarray:
    """The article's loop for one γ after the other; (run,) the loss over all training data at the end."""
    experiment = load(config, set={"train.epochs": epochs})
    problem = build(experiment)
    eta, seed = experiment.optimizer.eta, experiment.seed
    return np.array([_plain_loop(problem, gamma, eta, seed, epochs) for gamma in gammas])


def _plain_loop(problem, gamma: float, eta: float, seed: int, epochs: int) -> float:
    x, y, model, criterion = problem.x, problem.y, problem.module(), problem.criterion()
    torch.nn.utils.vector_to_parameters(problem.start([seed])[0], model.parameters())
    optimizer = torch.optim.SGD(model.parameters(), lr=eta, momentum=gamma)
    losses = []
    for epoch in range(epochs):
        # The order that our run is shown, so that both end at the same loss.
        order = torch.from_numpy(stream(seed, ORDER, epoch).permutation(len(x)))
        for rows in [slice(None)] if problem.full_batch else order.split(problem.batch_size):
            loss = criterion(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    with torch.no_grad():
        return criterion(model(x), y).item()


def stacked(config: str, gammas: np.ndarray, epochs: int) -> np.ndarray:
    """The same runs as one sweep, its CSV written; (run,) the loss over all training data at the end."""
    with tempfile.TemporaryDirectory() as folder:
        result = momentumlab.sweep(config, gamma=list(gammas), set={"train.epochs": epochs}, runs=folder)
    return result.runs["train_loss"]


def timed(work: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    """Seconds, and what the work gave."""
    begun = time.perf_counter()
    given = work()
    return time.perf_counter() - begun, given


def row(name: str, config: str, runs: int, epochs: int, plain_runs: int) -> str:
    """One line of the table. Only `plain_runs` of the plain loops are trained; their time is scaled to all."""
    gammas = np.linspace(0, 0.9, runs)
    stacked(config, gammas[:2], epochs)
    plain_loops(config, gammas[:2], epochs)
    some = np.linspace(0, runs - 1, plain_runs).astype(int)
    ours, theirs = [], []
    for _ in range(ROUNDS):
        seconds, losses = timed(lambda: stacked(config, gammas, epochs))
        start_up, _ = timed(lambda: stacked(config, gammas[:2], epochs))
        ours.append(seconds - start_up)
        seconds, reference = timed(lambda: plain_loops(config, gammas[some], epochs))
        theirs.append(seconds * runs / plain_runs)
        # float32 against float32 over hundreds of updates: the same training, rounded otherwise
        np.testing.assert_allclose(losses[some], reference, rtol=2e-2, atol=1e-5)
    mine, plain = statistics.median(ours), statistics.median(theirs)
    return f"{name:<44}{mine:>9.2f} s{plain:>11.2f} s{plain / mine:>9.1f}×"


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    processors = f"{os.cpu_count()} processors"
    print(f"{'work, metrics and CSV included, ' + processors:<44}{'stack':>11}{'plain loops':>13}{'ratio':>10}")
    print(row("1024 linreg runs, 100 epochs", "linreg", 1024, 100, plain_runs=64))
    print(row("64 digits MLP runs, 20 epochs", "digits_mlp", 64, 20, plain_runs=8))


if __name__ == "__main__":
    main()
