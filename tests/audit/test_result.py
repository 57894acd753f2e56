"""The audit of a result: nothing is found in a sound one, and whatever was altered is found and named."""

import csv
import hashlib
import io
import json
import shutil

import numpy as np
import pytest

import momentumlab
from momentumlab.audit.result import examine_result
from momentumlab.errors import ResultError
from momentumlab.results.manifest import manifest_text
from momentumlab.results.reader import damages

QUADRATIC = {"objective": {"kind": "quadratic", "eigenvalues": [1, 25]}, "train": {"steps": 12}}
PROBLEMS = {
    "quadratic": QUADRATIC,
    "noisy booth": {"objective": {"kind": "booth", "noise": 0.5}, "train": {"steps": 12}},
    "linear": {"data": {"kind": "line", "samples": 12}, "model": {"kind": "linear"},
               "train": {"epochs": 4, "batch_size": 4}},
    "mlp": {"data": {"kind": "moons", "samples": 12}, "model": {"kind": "mlp", "hidden": [2]}, "train": {"epochs": 12}},
}  # fmt: skip
STEP = {"schedule": "step", "value": 0.02, "factor": 0.5, "at": [5]}
CYCLE = {"schedule": "one_cycle", "value": 0.03}
CORRECTED = {"momentum_correction": True}
SECTIONS = [
    {"kind": "sgd"},
    {"eta": STEP},
    {"form": "torch", "eta": CYCLE, "gamma": {"schedule": "demon"}},
    {"kind": "nesterov", "eta": STEP} | CORRECTED,
    {"kind": "nesterov", "form": "torch", "eta": STEP, "restart": "gradient", "gamma": 0.99},
    {"kind": "ema", "eta": CYCLE, "clip": 0.5},
    {"kind": "qhm", "restart": "function", "gamma": 0.99, "nu": 0.9, "eta": 1.0},
    {"kind": "aggmo", "eta": STEP, "weight_decay": 0.3, "decoupled": True},
    {"kind": "signum", "weight_decay": 0.5},
    {"kind": "lion", "weight_decay": 0.5, "eta": CYCLE},
    {"dampening": 0.3, "weight_decay": 0.1, "clip": 1.0, "restart": "function", "eta": STEP} | CORRECTED,
    {"form": "torch", "dampening": 0.3, "weight_decay": 0.1, "decoupled": True, "restart": "gradient"},
    *({"kind": kind, "form": "torch", "backend": "torch"} for kind in ("sgd", "momentum", "nesterov")),
    {"backend": "torch", "weight_decay": 0.1, "dampening": 0.5, "clip": 1.0},
]  # fmt: skip
TAKEN = "losses and gradients are taken as they were recorded"


def trained(runs, problem=QUADRATIC, optimizer=None, record=None, dtype="float64", **axes):
    """The folder of a result; with `axes` that of a sweep."""
    verb = momentumlab.sweep if axes else momentumlab.run
    train = problem["train"] | {"dtype": dtype}
    experiment = {**problem, "optimizer": optimizer or {}, "record": record or {}, "train": train}
    return verb(experiment, **axes, runs=runs).folder


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_in_a_sound_result_nothing_is_found_and_everything_is_checked(problem, dtype, runs):
    folder = trained(runs, PROBLEMS[problem], {}, {"vectors": True}, dtype, vary={"optimizer": SECTIONS})
    report = examine_result(folder)
    assert report.defects == []
    assert report.unchecked == (TAKEN,)
    assert report.checked[0] == "5 files are as they were written (SHA-256)"
    updates = len(momentumlab.load(folder).metrics["run"]) - len(SECTIONS)
    assert sum(int(line.split()[0]) for line in report.checked[1:]) == updates


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
    """Whether the audit names the file, in its report or because nothing can be read of it."""
    if file.name != "manifest.json":
        return any(file.name in damage for damage in damages(file.parent))  # which is where the audit begins
    try:
        return any(file.name in damage for damage in examine_result(file.parent).damages)
    except ResultError as error:
        return file.name == "manifest.json" and file.name in str(error)


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
    if name == "manifest.json" and change in ("empty", "gone"):
        with pytest.raises(ResultError, match=r"manifest\.json"):
            examine_result(file.parent)
    else:
        assert any(name in damage for damage in examine_result(file.parent).damages)


