"""γ and η that change in time: what each description stands for, and every value that is out of range."""

import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from momentumlab.errors import ConfigError
from momentumlab.experiment import load
from momentumlab.experiment.ranges import Range
from momentumlab.experiment.schema_schedules import ETA, GAMMA, Eta, Gamma, out_of_range
from momentumlab.optimizers import schedules
from momentumlab.optimizers.schedules import Schedule, as_schedule

Described = dict[str, Any]
FORCES = {"objective": {"kind": "forces", "pushes": [[1, 0]]}}
RUN = 60  # updates

ADAPTERS: dict[str, TypeAdapter[Any]] = {"gamma": TypeAdapter(Gamma), "eta": TypeAdapter(Eta)}
BOUNDS = {"gamma": GAMMA, "eta": ETA}


def read(key: str, described: Any) -> Any:
    """`described` as the γ or η of an experiment."""
    return getattr(load(FORCES | {"optimizer": {key: described}}).optimizer, key)


def refusal(key: str, described: Any) -> list[str]:
    """The lines that it is refused with, without the key of the optimizer's section before them."""
    with pytest.raises(ConfigError) as caught:
        read(key, described)
    return [problem.removeprefix(f"optimizer.{key}") for problem in caught.value.problems]


BOTH: dict[str, tuple[Described, Schedule]] = {
    "constant": ({"schedule": "constant", "value": 0.3}, schedules.constant(0.3)),
    "step": (
        {"schedule": "step", "value": 0.3, "factor": 0.1, "at": [3, 9]},
        schedules.step_decay(0.3, 0.1, [3, 9]),
    ),
    "linear": ({"schedule": "linear", "value": 0.3}, schedules.linear(0.3, 0.0, RUN)),
    "linear, 20 steps": (
        {"schedule": "linear", "value": 0.1, "end": 0.3, "steps": 20},
        schedules.linear(0.1, 0.3, 20),
    ),
    "cosine": ({"schedule": "cosine", "value": 0.3}, schedules.cosine(0.3, 0.0, RUN)),
    "cosine, 20 steps": (
        {"schedule": "cosine", "value": 0.3, "end": 0.1, "steps": 20},
        schedules.cosine(0.3, 0.1, 20),
    ),
    "exponential": ({"schedule": "exponential", "value": 0.3, "factor": 0.9}, schedules.exponential(0.3, 0.9)),
    "list": ({"schedule": "list", "points": [[0, 0.3], [9, 0.1]]}, schedules.points([(0, 0.3), (9, 0.1)])),
    "warmed up": (
        {"schedule": "cosine", "value": 0.3, "warmup": 10},
        schedules.warmed_up(schedules.cosine(0.3, 0.0, RUN - 10), 10),
    ),
    "warmed up, 20 steps": (
        {"schedule": "linear", "value": 0.3, "steps": 20, "warmup": 10},
        schedules.warmed_up(schedules.linear(0.3, 0.0, 20), 10),
    ),
}
OF_ETA: dict[str, tuple[Described, Schedule]] = {
    "one cycle": ({"schedule": "one_cycle", "value": 0.5}, schedules.one_cycle(0.02, 0.5, 2e-6, RUN, 0.3)),
    "one cycle, in full": (
        {"schedule": "one_cycle", "value": 0.5, "start": 0.1, "end": 0.0, "rise": 0.5, "steps": 20},
        schedules.one_cycle(0.1, 0.5, 0.0, 20, 0.5),
    ),
}
OF_GAMMA: dict[str, tuple[Described, Schedule]] = {
    "one cycle": ({"schedule": "one_cycle"}, schedules.one_cycle(0.95, 0.85, 0.95, RUN, 0.3)),
    "one cycle, in full": (
        {"schedule": "one_cycle", "value": 0.9, "low": 0.5, "rise": 0.5, "steps": 20},
        schedules.one_cycle(0.9, 0.5, 0.9, 20, 0.5),
    ),
    "sutskever": ({"schedule": "sutskever"}, schedules.sutskever(0.99, 250)),
    "sutskever, in full": (
        {"schedule": "sutskever", "value": 0.9, "every": 7},
        schedules.sutskever(0.9, 7),
    ),
    "demon": ({"schedule": "demon"}, schedules.demon(0.9, RUN)),
    "demon, in full": ({"schedule": "demon", "value": 0.8, "steps": 20}, schedules.demon(0.8, 20)),
}
EVERY = [
    *(pytest.param(key, *row, id=f"{key}: {name}") for key in ADAPTERS for name, row in BOTH.items()),
    *(pytest.param("eta", *row, id=f"eta: {name}") for name, row in OF_ETA.items()),
    *(pytest.param("gamma", *row, id=f"gamma: {name}") for name, row in OF_GAMMA.items()),
]


@pytest.mark.parametrize(("key", "described", "meant"), EVERY)
def test_a_description_stands_for_its_function(key: str, described: Described, meant: Schedule) -> None:
    schedule = as_schedule(read(key, described), RUN)

    assert [schedule(step) for step in range(RUN + 5)] == [meant(step) for step in range(RUN + 5)]


