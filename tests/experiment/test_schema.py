"""The sections of an experiment: defaults, ranges, and whether they fit each other."""

import json
from typing import Any

import pytest
from pydantic import BaseModel

from momentumlab.errors import ConfigError
from momentumlab.experiment import Experiment, json_schema, load
from momentumlab.experiment.keys import models_in
from momentumlab.experiment.ranges import Range

LINE = {"data": {"kind": "line"}, "model": {"kind": "linear"}}
BOWL = {"objective": {"kind": "quadratic"}}


def refusal(data: dict[str, Any]) -> str:
    """The message that `data` is refused with."""
    with pytest.raises(ConfigError) as caught:
        load(data)
    return str(caught.value)


def test_a_model_takes_the_defaults_of_the_contract() -> None:
    assert load(LINE).resolved() == {
        "name": "experiment",
        "seed": 0,
        "data": {
            "kind": "line",
            "seed": 0,
            "test": 0.0,
            "standardize": False,
            "samples": 100,
            "slope": 2.0,
            "intercept": 1.0,
            "noise": 0.1,
        },
        "model": {"kind": "linear"},
        "loss": "mse",
        "optimizer": {"kind": "momentum", "form": "classical", "backend": "scratch", "gamma": 0.9, "eta": 0.01},
        "train": {"epochs": 100, "batch_size": "full", "dtype": "float32", "device": "cpu", "threads": 1},
        "record": {"every": "auto", "evaluate": "auto", "vectors": "auto"},
    }


def test_an_objective_takes_float64_and_steps() -> None:
    experiment = load(BOWL)
    assert experiment.loss is None
    assert experiment.train.model_dump(exclude_none=True) == {
        "steps": 100,
        "batch_size": "full",
        "dtype": "float64",
        "device": "cpu",
        "threads": 1,
    }
    assert load(BOWL | {"train": {"dtype": "float32"}}).train.dtype == "float32"


EXPERIMENTS: dict[str, dict[str, Any]] = {
    "line": LINE,
    "objective": BOWL,
    "condition": {"objective": {"kind": "quadratic", "condition": 100, "dimension": 3}},
    "sgd": LINE | {"optimizer": {"kind": "sgd"}},
    "schedule": BOWL | {"optimizer": {"lr": {"schedule": "step", "value": 0.1, "factor": 0.1, "at": [3]}}},
    "digits": {"data": {"kind": "digits"}, "model": {"kind": "mlp"}, "train": {"steps": 5}},
    "forces": {"objective": {"kind": "forces", "pushes": [[1, 0], [0, 1]]}},
    "random": {"objective": {"kind": "ackley", "start": "random", "noise": 0.5}},
    "record": LINE | {"record": {"every": 2, "evaluate": False, "vectors": True}, "sweep": {"gamma": "0,0.5"}},
}


@pytest.mark.parametrize("data", EXPERIMENTS.values(), ids=EXPERIMENTS)
def test_the_resolved_experiment_is_the_same_experiment(data: dict[str, Any]) -> None:
    experiment = load(data)
    assert load(experiment.resolved()) == experiment
    assert load(experiment.resolved()).resolved() == experiment.resolved()


def test_an_experiment_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(LINE).seed = 1  # type: ignore[misc]


def test_the_eigenvalues_of_a_condition_are_spaced_evenly_in_the_logarithm() -> None:
    objective = load({"objective": {"kind": "quadratic", "condition": 10_000, "dimension": 5}}).objective
    assert objective is not None
    assert objective.eigenvalues == pytest.approx([1, 10, 100, 1000, 10_000], rel=1e-15)
    assert (objective.eigenvalues[0], objective.eigenvalues[-1]) == (1.0, 10_000.0)


@pytest.mark.parametrize(
    ("objective", "dimension"),
    [
        ({"kind": "quadratic"}, 2),
        ({"kind": "quadratic", "eigenvalues": [1, 2, 3]}, 3),
        ({"kind": "quadratic", "condition": 5, "dimension": 4}, 4),
        ({"kind": "double_well"}, 1),
        ({"kind": "plateau", "width": 2}, 1),
        ({"kind": "rosenbrock"}, 2),
        ({"kind": "forces", "pushes": [[1, 0, 0]]}, 3),
    ],
)
def test_every_objective_knows_its_dimension(objective: dict[str, Any], dimension: int) -> None:
    section = load({"objective": objective}).objective
    assert section is not None
    assert section.dimension == dimension


