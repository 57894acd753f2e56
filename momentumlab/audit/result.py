"""Audit of a result: are its files as they were written, and do its numbers follow from one another?"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from momentumlab.audit.deviation import Deviation
from momentumlab.audit.measures import absent, measured, places, rates, strangers
from momentumlab.audit.replay import Pairs, Replay, replayed, rows_of
from momentumlab.audit.report import plain
from momentumlab.audit.tables import EVALUATIONS, Final, ended_at, labels, outcomes
from momentumlab.errors import ConfigError, DataError, MomentumLabError, ResultError
from momentumlab.experiment import Cell, Grid, expand, load, single
from momentumlab.experiment.optional_metrics import OPTIONAL_METRICS
from momentumlab.experiment.schema_optimizer import FileOptimizer, Optimizer, RuleOptimizer
from momentumlab.optimizers.code import RuleError, allowed
from momentumlab.optimizers.updates import setting, shape_of, update_of
from momentumlab.problems.files import checksum
from momentumlab.results.manifest import is_as_written
from momentumlab.results.reader import FILES, Columns, Result, damages, read, text_of
from momentumlab.text import safe

_ORDER = ("metrics.csv", "runs.csv", "parameters.npz")  # in the order in which what is wrong in them is told


@dataclass(frozen=True)
class ResultReport:
    """What an audit of a result found."""

    target: str
    checked: tuple[str, ...]
    unchecked: tuple[str, ...]
    damages: tuple[str, ...]  # files that are not as they were written, or cannot be read
    deviation: Deviation | None  # the first number that does not follow
    recurrence: str | None  # what every run follows, where it is one
    form: str | None

    @property
    def defects(self) -> list[str]:
        """Everything that is wrong, a sentence each."""
        return [*self.damages, *([str(self.deviation)] if self.deviation else [])]

    def as_object(self) -> dict[str, Any]:
        """The report for machines."""
        first = self.deviation
        return {
            "target": self.target,
            "recurrence": self.recurrence,
            "form": self.form,
            "defects": self.defects,
            "file": first and first.file,
            "run": first and first.run,
            "step": first and first.step,
            "column": first and first.column,
            "expected": first and _plain(first.expected),
            "got": first and _plain(first.got),
            "checked": list(self.checked),
            "unchecked": list(self.unchecked),
        }

    def lines(self) -> list[str]:
        """The report for reading."""
        lines = [self.target, *(f"checked       {line}" for line in self.checked)]
        lines += [f"not checked   {line}" for line in self.unchecked]
        return lines + ([f"defect        {line}" for line in self.defects] or ["defects       none found"])


def examine_result(folder: Path, allow_code: Collection[str] = ()) -> ResultReport:
    """Check a result's files against the checksums in its manifest, and its numbers against one another.

    The rule of a `kind: file` runs only if `allow_code` names its file, and if that is the file of the training. What
    cannot be read at all is a defect, too.
    """
    damaged: list[str] = []
    try:
        damaged += damages(folder)
        whole = is_as_written(text_of(folder / "manifest.json"))
        if whole is False:
            damaged.insert(0, f"{safe(folder / 'manifest.json')}: not as it was written (its own checksum differs)")
        result, grid = _opened(folder)
        return _examined(result, grid, damaged, whole, allow_code)
    except MomentumLabError as error:
        known = any(str(error).startswith(damage) for damage in damaged)  # a file that is missing
        return ResultReport(safe(folder), (), (), (*damaged, *([] if known else [str(error)])), None, None, None)


def _opened(folder: Path) -> tuple[Result, Grid]:
    """The result and its grid. Raises ResultError, also for what would be the user's mistake in a file of his own."""
    try:
        result, experiment = read(folder), load(folder / "experiment.yaml")
        grid = expand(experiment) if experiment.sweep else single(experiment)
    except ConfigError as error:
        raise ResultError(str(error)) from None
    if missing := absent(grid.cells, result.metrics):
        raise ResultError(f"{safe(folder / 'metrics.csv')}:1: the columns {', '.join(missing)} are missing.")
    return result, grid


def _examined(
    result: Result, grid: Grid, damaged: list[str], whole: bool | None, allow_code: Collection[str]
) -> ResultReport:
    cells, metrics = grid.cells, result.metrics
    runs = [Pairs.of(cell, rows, metrics) for cell, rows in zip(cells, rows_of(cells, metrics), strict=True)]
    replays, reasons = _replays(runs, metrics, result.manifest.get("data"), allow_code)
    files = len(FILES) + bool(whole)
    checked = [f"{files} files are as they were written (SHA-256)"] if result.finished and not damaged else []
    checked += [*map(str, replays), *_looked_at(runs, result)]
    unchecked = [] if result.finished else ["the files: they have no checksums before the result is finished"]
    unchecked += [] if whole is not None else ["manifest.json: it has no checksum of its own"]
    unchecked += [f"{_runs(count)}: {reason}" for reason, count in reasons.items()]
    unchecked.append(_taken(metrics))
    found = [deviation for replay in replays for deviation in replay.deviations]
    found = [*strangers(cells, metrics), *places(runs, metrics), *rates(runs, metrics), *found]
    found += [*measured(runs, metrics), *_in_other_files(result, grid, runs, damaged)]
    first = min(found, key=lambda deviation: (_ORDER.index(deviation.file), deviation.row), default=None)
    follows = {(replay.recurrence, replay.form) for replay in replays}
    all_follow = len(follows) == 1 and not reasons and first is None
    recurrence, form = follows.pop() if all_follow else (None, None)
    return ResultReport(safe(result.folder), tuple(checked), tuple(unchecked), tuple(damaged), first, recurrence, form)


