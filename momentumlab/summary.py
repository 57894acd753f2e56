"""What is said about a result: the article's lines for a run, a table for a sweep, rows for `show`. Numpy only."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from momentumlab import hindsight
from momentumlab.results.reader import Columns, Result
from momentumlab.text import no_formula, safe

Row = dict[str, Any]
Numbers = npt.NDArray[np.float64]

SYMBOLS = {"gamma": "γ", "eta": "η"}
_SHORT = 9  # letters of a number that is shown as it is
_PLAIN = ("run", "gamma", "eta", "seed")
_SWUNG_PAST = 0.01  # a run that ends this share of its way above its own best has overshot the minimum
_SCORES = ("test_loss", "train_loss", "loss_last")  # what runs are ranked by: the first that was measured


@dataclass(frozen=True)
class Table:
    """Words in rows, all of one length: ready for a terminal, a pipe or JSON. Many rows are made as they are read."""

    header: tuple[str, ...]
    rows: Iterable[tuple[str, ...]]

    def tabbed(self) -> Iterator[str]:
        """The lines of the table with a tab between cells, for a pipe or a spreadsheet, which runs none."""
        for row in itertools.chain([self.header], self.rows):
            yield "\t".join(no_formula(safe(cell)) for cell in row)


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
    return lines + ([""] if lines else []) + learned + _reached(result) + ([ending] if ending else [])


def sweep_table(result: Result, most: int | None = None, *, narrow: bool = False) -> Table:
    """One row a run: what varies in it, its loss on the way and at the end, what it learned, and how it ended.

    Where theory knows the runs, also the rate and the epochs until the loss stays at its floor, as measured and as
    predicted.

    `most` keeps so many rows where there are more: those of the best runs, the best first. `narrow` leaves out the way
    to the floor, for screens that have no room for it.
    """
    runs = result.runs
    varied = varied_columns(result)
    names = _learned_names(result)
    metrics = result.some("run", "step", "loss", *(f"theta_{index}" for index in range(len(names))))
    checkpoints = _checkpoints(result, metrics)
    evaluated = _evaluated_columns(runs)
    header = [SYMBOLS.get(name, name) for name in varied]
    header += [f"loss@{step + 1}" for step in checkpoints]
    shown = evaluated if checkpoints or "loss" not in metrics else ["loss_last", *evaluated]
    counted = [name for name in ("steps_to_target",) if name in runs]
    theory = hindsight.columns(result, metrics, floors=not narrow)
    header += [name.replace("_", " ") for name in shown] + names + [name for name, _ in theory]
    header += [name.replace("_", " ") for name in counted] + ["note"]
    losses = [_loss_at(result, metrics, step) for step in checkpoints]
    columns = [*losses, *(runs[name] for name in shown), *_final_parameters(result, metrics, len(names))]
    best = best_run(result)

    def words(index: int) -> tuple[str, ...]:
        row = [setting(runs[name][index]) for name in varied] + [number(values[index]) for values in columns]
        row += [said[index] for _, said in theory]
        row += [setting(runs[name][index]) for name in counted]
        is_best = runs["run"][index] == best
        return (*row, _ending(result, index) or ("best" if is_best else _swung(result, index)))

    indices = range(len(runs["run"])) if most is None else _best_rows(runs, most)
    return Table(tuple(header), map(words, indices))


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
    varied = [name for name in names if bool((runs[name][1:] != runs[name][:1]).any())]
    return varied or ["gamma"]


def best_run(result: Result) -> int | None:
    """The finished run with the lowest loss, as `runs_table` ranks them; None where none can be ranked."""
    _, scores = rank(result)
    if not np.isfinite(scores).any():
        return None
    return int(result.runs["run"][np.argmin(scores)])


def rank(result: Result) -> tuple[str, Numbers]:
    """What runs are ranked by, and that of each run, (run,): inf of one that did not finish or has no such number."""
    runs = result.runs
    measured = next((name for name in _SCORES if name in runs and not np.isnan(runs[name]).all()), "loss_last")
    return measured, np.where(runs["status"] == "finished", _scores(runs), np.inf)


def _best_rows(runs: Columns, most: int) -> list[int]:
    ranked = np.lexsort((_scores(runs), runs["status"] != "finished"))
    best: list[int] = ranked[:most].tolist()
    return best


def as_records(rows: Sequence[Row]) -> list[Row]:
    """The rows of `runs_rows` for JSON: what is missing or not finite is null."""
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _score(row: dict[str, Any]) -> float:
    measured = (float(row[name]) for name in _SCORES if name in row)
    return next((value for value in measured if not np.isnan(value)), np.inf)


def _scores(runs: Columns) -> Numbers:
    """`_score` of every row, (run,)."""
    scores = np.full(len(runs["run"]), np.nan)
    for name in _SCORES:
        if name in runs:
            scores = np.where(np.isnan(scores), runs[name], scores)
    return np.where(np.isnan(scores), np.inf, scores)


def _sortable(value: Any) -> tuple[int, float, str]:
    # Numbers first, then words, then what is missing.
    if isinstance(value, str) or value is None:
        return (1, 0.0, value) if value else (2, 0.0, "")
    return (2, 0.0, "") if np.isnan(value) else (0, float(value), "")


def _extra_columns(runs: Columns) -> list[str]:
    names = list(runs)
    return names[names.index("seed") + 1 : names.index("status")]


def _checkpoints(result: Result, metrics: Columns) -> list[int]:
    # The rows whose loss stands for a fifth of the training and for all of it: before updates 20 and 100 of 100.
    # Where rows are strided, the recorded ones before those.
    finished = result.runs["status"] == "finished"
    ends = result.runs["steps"][finished]
    if "loss" not in metrics or not len(metrics["step"]) or bool((ends != ends[:1]).any()):
        return []
    # A run that diverged has its last row where no other run may have one.
    theirs = np.isin(metrics["run"], result.runs["run"][finished]) if finished.any() else slice(None)
    recorded = np.unique(metrics["step"][theirs])
    steps = int(recorded[-1])
    return sorted({int(recorded[recorded <= max(0, step)][-1]) for step in (steps // 5 - 1, steps - 1)})


def _loss_at(result: Result, metrics: Columns, step: int) -> Numbers:
    """(run,): nan of the runs that did not record this step, as one that ended earlier."""
    return _last(result, metrics, "loss", np.flatnonzero(metrics["step"] == step))


def _final_parameters(result: Result, metrics: Columns, count: int) -> list[Numbers]:
    """Each parameter, (run,): nan of the runs that recorded none."""
    rows = np.arange(len(metrics["run"]))
    return [_last(result, metrics, f"theta_{index}", rows) for index in range(count)]


def _last(result: Result, metrics: Columns, name: str, rows: npt.NDArray[np.intp]) -> Numbers:
    """What a column of metrics says of each run, (run,), in the last of these rows that is the run's."""
    order = np.argsort(result.runs["run"], kind="stable")
    numbers = result.runs["run"][order]
    places = np.searchsorted(numbers, metrics["run"][rows]).clip(max=len(numbers) - 1)
    known = numbers[places] == metrics["run"][rows]
    values = np.full(len(numbers), np.nan)
    values[order[places[known]]] = metrics[name][rows[known]]  # of several the last stays
    return values


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
    values = [float(parameter[0]) for parameter in _final_parameters(result, result.metrics, len(names))]
    if names:
        lines = ["learned: " + ", ".join(f"{n} = {number(v)}" for n, v in zip(names, values, strict=True))]
        truth = _truth(result)
        if truth:
            lines.append("true:    " + ", ".join(f"{n} = {number(v)}" for n, v in truth.items()))
        return lines
    evaluated = [name for name in runs if name.startswith(("train_", "test_"))]
    return [f"{safe(name.replace('_', ' '))}: {number(float(runs[name][0]))}" for name in evaluated]


def _reached(result: Result) -> list[str]:
    if "steps_to_target" not in result.runs:
        return []
    target, step = result.experiment["train"]["target"], float(result.runs["steps_to_target"][0])
    return [f"target:  loss {setting(target)} " + ("not reached" if np.isnan(step) else f"reached at step {step:.0f}")]


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
    count = sum(name.startswith("theta_") for name in result.measured)
    return [f"θ{'₀₁'[index]}" for index in range(count)] if count <= 2 else []


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
