"""The plan of very long runs: refused, or made without a place for each step."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from momentumlab.engine.loop import Plan
from momentumlab.engine.plan import groups
from momentumlab.errors import ConfigError
from momentumlab.experiment import load, single

LINE = {"data": {"kind": "line"}, "model": {"kind": "linear"}}
LONG = 10**9


def planned(data: dict[str, Any]) -> Plan:
    return groups(single(load(data)))[0].plan


@pytest.mark.parametrize(
    "data",
    [
        {"objective": {"kind": "rosenbrock"}, "train": {"steps": LONG}},
        {"objective": {"kind": "rosenbrock"}, "train": {"steps": LONG}, "record": {"every": 1}},
        {
            "objective": {"kind": "quadratic"},
            "train": {"steps": LONG},
            "optimizer": {"eta": {"schedule": "cosine", "value": 0.1, "warmup": 10**8}},
        },
        {**LINE, "train": {"epochs": LONG}},
        {**LINE, "train": {"epochs": LONG}, "record": {"evaluate": 1}},
        {**LINE, "train": {"steps": LONG, "batch_size": 1}, "record": {"evaluate": 1}},
    ],
)
def test_a_billion_updates_are_planned(data: dict[str, Any]) -> None:
    plan = planned(data)
    assert plan.steps == LONG
    assert len(plan.evaluate_at) <= 200_000
    if data.get("record", {}).get("every") is None:
        assert plan.steps // plan.every < 200_000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": {"steps": 10**12}}, r"train\.steps: got 1000000000000, must be in \[1, 1000000000\]"),
        ({"train": {"epochs": LONG, "batch_size": 1}}, r"train\.epochs: .* at most 10000000 epochs"),
        ({"train": {"epochs": LONG}, "record": {"every": 1, "evaluate": 1}}, r"record\.evaluate: .* take 100 or more"),
    ],
)
def test_more_than_a_run_can_have_is_refused_with_what_it_can(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        planned({**LINE, **changes})


@given(epochs=st.integers(1, 60), batch=st.integers(1, 8), every=st.integers(1, 40), apart=st.integers(1, 12))
def test_an_evaluation_is_at_the_first_row_from_the_end_of_an_epoch_on(
    epochs: int, batch: int, every: int, apart: int
) -> None:
    data = {"kind": "line", "samples": 8}
    train, record = {"epochs": epochs, "batch_size": batch}, {"every": every, "evaluate": apart}
    plan = planned({"data": data, "model": {"kind": "linear"}, "train": train, "record": record})
    epoch = -(-8 // batch)
    ends = range(apart * epoch, plan.steps, apart * epoch)
    rows = [step for step in range(plan.steps + 1) if plan.records(step)]
    assert plan.evaluate_at == {0, plan.steps, *(min(row for row in rows if row >= end) for end in ends)}
