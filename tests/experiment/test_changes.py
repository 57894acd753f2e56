"""A key that is set puts out what contradicts it."""

from typing import Any

import pytest

from momentumlab.errors import ConfigError
from momentumlab.experiment import expand, load

BOWL = {"objective": {"kind": "quadratic"}}
STEP = {"schedule": "step", "value": 0.2, "factor": 0.5, "at": [3], "warmup": 2}


def optimizer(section: dict[str, Any], *changes: str) -> dict[str, Any]:
    """What is left of the optimizer section once the options have changed it."""
    left: dict[str, Any] = load({**BOWL, "optimizer": section}, set=changes).written()["optimizer"]
    return left


def refusal(section: dict[str, Any], **axes: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        expand(load({**BOWL, "optimizer": section}), **axes)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("cosine", {"schedule": "cosine", "value": 0.2, "warmup": 2}),
        ("exponential", {"schedule": "exponential", "value": 0.2, "factor": 0.5, "warmup": 2}),
        ("step", STEP),
    ],
)
def test_another_schedule_keeps_of_the_old_one_what_both_have(name: str, left: dict[str, Any]) -> None:
    assert optimizer({"eta": STEP}, f"optimizer.eta.schedule={name}")["eta"] == left


def test_what_is_set_beside_the_other_schedule_stays() -> None:
    changes = ("optimizer.eta.schedule=list", "optimizer.eta.points=[[0, 0.1]]")
    assert optimizer({"eta": STEP}, *changes)["eta"] == {"schedule": "list", "points": [[0, 0.1]], "warmup": 2}


def test_the_cycle_of_gamma_has_other_keys_than_that_of_eta() -> None:
    cycle = {"schedule": "one_cycle", "value": 0.9, "rise": 0.2}
    assert optimizer({"gamma": cycle | {"low": 0.5}}, "optimizer.gamma.schedule=one_cycle")["gamma"]["low"] == 0.5
    straight = optimizer({"gamma": cycle | {"low": 0.5}}, "optimizer.gamma.schedule=linear")
    assert straight["gamma"] == {"schedule": "linear", "value": 0.9}


def test_a_schedule_that_is_none_puts_out_nothing() -> None:
    with pytest.raises(
        ConfigError, match=r"^--set: optimizer\.eta\.schedule: got 'cosin', .* Did you mean 'cosine'\?$"
    ):
        optimizer({"eta": STEP}, "optimizer.eta.schedule=cosin")


def test_betas_that_are_set_put_out_the_gamma_of_the_file() -> None:
    made = expand(
        load({**BOWL, "optimizer": {"gamma": 0.7, "eta": 0.1}}),
        vary={"optimizer": [{"kind": "Adam", "arguments": {"betas": [0.5, 0.99]}}, {"kind": "Adam"}]},
    )
    assert [cell.experiment.optimizer.gamma for cell in made.cells] == [0.5, 0.7]
    adam = {"kind": "Adam", "gamma": 0.7}
    assert load({**BOWL, "optimizer": adam}, set=["optimizer.arguments.betas=[0.5, 0.9]"]).optimizer.gamma == 0.5
    assert load({**BOWL, "optimizer": adam}, set=["optimizer.arguments.betas=[null, 0.9]"]).optimizer.gamma == 0.7


def test_betas_of_a_rule_in_a_file_are_no_gamma() -> None:
    section = {"kind": "file", "path": "rule.py", "gamma": 0.7}
    assert optimizer(section, "optimizer.arguments.betas=[0.5, 0.9]")["gamma"] == 0.7


def test_an_axis_of_gamma_over_betas_says_how_beta2_is_written() -> None:
    assert refusal({"kind": "Adam", "arguments": {"betas": [0.8, 0.99]}}, gamma=[0.5, 0.8]) == (
        "with gamma=0.5: optimizer.arguments.betas: got [0.8, 0.99], and gamma, which is β₁, is 0.5: "
        "keep one of the two; [null, β₂] leaves β₁ to gamma"
    )
