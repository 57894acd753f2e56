"""Many runs with JAX: vmap over runs of a scan over steps, compiled; optax where people use it.

As in stacks.py: the same runs, the loss of every step kept, the answer that of `some` of them.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
from jax import numpy as jnp

from contestants.stacks import Changes, answer, chosen
from momentumlab.experiment import load
from momentumlab.problems.build import build
from momentumlab.problems.problem import ORDER, stream

Train = Callable[[Any], Any]  # γ of one run -> the loss before every update


def _timed(train: Train, gammas: np.ndarray, warm: bool) -> tuple[float, np.ndarray]:
    together = jax.jit(jax.vmap(train))
    column = jnp.asarray(gammas)
    if warm:
        jax.block_until_ready(together(column))
    begun = time.perf_counter()
    losses = np.asarray(together(column)).T
    return time.perf_counter() - begun, losses


def _given(seconds: float, losses: np.ndarray, places: list[int], runs: int, some: int, steps: int) -> dict[str, Any]:
    which = [run for run in places if run in chosen(runs, some)]
    columns = [places.index(run) for run in which]
    note = "" if len(places) == runs else f"{len(places)} of {runs} runs, scaled"
    found = answer(losses[:, columns], which, steps)
    return {"seconds": seconds * runs / len(places), "answer": found, "note": note}


def linreg(config: str, runs: int, steps: int, some: int, changes: Changes, warm: bool) -> dict[str, Any]:
    """A scan over full-batch steps; the compiler's time counts unless `warm`."""
    problem: Any = build(load(config, set=changes))
    x, y = jnp.asarray(problem.x.cpu().numpy()), jnp.asarray(problem.y.cpu().numpy())
    start = jnp.asarray(problem.start([0])[0].cpu().numpy())

    def loss_of(theta: Any) -> Any:
        return jnp.mean((x[:, 0] * theta[0] + theta[1] - y[:, 0]) ** 2)

    def train(gamma: Any) -> Any:
        optimizer = optax.sgd(0.01, momentum=gamma)

        def step(carried: Any, _: Any) -> Any:
            theta, state = carried
            loss, gradient = jax.value_and_grad(loss_of)(theta)
            updates, state = optimizer.update(gradient, state)
            return (optax.apply_updates(theta, updates), state), loss

        return jax.lax.scan(step, (start, optimizer.init(start)), length=steps)[1]

    seconds, losses = _timed(train, np.linspace(0, 0.9, runs).astype(np.float32), warm)
    return _given(seconds, losses, list(range(runs)), runs, some, steps)


def rosenbrock(runs: int, steps: int, some: int) -> dict[str, Any]:
    """A scan over steps, float64; the compiler's time counts."""
    jax.config.update("jax_enable_x64", True)
    start = jnp.array([-1.2, 1.0])

    def loss_of(theta: Any) -> Any:
        return (1 - theta[0]) ** 2 + 100 * (theta[1] - theta[0] ** 2) ** 2

    def train(gamma: Any) -> Any:
        optimizer = optax.sgd(5e-4, momentum=gamma)

        def step(carried: Any, _: Any) -> Any:
            theta, state = carried
            loss, gradient = jax.value_and_grad(loss_of)(theta)
            updates, state = optimizer.update(gradient, state)
            return (optax.apply_updates(theta, updates), state), loss

        return jax.lax.scan(step, (start, optimizer.init(start)), length=steps)[1]

    seconds, losses = _timed(train, np.linspace(0, 0.9, runs), warm=False)
    return _given(seconds, losses, list(range(runs)), runs, some, steps)


def digits(
    config: str, runs: int, steps: int, some: int, changes: Changes, train: int = 0, warm: bool = True
) -> dict[str, Any]:
    """A scan over the full batches of an epoch and then its smaller last one, in a scan over epochs."""
    experiment = load(config, set=changes)
    problem: Any = build(experiment)
    data, labels = problem.x.cpu().numpy(), problem.y.cpu().numpy()
    epochs, whole = steps // problem.steps_per_epoch, len(data) // problem.batch_size * problem.batch_size
    orders = np.stack([stream(experiment.seed, ORDER, epoch).permutation(len(data)) for epoch in range(epochs)])
    full = orders[:, :whole].reshape(epochs, -1, problem.batch_size)
    shown = tuple((jnp.asarray(data[rows]), jnp.asarray(labels[rows])) for rows in (full, orders[:, whole:]))
    start = [jnp.asarray(p.detach().cpu().numpy()) for p in _torchs_start(problem, experiment.seed)]

    def loss_of(theta: Any, x: Any, y: Any) -> Any:
        weight_1, bias_1, weight_2, bias_2 = theta
        scores = jax.nn.relu(x @ weight_1.T + bias_1) @ weight_2.T + bias_2
        return optax.softmax_cross_entropy_with_integer_labels(scores, y).mean()

    def train_one(gamma: Any) -> Any:
        optimizer = optax.sgd(experiment.optimizer.eta, momentum=gamma)

        def step(carried: Any, batch: Any) -> Any:
            theta, state = carried
            loss, gradient = jax.value_and_grad(loss_of)(theta, *batch)
            updates, state = optimizer.update(gradient, state)
            return (optax.apply_updates(theta, updates), state), loss

        def epoch(carried: Any, batches: Any) -> Any:
            full, last = batches
            carried, losses = jax.lax.scan(step, carried, full)
            carried, loss = step(carried, last)
            return carried, jnp.append(losses, loss)

        return jax.lax.scan(epoch, (start, optimizer.init(start)), shown)[1].ravel()

    places = chosen(runs, train or runs)
    seconds, losses = _timed(train_one, np.linspace(0, 0.9, runs)[places].astype(np.float32), warm)
    return _given(seconds, losses, places, runs, some, steps)


def _torchs_start(problem: Any, seed: int) -> Any:
    import torch

    model = problem.module()
    torch.nn.utils.vector_to_parameters(problem.start([seed])[0], model.parameters())
    return model.parameters()
