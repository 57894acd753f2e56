"""The public verbs as functions: run, sweep, load, plot. The command line is a thin layer over them."""

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from momentumlab.errors import ConfigError, MomentumLabError, ResultError
from momentumlab.expectations import refuse_unmeasured
from momentumlab.experiment import Experiment, Grid, column, examples, expand, repeated_by, single
from momentumlab.experiment import load as load_experiment
from momentumlab.results import disk, reader
from momentumlab.results.checkpoint import tidy
from momentumlab.results.files import refused
from momentumlab.results.naming import identity, result_name
from momentumlab.results.reader import Result, find, is_finished
from momentumlab.text import safe

if TYPE_CHECKING:
    from momentumlab.engine.plan import Group
    from momentumlab.engine.stop import Stop
    from momentumlab.foresight import Foresight
    from momentumlab.results.writer import ResultWriter

__all__ = ["Carried", "Drawn", "Result", "carry_out", "load", "plot", "run", "sweep"]

Source = str | Path | Mapping[str, Any]
Progress = Callable[[int, int], None]
"""Told how many updates are done and how many there are, counted over all runs."""


@dataclass(frozen=True)
class Carried:
    """A result, and whether it had been there already."""

    result: Result
    found: bool


@dataclass(frozen=True)
class Drawn:
    """The pictures that were drawn, and what is to be said about them: what was skipped and why."""

    pictures: tuple[Path, ...]
    notes: tuple[str, ...]


def run(
    config: Source,
    *,
    gamma: float | None = None,
    eta: float | None = None,
    seed: int | None = None,
    set: Mapping[str, Any] | Sequence[str] = (),
    runs: str | Path = "runs",
    fresh: bool = False,
    allow_code: Collection[str] = (),
    allow_drift: bool = False,
) -> Result:
    """Train one run of an experiment and give its result; a finished one is found again and not trained anew.

    `config` is a path, the name of a shipped experiment, or a mapping; `set` overrides keys ({"train.epochs": 50}).
    The result lies in a folder below `runs`; `fresh` trains again beside it. `allow_code` names the files of rules
    (`kind: file`) that may run. An unfinished result is gone on with; where threads, versions or the processor have
    changed since, only with `allow_drift`.

        >>> momentumlab.run("linreg", gamma=0.9).runs["loss_last"]
    """
    experiment = load_experiment(config, gamma=gamma, eta=eta, seed=seed, set=set)
    carried = carry_out(
        experiment,
        single(experiment),
        "run",
        runs=runs,
        fresh=fresh,
        allow_code=allow_code,
        allow_drift=allow_drift,
    )
    return carried.result.held()


def sweep(
    config: Source = "linreg",
    *,
    gamma: Sequence[float] | str | None = None,
    eta: Sequence[float] | str | None = None,
    seed: Sequence[int] | str | None = None,
    vary: Mapping[str, Any] | None = None,
    zip: bool = False,
    match: str | None = None,
    set: Mapping[str, Any] | Sequence[str] = (),
    runs: str | Path = "runs",
    fresh: bool = False,
    allow_code: Collection[str] = (),
    allow_drift: bool = False,
    fail_fast: bool = False,
) -> Result:
    """Train a grid of runs of one experiment and give the result; a finished one is found again.

    Values are sequences or written as on the command line ("0,0.5,0.9", "log:1e-3:1:7", "0..4"). `vary` holds further
    axes by dotted key; `zip` pairs all axes but the seed; `match` says what is held equal while γ varies: "eta",
    "effective" (η/(1 − γ)) or "critical" (the damping of the steepest direction). Without any axis the experiment's own
    `sweep` section is used. A run that fails is recorded and the others go on; with `fail_fast` it ends the sweep.

        >>> momentumlab.sweep("linreg", gamma=[0, 0.5, 0.9, 0.99]).runs["loss_last"]
    """
    experiment = load_experiment(config, set=set)
    axes = {"gamma": gamma, "eta": eta, "seed": seed}
    grid = expand(experiment, **axes, vary=vary or {}, zip=zip, match=match, critical=critical_etas)
    carried = carry_out(
        experiment,
        grid,
        "sweep",
        runs=runs,
        fresh=fresh,
        allow_code=allow_code,
        allow_drift=allow_drift,
        fail_fast=fail_fast,
    )
    return carried.result.held()