def test_a_manifest_of_before_it_had_a_checksum_is_no_defect(runs):
    file = trained(runs) / "manifest.json"
    manifest = json.loads(file.read_text())
    del manifest["checksum"]
    file.write_text(json.dumps(manifest, indent=2) + "\n")
    assert examine_result(file.parent).defects == []


# ---- altered numbers with all checksums repaired ---------------------------------------------------------------------


def repaired(folder):
    """Write the manifest anew, as somebody would who wants an altered result to pass."""
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["checksum"]
    manifest["files"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in manifest["files"]}
    (folder / "manifest.json").write_text(manifest_text(manifest))


def alter(folder, row, column, change):
    """Change one cell of metrics.csv, by its row from 0, and repair the checksums."""
    table = list(csv.reader(io.StringIO((folder / "metrics.csv").read_text())))
    cells, index = table[row + 1], table[0].index(column)
    cells[index] = change(cells[index])
    (folder / "metrics.csv").write_text("".join(",".join(line) + "\n" for line in table))
    repaired(folder)


def another_digit(text):
    """The fourth digit of a number changed, or its last one, if it has fewer."""
    head, *exponent = text.split("e")
    digits = [place for place, sign in enumerate(head) if sign.isdigit()]
    place = digits[min(3, len(digits) - 1)]
    return "e".join([head[:place] + str((int(head[place]) + 5) % 10) + head[place + 1 :], *exponent])


