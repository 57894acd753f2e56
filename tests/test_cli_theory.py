"""`momentumlab theory` as it is typed, and the line that run and sweep say before training."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest

from momentumlab import lab
from momentumlab.experiment import load
from tests.reference import case

KEYS = [
    "curvature_max", "curvature_min", "condition", "limit", "stable", "rate", "gamma_best", "eta_best", "rate_best",
    "steps",
]  # fmt: skip
QUADRATIC = "objective: {kind: quadratic, eigenvalues: [1, 100]}\n"


@pytest.fixture
def told(type_in):
    """What `theory … --json` answers."""

    def asked(*arguments):
        code, out, err = type_in("theory", *arguments, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)

    return asked


@pytest.fixture
def written(tmp_path):
    """A file with this experiment."""

    def file(text):
        (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
        return "mine.yaml"

    return file


def words(text):
    return [" ".join(line.split()) for line in text.splitlines()]


# ---- numbers ---------------------------------------------------------------------------------------------------------


def test_linear_regression_is_two_percent_of_the_way_to_its_limit(told):
    found = told("linreg")
    assert list(found)[: len(KEYS)] == KEYS
    assert found["eta_curvature"] == pytest.approx(0.02, rel=0.1)
    assert found["limit"] == pytest.approx(3.8, rel=1e-14)
    assert found["stable"] is True
    assert found["rate"] == pytest.approx(math.sqrt(0.9), rel=1e-12)
    assert found["gamma_alone"] == pytest.approx((1 - math.sqrt(0.01 * found["curvature_min"])) ** 2, rel=1e-12)
    assert found["eta_effective"] == pytest.approx(0.1, rel=1e-12)
    assert (found["quadratic"], found["noise_floor"], found["notes"]) == (True, None, [])


TUNED = case("quad-optimal-tuning")["expected"]["rows"]


@pytest.mark.parametrize("row", TUNED, ids=[f"condition {row['kappa']}" for row in TUNED])
def test_the_best_tunings_are_those_of_the_reference(row, told, written):
    file = written(f"objective: {{kind: quadratic, eigenvalues: [{row['mu']}, {row['L']}]}}\n")
    found = told(file)
    assert found["condition"] == pytest.approx(row["kappa"], rel=1e-12)
    assert found["eta_best"] == pytest.approx(row["eta_star"], rel=1e-12)
    assert found["gamma_best"] == pytest.approx(row["gamma_star"], rel=1e-12)
    assert found["rate_best"] == pytest.approx(row["rate_hb"], rel=1e-12)
    plain = told(file, "--gamma", 0)
    assert plain["eta_alone"] == pytest.approx(row["eta_gd_opt"], rel=1e-12)
    assert plain["rate_eta_alone"] == pytest.approx(row["rate_gd_opt"], rel=1e-12)


def test_booth_has_its_two_curvatures(told, written):
    found = told(written("objective: {kind: booth}\n"), "--gamma", 0.5, "--eta", 0.1)
    assert found["curvature_min"] == pytest.approx(2, rel=1e-12)
    assert found["curvature_max"] == pytest.approx(18, rel=1e-12)
    assert (found["condition"], found["limit"]) == (pytest.approx(9, rel=1e-12), 3)


def test_rosenbrock_is_looked_at_where_it_starts(told):
    found = told("rosenbrock")
    x, y = -1.2, 1.0
    hessian = np.array([[1200 * x**2 - 400 * y + 2, -400 * x], [-400 * x, 200]])
    expected = np.linalg.eigvalsh(hessian)
    # Differences of the gradient are good to eight digits of the largest.
    assert [found["curvature_min"], found["curvature_max"]] == pytest.approx(expected, rel=1e-5)
    assert found["quadratic"] is False
    assert "not a quadratic" in found["notes"][0]


def test_beyond_the_limit_is_unstable_and_just_below_is_not(told, written):
    file = written(QUADRATIC)
    beyond, below = (told(file, "--gamma", 0.9, "--eta", eta) for eta in (0.0381, 0.0379))
    assert (beyond["stable"], beyond["steps"], beyond["overshoot"]) == (False, None, None)
    assert beyond["rate"] > 1
    assert below["stable"] is True


def test_noise_leaves_the_floor_of_its_formula(told, written):
    found = told(written("objective: {kind: quadratic, eigenvalues: [2, 2], noise: 0.5}\n"), "--eta", 0.1)
    variance = 0.1 * 0.25 * 1.9 / (2 * 0.1 * (2 * 1.9 - 0.2))
    assert found["noise_floor"] == pytest.approx(2 * variance, rel=1e-12)  # ½·λ·Var θ, twice
    assert found["noise_distance"] == pytest.approx(math.sqrt(2 * variance), rel=1e-12)


# ---- where it does not reach -----------------------------------------------------------------------------------------

BEYOND = {
    "forces": ("objective: {kind: forces, pushes: [[1, 0]]}\n", "no landscape", None),
    "signum": (QUADRATIC + "optimizer: {kind: signum}\n", "does not reach signum", 100),
    "lion": (QUADRATIC + "optimizer: {kind: lion}\n", "does not reach lion", 100),
    "schedule": (QUADRATIC + "optimizer: {eta: {schedule: linear, value: 0.01, end: 0}}\n", "first update", 100),
    "saddle": ("objective: {kind: saddle}\n", "bends down", 2),
    "flat": ("objective: {kind: plateau, start: [0.5]}\n", "flat ground", None),
}


@pytest.mark.parametrize(("text", "note", "largest"), BEYOND.values(), ids=BEYOND)
def test_where_theory_does_not_reach_it_says_why(text, note, largest, told, type_in, written):
    file = written(text)
    found = told(file)
    assert any(note in line for line in found["notes"])
    assert found["curvature_max"] == (None if largest is None else pytest.approx(largest))
    code, out, err = type_in("theory", file)
    assert (code, err) == (0, "")
    assert f"! {found['notes'][0]}" in out.splitlines()


def test_a_model_is_looked_at_by_lanczos_and_its_minibatches_are_named(told):
    found = told("moons", "--set", "model.hidden=[2]")
    assert found["eigenvalues"] is None
    assert any("Lanczos" in note for note in found["notes"])
    small = told("linreg", "--set", "train.batch_size=10")
    assert any("minibatches of 10" in note for note in small["notes"])


@pytest.mark.parametrize(
    "section", ["eigenvalues: [1.0e-300, 1.0e+300]", "eigenvalues: [1.0e-320, 1]", "eigenvalues: [1.0e+308]"]
)
@pytest.mark.parametrize("eta", ["1e-300", "1", "1e300"])
def test_extreme_numbers_are_answered(section, eta, told, written):
    found = told(written(f"objective: {{kind: quadratic, {section}}}\n"), "--eta", eta)
    assert set(KEYS) <= set(found)


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (("nowhere",), "nowhere"),
        (("linreg", "--gamma", "1.2"), "must be in [0, 1)"),
        (("linreg", "--gamma", "0,0.9"), "theory takes one value"),
        (("linreg", "--set", "train.epoch=3"), "did you mean"),
        ((), "CONFIG"),
    ],
)
def test_wrong_use_is_answered_in_words_with_exit_code_2(arguments, answer, type_in):
    code, out, err = type_in("theory", *arguments)
    assert (code, out) == (2, "")
    assert answer.lower() in err.lower()


# ---- in words, and before a run --------------------------------------------------------------------------------------


def test_the_table_names_each_symbol_with_its_meaning(type_in):
    code, out, err = type_in("theory", "linreg")
    assert (code, err) == (0, "")
    assert words(out)[0] == "linreg: momentum, γ = 0.9, η = 0.01"
    assert "limit 3.8 the rule's own, of ηλ: 2(1 + γ)" in words(out)
    assert "stable yes every direction comes to rest" in words(out)


def test_run_says_in_one_line_what_is_to_be_expected(type_in):
    _, _, err = type_in("run", "linreg", "--no-plot")
    (line,) = (line for line in err.splitlines() if "theory" in line)
    assert line.startswith("theory: ηλ_max = 0.02141, limit 3.8: stable; rate 0.9487")
    _, _, err = type_in("run", "linreg", "--no-plot", "--eta", "2", "--quiet")
    assert "theory" not in err
    _, _, err = type_in("run", "linreg", "--no-plot", "--eta", "2", "--fresh")
    assert "warning: theory: ηλ_max = 4.282, limit 3.8: unstable" in err


def test_sweep_says_how_many_are_unstable_and_where_the_edge_is(type_in):
    code, _, err = type_in("sweep", "--no-plot", "--gamma", "0,0.9", "--eta", "0.1,1,2", "--set", "train.epochs=2")
    assert code == 0
    assert "warning: theory: 3 of 6 runs are predicted unstable; the edge is at η = 0.9342 to 1.775" in err


def test_a_run_that_theory_does_not_reach_says_nothing_before(type_in, written):
    file = written(QUADRATIC + "train: {steps: 2}\noptimizer: {kind: lion}\n")
    _, _, err = type_in("run", file, "--no-plot")
    assert "theory" not in err


def test_python_may_ask_too():
    assert lab.foresee(load("linreg", gamma=0.5)).prediction.limit == 3


def test_every_key_is_explained(told, repository):
    page = (repository / "docs" / "theory.md").read_text(encoding="utf-8")
    assert not [key for key in told("linreg") if f"`{key}`" not in page]


def test_the_line_before_an_objective_is_trained_needs_no_torch():
    script = (
        "import sys; from momentumlab import lab; from momentumlab.experiment import load, single\n"
        "from momentumlab.engine.plan import groups; from momentumlab.foresight import line\n"
        "assert line(groups(single(load('ravine')))); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