def carry_out(
    experiment: Experiment,
    grid: Grid,
    command: str,
    *,
    runs: str | Path = "runs",
    fresh: bool = False,
    progress: Progress | None = None,
    allow_code: Collection[str] = (),
    allow_drift: bool = False,
    fail_fast: bool = False,
    tell: Callable[[str], object] | None = None,
) -> Carried:
    """Train the grid's cells into a result folder below `runs`, or find the finished result of the same grid.

    An unfinished result is gone on with, to the bytes that it would have had; where device, threads, versions or the
    processor are others now, only if `allow_drift` says so. With `fail_fast` the first run that fails ends the
    training. `tell` is given what is to be said before it begins, and what theory expects of it.

    Nothing is written before the experiment, its data and its devices are known to be good, and no code of a rule file
    is run unless `allow_code` names it. Raises ConfigError or
    DataError where they are not, ResultError where the folder is in use or the disk refuses.
    """
    checksums = _checksums(grid)
    folder = Path(runs) / result_name(grid, checksums)
    if not fresh and is_finished(folder):
        tidy(folder)  # whoever finished it may have died before
        return Carried(reader.load(folder), found=True)
    _allow(grid, allow_code)
    from momentumlab.engine.known import known
    from momentumlab.engine.plan import evaluations, groups, header
    from momentumlab.engine.stop import stop_between_steps
    from momentumlab.results.writer import Origin, ResultWriter

    plan = groups(grid)
    if fresh:
        folder = _new_folder(folder)
    origin = Origin(command, repeated_by(experiment, grid), checksums, identity(grid, checksums))
    writer = ResultWriter(folder, grid, header(plan), evaluations(plan), theory=known(plan), fail_fast=fail_fast)
    if expect := grid.cells[0].experiment.expect:
        refuse_unmeasured(expect, writer.columns)
    with writer, stop_between_steps() as stop:
        if not fresh and is_finished(folder):  # by another process, since we asked
            return Carried(reader.load(folder), found=True)
        writer.begin(origin, allow_drift=allow_drift)
        if tell is not None:
            _tell_before(plan, writer, tell)
        _train(plan, writer, progress, stop)
        writer.finish([(column(group.cells, "run"), group.problem.parameters) for group in plan])
    return Carried(reader.load(folder), found=False)


def _tell_before(plan: "Sequence[Group]", writer: "ResultWriter", tell: Callable[[str], object]) -> None:
    from momentumlab.foresight import line

    expected = line(plan)
    for note in [*writer.notes, *([expected] if expected else [])]:
        tell(note)


def critical_etas(experiment: Experiment, gammas: Sequence[float]) -> list[float]:
    """For each γ the η that damps the steepest direction critically: what `expand` asks for with `match: critical`."""
    from momentumlab.engine.plan import groups
    from momentumlab.foresight import critical_etas as etas_of_group

    return etas_of_group(groups(single(experiment))[0], gammas)


def foresee(experiment: Experiment, allow_code: Collection[str] = ()) -> "Foresight":
    """What theory says of one run before it is trained: curvature, limits, rate, and the best γ and η.

    Nothing is written. A sweep section is left aside.
    """
    grid = single(experiment)
    _allow(grid, allow_code)
    from momentumlab.engine.plan import groups
    from momentumlab.foresight import foresee as foresee_group

    return foresee_group(groups(grid)[0])


def load(folder: str | Path) -> Result:
    """The result in a folder. Raises ResultError where it is missing, damaged, or of a newer version.

    The files of a finished result must be those that were written, to the byte. `metrics` are read with it, but for a
    metrics.csv above 64 MiB: that is read when it is first asked for, and must still be there then.

        >>> momentumlab.load("runs/linreg-7d1d38fe").metrics["loss"]
    """
    return reader.load(folder).held()


