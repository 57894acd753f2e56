"""The optimizer section: what contradicts itself, what does nothing, what float32 makes of it, and what is meant."""

import math
from collections.abc import Sequence
from typing import Any

import pytest

from momentumlab.errors import ConfigError
from momentumlab.experiment import load
from momentumlab.experiment.schema_optimizer import keys_of
from momentumlab.experiment.schema_torch import TORCH_CLASSES
from momentumlab.optimizers.rules import RULES

LINE = {"data": {"kind": "line"}, "model": {"kind": "linear"}}
BOWL = {"objective": {"kind": "quadratic"}}


def refusal(optimizer: dict[str, Any], problem: dict[str, Any] = BOWL, options: Sequence[str] = ()) -> str:
    with pytest.raises(ConfigError) as caught:
        load({**problem, "optimizer": optimizer}, set=options)
    return str(caught.value)


KINDS = [name for name in RULES if not name.startswith("torch_")]


@pytest.mark.parametrize("kind", [*KINDS, "file", *TORCH_CLASSES])
def test_the_keys_stand_in_the_order_of_the_file(kind: str) -> None:
    *rule, clip = (key for key in keys_of(kind) if key not in {"restart", "momentum_correction", "arguments"})
    options = ["weight_decay", "decoupled"] if kind not in TORCH_CLASSES else []
    assert rule[0] == "kind"
    assert clip == "clip"
    assert [key for key in rule if key in {"weight_decay", "decoupled"}] == rule[len(rule) - len(options) :] == options
    assert ("restart" in keys_of(kind)) == (kind not in {"sgd", "aggmo", *TORCH_CLASSES})
    assert list(keys_of(kind))[-1] == ("restart" if "restart" in keys_of(kind) else "clip")


# ---- β₁ is γ --------------------------------------------------------------------------------------------------

BETAS = [name for name, known in TORCH_CLASSES.items() if known.gamma_argument == "betas"]


@pytest.mark.parametrize("kind", BETAS)
@pytest.mark.parametrize(
    ("section", "gamma"),
    [
        ({"arguments": {"betas": [0.1, 0.99]}}, 0.1),
        ({"gamma": 0.1, "arguments": {"betas": [0.1, 0.99]}}, 0.1),
        ({"gamma": 0.1, "arguments": {"betas": [None, 0.99]}}, 0.1),
        ({"arguments": {"betas": [None, 0.99]}}, 0.9),
    ],
)
def test_beta1_is_said_once_or_twice_the_same(kind: str, section: dict[str, Any], gamma: float) -> None:
    experiment = load({**BOWL, "optimizer": {"kind": kind, **section}})
    assert experiment.optimizer.gamma == gamma
    assert load(experiment.resolved()) == experiment


@pytest.mark.parametrize(("gamma", "quoted"), [(0.5, "0.5"), ({"schedule": "demon"}, "a schedule")])
def test_a_beta1_that_contradicts_gamma_is_refused(gamma: Any, quoted: str) -> None:
    assert refusal({"kind": "Adam", "gamma": gamma, "arguments": {"betas": [0.1, 0.99]}}) == (
        f"optimizer.arguments.betas: got [0.1, 0.99], and gamma, which is β₁, is {quoted}: "
        "keep one of the two; [null, β₂] leaves β₁ to gamma"
    )


# ---- arguments ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("section", [{"kind": "Adam"}, {"kind": "file", "path": "rule.py"}], ids=["torch", "file"])
@pytest.mark.parametrize(
    ("value", "law"),
    [
        (math.inf, "got inf, must be finite"),
        ([0.5, math.nan], "got [0.5, nan], must be finite"),
        ([-math.inf], "got [-inf], must be finite"),
        (10**400, f"got 1{'0' * 58}…, must be finite"),
        ({"a": 1}, "got {'a': 1}, must be a number, a word, true, false, or a list of them"),
        ([[1]], "got [[1]], must be a number, a word, true, false, or a list of them"),
    ],
    ids=str,
)
def test_an_argument_that_cannot_be_is_refused_in_one_line(section: dict[str, Any], value: Any, law: str) -> None:
    assert refusal({**section, "arguments": {"eps": value, "good": 1}}) == f"optimizer.arguments.eps: {law}"


def test_a_rule_in_a_file_takes_words_truth_values_and_lists_too() -> None:
    arguments = {"mode": "cautious", "fast": True, "limits": [0.1, 2], "names": ["a", "b"], "eps": 1e-3}
    section = load({**BOWL, "optimizer": {"kind": "file", "path": "rule.py", "arguments": arguments}}).optimizer
    assert section.model_dump()["arguments"] == arguments


# ---- what does nothing, what float32 makes of it ----------------------------------------------------------------


@pytest.mark.parametrize("kind", [*KINDS, "file"])
@pytest.mark.parametrize("decoupled", [True, False])
def test_a_way_of_the_decay_without_a_decay_is_refused(kind: str, decoupled: bool) -> None:
    section = {"kind": kind, "path": "rule.py"} if kind == "file" else {"kind": kind}
    words = "optimizer.decoupled: does nothing without weight_decay: give one, or leave decoupled out"
    assert refusal(section | {"decoupled": decoupled}) == words
    load({**BOWL, "optimizer": section | {"decoupled": decoupled, "weight_decay": 0.0}})  # a point of a sweep


