"""What is said about a result: the article's lines for a run, a table for a sweep, rows for `show`. Numpy only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from momentumlab.results.reader import Columns, Result
from momentumlab.text import safe

Row = dict[str, Any]

SYMBOLS = {"gamma": "γ", "eta": "η"}
_SHORT = 9  # letters of a number that is shown as it is
_PLAIN = ("run", "gamma", "eta", "seed")
_SWUNG_PAST = 0.01  # a run that ends this share of its way above its own best has overshot the minimum
_SCORES = ("test_loss", "train_loss", "loss_last")  # what runs are ranked by: the first that was measured


@dataclass(frozen=True)
class Table:
    """Words in rows, all of one length: ready for a terminal, a pipe or JSON."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def tabbed(self) -> str:
        """The table with a tab between cells, for a pipe."""
        return "\n".join("\t".join(row) for row in (self.header, *self.rows))


def number(value: float) -> str:
    """A number as a person reads it: four decimals where that says something, else powers of ten."""
    if np.isnan(value):
        return "—"
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.4f}"
    return f"{value:.3g}"


def setting(value: Any) -> str:
    """A value as it was typed or written; of a long fraction so many digits that 1−γ shows six."""
    if value is None:
        return ""
    if not isinstance(value, float):
        return safe(value)
    if np.isnan(value):
        return "—"  # aggmo has no single γ
    exact = repr(float(value)).removesuffix(".0")
    if len(exact) <= _SHORT:
        return exact
    beyond = int(-np.log10(1 - value)) if 0.9 < value < 1 else 0
    return f"{value:.{6 + beyond}g}"


def run_lines(result: Result) -> list[str]:
    """A single run as the article prints it: the loss before every fifth part of the updates, then what was learned."""
    lines = _loss_lines(result)
    ending = _ending(result, 0)
    learned = _learned(result)
    return lines + ([""] if lines else []) + learned + ([ending] if ending else [])


def sweep_table(result: Result, most: int | None = None) -> Table:
    """One row a run: what varies in it, its loss on the way and at the end, what it learned, and how it ended.

    `most` keeps so many rows where there are more: those of the best runs, in the order of the grid.
    """
    runs = result.runs
    varied = varied_columns(result)
    checkpoints = _checkpoints(result)
    names = _learned_names(result)
    evaluated = _evaluated_columns(runs)
    header = [SYMBOLS.get(name, name) for name in varied]
    header += [f"loss@{step + 1}" for step in checkpoints]
    shown = evaluated if checkpoints or "loss" not in result.metrics else ["loss_last", *evaluated]
    header += [name.replace("_", " ") for name in shown] + names + ["note"]
    at = {step: _loss_at(result, step) for step in checkpoints}
    best = best_run(result)
    rows = []
    for index in range(len(runs["run"])) if most is None else _best_rows(runs, most):
        run = int(runs["run"][index])
        row = [setting(runs[name][index]) for name in varied]
        row += [number(at[step].get(run, np.nan)) for step in checkpoints]
        row += [number(runs[name][index]) for name in shown]
        row += [number(value) for value in _final_parameters(result, run, len(names))]
        rows.append((*row, _ending(result, index) or ("best" if run == best else _swung(result, index))))
    return Table(tuple(header), tuple(rows))


def runs_rows(
    results: Sequence[Result], best: int | None = None, sort: str | None = None
) -> tuple[list[Row], list[str]]:
    """One row a run of all the results, and the columns that any of them has.

    `best` keeps so many of the finished runs, those with the lowest loss: the test loss where there is one, else that
    over all training data, else the last one. `sort` orders by a column: numbers, then words, then what is missing.
    """
    kinds = {_said(result.experiment, "optimizer.kind") for result in results}
    told = [] if len(kinds) == 1 else ["optimizer.kind"]
    columns = list(dict.fromkeys(["result", *_PLAIN, *told, *(name for result in results for name in result.runs)]))
    rows = [
        {"result": result.name}
        | {name: _said(result.experiment, name) for name in columns if "." in name}  # what is varied elsewhere
        | {name: values[index] for name, values in result.runs.items()}
        for result in results
        for index in range(len(result.runs["run"]))
    ]
    if best is not None:
        rows = sorted((row for row in rows if row["status"] == "finished"), key=_score)[:best]
    if sort is not None:
        rows = sorted(rows, key=lambda row: _sortable(row.get(sort)))
    return rows, columns