@pytest.mark.parametrize(
    ("data", "model", "loss"),
    [
        ({"kind": "line"}, "linear", "mse"),
        ({"kind": "line"}, "mlp", "mse"),
        ({"kind": "moons"}, "softmax", "cross_entropy"),
        ({"kind": "moons"}, "mlp", "cross_entropy"),
        ({"kind": "digits"}, "mlp", "cross_entropy"),
        ({"kind": "npz", "path": "a.npz"}, "mlp", "mse"),
        ({"kind": "npz", "path": "a.npz"}, "softmax", "cross_entropy"),
    ],
)
def test_the_loss_follows_from_model_and_data(data: dict[str, Any], model: str, loss: str) -> None:
    assert load({"data": data, "model": {"kind": model}}).loss == loss


def test_sgd_has_no_gamma() -> None:
    assert load(LINE | {"optimizer": {"kind": "sgd"}}).optimizer.gamma == 0.0
    assert load(LINE | {"optimizer": {"kind": "sgd", "gamma": 0}}).optimizer.gamma == 0.0


STEP = {"schedule": "step", "value": 0.5, "factor": 1.5, "at": [3, 9]}

REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "gamma of sgd": (
        LINE | {"optimizer": {"kind": "sgd", "gamma": 0.9}},
        "optimizer.gamma: got 0.9, but sgd has no γ: leave gamma out, or take kind momentum",
    ),
    "classical form, torch backend, schedule of eta": (
        LINE | {"optimizer": {"backend": "torch", "eta": STEP}},
        "optimizer.form: backend torch knows the classical form under a constant η only, and eta is a schedule: "
        "take form torch (another optimizer under a schedule) or backend scratch",
    ),
    "a schedule leaves the range": (
        LINE | {"optimizer": {"gamma": STEP}},
        "optimizer.gamma.factor: makes it 1.125 at update 10, must be in [0, 1): "
        "at 1 the velocity never decays; try 0.99",
    ),
    "a schedule begins out of range": (
        LINE | {"optimizer": {"eta": STEP | {"value": 0}}},
        "optimizer.eta.value: makes it 0.0 at update 1, must be greater than 0: η is the length of a step; try 0.01",
    ),
    "a schedule is out of order": (
        LINE | {"optimizer": {"eta": STEP | {"at": [3, 3]}}},
        "optimizer.eta.at: got [3, 3], must be ascending",
    ),
    "epochs and steps": (
        LINE | {"train": {"epochs": 1, "steps": 1}},
        "train: give either epochs or steps, not both",
    ),
    "eigenvalues and condition": (
        {"objective": {"kind": "quadratic", "eigenvalues": [1], "condition": 2}},
        "objective: give either eigenvalues, or condition and dimension, not both",
    ),
    "dimension alone": (
        {"objective": {"kind": "quadratic", "dimension": 3}},
        "objective.condition: missing: with dimension it makes the eigenvalues; or give eigenvalues",
    ),
    "one dimension": (
        {"objective": {"kind": "quadratic", "condition": 9, "dimension": 1}},
        "objective.dimension: got 1, but a condition above 1 needs two eigenvalues or more",
    ),
    "nothing": ({}, "nothing to minimise: give data and model, or an objective such as {kind: rosenbrock}"),
    "no model": ({"data": {"kind": "line"}}, "data without a model: add one such as model: {kind: linear}"),
    "no data": ({"model": {"kind": "mlp"}}, "a model without data: add some such as data: {kind: line}"),
    "objective and model": (
        BOWL | LINE,
        "data: cannot stand beside objective: keep either objective, or data, model and loss\n"
        "model: cannot stand beside objective: keep either objective, or data, model and loss",
    ),
    "epochs of an objective": (
        BOWL | {"train": {"epochs": 3, "batch_size": 2}, "record": {"evaluate": 3}},
        "record.evaluate: counts epochs, and an objective has none: its loss is exact at every step\n"
        "train.batch_size: got 2, but an objective has no samples: leave it out\n"
        "train.epochs: an objective has no data to pass through: write steps instead",
    ),
    "a linear model of classes": (
        {"data": {"kind": "digits"}, "model": {"kind": "linear"}},
        "model.kind: got 'linear', but digits has classes as targets: take softmax or mlp",
    ),
    "classes with mse": (
        {"data": {"kind": "moons"}, "model": {"kind": "mlp"}, "loss": "mse"},
        "loss: got 'mse', but moons has classes as targets: write cross_entropy",
    ),
    "a line with classes": (
        {"data": {"kind": "line"}, "model": {"kind": "mlp"}, "loss": "cross_entropy"},
        "loss: got 'cross_entropy', but line has numbers as targets: write mse",
    ),
    "softmax with mse": (
        {"data": {"kind": "npz", "path": "a"}, "model": {"kind": "softmax"}, "loss": "mse"},
        "loss: got 'mse', but softmax goes with cross_entropy: change one of the two",
    ),
    "a large batch": (
        {"data": {"kind": "digits"}, "model": {"kind": "mlp"}, "train": {"batch_size": 2000}},
        "train.batch_size: got 2000, but there are 1438 training samples: at most 1438, or full",
    ),
    "all samples are the test's": (
        {"data": {"kind": "line", "samples": 3, "test": 0.9}, "model": {"kind": "linear"}},
        "data.test: got 0.9, which leaves no sample to train on",
    ),
    "a start of the wrong length": (
        LINE | {"model": {"kind": "linear", "start": [1]}},
        "model.start: got [1.0], must be 2 numbers: w, then b",
    ),
    "an objective's start of the wrong length": (
        {"objective": {"kind": "double_well", "start": [1, 2]}},
        "objective.start: got [1.0, 2.0], must be 1 number",
    ),
    "forces at random": (
        {"objective": {"kind": "forces", "pushes": [[1], [1, 2]], "start": "random", "noise": 1}},
        "objective.noise: got 1.0, but forces are scripted: leave noise out\n"
        "objective.pushes: must be equally long lists, got lengths [1, 2]\n"
        "objective.start: got 'random', but forces have no domain to draw from: give numbers",
    ),
    "columns twice": (
        {
            "data": {"kind": "csv", "path": "a", "features": ["x", "x", "y"], "target": "y"},
            "model": {"kind": "linear"},
        },
        "data.features: got ['x', 'x', 'y'], which names a column twice\n"
        "data.target: got 'y', which is one of the features",
    ),
    "half a character": (
        {"data": {"kind": "npz", "path": "\udcff"}, "model": {"kind": "mlp"}},
        "data.path: got '\\udcff', must be the path of a file",
    ),
    "no path": (
        {"data": {"kind": "npz", "path": ""}, "model": {"kind": "mlp"}},
        "data.path: got '', must be the path of a file",
    ),
}


