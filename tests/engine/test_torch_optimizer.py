"""What torch.optim is told, what it is known to take, and what is refused in words before anything is trained."""

import inspect
import math

import numpy as np
import pytest
import torch

import momentumlab
from momentumlab.audit.result import examine_result
from momentumlab.engine.torch_optimizer import TorchOptimizer, check_torch
from momentumlab.errors import ConfigError
from momentumlab.experiment import load, single
from momentumlab.experiment.schema_torch import NOT_TRAINED, TORCH_CLASSES
from tests.engine.test_torch_run import FALLING, LINREG, QUADRATIC, prepared

# ---- the table of classes ------------------------------------------------------------------------------------------


def test_every_class_of_torch_is_in_the_table_or_has_a_reason_not_to_be():
    exported = {name for name, value in vars(torch.optim).items() if isinstance(value, type)}
    optimizers = {name for name in exported if issubclass(getattr(torch.optim, name), torch.optim.Optimizer)}
    assert optimizers - {"Optimizer"} == set(TORCH_CLASSES) | set(NOT_TRAINED)


@pytest.mark.parametrize("name", TORCH_CLASSES)
def test_the_table_has_torchs_own_defaults(name):
    known = inspect.signature(getattr(torch.optim, name)).parameters
    [argument] = [argument for argument in ("momentum", "betas") if argument in known] or [""]
    default = known[argument].default if argument else math.nan
    gamma = default[0] if argument == "betas" else default
    np.testing.assert_equal(tuple(TORCH_CLASSES[name]), (argument, known["lr"].default, gamma))


@pytest.mark.parametrize("name", TORCH_CLASSES)
def test_what_is_not_said_is_torchs_default(name):
    section = load({**LINREG, "optimizer": {"kind": name}}).optimizer
    np.testing.assert_equal((section.eta, section.gamma), (TORCH_CLASSES[name].eta, TORCH_CLASSES[name].gamma))


@pytest.mark.parametrize("name", NOT_TRAINED)
def test_a_class_that_cannot_be_trained_says_why(name):
    with pytest.raises(ConfigError, match=rf"optimizer\.kind: got '{name}', must be sgd.*\. {name} (eval|takes)"):
        load({**LINREG, "optimizer": {"kind": name}})


def test_lists_become_the_tuples_that_torch_documents(monkeypatch):
    seen = []
    made = torch.optim.Rprop.__init__

    def spied(self, *parameters, **arguments):
        seen.append(arguments)
        made(self, *parameters, **arguments)

    section = load({**LINREG, "optimizer": {"kind": "Rprop", "arguments": {"etas": [0.4, 1.1]}}}).optimizer
    monkeypatch.setattr(torch.optim.Rprop, "__init__", spied)
    TorchOptimizer(section, [torch.nn.Parameter(torch.zeros(1))])
    assert seen == [{"lr": 0.01, "etas": (0.4, 1.1)}]


# ---- what is refused -------------------------------------------------------------------------------------------------