@pytest.mark.parametrize(("key", "described", "meant"), EVERY)
def test_a_schedule_read_again_is_the_same(key: str, described: Described, meant: Schedule) -> None:
    del meant
    setting = read(key, described)
    plain = json.loads(json.dumps(setting.model_dump(exclude_none=True)))

    assert read(key, plain) == setting
    assert plain == setting.model_dump(exclude_none=True)


@pytest.mark.parametrize(("key", "described", "meant"), EVERY)
def test_no_schedule_that_is_read_leaves_its_range_later(key: str, described: Described, meant: Schedule) -> None:
    del meant
    setting = read(key, described)

    assert out_of_range(setting, BOUNDS[key], 10**9) is None


def test_the_value_of_a_list_is_its_first() -> None:
    assert read("eta", {"schedule": "list", "points": [[0, 0.3], [9, 0.1]]}).value == 0.3


FOR_BOTH = "constant, step, linear, cosine, exponential, list"
NO_DECAY = "at 1 the velocity never decays; try 0.99"
NO_STEP = "η is the length of a step; try 0.01"
POINT = "must be a step and the value from there on, such as [100, 0.01]"

REFUSALS: dict[str, tuple[str, Any, list[str]]] = {
    "no schedule for η": ("eta", {"value": 0.1}, [f".schedule: missing, must be {FOR_BOTH} or one_cycle"]),
    "no schedule for γ": (
        "gamma",
        {"value": 0.1},
        [f".schedule: missing, must be {FOR_BOTH}, one_cycle, sutskever or demon"],
    ),
    "a misspelt schedule": (
        "eta",
        {"schedule": "cosin", "value": 0.1},
        [f".schedule: got 'cosin', must be {FOR_BOTH} or one_cycle. Did you mean 'cosine'?"],
    ),
    "a schedule of γ for η": (
        "eta",
        {"schedule": "demon"},
        [f".schedule: got 'demon', must be {FOR_BOTH} or one_cycle"],
    ),
    "no name": (
        "eta",
        {"schedule": ["step"]},
        [f".schedule: got ['step'], must be {FOR_BOTH} or one_cycle"],
    ),
    "keys of another": (
        "eta",
        {"schedule": "cosine", "at": [3]},
        [
            ".at: unknown key for cosine. Allowed: schedule, value, end, steps, warmup. It is a key of step.",
            ".value: missing",
        ],
    ),
    "a misspelt key": (
        "gamma",
        {"schedule": "demon", "warmups": 3},
        [".warmups: unknown key for demon. Allowed: schedule, value, steps, warmup. Did you mean 'warmup'?"],
    ),
    "lengths": (
        "eta",
        {"schedule": "linear", "value": 0.1, "steps": 0, "warmup": -1},
        [".steps: got 0, must be in [1, 1000000000]", ".warmup: got -1, must be in [0, 1000000000]"],
    ),
    "values of γ": (
        "gamma",
        {"schedule": "linear", "value": 1, "end": -0.1},
        [
            f".end: got -0.1, must be in [0, 1): {NO_DECAY}",
            f".value: got 1.0, must be in [0, 1): {NO_DECAY}",
        ],
    ),
    "the low of γ": (
        "gamma",
        {"schedule": "one_cycle", "low": 1},
        [f".low: got 1.0, must be in [0, 1): {NO_DECAY}"],
    ),
    "the highest γ": (
        "gamma",
        {"schedule": "sutskever", "value": 1},
        [f".value: got 1.0, must be in [0, 1): {NO_DECAY}"],
    ),
    "values of η": (
        "eta",
        {"schedule": "one_cycle", "value": 0, "start": 0, "end": -1},
        [
            f".end: got -1.0, must be at least 0: {NO_STEP}",
            f".start: got 0.0, must be greater than 0: {NO_STEP}",
            f".value: got 0.0, must be greater than 0: {NO_STEP}",
        ],
    ),
    "a cycle that only rises": (
        "eta",
        {"schedule": "one_cycle", "value": 1, "rise": 1},
        [".rise: got 1, must be in (0, 1)"],
    ),
    "a factor of 0": (
        "eta",
        {"schedule": "exponential", "value": 1, "factor": 0},
        [".factor: got 0, must be greater than 0"],
    ),
    "no points": ("eta", {"schedule": "list", "points": []}, [".points: got [], must not be empty"]),
    "points that are none": (
        "eta",
        {"schedule": "list", "points": [[0, 0.1], [9], [20, "x"], 3, [-1, 0.1], [1.5, 0.1]]},
        [
            f".points: element {place}: got {given}, {POINT}"
            for place, given in enumerate(("[9]", "[20, 'x']", "3", "[-1, 0.1]", "[1.5, 0.1]"), start=2)
        ],
    ),
    "points that begin late": (
        "eta",
        {"schedule": "list", "points": [[1, 0.1]]},
        [".points: begins at step 1, must begin at step 0, before the first update"],
    ),
    "points out of order": (
        "eta",
        {"schedule": "list", "points": [[0, 0.1], [9, 0.2], [9, 0.3]]},
        [".points: got steps [0, 9, 9], must be ascending"],
    ),
    "the first point is 0": (
        "eta",
        {"schedule": "list", "points": [[0, 0], [9, 0]]},
        [f".points: makes it 0.0 at update 1, must be greater than 0: {NO_STEP}"],
    ),
    "points out of range": (
        "gamma",
        {"schedule": "list", "points": [[0, 0.5], [9, 1], [10, 0.5], [11, -1]]},
        [
            f".points: makes it -1.0 at update 12, must be in [0, 1): {NO_DECAY}",
            f".points: makes it 1.0 at update 10, must be in [0, 1): {NO_DECAY}",
        ],
    ),
    "steps below 0": (
        "eta",
        {"schedule": "step", "value": 1, "factor": -1, "at": [3, 4]},
        [f".factor: makes it -1.0 at update 4, must be greater than 0: {NO_STEP}"],
    ),
    "steps beyond every float": (
        "eta",
        {"schedule": "step", "value": 1, "factor": 1e200, "at": [3, 4]},
        [".factor: makes it inf at update 5, must be finite"],
    ),
    "no number": ("eta", [0.1], [": got [0.1], must be a number"]),
}


