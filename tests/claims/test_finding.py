"""The verdict follows from what was measured, whatever that is."""

import json
import math

import pytest

from momentumlab.claims.finding import Experiment, Finding, Quantity, Trial, gain, word
from momentumlab.claims.training import in_the_end, trained
from tests.claims.found import found

BETTER, WORSE = (Trial.of_gain(f"with {effect}", "measured", effect) for effect in (5.0, 0.2))


def finding(*trials, experiments=()):
    return Finding(1, "article", "words", experiments, trials)


def one_quantity(measured, theory, margin=0.0):
    quantity = Quantity(("steps",), "updates", measured, theory, margin)
    return Experiment("one", {}, "γ", [0.0, 0.9][: len(measured)], [quantity])


@pytest.mark.parametrize(
    ("trials", "verdict"),
    [((BETTER,), "true"), ((BETTER, BETTER), "true"), ((WORSE,), "false"), ((BETTER, WORSE), "conditional")],
)
def test_the_verdict_is_true_false_or_conditional(trials, verdict):
    assert finding(*trials).verdict == verdict


def test_the_conditions_are_those_of_the_trials():
    both = finding(BETTER, WORSE)
    assert (both.true_when, both.false_when) == ("with 5.0: measured", "with 0.2: measured")


@pytest.mark.parametrize(
    ("effect", "holds", "size"),
    [
        (5.0, True, "5 times better"),
        (1.3, True, "1.3 times better"),
        (1.1, False, "about equal"),
        (1.0, False, "about equal"),
        (0.25, False, "4 times worse"),
        (1e-4, False, "10,000 times worse"),
        (math.inf, True, ""),
        (0.0, False, ""),
    ],
)
def test_a_gain_below_a_fifth_counts_as_none(effect, holds, size):
    trial = Trial.of_gain("when", "words", effect)
    assert (trial.holds, trial.size) == (holds, size)


@pytest.mark.parametrize(
    ("without", "together", "expected"), [(100, 50, 2.0), (None, 50, math.inf), (50, None, 0.0), (None, None, 1.0)]
)
def test_never_is_the_slowest(without, together, expected):
    assert gain(without, together) == expected


@pytest.mark.parametrize(
    ("measured", "theory", "margin", "agrees"),
    [
        ([10, 20], [10, 21], 1.0, True),
        ([10, 20], [10, 22], 1.0, False),
        ([10, None], [10, None], 0.0, True),
        ([10, None], [10, 20], 1e9, False),
        ([0.1, 0.2], [0.1, 0.3], [0.0, 0.2], True),
        ([0.1, math.nan], [0.1, 0.3], 1.0, False),
        (["deep", "deep"], ["deep", "shallow"], 1.0, False),
        ([1, 2], None, 0.0, True),
    ],
)
def test_measured_and_theory_agree_within_the_margin(measured, theory, margin, agrees):
    experiment = one_quantity(measured, theory, margin)
    assert (experiment.disagreements == []) == agrees
    assert experiment.as_object()["agrees"] == agrees


def test_a_contradiction_says_where():
    (line,) = finding(BETTER, experiments=[one_quantity([1, 2], [1, 3])]).disagreements
    assert line == "one: updates at γ = 0.9: measured 2, theory 3"


def test_what_is_not_finite_is_null_in_json():
    endless = Trial.of_gain("always", "words", math.inf)
    written = finding(endless, experiments=[one_quantity([math.nan, None], None)]).as_object()
    assert written["effects"][0]["effect"] is None
    assert written["experiments"][0]["measured"] == {"steps": {"0": None, "0.9": None}}
    json.dumps(written, allow_nan=False)


@pytest.mark.parametrize("value", [0.0, 0.5, 0.99])
def test_rows_are_called_as_gamma_is_typed(value):
    assert word(value) == f"{value:g}"


@pytest.mark.parametrize("claim", [1, 2, 3, 4])
def test_every_claim_is_conditional_by_what_was_measured(claim):
    assert found(claim).verdict == "conditional"


# ---- trained in memory -----------------------------------------------------------------------------------------------


def test_a_run_is_the_recursion_to_the_bit_with_its_start_and_its_end():
    one, other = trained(
        {"kind": "quadratic", "eigenvalues": [2.0], "start": [1.0]}, [(0.5, 0.1), (0.9, 0.2)], 30, ["theta_0"]
    )
    for run, gamma, eta in ((one, 0.5, 0.1), (other, 0.9, 0.2)):
        theta, velocity, path = 1.0, 0.0, [1.0]
        for _ in range(30):
            velocity = gamma * velocity + eta * (2.0 * theta)
            theta -= velocity
            path.append(theta)
        assert (run.gamma, run.eta, run.columns["theta_0"].tolist()) == (gamma, eta, path)


def test_a_run_that_diverges_ends_there_and_the_others_go_on():
    stays, flies = trained({"kind": "quadratic", "eigenvalues": [1.0]}, [(0.0, 1.5), (0.0, 4.0)], 100, ["loss"])
    assert (stays.status, flies.status) == ("finished", "diverged")
    assert len(stays.columns["loss"]) == 101 > len(flies.columns["loss"])


def test_the_means_are_those_of_the_late_rows():
    objective = {"kind": "quadratic", "eigenvalues": [1.0], "start": [0.0], "noise": 1.0}
    pairs = [(0.0, 0.1), (0.9, 0.1)]
    found = in_the_end(objective, pairs, 300, 3)
    runs = trained(objective, pairs, 1300, ["loss", "velocity_0"], seeds=3)
    for place, pair in enumerate(pairs):
        mine = [run for run in runs if (run.gamma, run.eta) == pair]
        velocities = [run.columns["velocity_0"][1001:] for run in mine]
        expected = {
            "loss": [run.columns["loss"][1001:].mean() for run in mine],
            "jitter": [(velocity**2).mean() for velocity in velocities],
            "flips": [((velocity[1:] > 0) != (velocity[:-1] > 0)).mean() for velocity in velocities],
        }
        for name, values in expected.items():  # sums of the same numbers in another order
            assert found[name].mean[place] == pytest.approx(sum(values) / 3, rel=1e-12)
