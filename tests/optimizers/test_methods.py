"""The method that an optimizer section means: its steps are the run's."""

import numpy as np
import pytest

import momentumlab
from momentumlab.experiment import load
from momentumlab.optimizers.methods import beyond_theory, method_of
from momentumlab.theory.modes import trajectory

EIGENVALUES = [1.0, 30.0]


def experiment(**optimizer):
    return {
        "objective": {"kind": "quadratic", "eigenvalues": EIGENVALUES},
        "optimizer": {"eta": 0.02, **optimizer},
        "train": {"steps": 40},
    }


REACHED = {
    "sgd": {"kind": "sgd"},
    "momentum": {"kind": "momentum", "gamma": 0.8, "dampening": 0.3, "weight_decay": 0.5},
    "torch form": {"kind": "momentum", "form": "torch", "weight_decay": 0.5, "decoupled": True},
    "nesterov": {"kind": "nesterov"},
    "ema": {"kind": "ema"},
    "qhm": {"kind": "qhm", "nu": 0.4},
    "aggmo": {"kind": "aggmo"},
    "torch's SGD": {"kind": "SGD", "backend": "torch", "gamma": 0.9, "arguments": {"nesterov": True}},
}


@pytest.mark.parametrize("optimizer", REACHED.values(), ids=REACHED)
def test_the_method_moves_as_the_run_does(optimizer, tmp_path):
    section = load(experiment(**optimizer)).optimizer
    assert beyond_theory(section) is None
    path = trajectory(method_of(section, 40), EIGENVALUES, 40)
    result = momentumlab.run(experiment(**optimizer), runs=tmp_path)
    found = np.column_stack([result.metrics["theta_0"], result.metrics["theta_1"]])
    np.testing.assert_allclose(found, path, rtol=0, atol=1e-12)  # forty updates in another order


BEYOND = {
    "signum": ({"kind": "signum"}, "does not grow"),
    "lion": ({"kind": "lion"}, "does not grow"),
    "Adam": ({"kind": "Adam", "backend": "torch"}, "no linear function"),
    "clip": ({"kind": "momentum", "clip": 1.0}, "clip"),
    "torch's clip": ({"kind": "SGD", "backend": "torch", "clip": 1.0}, "clip"),
    "restart": ({"kind": "momentum", "restart": "gradient"}, "restarts"),
    "maximize": ({"kind": "SGD", "backend": "torch", "arguments": {"maximize": True}}, "maximize"),
}


@pytest.mark.parametrize(("optimizer", "words"), BEYOND.values(), ids=BEYOND)
def test_what_is_beyond_theory_says_why(optimizer, words):
    assert words in beyond_theory(load(experiment(**optimizer)).optimizer)


def test_a_schedule_gives_the_numbers_of_a_moment():
    eta = {"schedule": "step", "value": 0.02, "factor": 0.1, "at": [3]}
    section = load(experiment(eta=eta)).optimizer
    assert [method_of(section, 40, step).eta for step in (0, 2, 3)] == pytest.approx([0.02, 0.02, 0.002])