def _in_other_files(result: Result, grid: Grid, runs: Sequence[Pairs], damaged: list[str]) -> Iterator[Deviation]:
    """What is wrong in runs.csv and in parameters.npz; one that cannot be read is added to the damages."""
    final = _final(result, grid, damaged)
    yield from labels(result, grid)
    yield from outcomes(result, grid, runs, final)
    if final is not None:
        yield from ended_at(final, runs, result)


def _final(result: Result, grid: Grid, damaged: list[str]) -> Final | None:
    """The final parameters; None where there are none yet, and where they cannot be read, which is one more damage."""
    place = safe(result.folder / "parameters.npz")
    if not result.finished or f"{place}: missing" in damaged:
        return None
    try:
        return Final.read(result, grid)
    except ResultError as error:
        if not any(damage.startswith(place) for damage in damaged):
            damaged.append(str(error))
        return None


def _replays(
    runs: Sequence[Pairs], metrics: Columns, checksums: Any, allow_code: Collection[str]
) -> tuple[list[Replay], dict[str, int]]:
    """A replay of all runs with one update and equally many parameters, and how often a run was left out, by reason."""
    together: dict[Any, list[Pairs]] = {}
    reasons: Counter[str] = Counter()
    changed = _changed_files([run.cell for run in runs], checksums)
    for run in runs:
        optimizer = run.cell.experiment.optimizer
        reason = changed.get(getattr(optimizer, "path", "")) or _beyond_replay(optimizer, allow_code)
        key: Any = None
        if not reason and isinstance(optimizer, RuleOptimizer):
            try:
                key = _way(run)
            except ConfigError as error:  # somebody's code, which may need what is not here
                reason = str(error)
        if reason or run.gap:
            reasons[reason or run.gap] += 1
        if key is not None and len(run.first):
            together.setdefault(key, []).append(run)
    replays = []
    for key, alike in together.items():
        try:
            replays.append(replayed(key[0], alike, metrics))
        except RuleError as error:
            reasons[str(error)] += len(alike)
    return replays, reasons


def _way(run: Pairs) -> Any:
    """What runs have in common that are computed again together; the update first."""
    optimizer = run.cell.experiment.optimizer
    assert isinstance(optimizer, RuleOptimizer)
    update = update_of(optimizer)
    shapes = tuple(shape_of(setting(optimizer, name)) for name in update.rule.hyperparameters)
    return update, shapes, run.width, run.cell.experiment.train.dtype


def _changed_files(cells: Sequence[Cell], checksums: Any) -> dict[str, str]:
    """By path, why a rule file cannot tell what it was in the training; `checksums` are those of the manifest."""
    known = checksums if isinstance(checksums, dict) else {}
    optimizers = [cell.experiment.optimizer for cell in cells]
    reasons = {}
    for path in {optimizer.path for optimizer in optimizers if isinstance(optimizer, FileOptimizer)}:
        try:
            if checksum(path) == known.get(path):
                continue
            why = "its checksum differs"
        except DataError as error:
            why = str(error)
        reasons[path] = f"{safe(Path(path).name)} is not what was trained ({why})"
    return reasons


def _beyond_replay(optimizer: Optimizer, allow_code: Collection[str]) -> str:
    if isinstance(optimizer, FileOptimizer) and not allowed(optimizer.path, allow_code):
        name = safe(Path(optimizer.path).name)
        return f"{name} holds code, which runs only if you say so: add --allow-code {safe(optimizer.path)}"
    if not isinstance(optimizer, RuleOptimizer):
        return f"{optimizer.kind} is torch's own: momentumlab check torch.optim.{optimizer.kind} examines it"
    return ""


def _looked_at(runs: Sequence[Pairs], result: Result) -> list[str]:
    vectors = ["gradient_norm", "velocity_norm", "cosine", "distance"] if any(run.width for run in runs) else []
    names = [name for name in ("step", "epoch", "gamma", "eta", *vectors) if name in result.metrics]
    files = "runs.csv and parameters.npz" if result.finished else "runs.csv"
    return [
        f"{len(result.metrics['run'])} rows: {', '.join(names)}",
        f"{_runs(len(runs))}: {files}, by the experiment and metrics.csv",
    ]


def _taken(metrics: Columns) -> str:
    names = (
        ["losses"] * ("loss" in metrics) + ["gradients"] + ["evaluations"] * any(map(metrics.__contains__, EVALUATIONS))
    )
    names += ["optional columns"] * any(columns[0] in metrics for columns in OPTIONAL_METRICS.values())
    return f"taken as they were recorded: {', '.join(names)} and the start of each run"


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def _plain(value: float | str) -> float | str | None:
    return value if isinstance(value, str) else plain(value)
