"""The audit of a result: nothing is found in a sound one, and whatever was altered is found and named."""

import json

import numpy as np
import pytest

import momentumlab
from momentumlab.audit.result import examine_result
from momentumlab.errors import ResultError
from momentumlab.results.manifest import manifest_text
from momentumlab.results.reader import damages
from tests.audit.altered import (
    PROBLEMS,
    QUADRATIC,
    SECTIONS,
    STEP,
    TAKEN,
    TAKEN_OF_A_MODEL,
    alter,
    another_digit,
    repaired,
    trained,
)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_in_a_sound_result_nothing_is_found_and_everything_is_checked(problem, dtype, runs):
    folder = trained(runs, PROBLEMS[problem], {}, {"vectors": True}, dtype, vary={"optimizer": SECTIONS})
    report = examine_result(folder)
    assert report.defects == []
    assert report.unchecked == ((TAKEN if "objective" in PROBLEMS[problem] else TAKEN_OF_A_MODEL),)
    assert report.checked[0] == "5 files are as they were written (SHA-256)"
    rows = len(momentumlab.load(folder).metrics["run"])
    updates = [int(line.split()[0]) for line in report.checked if " updates of " in line]
    assert sum(updates) == rows - len(SECTIONS)
    assert report.checked[-2].startswith(f"{rows} rows: step, ")
    assert report.checked[-1] == f"{len(SECTIONS)} runs: runs.csv and parameters.npz, by the experiment and metrics.csv"


def test_a_run_that_has_diverged_follows_its_rule_to_the_end(runs):
    folder = trained(runs, eta=[0.05, 5.0, 1e200])
    assert set(momentumlab.load(folder).runs["status"][1:]) == {"diverged"}
    assert examine_result(folder).defects == []


@pytest.mark.parametrize("section", [{"gamma": 0.5}, {"form": "torch", "gamma": 0.5}, {"kind": "qhm", "gamma": 0.5}])
def test_numbers_that_are_too_small_to_square_or_to_be_exact_are_no_defect(section, runs):
    problem = {"objective": {"kind": "quadratic", "eigenvalues": [1.0, 1.5]}, "train": {"steps": 2300}}
    folder = trained(runs, problem, section | {"eta": 0.5})
    smallest = np.abs(momentumlab.load(folder).metrics["theta_1"])
    assert 0 <= smallest[-1] < 1e-307
    assert examine_result(folder).defects == []


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["rosenbrock", "beale", "monkey_saddle"])
def test_numbers_beyond_all_bounds_are_no_defect(kind, dtype, runs):
    problem = {"objective": {"kind": kind}, "train": {"steps": 5}}
    folder = trained(runs, problem, dtype=dtype, eta=[1e10, 1e25, 1e36])
    assert "diverged" in momentumlab.load(folder).runs["status"]
    assert examine_result(folder).defects == []


# ---- altered bytes ---------------------------------------------------------------------------------------------------

FILES = ["experiment.yaml", "manifest.json", "metrics.csv", "parameters.npz", "runs.csv"]


def noticed(file):
    """Whether the audit names the file."""
    if file.name != "manifest.json":
        return any(file.name in damage for damage in damages(file.parent))  # which is where the audit begins
    return any(file.name in damage for damage in examine_result(file.parent).damages)


@pytest.mark.parametrize("third", range(3))
@pytest.mark.parametrize("name", FILES)
def test_every_single_altered_byte_is_noticed(name, third, runs):
    problem = {"objective": {"kind": "quadratic", "eigenvalues": [1]}, "train": {"steps": 1}}
    file = trained(runs, problem) / name
    assert examine_result(file.parent).defects == []
    data, unnoticed = file.read_bytes(), []
    for place in range(third, len(data), 3):
        altered = bytearray(data)
        altered[place] ^= 1 << place % 8
        file.write_bytes(altered)
        if not noticed(file):
            unnoticed.append((place, data[place : place + 1]))
    assert unnoticed == []


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("change", ["cut", "longer", "empty", "gone"])
def test_a_file_that_was_cut_or_lost_is_noticed(name, change, runs):
    file = trained(runs) / name
    data = file.read_bytes()
    file.write_bytes({"cut": data[:-1], "longer": data + b"\n", "empty": b"", "gone": b""}[change])
    if change == "gone":
        file.unlink()
    report = examine_result(file.parent)
    assert any(name in damage for damage in report.damages)
    assert change != "gone" or len(report.defects) == 1  # a file that is not there is told once


def without(folder, *names):
    """Take keys out of the manifest, and its own checksum."""
    manifest = json.loads((folder / "manifest.json").read_text())
    kept = {name: value for name, value in manifest.items() if name not in (*names, "checksum")}
    (folder / "manifest.json").write_text(json.dumps(kept, indent=2) + "\n")
    return kept