def _said(experiment: Mapping[str, Any], key: str) -> Any:
    """What an experiment says of a dotted key; None where it says nothing."""
    value: Any = experiment
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def telling(rows: Sequence[Row], columns: Sequence[str]) -> list[str]:
    """The columns that a narrow screen needs: those that name a run or its end, and those in which the runs differ."""
    kept = {"result", "run", "gamma", "eta", "status", "loss_last"}
    return [name for name in columns if name in kept or len({setting(row.get(name)) for row in rows}) > 1]


def runs_table(rows: Sequence[Row], columns: Sequence[str]) -> Table:
    """The rows of `runs_rows` in words."""
    return Table(tuple(columns), tuple(tuple(setting(row.get(name)) for name in columns) for row in rows))


def results_table(results: Sequence[Result]) -> Table:
    """One row a result: what was varied, how its runs ended, and the best of them."""
    header = ("result", "state", "runs", "diverged", "varied", "best", "loss")
    rows = []
    for result in results:
        runs, best = result.runs, best_run(result)
        varied = varied_columns(result)
        row = np.flatnonzero(runs["run"] == best)[0] if best is not None else None
        where = (
            ", ".join(f"{SYMBOLS.get(name, name)}={setting(runs[name][row])}" for name in varied)
            if row is not None
            else ""
        )
        rows.append(
            (
                safe(result.name),
                safe(result.manifest["state"]),
                str(len(runs["run"])),
                str(int((runs["status"] == "diverged").sum())),
                ", ".join(SYMBOLS.get(name, name) for name in varied),
                where,
                number(runs["loss_last"][row]) if row is not None else "—",
            )
        )
    return Table(header, tuple(rows))


def varied_columns(result: Result) -> list[str]:
    """The columns of runs.csv whose value differs between runs; γ where there is only one run."""
    runs = result.runs
    names = [*_PLAIN[1:], *(name for name in runs if name in _extra_columns(runs))]
    varied = [name for name in names if len(set(runs[name].tolist())) > 1]
    return varied or ["gamma"]


def best_run(result: Result) -> int | None:
    """The finished run with the lowest loss, as `runs_table` ranks them; None where none can be ranked."""
    rows = [
        {name: values[index] for name, values in result.runs.items()}
        for index in np.flatnonzero(result.runs["status"] == "finished")
    ]
    ranked = sorted(rows, key=_score)
    return int(ranked[0]["run"]) if ranked and np.isfinite(_score(ranked[0])) else None


def _best_rows(runs: Columns, most: int) -> list[int]:
    rows = [{name: values[index] for name, values in runs.items()} for index in range(len(runs["run"]))]
    ranked = sorted(range(len(rows)), key=lambda index: (rows[index]["status"] != "finished", _score(rows[index])))
    return sorted(ranked[:most])


def as_records(rows: Sequence[Row]) -> list[Row]:
    """The rows of `runs_rows` for JSON: what is missing or not finite is null."""
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _score(row: dict[str, Any]) -> float:
    measured = (float(row[name]) for name in _SCORES if name in row)
    return next((value for value in measured if not np.isnan(value)), np.inf)


def _sortable(value: Any) -> tuple[int, float, str]:
    # Numbers first, then words, then what is missing.
    if isinstance(value, str) or value is None:
        return (1, 0.0, value) if value else (2, 0.0, "")
    return (2, 0.0, "") if np.isnan(value) else (0, float(value), "")


def _extra_columns(runs: Columns) -> list[str]:
    names = list(runs)
    return names[names.index("seed") + 1 : names.index("status")]