def plot(
    paths: Iterable[str | Path],
    *,
    kind: str | None = None,
    metric: str = "loss",
    x: str = "step",
    format: str = "png",
    out: str | Path | None = None,
) -> Drawn:
    """Draw every result at or below `paths`: what belongs to the same problem on the same axes.

    `kind` is curves, heatmap, landscape, forces or schedule; without it, every kind that makes sense. One result is
    drawn into its own figures/, several into figures/ of the first path, or into `out`. Raises ConfigError where
    nothing can be drawn.
    """
    from momentumlab.figures import by_problem, check_kind, draw, file_stem, kinds_for, save

    if kind is not None:
        check_kind(kind)
    places = [Path(path) for path in paths]
    results, skipped = find(places, whole=True)
    if not results:
        raise MomentumLabError("\n".join([*skipped, "No result could be read, so there is nothing to draw."]))
    unfinished = [_how_far(result) for result in results if not result.finished]
    groups, notes = by_problem(results)
    folder = Path(out) if out is not None else _figures_folder(results, places)
    if out is None and folder.is_symlink():
        raise ResultError(
            f"{safe(folder)}: is a symbolic link, which is not followed. --out names a folder to draw into."
        )
    pictures: list[Path] = []
    undrawn: list[str] = []
    for group in groups:
        for wanted in [kind] if kind else _kinds_with(metric, kinds_for(group)):
            stem = file_stem(wanted, metric)
            name = stem if len(groups) == 1 else f"{group[0].experiment['name']}-{stem}"
            try:
                figure = draw(group, wanted, metric=metric, x=x)
            except ConfigError as error:
                if len(groups) == 1 and kind is not None:
                    raise
                undrawn.append(f"{name} not drawn: {error}")
                continue
            pictures.append(save(figure, folder / f"{name}.{format}"))
    if not pictures and undrawn:
        raise ConfigError(undrawn)
    return Drawn(tuple(pictures), (*skipped, *unfinished, *notes, *undrawn))


def _checksums(grid: Grid) -> dict[str, str]:
    # Of every file that the cells read, data and rules, by path: a result is named after what stands in them.
    sections = [
        section for cell in examples(grid.cells) for section in (cell.experiment.data, cell.experiment.optimizer)
    ]
    paths = {path for section in sections if (path := getattr(section, "path", None)) is not None}
    if not paths:
        return {}
    from momentumlab.problems.files import checksum

    return {path: checksum(path) for path in sorted(paths)}


def _allow(grid: Grid, allow_code: Collection[str]) -> None:
    optimizers = [cell.experiment.optimizer for cell in examples(grid.cells)]
    files = {optimizer.path for optimizer in optimizers if optimizer.kind == "file"}
    if files:
        from momentumlab.optimizers.code import refuse_unless_allowed

        refuse_unless_allowed(sorted(files), allow_code)


def _kinds_with(metric: str, kinds: list[str]) -> list[str]:
    # A metric that was asked for is drawn where it stands; paths and pushes show none.
    return kinds if metric == "loss" else [kind for kind in kinds if kind in {"curves", "heatmap"}] or ["curves"]


def missing_pictures(result: Result) -> list[Path]:
    """The pictures that belong to a result by default and are not in its folder."""
    from momentumlab.figures import file_stem, kinds_for

    belong = [result.folder / "figures" / f"{file_stem(kind)}.png" for kind in kinds_for([result])]
    return [picture for picture in belong if not picture.exists()]


def _train(plan: "Sequence[Group]", writer: "ResultWriter", progress: Progress | None, stop: "Stop") -> None:
    from momentumlab.engine.workers import train_all

    total = sum(len(group.cells) * group.plan.steps for group in plan)
    done = 0

    def tick(updates: int) -> None:
        nonlocal done
        done += updates
        if progress is not None:
            progress(done, total)

    train_all(plan, writer, tick, stop)


def _new_folder(folder: Path) -> Path:
    # Made by whoever is first to: two at the same time get two folders.
    for number in itertools.count(1):
        candidate = folder if number == 1 else folder.with_name(f"{folder.name}-{number}")
        try:
            made = disk.make_folder(candidate)
        except OSError as error:
            raise refused(candidate, error) from error
        if made:
            return candidate
    raise AssertionError("there is always a next number")


def _how_far(result: Result) -> str:
    done = int((result.runs["status"] != "interrupted").sum())
    return f"{result.name} is not finished: {done} of {len(result.runs['run'])} runs have come to their end"


def _figures_folder(results: Sequence[Result], paths: Sequence[Path]) -> Path:
    if len(results) == 1:
        return results[0].folder / "figures"
    first = paths[0].parent if paths[0].is_file() else paths[0]
    return first / "figures"