@pytest.mark.parametrize(
    ("section", "key", "number", "rounded"),
    [
        ({"clip": 1e-46}, "clip", "1e-46", "0"),
        ({"clip": 1e300}, "clip", "1e+300", "inf"),
        ({"weight_decay": 1e308}, "weight_decay", "1e+308", "inf"),
        ({"eta": 1e-46}, "eta", "1e-46", "0"),
        ({"eta": 1e-40}, "eta", "1e-40", "0"),  # below the least normal number, as a model trains
        ({"gamma": 1 - 1e-9}, "gamma", "0.999999999", "1"),
        ({"kind": "qhm", "nu": -1e300}, "nu", "-1e+300", "-inf"),
        ({"kind": "aggmo", "weights": [1, 1e200, 1]}, "weights", "1e+200", "inf"),
        ({"kind": "aggmo", "gammas": [0, 1 - 1e-9]}, "gammas", "0.999999999", "1"),
        ({"kind": "Adam", "arguments": {"eps": 1e300}}, "arguments.eps", "1e+300", "inf"),
        ({"kind": "file", "path": "a.py", "arguments": {"limits": [1, 1e39]}}, "arguments.limits", "1e+39", "inf"),
    ],
    ids=str,
)
def test_a_number_that_float32_cannot_hold_is_refused(section: Any, key: str, number: str, rounded: str) -> None:
    words = f"optimizer.{key}: got {number}, which float32 rounds to {rounded}: take train.dtype float64"
    assert refusal(section, LINE) == words
    load({**LINE, "optimizer": section, "train": {"dtype": "float64"}})
    load({**BOWL, "optimizer": section})  # float64 unless said


# ---- what was meant -------------------------------------------------------------------------------------------

MEANT = [
    ({"kind": "adamw"}, "Did you mean 'AdamW'?"),
    ({"kind": "ADAM"}, "Did you mean 'Adam'?"),
    ({"kind": "torch.optim.Adam"}, "Did you mean 'Adam'?"),
    ({"kind": "QHM"}, "Did you mean 'qhm'?"),
    ({"kind": "lion", "beta2": 0.9}, "β₂ is gamma here."),
    ({"kind": "ema", "beta": 0.9}, "β is gamma here."),
    ({"kind": "AdamW", "weight_decay": 0.1}, "An argument of torch.optim.AdamW is optimizer.arguments.weight_decay."),
    ({"kind": "AdamW", "betas": [0.9, 0.9]}, "An argument of torch.optim.AdamW is optimizer.arguments.betas."),
    ({"kind": "AdamW", "gama": 0.1}, "Did you mean 'gamma'?"),
    ({"kind": "ema", "nu": 0.1}, "It is a key of qhm."),
    ({"kind": "sgd", "restart": "function"}, "It is a key of momentum, nesterov, ema …."),
    ({"eta": {"schedule": "linear", "value": 0.1, "start": 0.01}}, "steps, warmup. It is a key of one_cycle."),
    ({"eta": "cosine"}, "got 'cosine', must be a number, or a schedule: {schedule: cosine, value: 0.1}"),
    ({"gamma": "Linear"}, "got 'Linear', must be a number, or a schedule: {schedule: linear, value: 0.9}"),
    ({"eta": "step"}, "got 'step', must be a number, or a schedule: {schedule: step, value: 0.1, factor: …, at: …}"),
    ({"eta": "fast"}, "optimizer.eta: got 'fast', must be a number"),
    ({"eta": {"kind": "linear", "value": 0.1}}, "list or one_cycle. In place of kind write schedule: linear"),
]  # fmt: skip


@pytest.mark.parametrize(("section", "words"), MEANT, ids=[str(section) for section, _ in MEANT])
def test_what_was_meant_is_said(section: dict[str, Any], words: str) -> None:
    line = refusal(section)
    assert line.endswith(words)
    assert "\n" not in line


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("optimizer.betas=[0.9, 1]", ". An argument of a class of torch or of your rule is optimizer.arguments.betas"),
        ("optimizer.beta2=0.9", "'optimizer.beta2'. β₂ of lion is gamma. An argument of a class of torch"),
        ("optimizer.gama=0.9", "--set: unknown key 'optimizer.gama'. Did you mean 'optimizer.gamma'?"),
        ("optimizer.epochs=1", "--set: unknown key 'optimizer.epochs'. Did you mean 'train.epochs'?"),
    ],
)  # fmt: skip
def test_what_an_option_meant_is_said(option: str, words: str) -> None:
    assert words in refusal({}, options=[option])


def test_nu_may_be_written_as_the_letter() -> None:
    assert load({**BOWL, "optimizer": {"kind": "qhm", "ν": 0.4}}) == load(
        {**BOWL, "optimizer": {"kind": "qhm"}}, set=["optimizer.ν=0.4"]
    )