COLUMNS = ["gradient_norm", "velocity_norm", "gamma", "eta",
           *(f"{vector}_{index}" for vector in ("theta", "velocity", "gradient") for index in (0, 1))]  # fmt: skip


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A result of runs 0 and 1, thirteen rows each, in the order of the steps."""
    return trained(tmp_path_factory.mktemp("swept"), optimizer={"eta": STEP}, gamma=[0.5, 0.9])


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize(("row", "run", "step"), [(0, 0, 0), (1, 1, 0), (11, 1, 5), (24, 0, 12), (25, 1, 12)])
def test_an_altered_digit_is_named_with_row_run_step_and_column(column, row, run, step, swept, tmp_path):
    folder = shutil.copytree(swept, tmp_path / "result")
    before = momentumlab.load(swept).metrics[column][row]
    alter(folder, row, column, another_digit)
    report = examine_result(folder)
    first = report.deviation
    assert report.damages == ()
    assert (first.run, first.row) <= (run, row) or first.row <= row + 2  # the update after it may come out otherwise
    # A vector is first seen by its length, which stands in the same row.
    named = {column, f"{column.rpartition('_')[0]}_norm", f"{column.removesuffix('_norm')}_norm"}
    if not column.startswith("theta") or row > 1:
        assert first.column in named
        assert (first.row, first.run, first.step) == (row, run, step)
    else:  # the start is taken as it is: the first update shows it
        assert (first.row, first.run, first.step, first.column) == (row + 2, run, 1, column)
    if first.column == column and row > 1 and column != "gradient_norm":
        assert first.expected == pytest.approx(before, rel=1e-12)
    assert str(first) in report.lines()[-1]
    assert report.as_object()["step"] == step or column.startswith("theta")
    assert f"metrics.csv:{first.row + 2}: run {run}, step {first.step}: {first.column} is {first.got!r}" in str(first)


@pytest.mark.parametrize("section", [one for one in SECTIONS if one.get("kind") != "aggmo"], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_wrong_step_is_seen_under_every_rule_and_option(section, dtype, runs):
    folder = trained(runs, QUADRATIC, section, None, dtype)
    alter(folder, 7, "theta_1", lambda text: repr(float(text) + 0.01))
    first = examine_result(folder).deviation
    assert (first.row, first.run, first.step, first.column) == (7, 0, 7, "theta_1")


def test_a_result_with_another_label_than_its_rule_is_found_out(runs):
    folder = trained(runs, optimizer={"kind": "nesterov"})
    text = (folder / "experiment.yaml").read_text()
    (folder / "experiment.yaml").write_text(text.replace("kind: nesterov", "kind: momentum"))
    repaired(folder)
    report = examine_result(folder)
    assert (report.deviation.step, report.deviation.column) == (1, "theta_0")


def test_a_wrong_eta_is_found_even_where_no_vector_was_recorded(runs):
    folder = trained(runs, optimizer={"eta": STEP}, record={"vectors": False, "every": 5})
    alter(folder, 2, "eta", lambda text: "0.02")
    assert str(examine_result(folder).deviation).endswith(
        "run 0, step 10: eta is 0.02, and the other numbers give 0.01"
    )


@pytest.mark.parametrize("column", ["theta_0", "velocity_1", "gradient_0", "velocity_norm", "eta"])
@pytest.mark.parametrize("cell", ["nan", "inf", "-inf"])
def test_what_is_no_number_is_not_near_to_one(column, cell, swept, tmp_path):
    folder = shutil.copytree(swept, tmp_path / "result")
    alter(folder, 11, column, lambda text: cell)
    assert examine_result(folder).deviation.row in (11, 13)  # a gradient that is none shows in the update from it


def test_of_several_deviations_the_first_row_is_named(swept, tmp_path):
    folder = shutil.copytree(swept, tmp_path / "result")
    for row, column in ((20, "theta_0"), (9, "eta"), (14, "velocity_1")):
        alter(folder, row, column, another_digit)
    assert (examine_result(folder).deviation.row, examine_result(folder).deviation.column) == (9, "eta")


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
    assert (report.defects, len(report.checked)) == ([], 1)
    report = examine_result(folder, [str(rule)])
    assert (report.defects, report.unchecked) == ([], (TAKEN,))
    assert report.checked[1].startswith("36 updates of 3 runs")
    alter(folder, 20, "velocity_0", another_digit)
    assert examine_result(folder, [str(rule)]).deviation.row == 20
    rule.write_text(rule.read_text().replace("theta - memory", "theta + memory"))
    assert examine_result(folder, [str(rule)]).deviation.column == "theta_0"


def test_an_unfinished_result_is_checked_as_far_as_it_has_come(runs):
    folder = trained(runs)
    manifest = json.loads((folder / "manifest.json").read_text())
    kept = {name: value for name, value in manifest.items() if name not in ("files", "ended", "checksum")}
    (folder / "manifest.json").write_text(manifest_text(kept | {"state": "running"}))
    lines = (folder / "metrics.csv").read_text().splitlines(keepends=True)
    (folder / "metrics.csv").write_text("".join(lines[:7]) + lines[7][:20])  # a last line is being written
    report = examine_result(folder)
    assert report.defects == []
    assert report.checked == ("5 updates of 1 run: θ and v follow momentum, classical form",)
    assert report.unchecked[0] == "the files: they have no checksums before the result is finished"
    (folder / "metrics.csv").write_text(lines[0])
    report = examine_result(folder)
    assert (report.defects, report.checked) == ([], ())
    assert "1 run: no update was recorded" in report.unchecked


# ---- damaged beyond reading ------------------------------------------------------------------------------------------

DAMAGED = [
    ("metrics.csv", "gradient_norm", "gradiant_norm", "the columns gradient_norm are missing"),
    ("metrics.csv", ",theta_0,theta_1", ",theta_0,theta_9", "theta_1, theta_2"),
    ("metrics.csv", "run,step", "run,stop", "the columns step are missing"),
    ("metrics.csv", "\n0,3,", "\n0,x,", "metrics.csv:5: 'x' is not a number"),
    ("metrics.csv", "\n0,3,", "\n0,3,3,", "metrics.csv:5: 16 fields, expected 15"),
    ("runs.csv", "\n0,", "\n0,0,", "runs.csv:2: 11 fields, expected 10"),
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
        with pytest.raises(ResultError) as refusal:
            examine_result(folder)
        assert says in str(refusal.value)
    else:
        report = examine_result(folder)
        assert report.damages[0].endswith(f"{name}: not as it was written (its checksum differs)")
        assert says in report.damages[1]
        assert (report.checked, report.deviation, report.as_object()["column"]) == ((), None, None)
