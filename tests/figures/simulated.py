"""Results with true numbers, made without the engine: gradient descent with momentum, one run after another."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from momentumlab.experiment import load
from momentumlab.problems.objectives import build
from momentumlab.results.reader import Result

Cell = dict[str, Any]
Gradient = Callable[[np.ndarray, int, np.random.Generator], tuple[float, np.ndarray]]

LINE = {"data": {"kind": "line", "seed": 0, "samples": 100}, "model": {"kind": "linear"}, "loss": "mse"}
_GENERATOR = np.random.default_rng(0)
_X = _GENERATOR.standard_normal(100)
_Y = 2 * _X + 1 + 0.1 * _GENERATOR.standard_normal(100)


def cells(
    gammas: Iterable[float] = (0.9,),
    etas: Iterable[float] = (0.01,),
    seeds: Iterable[int] = (0,),
    **varied: Sequence[Any],
) -> list[Cell]:
    """Every combination of γ, η, further keys (dots written as two underscores) and seeds, seeds fastest."""
    made: list[Cell] = [{"gamma": float(gamma), "eta": float(eta)} for gamma in gammas for eta in etas]
    for key, values in varied.items():
        made = [cell | {key.replace("__", "."): value} for cell in made for value in values]
    return [cell | {"seed": seed} for cell in made for seed in seeds]


def line_result(made: Sequence[Cell], steps: int = 60, *, batch: int | None = None, **options: Any) -> Result:
    """Linear regression on a noisy line; with `batch`, each step sees as many samples, drawn by the seed."""

    def gradient(theta: np.ndarray, step: int, generator: np.random.Generator) -> tuple[float, np.ndarray]:
        sample = slice(None) if batch is None else generator.integers(0, 100, batch)
        error = theta[0] * _X[sample] + theta[1] - _Y[sample]
        return float((error * error).mean()), np.array([2 * (error * _X[sample]).mean(), 2 * error.mean()])

    train = {"epochs": steps, "batch_size": batch or "full"}
    return result(LINE, train, gradient, [0.12, 0.9], made, steps, **({"name": "linreg_of_mine"} | options))


def objective_result(described: Mapping[str, Any], made: Sequence[Cell], steps: int = 60, **options: Any) -> Result:
    """An objective from its usual start."""
    specification = load({"objective": dict(described), "optimizer": {}}).objective
    objective = build(specification)
    noise = float(described.get("noise", 0.0))

    def gradient(theta: np.ndarray, step: int, generator: np.random.Generator) -> tuple[float, np.ndarray]:
        exact = objective.gradient(theta[None], np)[0]
        return float(objective.value(theta[None], np)[0]), exact + noise * generator.standard_normal(len(theta))

    problem = {"objective": {"noise": noise, **described}}
    named = {"name": str(described["kind"])} | options
    return result(problem, {"steps": steps}, gradient, objective.start, made, steps, epochs=False, **named)


def forces_result(pushes: Sequence[Sequence[float]], made: Sequence[Cell], steps: int, **options: Any) -> Result:
    """Scripted pushes: no loss."""

    def gradient(theta: np.ndarray, step: int, generator: np.random.Generator) -> tuple[float, np.ndarray]:
        return math.nan, np.array(pushes[step] if step < len(pushes) else [0.0] * len(theta), float)

    problem = {"objective": {"kind": "forces", "pushes": [list(push) for push in pushes]}}
    start = [0.0] * len(pushes[0])
    return result(
        problem, {"steps": steps}, gradient, start, made, steps, epochs=False, **({"name": "pushes"} | options)
    )


def result(
    problem: Mapping[str, Any],
    train: Mapping[str, Any],
    gradient: Gradient,
    start: Sequence[float],
    made: Sequence[Cell],
    steps: int,
    *,
    name: str,
    epochs: bool = True,
    optimizer: Mapping[str, Any] | None = None,
    folder: str | None = None,
    state: str = "finished",
) -> Result:
    """Train every cell and lay the numbers out as a result folder does: metrics by step, then run."""
    chosen = {"kind": "momentum", "form": "classical", "backend": "scratch"} | dict(optimizer or {})
    experiment = {"name": name, "seed": 0, **problem, "optimizer": chosen, "train": {"batch_size": "full", **train}}
    runs: dict[str, list[Any]] = {}
    rows: list[dict[str, float]] = []
    for run, cell in enumerate(made):
        mine = _train(gradient, np.array(start, float), {"optimizer.kind": chosen["kind"], **cell}, steps)
        rows += [{"run": run, **row} for row in mine]
        losses = [row["loss"] for row in mine]
        broken = _diverged(losses[-1], losses[0])
        row = {
            "run": run,
            **cell,
            "status": "diverged" if broken else "finished",
            "reason": "",
            "steps": mine[-1]["step"],
        }
        row |= {"loss_first": losses[0], "loss_last": losses[-1], "loss_best": min(losses)}
        for key, value in row.items():
            runs.setdefault(key, []).append(value)
    rows.sort(key=lambda row: (row["step"], row["run"]))
    metrics = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    metrics |= {key: metrics[key].astype(int) for key in ("run", "step")}
    unused = [*([] if epochs else ["epoch"]), *(["loss"] if np.isnan(metrics["loss"]).all() else [])]
    columns = {key: np.array(values, object if isinstance(values[0], str) else None) for key, values in runs.items()}
    return Result(
        folder=Path("runs") / (folder or f"{name}-3f9a1c2e"),
        name=folder or f"{name}-3f9a1c2e",
        experiment=experiment,
        manifest={"state": state},
        runs=columns,
        metrics={key: values for key, values in metrics.items() if key not in unused},
    )


def _train(gradient: Gradient, theta: np.ndarray, cell: Cell, steps: int) -> list[dict[str, float]]:
    generator = np.random.default_rng(cell["seed"])
    velocity = np.zeros_like(theta)
    gamma, eta = cell["gamma"], cell["eta"]
    rows = []
    with np.errstate(all="ignore"):
        for step in range(steps + 1):
            loss, push = gradient(theta, step, generator)
            rows.append(
                {"step": step, "epoch": float(step), "loss": loss, "gradient_norm": float(np.hypot.reduce(push))}
            )
            rows[-1] |= {"velocity_norm": float(np.hypot.reduce(velocity)), "gamma": gamma, "eta": eta}
            for word, vector in (("theta", theta), ("gradient", push), ("velocity", velocity)):
                rows[-1] |= {f"{word}_{place}": float(value) for place, value in enumerate(vector)}
            if _diverged(loss, rows[0]["loss"]):
                break
            velocity = gamma * velocity + eta * push
            ahead = cell["optimizer.kind"] == "nesterov"
            theta = theta - (gamma * velocity + eta * push if ahead else velocity)
    return rows


def _diverged(loss: float, first: float) -> bool:
    return not math.isnan(first) and not loss <= 1e12 * max(1.0, abs(first))
