"""Rows that are measured many steps at a time are those that are measured one by one, in the same order."""

from types import SimpleNamespace

import numpy as np
import pytest

from momentumlab.engine import rows as module
from momentumlab.engine.plan import groups
from momentumlab.experiment import expand, load
from tests.engine.recording import Recording, train_quietly

PROBLEMS = {
    "rosenbrock": {"objective": {"kind": "rosenbrock"}, "train": {"steps": 300}},
    "forces": {"objective": {"kind": "forces", "pushes": [[1, 0], [0, 1]]}, "train": {"steps": 200}},
    "linreg": {"data": {"kind": "line", "samples": 20}, "model": {"kind": "linear"}, "train": {"epochs": 150}},
    "mlp": {
        "data": {"kind": "moons", "samples": 20},
        "model": {"kind": "mlp", "hidden": [3]},
        "train": {"epochs": 70, "batch_size": 8},
    },
    "long vectors": {
        "data": {"kind": "moons", "samples": 20},
        "model": {"kind": "mlp", "hidden": [150]},
        "train": {"epochs": 60, "batch_size": 8},
    },
}


def recorded(problem, record=None, **recording):
    """What training a sweep over γ hands to the record: blocks of columns. The last run diverges early."""
    schedule = {"schedule": "cosine", "value": 1e-3}
    optimizers = [{"gamma": 0.5, "eta": 1e-3}, {"gamma": 0.9, "eta": schedule}, {"gamma": 0.9, "eta": 1e30}]
    experiment = load({**PROBLEMS[problem], "record": {"every": 1, **recording}})
    blocks = []
    for group in groups(expand(experiment, vary={"optimizer": optimizers})):
        for cells in group.chunks:
            train_quietly(group, cells, Recording(record or blocks.append))
    return blocks


def whole(blocks):
    """Each column from its first row to its last, nan where a block lacks it."""
    names = dict.fromkeys(name for block in blocks for name in block)
    return {
        name: np.concatenate([block.get(name, np.full(len(block["run"]), np.nan)) for block in blocks])
        for name in names
    }


@pytest.mark.parametrize("every", [1, 7])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_many_steps_at_once_give_the_rows_of_each_step(problem, every, monkeypatch):
    together = recorded(problem, every=every)
    monkeypatch.setattr(module, "_FEW", module._TOGETHER + 1)
    one_by_one = recorded(problem, every=every)
    assert every > 1 or len(together) < len(one_by_one) / 4  # rows with an evaluation go alone
    expected = whole(one_by_one)
    found = whole(together)
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
        assert found[name].dtype == values.dtype


def test_what_was_recorded_before_an_error_is_handed_on():
    blocks = []

    def full_disk_at_the_second_block(columns):
        if blocks:
            raise OSError("no space left")
        blocks.append(columns)

    with pytest.raises(OSError, match="no space left"):
        recorded("rosenbrock", full_disk_at_the_second_block)
    assert blocks[0]["step"][-1] < 300


def test_rows_that_wait_are_handed_on_when_training_is_stopped(monkeypatch):
    from momentumlab.engine.stack import RuleStack

    advance, updates = RuleStack.advance, []

    def stops(stack):
        updates.append(1)
        if len(updates) == 5:
            raise KeyboardInterrupt
        advance(stack)

    monkeypatch.setattr(RuleStack, "advance", stops)
    blocks = []
    with pytest.raises(KeyboardInterrupt):
        recorded("forces", blocks.append)
    assert whole(blocks)["step"].max() == 4


def test_rows_are_handed_on_once_though_a_signal_comes_while_they_are_recorded():
    blocks = []

    def interrupted_once(columns):
        blocks.append(columns)
        if len(blocks) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recorded("forces", interrupted_once)
    steps = whole(blocks)["step"]
    assert len(blocks[0]["step"]) > 3
    assert len(np.unique(steps)) * 3 == len(steps)  # three runs


def test_a_row_waits_for_half_a_second_at_most(monkeypatch):
    clock = iter(np.arange(0.0, 1e6, 0.3))  # each look at it is 0.3 s later
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    assert max(len(np.unique(block["step"])) for block in recorded("forces")) <= 3
