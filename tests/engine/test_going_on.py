"""From a state that was kept the same rows and outcomes come, to the bit, as if nothing had happened."""

import numpy as np
import pytest

from momentumlab.engine.ahead import Ahead
from momentumlab.engine.loop import train
from momentumlab.engine.plan import groups
from momentumlab.experiment import expand, load
from momentumlab.results.checkpoint import read_checkpoint, write_checkpoint
from tests.engine.recording import Recording, train_quietly

COSINE = {"schedule": "cosine", "value": 0.002}
DEMON = {"schedule": "demon", "value": 0.9}
NET = {
    "data": {"kind": "moons", "samples": 30},
    "model": {"kind": "mlp", "hidden": [4]},
    "train": {"epochs": 9, "batch_size": 8, "dtype": "float32"},
}
PROBLEMS = {
    "rosenbrock": {"objective": {"kind": "rosenbrock", "noise": 0.1}, "train": {"steps": 40}},
    "forces": {"objective": {"kind": "forces", "pushes": [[1, 0], [0, 1]]}, "train": {"steps": 40}},
    "line": {"data": {"kind": "line", "samples": 20}, "model": {"kind": "linear"}, "train": {"epochs": 40}},
    "net": NET,
}
OPTIMIZERS = {
    "momentum": [{"gamma": 0.9, "eta": 0.01}, {"gamma": 0, "eta": 0.001}],
    "diverging": [{"gamma": 0.9, "eta": 0.001}, {"gamma": 0.9, "eta": 1e3}, {"gamma": 0, "eta": 0.001}],
    "scheduled": [
        {"gamma": DEMON, "eta": COSINE},
        {"gamma": 0.5, "eta": {"schedule": "step", "value": 0.001, "at": [9, 20], "factor": 0.5}},
    ],
    "corrected": [{"gamma": 0.9, "eta": COSINE, "momentum_correction": True}],
    "restarted": [{"gamma": 0.95, "eta": 0.001, "restart": "gradient"}],
    "dampened": [{"gamma": 0.9, "eta": 0.001, "form": "torch", "dampening": 0.3, "weight_decay": 0.01}],
    "aggmo": [{"kind": "aggmo", "gammas": [0, 0.9, 0.99], "eta": 0.001}],
    "lion": [{"kind": "lion", "gamma": 0.9, "eta": 0.001}],
    "torch": [{"backend": "torch", "kind": "nesterov", "form": "torch", "gamma": DEMON, "eta": COSINE}],
    "torch momentum": [{"backend": "torch", "form": "torch", "gamma": 0.9, "eta": 0.001}],
    "Adam": [{"backend": "torch", "kind": "Adam", "gamma": 0.9, "eta": 0.01}],
}


def plan_of(problem, optimizer, seeds=(0, 1), target=None, **record):
    data = PROBLEMS[problem]
    data = {**data, "train": data["train"] | ({} if target is None else {"target": target})}
    experiment = load({**data, "record": {"every": 1, "vectors": True} | record})
    return groups(expand(experiment, seed=list(seeds), vary={"optimizer": OPTIMIZERS[optimizer]}))


def joined(blocks):
    """Each column from its first row to its last, nan where a block lacks it."""
    names = dict.fromkeys(name for block in blocks for name in block)
    return {
        name: np.concatenate(
            [block[name] if name in block else np.full_like(block["cosine"], np.nan) for block in blocks]
        )
        for name in names
    }


def assert_same_rows(found, expected):
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def assert_same_outcomes(found, expected):
    assert set(found) == set(expected)
    for run, outcome in expected.items():
        np.testing.assert_array_equal(found[run].theta, outcome.theta)
        for name in (
            "status",
            "reason",
            "steps",
            "loss_first",
            "loss_last",
            "loss_best",
            "steps_to_target",
            "evaluation",
        ):
            np.testing.assert_equal(getattr(found[run], name), getattr(outcome, name), err_msg=name)


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_any_state_leads_to_the_same_end(problem, optimizer, tmp_path):
    if problem == "forces" and optimizer in ("diverging", "restarted"):
        pytest.skip("scripted pushes neither diverge nor follow a slope")
    assert_any_state_leads_to_the_same_end(plan_of(problem, optimizer), tmp_path)


@pytest.mark.parametrize("optimizer", ["momentum", "diverging", "torch momentum"])
@pytest.mark.parametrize("problem", ["rosenbrock", "line", "net"])
def test_optional_metrics_and_the_target_go_on_too(problem, optimizer, tmp_path):
    asked = {"every": 5, "forces": True, "path": True, "energy": True, "sharpness": 30}
    asked |= {"noise_scale": 9} if problem == "net" else {}
    target = {"rosenbrock": 20.0, "line": 1.0, "net": 0.69}[problem]
    reached = assert_any_state_leads_to_the_same_end(plan_of(problem, optimizer, target=target, **asked), tmp_path)
    assert any(step > 0 for step in reached)  # and not all of them at once


def assert_any_state_leads_to_the_same_end(plan, tmp_path):
    """Checked for every chunk; gives the steps at which the target was reached."""
    reached = []
    for group in plan:
        for cells in group.chunks:
            whole, ends = Recording(every=7), {}
            train_quietly(group, cells, whole, ends)
            reached += [outcome.steps_to_target for outcome in ends.values()]
            expected = joined(whole.blocks)
            assert len(whole.states) >= 4
            for state in whole.states:
                write_checkpoint(tmp_path / "checkpoint", state)
                rest, outcomes = Recording(), {}
                train_quietly(group, cells, rest, outcomes, read_checkpoint(tmp_path / "checkpoint"))
                later = expected["step"] >= state["step"]
                assert_same_rows(joined(rest.blocks), {name: values[later] for name, values in expected.items()})
                assert_same_outcomes(outcomes, ends)
    return reached


@pytest.mark.parametrize("optimizer", ["momentum", "diverging", "scheduled", "aggmo"])
def test_a_stack_that_runs_ahead_goes_on_where_it_can_say_its_state(optimizer):
    for group in plan_of("net", optimizer, seeds=range(4)):
        for cells in group.chunks:
            whole, ends = Recording(every=3), {}
            train(
                Ahead(group.stack(cells), group.plan, 5), group.problem, group.plan, whole, lambda updates: None, ends
            )
            expected = joined(whole.blocks)
            assert whole.states
            for state in whole.states:
                rest, outcomes = Recording(), {}
                stack = Ahead(group.stack(cells), group.plan, 5)
                train(stack, group.problem, group.plan, rest, lambda updates: None, outcomes, state)
                later = expected["step"] >= state["step"]
                assert_same_rows(joined(rest.blocks), {name: values[later] for name, values in expected.items()})
                assert_same_outcomes(outcomes, ends)
