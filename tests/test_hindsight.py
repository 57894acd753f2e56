"""After a run: theory beside the measurement, and the advice after a sweep, from results that were trained."""

import dataclasses
import json
import math
import re
import shlex

import numpy as np
import pytest

import momentumlab
from momentumlab import hindsight
from momentumlab.advice import advice
from momentumlab.results import reader
from momentumlab.summary import sweep_table

LINE = {"data": {"kind": "line"}, "model": {"kind": "linear", "start": [0.1, 0.9]}, "train": {"epochs": 80}}
BOWL = {"objective": {"kind": "quadratic", "eigenvalues": [1.0, 4.0]}, "train": {"steps": 60}}


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep of linear regression, with runs that come to their floor, that do not, and one that diverges."""
    return momentumlab.sweep(LINE, gamma=[0, 0.5, 0.9], eta=[0.02, 0.2, 5], runs=tmp_path_factory.mktemp("runs"))


def with_manifest(result, **changes):
    return dataclasses.replace(result, manifest={**result.manifest, **changes})


# ---- what the manifest says


@pytest.mark.parametrize(
    "said",
    [
        None,
        [],
        "theory",
        {},
        {"curvature": [1.0], "loss_minimum": None},
        {"curvature": [], "loss_minimum": 0.0},
        {"curvature": [0.0, 0.0], "loss_minimum": 0.0},
        {"curvature": [-1.0, 1.0], "loss_minimum": 0.0},
        {"curvature": [True], "loss_minimum": 0.0},
        {"curvature": ["\x1b[2J"], "loss_minimum": 0.0},
        {"curvature": [10**400], "loss_minimum": 0.0},
        {"curvature": [1.0] * 65, "loss_minimum": 0.0},
        {"curvature": [1.0, 2.0], "start": [1.0], "loss_minimum": 0.0},
        {"curvature": {"0": 1.0}, "loss_minimum": 0.0},
    ],
)
def test_a_manifest_without_theory_or_with_nonsense_says_nothing(said, swept):
    strange = with_manifest(swept, theory=said)
    assert hindsight.landscape(strange) is None
    assert hindsight.edge(strange, [0.5]) is None
    assert hindsight.loss_envelopes(strange, {0: 10}) == {}
    assert hindsight.to_floor(strange, strange.metrics) is None
    assert "theory knows no best" in advice(strange, ["line"])[1]


def test_results_of_before_have_their_table_as_it_was(swept):
    runs = {name: values for name, values in swept.runs.items() if not name.startswith("rate_")}
    manifest = {name: value for name, value in swept.manifest.items() if name != "theory"}
    old = dataclasses.replace(swept, runs=runs, manifest=manifest)
    header = sweep_table(old).header
    assert not {"rate", "rate (theory)", "to floor"} & set(header)
    new = sweep_table(swept).header
    assert new == (*header[:-1], "rate", "rate (theory)", "to floor", "to floor (theory)", "note")
    assert sweep_table(swept, narrow=True).header == (*header[:-1], "rate", "rate (theory)", "note")


def test_edge_is_two_times_one_plus_gamma_over_the_largest_curvature(swept):
    largest = swept.manifest["theory"]["curvature"][-1]
    found = hindsight.edge(swept, [0.0, 0.5, 0.99])
    np.testing.assert_allclose(found, 2 * (1 + np.array([0.0, 0.5, 0.99])) / largest, rtol=1e-12)


def test_no_run_is_above_its_envelope_and_runs_that_do_not_oscillate_have_none(swept):
    bounds = hindsight.loss_envelopes(swept, dict.fromkeys(range(9), 80))
    assert sorted(bounds) == [4, 6, 7]  # (1 − √γ)² < ηλ < (1 + √γ)² for γ = 0.5 at η = 0.2 and for γ = 0.9
    for run in bounds:
        measured = swept.rows(run)["loss"]
        assert (measured <= bounds[run] * (1 + 1e-5)).all()  # float32 losses


# ---- the way to the floor


def test_the_way_to_the_floor_is_measured_in_the_rows(swept):
    measured, predicted = hindsight.to_floor(swept, swept.metrics)
    floor = 1.01 * swept.manifest["theory"]["loss_minimum"]
    for run in range(9):
        loss = swept.rows(run)["loss"]
        if swept.runs["status"][run] != "finished":
            assert (measured[run], predicted[run]) == ("—", "—")
        elif loss[-1] > floor:
            assert measured[run] == ">80"
            assert int(predicted[run]) > 80
        else:
            assert (loss[int(measured[run]) :] <= floor).all()
            assert loss[int(measured[run]) - 1] > floor
            # float32 losses, at the floor's very edge; and what comes back after the end nobody has measured
            assert abs(int(predicted[run]) - int(measured[run])) <= 1 or int(predicted[run]) > 80
    assert {"—", ">80"} < set(measured)


def test_a_run_says_prediction_and_fact_in_one_line(tmp_path):
    line = hindsight.line(momentumlab.run(BOWL, gamma=0.5, eta=0.2, runs=tmp_path))
    assert line == "rate 0.7071 measured, 0.7071 predicted"
    line = hindsight.line(momentumlab.run(LINE, gamma=0.5, eta=0.1, runs=tmp_path))
    said = r"rate 0\.70\d\d measured, 0\.7071 predicted; "
    assert re.fullmatch(said + r"steps to the floor of the loss: (\d+) measured, \1 predicted", line)
    assert hindsight.line(momentumlab.run("rosenbrock", runs=tmp_path)) is None


def test_a_rate_just_below_one_is_told_from_one():
    assert [hindsight.rate_words(rate) for rate in (0.5, 0.99998, 1.0, 1.25, math.nan)] == [
        "0.5000",
        "1 − 2e-05",
        "1.0000",
        "1.2500",
        "—",
    ]


# ---- advice


def sweep_and_ask(tmp_path, experiment, asked=("line",), **axes):
    return advice(momentumlab.sweep(experiment, runs=tmp_path, **axes), asked)


def test_the_best_measured_is_told_and_whether_it_lies_at_the_edge(tmp_path):
    first, _ = sweep_and_ask(tmp_path, BOWL, gamma=[0, 0.3, 0.9], eta=[0.1])
    assert first.startswith("best measured: γ = 0.3, loss ")
    first, _ = sweep_and_ask(tmp_path, BOWL, gamma=[0.5, 0.9], eta=[0.1])
    assert first.endswith("the best lies at the edge of what was swept: γ = 0.5")
    first, _ = sweep_and_ask(tmp_path, BOWL, gamma=[0, 0.9], eta=[0.35, 0.4])
    assert "γ = 0, η = 0.4" in first  # beyond γ = 0 there is nothing
    assert first.endswith("swept: η = 0.4")
    assert "edge" not in sweep_and_ask(tmp_path, BOWL, gamma=[0, 0.9], eta=[0.4])[0]


def test_where_nothing_finishes_that_is_said(tmp_path):
    first, second = sweep_and_ask(tmp_path, BOWL, gamma=[0, 0.5], eta=[6])
    assert "no run came to its end" in first
    assert second == "at η = 6 every γ is unstable: a smaller η is needed"


def test_over_seeds_the_median_decides(tmp_path):
    noisy = {"objective": {"kind": "quadratic", "noise": 1.0}, "train": {"steps": 50}}
    result = momentumlab.sweep(noisy, gamma=[0, 0.9], eta=[0.01], seed=[0, 1, 2, 3], runs=tmp_path)
    (first, _) = advice(result, ["noisy"])
    medians = [np.median(result.runs["loss_last"][result.runs["gamma"] == gamma]) for gamma in (0, 0.9)]
    assert first.startswith(f"best measured: γ = {(0, 0.9)[int(np.argmin(medians))]}, median of 4 seeds: loss ")


def test_gamma_alone_is_chosen_at_the_eta_that_was_swept(tmp_path):
    asked = ["my line.yaml", "--set", "train.epochs=80"]
    _, second = sweep_and_ask(tmp_path, BOWL, asked, gamma=[0, 0.9], eta=[0.1], seed=[0, 1, 2])
    said, command = second.split(": ", 1)
    best = max(abs(1 - math.sqrt(0.1 * bend)) for bend in (1, 4)) ** 2
    assert said == f"best γ at η = 0.1 is about {best:.2f}"
    words = shlex.split(command)
    assert words[:5] == ["momentumlab", "sweep", "my line.yaml", "--set", "train.epochs=80"]
    assert words[words.index("--eta") + 1] == "0.1"  # the experiment itself says another
    assert words[words.index("--seed") + 1] == "0,1,2"
    low, middle, high = map(float, words[words.index("--gamma") + 1].split(","))
    assert 0 <= low < middle < high < 1


def test_eta_alone_is_chosen_below_the_edge(tmp_path):
    _, second = sweep_and_ask(tmp_path, BOWL, gamma=[0.9], eta=[0.01, 0.02])
    assert second.startswith("best η at γ = 0.9 is about 0.76, the edge is at 0.95: ")  # 2·1.9/5 and 2·1.9/4
    assert "--gamma" not in second  # 0.9 is what the experiment says
    etas = [float(eta) for eta in second.rpartition(" ")[2].split(",")]
    assert max(etas) < 0.95


def test_both_are_chosen_together(tmp_path):
    _, second = sweep_and_ask(tmp_path, BOWL, gamma=[0, 0.9], eta=[0.01, 0.02])
    assert second == (  # √γ* = (√κ − 1)/(√κ + 1) = 1/3, η* = (2/(1 + 2))²
        "theory would choose γ = 0.1111 and η = 0.4444, rate 0.3333: momentumlab run line --gamma 0.1111 --eta 0.4444"
    )


def test_beyond_theory_the_command_that_says_what_it_knows_is_named(tmp_path):
    asked = ["rosenbrock", "--set", "train.steps=20"]
    (_, second) = sweep_and_ask(tmp_path, "rosenbrock", asked, gamma=[0, 0.9], eta=[0.0001])
    assert second.endswith("momentumlab theory rosenbrock --set train.steps=20")
    assert len(sweep_and_ask(tmp_path, "rosenbrock", asked, seed=[0, 1])) == 1


def test_the_command_that_is_advised_runs_as_it_stands(type_in):
    _, _, err = type_in(
        "sweep", "linreg", "--gamma", "0,0.9", "--set", "train.epochs=20", "--runs", "here too", "--no-plot"
    )
    command = err.splitlines()[-1].partition(": ")[2]
    assert "--runs 'here too'" in command
    code, out, _ = type_in(*shlex.split(command)[1:], "--no-plot")
    assert code == 0
    assert len(out.splitlines()) == 4


def test_advice_is_a_key_of_json_and_quiet_says_none(type_in):
    said = json.loads(type_in("sweep", "linreg", "--gamma", "0,0.9", "--json", "--no-plot")[1])["advice"]
    assert [sentence.partition(" ")[0] for sentence in said] == ["best", "best"]
    assert type_in("sweep", "linreg", "--gamma", "0,0.9", "--quiet", "--no-plot") == (0, "", "")


def test_a_result_read_back_says_the_same(swept):
    again = reader.load(swept.folder)
    assert advice(again, ["line"]) == advice(swept, ["line"])
    assert list(sweep_table(again).rows) == list(sweep_table(swept).rows)