REFUSED = [
    ("Adam", {"beta2": 0.9}, r"optimizer\.arguments: torch\.optim\.Adam has no argument 'beta2'\. "
                             r"Did you mean 'betas'\? It takes betas, eps, weight_decay, .*\."),
    ("Adagrad", {"momentum": 0.9}, r"optimizer\.arguments: torch\.optim\.Adagrad has no argument 'momentum'\. It"),
    ("Adam", {"params": 1}, r"optimizer\.arguments: torch\.optim\.Adam has no argument 'params'"),
    ("Adam", {"lr": 0.1}, r"optimizer\.arguments\.lr: write optimizer\.eta instead"),
    ("SGD", {"momentum": 0.1}, r"optimizer\.arguments\.momentum: write optimizer\.gamma instead"),
    ("SGD", {"nesterov": "no"}, r"optimizer\.arguments\.nesterov: got 'no', must be true or false$"),
    ("Adam", {"foreach": 1}, r"optimizer\.arguments\.foreach: got 1, must be true or false or nothing$"),
    ("Adam", {"weight_decay": True}, r"optimizer\.arguments\.weight_decay: got true, must be a number$"),
    ("Adam", {"betas": [0.9]}, r"optimizer\.arguments\.betas: got \[0\.9\], must be a list of 2 numbers$"),
    ("Adam", {"betas": [0.9, "x"]}, r"optimizer\.arguments\.betas: got \[0\.9, 'x'\], must be a list of 2 numbers$"),
    ("Adam", {"betas": [1.5, 0.9]}, r"optimizer\.arguments\.betas: got \[1\.5, 0\.9\], whose first is γ: it must"),
    ("Adam", {"betas": [None]}, r"optimizer\.arguments\.betas: got \[None\], must be a list of 2 numbers$"),
    ("Adam", {"betas": [None, None]}, r"optimizer\.arguments\.betas: got \[None, None\], must be a list of 2 numbers$"),
    ("Muon", {"ns_steps": 2.5}, r"optimizer\.arguments\.ns_steps: got 2\.5, must be a whole number$"),
    ("Adam", {"weight_decay": -1}, r"optimizer: torch\.optim\.Adam refuses this: Invalid weight_decay value: -1$"),
    ("Adam", {"betas": [0.9, 1.5]}, r"optimizer: torch\.optim\.Adam refuses this: Invalid beta parameter at index 1"),
    ("SGD", {"nesterov": True, "dampening": 0.5}, r"optimizer: torch\.optim\.SGD refuses this: Nesterov momentum requ"),
    ("Adam", {"fused": True, "foreach": True}, r"optimizer: torch\.optim\.Adam refuses this: `fused` and `foreach`"),
    ("Adam", {"differentiable": True}, r"optimizer: torch\.optim\.Adam refuses this: a leaf Variable that requires"),
    ("Adam", {"capturable": True}, r"optimizer: torch\.optim\.Adam refuses this: If capturable=True"),
    ("Muon", {"ns_steps": 100}, r"optimizer: torch\.optim\.Muon refuses this: Number of steps must be less than 100"),
    ("Muon", {"adjust_lr_fn": "x\x1b"}, r"torch\.optim\.Muon refuses this: Adjust learning rate function x\\x1b"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "words"), REFUSED, ids=[f"{row[0]} {row[1]}" for row in REFUSED])
def test_what_torch_does_not_take_is_said_before_anything_is_written(name, arguments, words, runs):
    gamma = {"gamma": 0.9} if name == "SGD" else {}
    with pytest.raises(ConfigError, match=words):
        momentumlab.run({**LINREG, "optimizer": {"kind": name, "arguments": arguments, **gamma}}, runs=runs)
    assert not runs.exists()


def test_muon_without_a_matrix_is_refused_in_words():
    cells = single(load({**LINREG, "optimizer": {"kind": "Muon"}})).cells
    with pytest.raises(ConfigError, match=r"^optimizer: torch\.optim\.Muon refuses this: optimizer got an empty"):
        check_torch([(cells, prepared(QUADRATIC, {"kind": "sgd"}).problem)])


def test_every_cell_is_looked_at_before_the_first_run_and_each_mistake_is_said_once(runs):
    vary = {"optimizer.arguments.weight_decay": [0.0, -1.0, -2.0, "a lot"]}
    with pytest.raises(ConfigError) as refused:
        momentumlab.sweep({**LINREG, "optimizer": {"kind": "Adam"}}, gamma=[0, 0.5, 0.9], vary=vary, runs=runs)
    assert [line.rpartition(": ")[2] for line in refused.value.problems] == [
        "-1.0",
        "-2.0",
        "got 'a lot', must be a number",
    ]
    assert not runs.exists()


def test_a_schedule_of_eta_is_refused_where_it_would_do_nothing():
    with pytest.raises(ConfigError, match=r"optimizer\.eta: got a schedule, but Rprop uses η in its first update only"):
        load({**LINREG, "optimizer": {"kind": "Rprop", "eta": FALLING}})


def test_arguments_can_be_varied_as_everything_else(runs):
    vary = {"optimizer.arguments.weight_decay": [0.0, 0.5], "optimizer.kind": ["AdamW", "RMSprop"]}
    result = momentumlab.sweep({**LINREG, "optimizer": {"kind": "AdamW"}}, gamma=[0, 0.9], vary=vary, runs=runs)
    assert set(result.runs["status"]) == {"finished"}
    assert len(set(result.runs["loss_last"])) == len(result.runs["run"]) == 8


@pytest.mark.parametrize("optimizer", [{"kind": "momentum", "dampening": 0.4}, {"kind": "nesterov"}], ids=str)
def test_check_finds_nothing_where_gamma_begins_at_zero(optimizer, runs):
    late = {"schedule": "list", "points": [[0, 0.0], [10, 0.9]]}
    section = {**optimizer, "form": "torch", "backend": "torch", "gamma": late, "eta": FALLING}
    report = examine_result(momentumlab.run({**QUADRATIC, "optimizer": section}, runs=runs).folder, [])
    assert report.defects == []
    assert any(line.startswith("checked       50 updates of 1 run") for line in report.lines())