@pytest.mark.parametrize(("data", "message"), REFUSALS.values(), ids=REFUSALS)
def test_sections_that_do_not_fit_are_refused_in_words(data: dict[str, Any], message: str) -> None:
    assert refusal(data) == message


RANGES = {
    Range(0, 1, high_open=True, why="try 0.5"): ("must be in [0, 1): try 0.5", [0, 0.5], [-1e-9, 1, float("nan")]),
    Range(0, low_open=True): ("must be greater than 0", [1e-300, 1e300], [0, float("inf")]),
    Range(1): ("must be at least 1", [1, 10**400], [0]),
    Range(1, 9): ("must be in [1, 9]", [1, 9], [0, 10]),
}


@pytest.mark.parametrize(("bounds", "expected"), RANGES.items(), ids=str)
def test_a_range_checks_and_says_the_same_law(bounds: Range, expected: tuple[str, list[float], list[float]]) -> None:
    law, inside, outside = expected
    assert bounds.law == law
    assert all(number in bounds for number in inside)
    assert not any(number in bounds for number in outside)


def every_section(model: type[BaseModel]) -> list[type[BaseModel]]:
    inner = [found for field in model.model_fields.values() for found in models_in(field.annotation)]
    return [model, *(deeper for found in inner for deeper in every_section(found))]


@pytest.mark.parametrize("section", dict.fromkeys(every_section(Experiment)), ids=lambda section: section.__name__)
def test_every_key_is_described(section: type[BaseModel]) -> None:
    assert section.__doc__
    assert [name for name, field in section.model_fields.items() if not field.description] == []


def test_the_shipped_json_schema_is_current(repository: Any) -> None:
    shipped = (repository / "configs" / "experiment.schema.json").read_text("utf-8")
    assert shipped == json_schema.text(), (
        "python -m momentumlab.experiment.json_schema > configs/experiment.schema.json"
    )


def test_the_json_schema_knows_ranges_and_other_spellings() -> None:
    schema = json.loads(json_schema.text())
    optimizer = schema["$defs"]["MomentumOptimizer"]["properties"]
    assert optimizer["lr"]["oneOf"] == optimizer["eta"]["oneOf"]
    assert optimizer["γ"]["oneOf"][0] == {"exclusiveMaximum": 1, "minimum": 0, "type": "number"}
    assert schema["$defs"]["MomentumOptimizer"]["additionalProperties"] is False