@pytest.mark.parametrize(("key", "described", "lines"), REFUSALS.values(), ids=REFUSALS)
def test_a_schedule_that_cannot_be_is_refused_in_words(key: str, described: Any, lines: list[str]) -> None:
    assert refusal(key, described) == lines


@pytest.mark.parametrize(
    "described",
    [
        {"schedule": "linear", "value": 0.1, "end": 0},
        {"schedule": "cosine", "value": 0.1},
        {"schedule": "one_cycle", "value": 0.1, "end": 0},
        {"schedule": "list", "points": [[0, 0.1], [9, 0]]},
        {"schedule": "exponential", "value": 0.1, "factor": 0.5},  # is 0 after a thousand updates
    ],
)
def test_eta_may_come_down_to_0(described: Described) -> None:
    setting = read("eta", described)

    assert as_schedule(setting, RUN)(10**6) == 0
    assert out_of_range(setting, ETA, 10**9) is None


def first_bad(setting: Any, bounds: Range, steps: int) -> int | None:
    """The first update whose value is out of range, by looking at each."""
    schedule = as_schedule(setting, steps)
    return next((step + 1 for step in range(steps) if schedule(step) not in bounds), None)


@pytest.mark.parametrize("warmup", [0, 5])
@pytest.mark.parametrize("factor", [1.0001, 1.02, 1.5, 3.0])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 37, 2000])
def test_the_first_update_out_of_range_is_found(factor: float, warmup: int, steps: int) -> None:
    setting = read("gamma", {"schedule": "exponential", "value": 0.5, "factor": factor, "warmup": warmup})

    expected = first_bad(setting, GAMMA, steps)

    if expected is None:
        assert out_of_range(setting, GAMMA, steps) is None
    else:
        value = as_schedule(setting, steps)(expected - 1)
        said = f"makes it {value} at update {expected}, must be in [0, 1): {NO_DECAY}"
        assert out_of_range(setting, GAMMA, steps) == said


def test_the_first_update_out_of_range_is_found_far_out_without_looking_at_each() -> None:
    setting = read("gamma", {"schedule": "exponential", "value": 0.5, "factor": 1 + 1e-8})

    found = out_of_range(setting, GAMMA, 10**9)

    # the update after ln 2/ln(1 + 1e-8) = 69314718.4 of them, where 1 + 1e-8 is known to 1e-16
    assert found is not None
    assert int(found.split()[5].strip(",")) == pytest.approx(69_314_720, abs=2)


def test_a_value_beyond_every_float_is_infinite() -> None:
    setting = read("eta", {"schedule": "exponential", "value": 1, "factor": 2})

    assert out_of_range(setting, ETA, 1024) is None
    assert out_of_range(setting, ETA, 10**9) == "makes it inf at update 1025, must be finite"


def test_a_number_was_judged_when_it_was_read() -> None:
    assert out_of_range(0.9, GAMMA, 10**9) is None


@pytest.mark.parametrize(("key", "names"), [("gamma", 9), ("eta", 7)])
def test_the_json_schema_knows_every_schedule_and_the_range_of_a_number(key: str, names: int) -> None:
    made = ADAPTERS[key].json_schema()

    number, schedule = made["oneOf"]
    assert number.items() >= {"type": "number", ("exclusiveMinimum" if key == "eta" else "minimum"): 0}.items()
    assert schedule["discriminator"]["propertyName"] == "schedule"
    assert len(schedule["oneOf"]) == names
    assert all(section["additionalProperties"] is False for section in made["$defs"].values())
