"""Do the sections of an experiment fit each other? Every disagreement at once, in words."""

import itertools
import math
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from momentumlab.experiment.optional_metrics import optional_metrics_apply
from momentumlab.experiment.ranges import Keys, Range
from momentumlab.experiment.schema_data import Data, training_samples
from momentumlab.experiment.schema_objectives import Objective
from momentumlab.experiment.schema_schedules import ETA, GAMMA, ScheduleSection
from momentumlab.text import shown

if TYPE_CHECKING:
    from momentumlab.experiment.schema import Experiment

Disagreement = tuple[Keys, str]
_IN_FLOAT32 = {"gamma": GAMMA, "gammas": GAMMA, "eta": ETA, "clip": Range(0, low_open=True)}
# What a problem says in numbers that become arrays of the training's dtype.
_WHERE_IT_BEGINS = (
    ("model", ("start",)),
    ("objective", ("start", "noise", "pushes", "eigenvalues", "condition", "width")),
)
_Loss = Literal["mse", "cross_entropy"]

MODEL_LOSS: dict[str, _Loss] = {"linear": "mse", "softmax": "cross_entropy"}
DATA_LOSS: dict[str, _Loss] = {"line": "mse", "moons": "cross_entropy", "digits": "cross_entropy"}
TARGETS = {"mse": "numbers as targets", "cross_entropy": "classes as targets"}
MODELS = {"mse": "linear or mlp", "cross_entropy": "softmax or mlp"}


def disagreements(experiment: "Experiment") -> list[Disagreement]:
    """(keys, whole sentence) for everything in which two sections contradict each other."""
    others = [*_rounded_out_of_range(experiment), *optional_metrics_apply(experiment)]
    if experiment.objective is not None:
        return [*_one_problem(experiment), *_of_objective(experiment, experiment.objective), *others]
    return [*_one_problem(experiment), *_of_model(experiment), *others]


def resolved_loss(experiment: "Experiment") -> _Loss | None:
    """The loss as said, or else the one that the model, then the data, calls for; None for an objective."""
    if experiment.model is None or experiment.data is None:
        return None
    by_kind = MODEL_LOSS.get(experiment.model.kind) or DATA_LOSS.get(experiment.data.kind)
    return experiment.loss or by_kind or "mse"


def _one_problem(experiment: "Experiment") -> Iterator[Disagreement]:
    if experiment.objective is not None:
        for key in ("data", "model", "loss"):
            if getattr(experiment, key) is not None:
                yield (key,), "cannot stand beside objective: keep either objective, or data, model and loss"
    elif experiment.data is None and experiment.model is None:
        yield (), "nothing to minimise: give data and model, or an objective such as {kind: rosenbrock}"
    elif experiment.model is None:
        yield (), "data without a model: add one such as model: {kind: linear}"
    elif experiment.data is None:
        yield (), "a model without data: add some such as data: {kind: line}"


def _rounded_out_of_range(experiment: "Experiment") -> Iterator[Disagreement]:
    # 0.99999999 is in [0, 1), but as float32 it is 1: another optimizer would be trained than the one named.
    unsaid = experiment.objective is not None and "dtype" not in experiment.train.model_fields_set
    if experiment.train.dtype != "float32" or unsaid:
        return
    for key in type(experiment.optimizer).model_fields:
        bounds = _IN_FLOAT32.get(key, Range())
        setting = getattr(experiment.optimizer, key)
        if isinstance(setting, ScheduleSection):
            problems = setting.problems(_AsFloat32(bounds.low, bounds.high, bounds.low_open, bounds.high_open))
            yield from ((("optimizer", key, *keys), sentence) for keys, sentence in problems)
            continue
        yield from _rounded(setting, ("optimizer", key), bounds)
    for section, keys in _WHERE_IT_BEGINS:
        given = getattr(experiment, section)
        for key in filter(given.model_fields_set.__contains__, keys) if given is not None else ():
            yield from itertools.islice(_rounded(getattr(given, key), (section, key), Range()), 1)


