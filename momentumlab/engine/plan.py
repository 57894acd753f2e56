"""From a grid of cells to chunks: which runs are trained together, and which rows they write.

All of it is a function of the experiment and its grid alone, so the same command gives the same bytes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from momentumlab.arrays import on_accelerator
from momentumlab.engine.loop import Plan
from momentumlab.engine.memory import refuse_too_large
from momentumlab.engine.stack import RuleStack, Stack
from momentumlab.engine.watch import Energy, Forces, Meter, Path, Watch
from momentumlab.errors import ConfigError
from momentumlab.experiment import Cell, Experiment, Grid, around, examples
from momentumlab.experiment.optional_metrics import OPTIONAL_METRICS
from momentumlab.experiment.schema_schedules import ETA, GAMMA, out_of_range
from momentumlab.experiment.section import LONGEST
from momentumlab.optimizers.updates import setting, shape_of, try_on, update_of
from momentumlab.problems.build import build
from momentumlab.problems.problem import Problem

MOST_ROWS = 200_000
"""`record.every: auto` keeps metrics.csv at or below this many rows."""
MOST_VECTORS = {"auto": 4, True: 64, False: 0}
"""`record.vectors`: up to how many parameters θ, ∇J and v are written."""
MOST_EVALUATIONS = 10**7
"""How often a run may be evaluated: what is planned ahead has to fit in memory."""
_EVALUATIONS_BETWEEN = 10  # each costs a third of an epoch: twice as many would tell little more


@dataclass(frozen=True)
class Group:
    """Runs that can share a stack: one problem, one update; they differ in its hyperparameters and the seed alone."""

    problem: Problem
    cells: Sequence[Cell]
    plan: Plan

    @property
    def experiment(self) -> Experiment:
        """What the cells have in common, with the first one's γ, η and seed."""
        return self.cells[0].experiment

    @cached_property
    def chunks(self) -> list[Sequence[Cell]]:
        """The cells, as many at a time as are trained together."""
        size = 1 if self.experiment.optimizer.backend == "torch" else self.problem.stack_limit
        return [self.cells[start : start + size] for start in range(0, len(self.cells), size)]

    def stack(self, cells: Sequence[Cell]) -> Stack:
        """A stack of these cells at their start."""
        if self.experiment.optimizer.backend == "scratch":
            update = update_of(self.experiment.optimizer)
            stack = RuleStack(self.problem, cells, update, self.plan.steps)
            if not on_accelerator(stack.arrays) or _watched(self.experiment):
                return stack
            from momentumlab.engine.ahead import Ahead  # loads torch

            return Ahead(stack, self.plan)
        from momentumlab.engine.torch_run import TorchRun  # loads torch.optim, which no scratch run needs

        return TorchRun(self.problem, cells[0], self.plan.steps)

    def watch(self, cells: Sequence[Cell]) -> Watch:
        """The optional metrics of a stack of these cells at their start."""
        record, optimizer = self.experiment.record, self.experiment.optimizer
        meters: list[Meter] = []
        if record.forces:
            from momentumlab.problems.curvature import eigendirections

            outside = optimizer.backend == "torch" or getattr(optimizer, "form", None) == "torch"
            meters.append(Forces(eigendirections(self.problem), outside))
        if record.path:
            meters.append(Path())
        if record.energy:
            meters.append(Energy())
        return Watch([*meters, *self._probes(cells)])

    def _probes(self, cells: Sequence[Cell]) -> Iterator[Meter]:
        from momentumlab.engine.probes import NoiseScale, Probe, Sharpness

        record, plan, problem = self.experiment.record, self.plan, self.problem
        if record.sharpness:
            sharpness = Sharpness(problem, [cell.experiment.optimizer for cell in cells], plan.steps)
            yield Probe(OPTIONAL_METRICS["sharpness"], partial(plan.probes, apart=record.sharpness), sharpness)
        if record.noise_scale:
            model: Any = problem
            yield Probe(
                OPTIONAL_METRICS["noise_scale"], partial(plan.probes, apart=record.noise_scale), NoiseScale(model)
            )