def test_of_a_manifest_without_a_checksum_it_is_said_that_it_was_not_checked(runs):
    folder = trained(runs)
    without(folder)
    report = examine_result(folder)
    assert report.defects == []
    assert report.unchecked[0] == "manifest.json: it has no checksum of its own"
    assert report.checked[0] == "4 files are as they were written (SHA-256)"


@pytest.mark.parametrize("files", [None, {}, [], 3, "missing one"])
def test_a_finished_result_names_the_checksums_of_its_files(files, runs):
    folder = trained(runs)
    kept = without(folder, "files")
    if files is not None:
        whole = {name: "" for name in FILES if name not in ("manifest.json", "metrics.csv")}
        (folder / "manifest.json").write_text(manifest_text(kept | {"files": whole if files else files}))
    report = examine_result(folder)
    assert [defect for defect in report.defects if "manifest.json: has no checksums of" in defect] != []
    with pytest.raises(ResultError, match="has no checksums"):
        momentumlab.load(folder)


# ---- what cannot be checked is said ----------------------------------------------------------------------------------

UNCHECKED = [
    ({"record": {"every": 5}}, "1 run: rows are up to 5 steps apart, and only neighbours can be checked"),
    ({"record": {"vectors": False}}, "1 run: θ, ∇J and v were not recorded"),
    ({"optimizer": {"kind": "Adam"}}, "1 run: Adam is torch's own: momentumlab check torch.optim.Adam examines it"),
    (
        {"optimizer": {"kind": "ema", "eta": {"schedule": "cosine", "value": 0.1, "steps": 6}}},
        "1 run: what is remembered after an update with η = 0 is not known",
    ),
    ({"vary": {"optimizer": [{"kind": "Adam"}, {"kind": "Adam", "eta": 0.1}, {}]}}, "2 runs: Adam is torch's own"),
]


@pytest.mark.parametrize(("settings", "says"), UNCHECKED, ids=lambda given: given if isinstance(given, str) else "")
def test_what_could_not_be_checked_is_said(settings, says, runs):
    report = examine_result(trained(runs, **settings))
    assert report.defects == []
    assert [line for line in report.unchecked if line.startswith(says)] != []
    assert report.unchecked[-1] == TAKEN


def test_of_aggmo_the_step_is_checked_and_its_velocities_are_not(runs):
    folder = trained(runs, optimizer={"kind": "aggmo"})
    assert "aggmo, whose 3 velocities are not recorded one by one" in examine_result(folder).checked[1]
    alter(folder, 5, "theta_0", another_digit)
    assert examine_result(folder).deviation.column == "theta_0"


def test_a_rule_file_is_checked_only_where_its_code_may_run(runs, tmp_path):
    rule = tmp_path / "mine.py"
    rule.write_text(
        "def update(theta, gradient, memory, gamma, eta, shares=(0.5, 0.5), word='both'):\n"
        "    memory = gamma * memory + eta * (shares[0] + shares[1]) * gradient\n    return theta - memory, memory\n"
    )
    experiment = {**QUADRATIC, "optimizer": {"kind": "file", "path": str(rule), "restart": "gradient", "eta": STEP}}
    vary = {"optimizer.arguments.shares": [[0.5, 0.5], [0.25, 0.75], [1.0, 1.0]]}
    folder = momentumlab.sweep(experiment, vary=vary, runs=runs, allow_code=[str(rule)]).folder
    report = examine_result(folder)
    assert report.unchecked[0] == (
        f"3 runs: mine.py holds code, which runs only if you say so: add --allow-code {rule}"
    )
    assert (report.defects, report.recurrence) == ([], None)
    report = examine_result(folder, [str(rule)])
    assert (report.defects, report.unchecked, report.recurrence) == ([], (TAKEN,), "mine.py")
    assert report.checked[1] == "36 updates of 3 runs: θ and v follow mine.py"
    alter(folder, 20, "velocity_0", another_digit)
    assert (examine_result(folder, [str(rule)]).deviation.row, report.deviation) == (20, None)


@pytest.mark.parametrize("change", ["edited", "removed", "a folder", "no checksum"])
def test_a_rule_file_that_is_not_the_one_of_the_training_is_not_asked(change, runs, tmp_path):
    rule = tmp_path / "mine.py"
    rule.write_text("def update(theta, gradient, memory, gamma, eta):\n    return theta - eta * gradient, memory\n")
    own = {"kind": "file", "path": str(rule)}
    vary = {"optimizer": [own, {"kind": "momentum"}]}
    folder = momentumlab.sweep(QUADRATIC, vary=vary, runs=runs, allow_code=[str(rule)]).folder
    if change == "edited":
        rule.write_text("raise SystemExit('this must not run')\n")
    elif change == "no checksum":
        without(folder, "data")
    else:
        rule.unlink()
        if change == "a folder":
            rule.mkdir()
    for allowed in ((), [str(rule)]):
        report = examine_result(folder, allowed)
        assert report.defects == []
        (said,) = (line for line in report.unchecked if "mine.py" in line)
        assert said.startswith("1 run: mine.py is not what was trained (")
        assert "12 updates of 1 run: θ and v follow momentum, classical form" in report.checked


