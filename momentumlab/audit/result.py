"""Audit of a result: are its files as they were written, and does every recorded update follow its rule?"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from momentumlab.audit.replay import Deviation, Pairs, Replay, absent, lengths, rates, replayed, rows_of
from momentumlab.audit.report import plain
from momentumlab.errors import ConfigError, MomentumLabError, ResultError
from momentumlab.experiment import Cell, expand, load, single
from momentumlab.experiment.schema_optimizer import FileOptimizer, Optimizer, RuleOptimizer
from momentumlab.optimizers.code import allowed
from momentumlab.optimizers.updates import setting, shape_of, update_of
from momentumlab.results.manifest import is_as_written
from momentumlab.results.reader import Columns, Result, damages, read
from momentumlab.text import safe


@dataclass(frozen=True)
class ResultReport:
    """What an audit of a result found."""

    target: str
    checked: tuple[str, ...]
    unchecked: tuple[str, ...]
    damages: tuple[str, ...]  # files that are not as they were written
    deviation: Deviation | None  # the first number that does not follow

    @property
    def defects(self) -> list[str]:
        """Everything that is wrong, a sentence each."""
        return [*self.damages, *([str(self.deviation)] if self.deviation else [])]

    def as_object(self) -> dict[str, Any]:
        """The report for machines."""
        first = self.deviation
        return {
            "target": self.target,
            "defects": self.defects,
            "run": first and first.run,
            "step": first and first.step,
            "column": first and first.column,
            "expected": first and plain(first.expected),
            "got": first and plain(first.got),
            "checked": list(self.checked),
            "unchecked": list(self.unchecked),
        }

    def lines(self) -> list[str]:
        """The report for reading."""
        lines = [self.target, *(f"checked       {line}" for line in self.checked)]
        lines += [f"not checked   {line}" for line in self.unchecked]
        return lines + ([f"defect        {line}" for line in self.defects] or ["defects       none found"])


def examine_result(folder: Path, allow_code: Collection[str] = ()) -> ResultReport:
    """Check a result's files against the checksums in its manifest, and its recorded updates against their rule.

    The rule of a `kind: file` runs only if `allow_code` names its file. Raises ResultError where the result cannot be
    read at all.
    """
    damaged = damages(folder)
    whole = is_as_written((folder / "manifest.json").read_bytes().decode("utf-8"))
    if whole is False:
        damaged.insert(0, f"{safe(folder / 'manifest.json')}: not as it was written (its own checksum differs)")
    try:
        result, cells = _opened(folder)
    except MomentumLabError as error:
        if not damaged:
            raise
        return ResultReport(safe(folder), (), (), (*damaged, str(error)), None)
    files = len(result.manifest.get("files", {})) + bool(whole)
    ended = result.finished and not damaged
    checked = [f"{files} files are as they were written (SHA-256)"] if ended else []
    unchecked = [] if result.finished else ["the files: they have no checksums before the result is finished"]
    replays, deviations, reasons = _replays(cells, result.metrics, allow_code)
    checked += [str(replay) for replay in replays]
    unchecked += [f"{_runs(count)}: {reason}" for reason, count in reasons.items()]
    first = min(deviations, key=lambda deviation: deviation.row, default=None)
    unchecked.append("losses and gradients are taken as they were recorded")
    return ResultReport(safe(folder), tuple(checked), tuple(unchecked), tuple(damaged), first)


def _opened(folder: Path) -> tuple[Result, tuple[Cell, ...]]:
    """The result and its cells. Raises ResultError, also for what would be the user's mistake in a file of his own."""
    try:
        result, experiment = read(folder), load(folder / "experiment.yaml")
        cells = (expand(experiment) if experiment.sweep else single(experiment)).cells
    except ConfigError as error:
        raise ResultError(str(error)) from None
    if missing := absent(cells, result.metrics):
        raise ResultError(f"{safe(folder / 'metrics.csv')}:1: the columns {', '.join(missing)} are missing.")
    return result, cells


def _replays(
    cells: Sequence[Cell], metrics: Columns, allow_code: Collection[str]
) -> tuple[list[Replay], list[Deviation], dict[str, int]]:
    """A replay of all runs with one update and equally many parameters, every deviation, and how often a run was left
    out, by reason."""
    together: dict[Any, list[Pairs]] = {}
    reasons: dict[str, int] = {}
    deviations = list(lengths(cells, metrics))
    for cell, rows in zip(cells, rows_of(cells, metrics), strict=True):
        optimizer = cell.experiment.optimizer
        pairs = Pairs.of(cell, rows, metrics)
        deviations += rates(pairs, metrics)
        reason = _beyond_replay(optimizer, allow_code) or pairs.gap
        if reason:
            reasons[reason] = reasons.get(reason, 0) + 1
        if isinstance(optimizer, RuleOptimizer) and len(pairs.first) and not _beyond_replay(optimizer, allow_code):
            update = update_of(optimizer)
            shapes = tuple(shape_of(setting(optimizer, name)) for name in update.rule.hyperparameters)
            key = (update, shapes, pairs.width, cell.experiment.train.dtype)
            together.setdefault(key, []).append(pairs)
    replays = [replayed(key[0], runs, metrics) for key, runs in together.items()]
    return replays, deviations + [deviation for replay in replays for deviation in replay.deviations], reasons


def _beyond_replay(optimizer: Optimizer, allow_code: Collection[str]) -> str:
    if isinstance(optimizer, FileOptimizer) and not allowed(optimizer.path, allow_code):
        name = safe(Path(optimizer.path).name)
        return f"{name} holds code, which runs only if you say so: add --allow-code {safe(optimizer.path)}"
    if not isinstance(optimizer, RuleOptimizer):
        return f"{optimizer.kind} is torch's own: momentumlab check torch.optim.{optimizer.kind} examines it"
    return ""


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