def groups(grid: Grid) -> list[Group]:
    """The grid's cells by what they can share, in the order of their first run, with the rows they will write."""
    gathered = _gathered(grid.cells)
    problems = [build(cells[0].experiment) for cells in gathered]
    together = list(zip(gathered, problems, strict=True))
    for cells, problem in together:
        refuse_too_large(cells[0].experiment, problem, len(cells))
        _check_length(cells[0].experiment, problem)
        _check_schedules(cells, problem)
        _check_rules(cells, problem)
    if any(cells[0].experiment.optimizer.backend == "torch" for cells in gathered):
        from momentumlab.engine.torch_optimizer import check_torch  # loads torch.optim, which no scratch run needs

        check_torch(together)
    every = _strides(together)
    return [
        Group(problem, cells, _plan(cells[0].experiment, problem, stride))
        for cells, problem, stride in zip(gathered, problems, every, strict=True)
    ]


def _watched(experiment: Experiment) -> list[str]:
    """The names of the optional metrics that an experiment asks for."""
    return [name for name in OPTIONAL_METRICS if getattr(experiment.record, name)]


def _check_length(experiment: Experiment, problem: Problem) -> None:
    """Raise ConfigError where epochs make more updates than a run can have."""
    per_epoch, epochs = problem.steps_per_epoch, experiment.train.epochs
    if per_epoch is not None and epochs is not None and epochs * per_epoch > LONGEST:
        raise ConfigError(
            f"train.epochs: {epochs} epochs of {per_epoch} updates each are more than the {LONGEST} "
            f"that a run can have: at most {LONGEST // per_epoch} epochs"
        )


def _check_schedules(cells: Sequence[Cell], problem: Problem) -> None:
    """Raise ConfigError where a schedule leaves its range within the run, whose length is known only here."""
    steps = steps_of(cells[0].experiment, problem)
    problems = [
        f"optimizer.{key}: {sentence}"
        for cell in examples(cells)
        for key, bounds in (("gamma", GAMMA), ("eta", ETA))
        if (sentence := out_of_range(getattr(cell.experiment.optimizer, key), bounds, steps))
    ]
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))


def _check_rules(cells: Sequence[Cell], problem: Problem) -> None:
    """Raise ConfigError where a rule of a file fails on the problem's arrays, whose kind is known only here."""
    distinct = {repr(getattr(cell.experiment.optimizer, "arguments", None)): cell for cell in examples(cells)}
    for cell in distinct.values():
        try_on(cell.experiment.optimizer, problem.arrays)


def steps_of(experiment: Experiment, problem: Problem) -> int:
    """How many updates a run makes."""
    if experiment.train.steps is not None:
        return experiment.train.steps
    assert experiment.train.epochs is not None
    assert problem.steps_per_epoch is not None
    return experiment.train.epochs * problem.steps_per_epoch


def _gathered(cells: Sequence[Cell]) -> list[Sequence[Cell]]:
    together: dict[tuple[object, ...], list[int]] = {}
    text = _Memo()
    kinds = examples(cells)
    for place, cell in enumerate(kinds):
        experiment = cell.experiment
        parts = (experiment.data, experiment.model, experiment.objective, experiment.train, experiment.record)
        key = (*map(text, parts), experiment.loss, *_way(experiment))
        together.setdefault(key, []).append(place)
    return [around(cells, places) for places in together.values()]


def _way(experiment: Experiment) -> tuple[object, ...]:
    # Which code computes its updates: with a list of hyperparameters also how many they are.
    optimizer = experiment.optimizer
    if optimizer.backend == "torch":
        return optimizer.kind, optimizer.backend
    update = update_of(optimizer)
    shapes = (shape_of(setting(optimizer, name)) for name in update.rule.hyperparameters)
    # A model of very many parameters has a quicker way for the classical forms while η is constant.
    scheduled = (
        experiment.model is not None and not update.rule.eta_outside and not isinstance(optimizer.eta, int | float)
    )
    return update, scheduled and optimizer.kind != "file", *shapes


class _Memo:
    """The text of a part of an experiment, written once for a part that thousands of cells share."""

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}

    def __call__(self, part: object) -> str:
        if id(part) not in self._texts:
            self._texts[id(part)] = repr(part)
        return self._texts[id(part)]