def _checkpoints(result: Result) -> list[int]:
    # The rows whose loss stands for a fifth of the training and for all of it: before updates 20 and 100 of 100.
    # Where rows are strided, the recorded ones before those.
    finished = result.runs["steps"][result.runs["status"] == "finished"]
    if "loss" not in result.metrics or not len(result.metrics["step"]) or len(set(finished.tolist())) > 1:
        return []
    recorded = np.unique(result.metrics["step"])
    steps = int(recorded[-1])
    return sorted({int(recorded[recorded <= max(0, step)][-1]) for step in (steps // 5 - 1, steps - 1)})


def _loss_at(result: Result, step: int) -> dict[int, float]:
    # Of the runs that recorded this step: one that ended earlier has none.
    metrics = result.metrics
    here = metrics["step"] == step
    return dict(zip(metrics["run"][here].tolist(), metrics["loss"][here].tolist(), strict=True))


def _loss_lines(result: Result) -> list[str]:
    # As the article: the loss before the last update of every fifth part; where rows are strided, of the row before.
    metrics, train = result.metrics, result.experiment.get("train", {})
    if "loss" not in metrics or not len(metrics["step"]):
        return []
    steps = train.get("steps") or round(train["epochs"] * _steps_per_epoch(result))
    wanted = train.get("epochs") or steps
    word = "Loss" if train.get("batch_size", "full") == "full" else "Loss of a batch"
    lines = []
    for count in range(max(1, wanted // 5), wanted + 1, max(1, wanted // 5)):
        step = count * steps // wanted - 1
        row = np.flatnonzero(metrics["step"] <= step)[-1]
        if metrics["step"][-1] > step:
            exact = metrics["step"][row] == step and "epochs" in train
            label = f"Epoch [{count}/{wanted}]" if exact else f"Step [{metrics['step'][row] + 1}/{steps}]"
            lines.append(f"{label}, {word}: {number(metrics['loss'][row])}")
    return lines


def _steps_per_epoch(result: Result) -> float:
    # From the rows themselves: the row of step k says which epoch it is.
    last = np.argmax(result.metrics["step"])
    epoch = result.metrics["epoch"][last]
    return float(result.metrics["step"][last] / epoch) if epoch else 1.0


def _learned(result: Result) -> list[str]:
    runs = result.runs
    names = [name.split(" ")[0] for name in _learned_names(result)]
    values = _final_parameters(result, int(runs["run"][0]), len(names))
    if names:
        lines = ["learned: " + ", ".join(f"{n} = {number(v)}" for n, v in zip(names, values, strict=True))]
        truth = _truth(result)
        if truth:
            lines.append("true:    " + ", ".join(f"{n} = {number(v)}" for n, v in truth.items()))
        return lines
    evaluated = [name for name in runs if name.startswith(("train_", "test_"))]
    return [f"{name.replace('_', ' ')}: {number(float(runs[name][0]))}" for name in evaluated]


def _truth(result: Result) -> dict[str, float]:
    data = result.experiment.get("data") or {}
    model = result.experiment.get("model") or {}
    if data.get("kind") != "line" or model.get("kind") != "linear" or data.get("standardize"):
        return {}
    return {"w": float(data["slope"]), "b": float(data["intercept"])}


def _learned_names(result: Result) -> list[str]:
    # The few parameters that are worth a column of their own.
    truth = _truth(result)
    if truth:
        return [f"{name} (true {setting(value)})" for name, value in truth.items()]
    count = sum(name.startswith("theta_") for name in result.metrics)
    return [f"θ{'₀₁'[index]}" for index in range(count)] if count <= 2 else []


def _final_parameters(result: Result, run: int, count: int) -> list[float]:
    rows = np.flatnonzero(result.metrics["run"] == run)
    names = [f"theta_{index}" for index in range(count)]
    return [float(result.metrics[name][rows[-1]]) if len(rows) else np.nan for name in names]


def _evaluated_columns(runs: Columns) -> list[str]:
    return [name for name in ("test_loss", "test_accuracy") if name in runs]


def _ending(result: Result, index: int) -> str:
    status = str(result.runs["status"][index])
    if status == "finished":
        return ""
    if status == "diverged":
        return f"diverged at step {result.runs['steps'][index]}"
    return f"{status}: {safe(result.runs['reason'][index])}"


def _swung(result: Result, index: int) -> str:
    # Only where the loss is the whole loss: minibatch losses jump by themselves.
    train = result.experiment.get("train", {})
    if train.get("batch_size", "full") != "full" or (result.experiment.get("objective") or {}).get("noise"):
        return ""
    first, last, best = (float(result.runs[name][index]) for name in ("loss_first", "loss_last", "loss_best"))
    return "overshoots" if last - best > _SWUNG_PAST * (first - best) else ""