def test_a_rule_file_that_fails_in_the_audit_leaves_the_rest_to_be_checked(runs, tmp_path):
    rule = tmp_path / "mine.py"
    rule.write_text(
        "def update(theta, gradient, memory, gamma, eta):\n    assert len(theta) < 8, 'few runs, please'\n"
        "    return theta - eta * gradient, memory\n"
    )
    vary = {"optimizer": [{"kind": "file", "path": str(rule)}, {"kind": "momentum"}]}
    folder = momentumlab.sweep(QUADRATIC, vary=vary, runs=runs, allow_code=[str(rule)]).folder
    report = examine_result(folder, [str(rule)])
    assert report.defects == []
    assert f"1 run: {rule}:2: AssertionError: few runs, please" in report.unchecked
    assert "12 updates of 1 run: θ and v follow momentum, classical form" in report.checked


def test_an_unfinished_result_is_checked_as_far_as_it_has_come(runs):
    folder = trained(runs)
    manifest = json.loads((folder / "manifest.json").read_text())
    kept = {name: value for name, value in manifest.items() if name not in ("files", "ended", "checksum")}
    (folder / "manifest.json").write_text(manifest_text(kept | {"state": "running"}))
    table = (folder / "runs.csv").read_text()
    (folder / "runs.csv").write_text(table.replace("finished,,12,", "interrupted,not trained yet,0,"))
    lines = (folder / "metrics.csv").read_text().splitlines(keepends=True)
    (folder / "metrics.csv").write_text("".join(lines[:7]) + lines[7][:20])  # a last line is being written
    report = examine_result(folder)
    assert report.defects == []
    assert report.checked[0] == "5 updates of 1 run: θ and v follow momentum, classical form"
    assert report.checked[-1] == "1 run: runs.csv, by the experiment and metrics.csv"
    assert report.unchecked[0] == "the files: they have no checksums before the result is finished"
    (folder / "metrics.csv").write_text(lines[0])
    report = examine_result(folder)
    assert (report.defects, report.checked[0][:7]) == ([], "0 rows:")
    assert "1 run: no update was recorded" in report.unchecked


# ---- damaged beyond reading ------------------------------------------------------------------------------------------

DAMAGED = [
    ("metrics.csv", "gradient_norm", "gradiant_norm", "the columns gradient_norm are missing"),
    ("metrics.csv", ",theta_0,theta_1", ",theta_0,theta_9", "theta_1, theta_2"),
    ("metrics.csv", "run,step", "run,stop", "the columns step are missing"),
    ("metrics.csv", "\n0,3,", "\n0,x,", "metrics.csv:5: 'x' is not a number"),
    ("metrics.csv", "\n0,3,", "\n0,nan,", "metrics.csv:5: step: got 'nan', must be a whole number"),
    ("metrics.csv", "\n0,3,", "\n0.5,3,", "metrics.csv:5: run: got '0.5', must be a whole number"),
    ("metrics.csv", ",cosine,", ",sine,", "the columns cosine are missing"),
    ("metrics.csv", ",distance,", ",instance,", "the columns distance are missing"),
    ("runs.csv", ",gamma,", ",gemma,", "the columns gamma are missing"),
    ("runs.csv", "\n0,", "\n1,0,0.1,0,finished,,3,1,1,1,1,1\n0,", "runs.csv: 2 rows, expected 1"),
    ("metrics.csv", "\n0,3,", "\n0,3,3,", "metrics.csv:5: 16 fields, expected 15"),
    ("runs.csv", "\n0,", "\n0,0,", "runs.csv:2: 13 fields, expected 12"),
    ("experiment.yaml", "kind: momentum", "kind: momentun", "experiment.yaml:10:9: optimizer.kind: got 'momentun'"),
    ("experiment.yaml", "seed: 0", "seed: [", "experiment.yaml:"),
]  # fmt: skip


@pytest.mark.parametrize("repair", [False, True])
@pytest.mark.parametrize(("name", "old", "new", "says"), DAMAGED)
def test_a_file_that_cannot_be_read_is_a_defect_in_words(name, old, new, says, repair, runs):
    folder = trained(runs)
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1))
    if repair:
        repaired(folder)
    report = examine_result(folder)
    altered = f"{name}: not as it was written (its checksum differs)"
    assert [damage.endswith(altered) for damage in report.damages] == ([False] if repair else [True, False])
    assert says in report.damages[-1]
    assert (report.checked, report.deviation, report.as_object()["column"]) == ((), None, None)