def _strides(groups: Sequence[tuple[Sequence[Cell], Problem]]) -> list[int]:
    # One stride for all runs that say `auto`: the smallest that keeps the file within MOST_ROWS.
    def rows(stride: int) -> int:
        total = 0
        for cells, problem in groups:
            given = cells[0].experiment.record.every
            steps = steps_of(cells[0].experiment, problem)
            total += len(cells) * _rows(steps, stride if given == "auto" else given)
        return total

    longest = max(steps_of(cells[0].experiment, problem) for cells, problem in groups)
    auto = _smallest(lambda stride: rows(stride) <= MOST_ROWS, longest)
    given = [cells[0].experiment.record.every for cells, _ in groups]
    return [auto if every == "auto" else every for every in given]


def _rows(steps: int, every: int) -> int:
    return -(-steps // every) + 1


def _smallest(holds: Callable[[int], bool], highest: int) -> int:
    # The number of rows falls as the stride grows, so halving finds it (`highest` where none is enough).
    low = 1
    while low < highest:
        middle = (low + highest) // 2
        if holds(middle):
            highest = middle
        else:
            low = middle + 1
    return low


def _plan(experiment: Experiment, problem: Problem, every: int) -> Plan:
    steps = steps_of(experiment, problem)
    size = sum(parameter.size for parameter in problem.parameters)
    wanted = experiment.record.vectors
    if wanted is True and size > MOST_VECTORS[True]:
        raise ConfigError(
            f"record.vectors: true writes θ, ∇J and v for up to {MOST_VECTORS[True]} parameters, and this model has "
            f"{size}. Use auto, which leaves them out here."
        )
    if experiment.record.noise_scale and problem.steps_per_epoch == 1:
        raise ConfigError("record.noise_scale: compares minibatches with all samples, and here a batch has them all")
    evaluate_at = _evaluate_at(experiment, problem, steps, every)
    return Plan(steps, every, evaluate_at, vectors=size <= MOST_VECTORS[wanted], target=experiment.train.target)


def _evaluate_at(experiment: Experiment, problem: Problem, steps: int, every: int) -> frozenset[int]:
    # Start, end and the ends of some epochs between: each at the first recorded row from there on.
    if not problem.evaluations or experiment.record.evaluate is False:
        return frozenset()
    assert problem.steps_per_epoch is not None
    epochs = -(-steps // problem.steps_per_epoch)
    given = experiment.record.evaluate
    apart = problem.steps_per_epoch * (-(-epochs // (_EVALUATIONS_BETWEEN + 1)) if given == "auto" else given)
    between = steps // max(apart, every)
    if between > MOST_EVALUATIONS:
        raise ConfigError(
            f"record.evaluate: {given} evaluates {between} times in a run, and at most {MOST_EVALUATIONS} are "
            f"possible: take {-(-epochs // MOST_EVALUATIONS)} or more, or auto"
        )
    if every > apart:  # every recorded row is the first from some end on: there may be far fewer of them than of ends
        return frozenset({*range(0, steps, every), steps})
    ends = range(apart, steps, apart)
    return frozenset({0, steps, *(min(steps, -(-end // every) * every) for end in ends)})


def header(groups: Sequence[Group]) -> list[str]:
    """The columns of metrics.csv: what applies to any of the runs, in the contract's order."""
    problems = [group.problem for group in groups]
    width = max(_vector_width(group) for group in groups)
    columns = ["run", "step"]
    if any(problem.steps_per_epoch is not None for problem in problems):
        columns.append("epoch")
    if any(problem.has_loss for problem in problems):
        columns.append("loss")
    columns += ["gradient_norm", "velocity_norm", "cosine"]
    if any(problem.minima for problem in problems):
        columns.append("distance")
    watched = {name for group in groups for name in _watched(group.experiment)}
    columns += ["gamma", "eta", *(name for key, names in OPTIONAL_METRICS.items() if key in watched for name in names)]
    columns += evaluations(groups)
    for vector in ("theta", "gradient", "velocity"):
        columns += [f"{vector}_{index}" for index in range(width)]
    return columns


def evaluations(groups: Sequence[Group]) -> list[str]:
    """The names of what is evaluated over all data in any of the runs."""
    order = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
    measured = {name for group in groups if group.plan.evaluate_at for name in group.problem.evaluations}
    return [name for name in order if name in measured]


def _vector_width(group: Group) -> int:
    if not group.plan.vectors:
        return 0
    return sum(parameter.size for parameter in group.problem.parameters)
