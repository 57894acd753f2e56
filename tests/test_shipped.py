"""The shipped experiments: what their first lines claim is what they measure."""

import re

import numpy as np
import pytest

import momentumlab
from momentumlab.experiment import load, shipped


def claims(name):
    """The comment lines of a shipped experiment, below the question in English and Chinese."""
    lines = shipped.path(name).read_text(encoding="utf-8").splitlines()
    comments = [line.removeprefix("#").strip() for line in lines if line.startswith("#")]
    return comments[1:3], " ".join(comments[3:])


def settled(rows):
    """After how many updates a thousandth of the first distance is left, for good."""
    return np.flatnonzero(rows["distance"] > 1e-3 * rows["distance"][0])[-1] + 1


def percent(share):
    return f"{100 * share:.1f} %"


def first_beyond_one(rows):
    return np.flatnonzero(abs(rows["theta_1"]) >= 1)[0]


def furthest_apart(result):
    one, other = result.rows(0), result.rows(1)
    gap = np.hypot(one["theta_0"] - other["theta_0"], one["theta_1"] - other["theta_1"])
    return f"{gap.max():.3f}"


def speeds(result):
    rows = result.rows(0)
    return [
        f"{abs(rows[column][step]):.4f}" for column, step in (("velocity_0", 5), ("velocity_0", 6), ("velocity_0", 10))
    ]


def ice(result):
    rows = result.rows(1)
    return [f"({rows['theta_0'][step]:.2f}, −{-rows['theta_1'][step]:.2f})" for step in (20, 40)]


def rules(result):
    updates = [f"{settled(result.rows(run))}" for run in (1, 2, 5, 4, 0)]
    across = [f"−{-result.rows(run)['theta_1'].min():.2f}" for run in (1, 2, 4)]
    return updates + across + [f"{result.rows(run)['distance'][-1]:.3f}" for run in (6, 7)]


def last(result, column):
    return [result.rows(run)[column][-1] for run in result.runs["run"]]


MEASURED = {
    "linreg": lambda result: [f"{w:.4f}" for w in last(result, "theta_0")],
    "optimizers": lambda result: [f"{settled(result.rows(2))}", f"{settled(result.rows(1))}"],
    "east_then_south": speeds,
    "ice_box": ice,
    "two_pushes": lambda result: [f"{theta:.2f}" for theta in last(result, "theta_0")],
    "ravine": lambda result: [f"{settled(result.rows(run))}" for run in (2, 3, 1)],
    "double_well": lambda result: [f"{theta:.3f}".replace("-", "−") for theta in last(result, "theta_0")[1:3]],
    "plateau": lambda result: [f"{theta:.2f}" for theta in last(result, "theta_0")[:2]],
    "rosenbrock": lambda result: [
        text.format(loss)
        for text, loss in zip(("{:.3f}", "{:.3f}", "{:.1e}", "{:.1e}"), last(result, "loss"), strict=True)
    ],
    "schedule": lambda result: [furthest_apart(result)],
    "forms": lambda result: [*(f"{loss:.3f}" for loss in last(result, "loss")[:2]), furthest_apart(result)],
    "rules": rules,
    "restart": lambda result: [f"{loss:.1e}" for loss in last(result, "loss")],
    "noise_floor": lambda result: [
        *(f"{loss:.2f}" for loss in last(result, "loss")),
        f"{result.rows(1)['loss'][300:].max():.1f}",
    ],
    "saddle": lambda result: [f"{first_beyond_one(result.rows(run))}" for run in (1, 2, 3)],
    "digits_softmax": lambda result: [percent(share) for share in result.runs["test_accuracy"]],
    "digits_mlp": lambda result: [percent(share) for share in result.runs["test_accuracy"]],
    "moons": lambda result: [
        f"{100 * result.runs['test_accuracy'][result.runs['gamma'] == gamma].min():.0f} %" for gamma in (0, 0.9)
    ],
}


def test_every_shipped_experiment_has_its_measured_claims():
    assert sorted(MEASURED) == sorted(shipped.names())


@pytest.mark.parametrize("name", sorted(MEASURED))
def test_a_shipped_experiment_answers_its_question_with_what_it_measures(name, tmp_path):
    (english, chinese), answer = claims(name)
    assert english.endswith("?")
    assert re.search("[一-鿿].*[?？]$", chinese)
    assert shipped.question(name) == english
    experiment = load(name)
    result = momentumlab.sweep(name, runs=tmp_path) if experiment.sweep else momentumlab.run(name, runs=tmp_path)
    for number in MEASURED[name](result):
        assert answer.count(number) >= 2, f"{number} is not in both languages"


@pytest.mark.parametrize(("name", "run", "other"), [("rules", 1, 3), ("forms", 1, 2)])
def test_two_rules_that_are_one_take_the_same_way_up_to_rounding(name, run, other, tmp_path):
    result = momentumlab.sweep(name, runs=tmp_path)
    for column in ("theta_0", "theta_1"):
        # Each update rounds a handful of times by 1e-16 of θ, which is about 1.
        np.testing.assert_allclose(result.rows(run)[column], result.rows(other)[column], rtol=0, atol=1e-13)
