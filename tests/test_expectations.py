"""What a run was expected to give: judged by its recorded rows, without deciding any number."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import momentumlab
from momentumlab.errors import ConfigError
from momentumlab.expectations import judge
from momentumlab.experiment import expand, load, single
from momentumlab.experiment.schema_expect import Expect
from momentumlab.figures import by_problem
from momentumlab.results.naming import identity

# One direction without inertia and ηλ = ½: θ_k = 2⁻ᵏ and J = ½·4⁻ᵏ, exact in floats.
HALVING: dict[str, Any] = {
    "name": "halving",
    "objective": {"kind": "quadratic", "eigenvalues": [1]},
    "optimizer": {"kind": "sgd", "eta": 0.5},
    "train": {"steps": 10},
}
DIVERGING = HALVING | {"optimizer": {"kind": "sgd", "eta": 10}, "train": {"steps": 50}}
LINES = {"data": {"kind": "line"}, "model": {"kind": "linear"}, "train": {"epochs": 2}}


@pytest.fixture
def written(tmp_path: Path) -> Any:
    """An experiment as a YAML file."""

    def write(experiment: dict[str, Any]) -> Path:
        file = tmp_path / "asked.yaml"
        file.write_text(yaml.safe_dump(experiment), encoding="utf-8")
        return file

    return write


def judged(experiment: dict[str, Any], expect: dict[str, Any], runs: Path) -> list[tuple[bool, str]]:
    """Whether each expectation held, and its sentence."""
    result = momentumlab.run(experiment, runs=runs)
    found = judge(Expect.model_validate(expect), result)
    return [(one.held, str(one)) for one in found]


def refusal(expect: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(HALVING | {"expect": expect})
    return [line.removeprefix("the mapping given: ") for line in caught.value.problems]


# ---- each kind, held and not ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expect", "held", "sentence"),
    [
        ({"status": "finished"}, True, "status finished — got finished at step 10: held"),
        ({"status": "diverged"}, False, "status diverged — got finished at step 10: did not hold"),
        # ½·4⁻⁴ = 0.00195, ½·4⁻⁵ = 0.00049
        ({"steps_to": {"loss": 1e-3, "between": [4, 6]}}, True, "steps to loss 0.001 between 4 and 6 — got 5: held"),
        ({"steps_to": {"loss": 1e-3, "between": [5, 5]}}, True, "steps to loss 0.001 exactly 5 — got 5: held"),
        ({"steps_to": {"loss": 1e-3, "between": [6, 9]}}, False, "loss 0.001 between 6 and 9 — got 5: did not hold"),
        ({"steps_to": {"loss": 2**-11, "between": [5, 5]}}, True, "— got 5: held"),  # at it is reached
        ({"steps_to": {"loss": 0.5, "between": [0, 0]}}, True, "— got 0: held"),
        (
            {"steps_to": {"distance": 0.25, "between": [1, 3]}},
            True,
            "steps to distance 0.25 between 1 and 3 — got 2: held",
        ),
        ({"steps_to": {"loss": -1, "between": [0, 10]}}, False, "between 0 and 10 — got never: did not hold"),
        (
            {"final": {"theta_0": [2**-10, 1]}},
            True,
            "final theta_0 between 0.0009765625 and 1 — got 0.0009765625: held",
        ),
        ({"final": {"theta_0": [-1, 2**-10]}}, True, "— got 0.000976562: held"),  # both ends are inside
        ({"final": {"theta_0": [0.000976563, 1]}}, False, "— got 0.000976562: did not hold"),
        ({"final": {"theta_0": [0.0009765621, 1]}}, True, "— got 0.0009765625: held"),  # shorter it would not be
        ({"final": {"steps": [10, 10]}}, True, "final steps exactly 10 — got 10: held"),
        ({"final": {"loss_first": [0.4, 0.6]}}, True, "— got 0.5: held"),
        ({"final": {"cosine": [-1, 0.5]}}, False, "final cosine between -1 and 0.5 — got 1: did not hold"),
    ],
    ids=str,
)
def test_an_expectation_is_held_against_what_was_recorded(
    expect: dict[str, Any], held: bool, sentence: str, tmp_path: Path
) -> None:
    ((found, words),) = judged(HALVING, expect, tmp_path)
    assert found == held
    assert words.endswith(sentence)


def test_the_step_is_said_to_be_of_a_recorded_row_where_not_each_is(tmp_path: Path) -> None:
    seldom = HALVING | {"record": {"every": 4}}
    expect = {"steps_to": {"loss": 1e-3, "between": [0, 8]}}
    assert judged(seldom, expect, tmp_path) == [
        (True, "steps to loss 0.001 between 0 and 8 — got 8, of rows every 4 steps: held")
    ]


def test_of_a_run_that_diverged_the_last_row_counts_and_what_is_not_finite_is_nowhere(tmp_path: Path) -> None:
    assert judged(DIVERGING, {"status": "diverged", "final": {"loss": [1e12, 1e300]}}, tmp_path)[0][0]
    bursting = HALVING | {"optimizer": {"kind": "sgd", "eta": 1e300}}
    (one,) = judge(Expect(final={"loss": (0, 1.7e308)}), momentumlab.run(bursting, runs=tmp_path))
    assert (one.held, one.found, one.got) == (False, None, "inf")


def test_all_of_it_is_judged_in_the_order_of_the_file(tmp_path: Path) -> None:
    expect = {
        "status": "finished",
        "steps_to": {"loss": 1e-3, "between": [1, 9]},
        "final": {"theta_0": [0, 1], "loss": [0, 1]},
    }
    found = judge(Expect.model_validate(expect), momentumlab.run(HALVING, runs=tmp_path))
    assert [one.what for one in found] == ["status", "steps to loss 0.001", "final theta_0", "final loss"]
    assert [one.as_object() for one in found][:3] == [
        {"what": "status", "given": "finished", "found": "finished", "held": True},
        {"what": "steps to loss 0.001", "given": [1, 9], "found": 5, "held": True},
        {"what": "final theta_0", "given": [0, 1], "found": 2**-10, "held": True},
    ]


# ---- what may stand there ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expect", "problem"),
    [
        ({}, "expect: expects nothing: give status, steps_to or final"),
        ({"status": "divergd"}, "expect.status: got 'divergd', must be diverged or finished. Did you mean 'diverged'?"),
        ({"steps_to": {"between": [1, 2]}}, "expect.steps_to: give either loss or distance, such as"),
        ({"steps_to": {"loss": 1, "distance": 1, "between": [1, 2]}}, "expect.steps_to: give either loss or distance"),
        ({"steps_to": {"loss": 1}}, "expect.steps_to.between: missing"),
        ({"steps_to": {"loss": 1, "between": [2, 1]}}, "must be two whole numbers of at least 0, the lower one first"),
        ({"steps_to": {"loss": 1, "between": [0.5, 1]}}, "expect.steps_to.between: got [0.5, 1], must be two whole"),
        ({"steps_to": {"distance": -1, "between": [0, 1]}}, "expect.steps_to.distance: got -1, must be at least 0"),
        ({"final": {"loss": [2, 1]}}, "expect.final.loss: got [2, 1], must be two numbers, the lower one first"),
        ({"final": {"loss": [1]}}, "expect.final.loss: got [1], must be two numbers"),
        ({"final": {"loss": 1}}, "expect.final.loss: got 1, must be two numbers"),
        ({"final": {}}, "expect.final: got {}, must not be empty"),
        ({"final": 3}, "expect.final: got 3, must be a section with keys of its own"),
        (
            {"finl": {"loss": [1, 2]}},
            "expect.finl: unknown key. Allowed: status, steps_to, final. Did you mean 'final'?",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_expected_is_refused_with_its_place(expect: dict[str, Any], problem: str) -> None:
    (line,) = refusal(expect)
    assert problem in line


def test_every_mistake_is_named_at_once() -> None:
    assert len(refusal({"status": 3, "steps_to": {"loss": 1}, "final": {"loss": [2, 1]}})) == 3


def test_an_expectation_can_be_set_and_read_back() -> None:
    experiment = load(HALVING, set=["expect.final.theta_0=[0, 1]", "expect.status=finished"])
    assert experiment.resolved()["expect"] == {"status": "finished", "final": {"theta_0": [0, 1]}}
    assert load(experiment.resolved()) == experiment


def test_it_cannot_be_varied() -> None:
    with pytest.raises(ConfigError, match=r"expect\.status cannot be varied: it decides no number"):
        expand(load(HALVING), vary={"expect.status": ["finished", "diverged"]})


@pytest.mark.parametrize(
    ("experiment", "expect", "words"),
    [
        (
            HALVING,
            {"final": {"theta_1": [0, 1]}},
            "expect.final.theta_1: this run measures no 'theta_1'. Did you mean",
        ),
        (HALVING, {"final": {"status": [0, 1]}}, "expect.final.status: this run measures no 'status'"),
        (HALVING, {"final": {"\x1b[2J": [0, 1]}}, r"expect.final.\x1b[2J: this run measures no '\x1b[2J'"),
        (LINES, {"steps_to": {"distance": 1, "between": [0, 1]}}, "expect.steps_to.distance: this run measures no"),
        (
            {"objective": {"kind": "forces", "pushes": [[1]]}},
            {"steps_to": {"loss": 1, "between": [0, 1]}},
            "expect.steps_to.loss: this run measures no 'loss'",
        ),
    ],
    ids=["theta_1", "status", "escape", "distance", "loss"],
)
def test_a_column_that_is_not_measured_is_refused_before_anything_is_written(
    experiment: dict[str, Any], expect: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        momentumlab.run(experiment | {"expect": expect}, runs=tmp_path / "runs")
    assert words in str(caught.value)
    assert not (tmp_path / "runs").exists()


# ---- it decides no number ------------------------------------------------------------------------------------------


def test_the_hash_of_an_experiment_does_not_know_it() -> None:
    plain, asked = load(HALVING), load(HALVING | {"expect": {"status": "diverged"}})
    assert identity(single(plain), {}) == identity(single(asked), {})
    assert identity(expand(plain, eta="0.1,0.2"), {}) == identity(expand(asked, eta="0.1,0.2"), {})


def test_a_finished_result_is_found_and_judged_by_what_is_asked_now(type_in: Any, written: Any) -> None:
    code, _, err = type_in("run", written(HALVING), "--no-plot", "--quiet")
    assert (code, err) == (0, "")
    code, out, err = type_in("run", written(HALVING | {"expect": {"final": {"loss": [1, 2]}}}), "--no-plot")
    assert code == 1
    assert "already finished" in err
    assert "expected: final loss between 1 and 2 — got 4.76837e-07: did not hold" in out
    code, _, err = type_in("run", written(HALVING | {"expect": {"final": {"lost": [1, 2]}}}), "--no-plot")
    assert (code, "Did you mean 'loss'?" in err) == (2, True)
    assert len(list(Path("runs").iterdir())) == 1


def test_pictures_do_not_know_it(tmp_path: Path) -> None:
    plain = momentumlab.run(HALVING, runs=tmp_path / "a")
    asked = momentumlab.run(HALVING | {"expect": {"status": "diverged"}}, runs=tmp_path / "b")
    groups, notes = by_problem([plain, asked])
    assert groups == [[plain]]
    assert "the same training as" in notes[0]


def test_experiment_yaml_keeps_it(tmp_path: Path) -> None:
    expect = {"status": "finished", "final": {"loss": [0.0, 1.0]}}
    result = momentumlab.run(HALVING | {"expect": expect}, runs=tmp_path)
    assert result.experiment["expect"] == expect
    assert load(result.folder / "experiment.yaml").expect == Expect.model_validate(expect)


# ---- the command -----------------------------------------------------------------------------------------------------


def test_a_run_that_holds_exits_with_zero_and_says_so(type_in: Any, written: Any) -> None:
    expect = {"status": "finished", "steps_to": {"loss": 1e-3, "between": [4, 6]}}
    code, out, err = type_in("run", written(HALVING | {"expect": expect}), "--no-plot")
    assert code == 0
    assert out.splitlines()[-2:] == [
        "expected: status finished — got finished at step 10: held",
        "expected: steps to loss 0.001 between 4 and 6 — got 5: held",
    ]
    assert "did not hold" not in err


@pytest.mark.parametrize(
    ("experiment", "expect", "code"),
    [
        (DIVERGING, {"status": "diverged"}, 0),
        (DIVERGING, {"status": "finished"}, 1),
        (DIVERGING, {"final": {"loss": [1e12, 1e300]}}, 3),  # held, but nobody expected it to diverge
        (DIVERGING, {"status": "diverged", "final": {"loss": [0, 1]}}, 1),
        (HALVING, {"status": "diverged"}, 1),
        (HALVING, {"final": {"loss": [0, 1]}}, 0),
    ],
    ids=str,
)
def test_the_exit_code_says_whether_it_held(
    experiment: dict[str, Any], expect: dict[str, Any], code: int, type_in: Any, written: Any
) -> None:
    assert type_in("run", written(experiment | {"expect": expect}), "--no-plot")[0] == code


def test_what_did_not_hold_is_said_even_to_who_wants_errors_only(type_in: Any, written: Any) -> None:
    expect = {"status": "finished", "final": {"loss": [1, 2], "theta_0": [1, 2], "steps": [10, 10]}}
    code, out, err = type_in("run", written(HALVING | {"expect": expect}), "--no-plot", "--quiet")
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        "momentumlab: expected: final loss between 1 and 2 — got 4.76837e-07: did not hold",
        "momentumlab: expected: final theta_0 between 1 and 2 — got 0.000976562: did not hold",
    ]


def test_a_run_that_failed_says_so_first(type_in: Any, written: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from momentumlab.problems.formulas import ObjectiveProblem

    monkeypatch.setattr(ObjectiveProblem, "feed", lambda self, seeds: 1 / 0)
    expect = {"steps_to": {"loss": 1, "between": [0, 1]}, "final": {"loss": [0, 1]}}
    code, out, err = type_in("run", written(HALVING | {"expect": expect}), "--no-plot")
    assert code == 1
    assert "the run failed: ZeroDivisionError" in err
    assert "final loss between 0 and 1 — got nan: did not hold" in out


def test_json_has_every_expectation(type_in: Any, written: Any) -> None:
    file = written(HALVING | {"expect": {"final": {"loss": [1, 2]}}})
    code, out, _ = type_in("run", file, "--no-plot", "--json")
    assert code == 1
    assert json.loads(out)["expected"] == [
        {"what": "final loss", "given": [1, 2], "found": 0.5 * 4.0**-10, "held": False}
    ]
    _, out, _ = type_in("run", written(HALVING), "--no-plot", "--json")
    assert json.loads(out)["expected"] == []


def test_a_sweep_leaves_it_aside_and_says_so(type_in: Any, written: Any) -> None:
    file = written(HALVING | {"expect": {"final": {"nothing": [1, 2]}}})
    code, out, err = type_in("sweep", file, "--eta", "0.1,0.5", "--no-plot")
    assert code == 0
    assert "expected" not in out
    assert "the expect section is left aside: momentumlab run checks it" in err


def test_match_is_an_option_of_sweep(type_in: Any, written: Any) -> None:
    file = written(HALVING | {"optimizer": {"gamma": 0.75, "eta": 0.25}})
    code, out, err = type_in("sweep", file, "--gamma", "0,0.5", "--match", "effective", "--dry-run")
    assert (code, out.splitlines()) == (0, ["run\tγ\tη", "0\t0\t1", "1\t0.5\t0.5"])
    assert err == "match: the effective learning rate η/(1 − γ) is 1; η is 0.5 to 1\n"
    code, out, _ = type_in("sweep", file, "--gamma", "0,0.25", "--match", "critical", "--dry-run")
    assert (code, out.splitlines()[1:]) == (0, ["0\t0\t1", "1\t0.25\t0.25"])
    code, _, err = type_in("sweep", file, "--gamma", "0,0.5", "--eta", "0.1,0.2", "--match", "critical")
    assert code == 2
    assert "critical decides η by γ, so eta cannot be varied" in err