def _rounded(setting: Any, place: Keys, bounds: Range) -> Iterator[Disagreement]:
    for keys, number in _numbers(setting, place):
        if _as_float32(number) not in bounds:
            rounded = f"which float32 rounds to {_as_float32(number):g}: take train.dtype float64"
            yield keys, f"got {shown(number)}, {rounded}"


def _numbers(setting: Any, keys: Keys) -> Iterator[tuple[Keys, float]]:
    if isinstance(setting, dict):
        for name, value in setting.items():
            yield from _numbers(value, (*keys, name))
    elif isinstance(setting, list):
        for value in setting:
            yield from _numbers(value, keys)
    elif isinstance(setting, int | float):
        yield keys, setting


class _AsFloat32(Range):
    """A range in which a number must be once it is rounded to float32."""

    def __contains__(self, number: float) -> bool:
        return super().__contains__(_as_float32(number))

    @property
    def law(self) -> str:
        return f"{super().law} after rounding to float32: take train.dtype float64"


def _as_float32(value: float) -> float:
    try:
        rounded = float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return math.inf
    return rounded if abs(rounded) >= _LEAST_NORMAL else 0.0


_LEAST_NORMAL = 2.0**-126  # where a model trains in float32, what is below counts as zero


def _of_objective(experiment: "Experiment", objective: Objective) -> Iterator[Disagreement]:
    train, start, dimension = experiment.train, objective.start, objective.dimension
    if isinstance(start, list) and len(start) != dimension:
        yield ("objective", "start"), f"got {shown(start)}, must be {_so_many(dimension)}"
    if objective.kind == "forces" and getattr(experiment.optimizer, "restart", None) == "function":
        yield ("optimizer", "restart"), "function looks at the loss, and forces have none: write gradient"
    if experiment.optimizer.kind == "Muon":
        yield ("optimizer", "kind"), "Muon updates matrices, and an objective has one row of numbers: take a model"
    if train.epochs is not None:
        yield ("train", "epochs"), "an objective has no data to pass through: write steps instead"
    if train.batch_size != "full":
        yield (
            ("train", "batch_size"),
            f"got {shown(train.batch_size)}, but an objective has no samples: leave it out",
        )
    if experiment.record.evaluate not in ("auto", False):
        yield (
            ("record", "evaluate"),
            "counts epochs, and an objective has none: its loss is exact at every step",
        )


def _so_many(count: int) -> str:
    return "1 number" if count == 1 else f"{count} numbers"


def _of_model(experiment: "Experiment") -> Iterator[Disagreement]:
    data, model = experiment.data, experiment.model
    if data is None or model is None:
        return
    yield from _loss_fits(data, model.kind, experiment.loss)
    yield from _samples_suffice(data, experiment.train.batch_size)
    if data.kind == "line" and model.kind == "linear" and model.start is not None and len(model.start) != 2:
        yield ("model", "start"), f"got {shown(model.start)}, must be {_so_many(2)}: w, then b"


def _loss_fits(data: Data, model: str, said: str | None) -> Iterator[Disagreement]:
    by_model, by_data = MODEL_LOSS.get(model), DATA_LOSS.get(data.kind)
    if by_model and by_data and by_model != by_data:
        yield (
            ("model", "kind"),
            f"got {model!r}, but {data.kind} has {TARGETS[by_data]}: take {MODELS[by_data]}",
        )
    elif said and by_data and said != by_data:
        yield ("loss",), f"got {said!r}, but {data.kind} has {TARGETS[by_data]}: write {by_data}"
    elif said and by_model and said != by_model:
        yield ("loss",), f"got {said!r}, but {model} goes with {by_model}: change one of the two"


def _samples_suffice(data: Data, batch_size: int | str) -> Iterator[Disagreement]:
    samples = training_samples(data)
    if samples is None:
        return
    if samples < 1:
        yield ("data", "test"), f"got {data.test}, which leaves no sample to train on"
    elif isinstance(batch_size, int) and batch_size > samples:
        there = "is 1 training sample" if samples == 1 else f"are {samples} training samples"
        yield (
            ("train", "batch_size"),
            f"got {batch_size}, but there {there}: at most {samples}, or full",
        )
