"""The audit of a result of which somebody altered numbers and repaired the checksums: each is found and named."""

import csv
import io
import shutil

import numpy as np
import pytest

import momentumlab
from momentumlab.audit.result import examine_result
from momentumlab.audit.tables import DIVERGED
from momentumlab.engine.loop import TOO_FAR
from tests.audit.altered import PROBLEMS, QUADRATIC, SECTIONS, STEP, alter, another_digit, repaired, trained

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
    assert (first.row, first.run, first.step) == (row, run, step)
    if column.startswith("gradient_") or row < 2:  # by lengths and distances: which of their numbers is wrong is open
        assert first.column in {column, f"{column.rpartition('_')[0]}_norm", "distance", "velocity_norm"}
    else:
        assert first.column == column
    if first.column == column and row > 1 and column != "gradient_norm":
        assert first.expected == pytest.approx(before, rel=1e-12)
    assert str(first) in report.lines()[-1]
    assert report.as_object()["step"] == step
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


@pytest.mark.parametrize("cell", ["nan", "inf"])
@pytest.mark.parametrize("column", ["velocity_0", "velocity_1", "theta_1", "gradient_0", "velocity_norm", "cosine"])
@pytest.mark.parametrize("row", [10, 25])
def test_what_is_no_number_is_named_itself(column, cell, row, swept, tmp_path):
    folder = shutil.copytree(swept, tmp_path / "result")
    before = momentumlab.load(swept).metrics[column][row]
    alter(folder, row, column, lambda text: cell)
    first = examine_result(folder).deviation
    assert (first.row, first.column, repr(first.got)) == (row, column, cell)
    assert first.expected == ("a finite number" if column == "gradient_0" else pytest.approx(before, rel=1e-12))


def test_of_a_row_what_was_wrong_first_is_named(swept, tmp_path):
    folder = shutil.copytree(swept, tmp_path / "result")
    for column in ("theta_0", "theta_1", "velocity_1"):
        alter(folder, 11, column, another_digit)
    assert examine_result(folder).deviation.column == "velocity_1"


CELLS = [
    ("run", "7", "run 7, step 5: run is 7, and the other numbers give one of 0 to 1"),
    ("run", "-1", "run -1, step 5: run is -1, and the other numbers give one of 0 to 1"),
    ("run", "0", "run 0, step 5: "),
    ("step", "6", "run 1, step 6: step is 6, and the other numbers give 5"),
    ("step", "-5", "run 1, step 6: step is 6, and the other numbers give 5"),
    ("step", "1000000", "run 1, step 1000000: step is 1000000, and the other numbers give 5"),
    ("cosine", "0.5", "run 1, step 5: cosine is 0.5, and the other numbers give "),
    ("distance", "0.5", "run 1, step 5: distance is 0.5, and the other numbers give "),
    ("distance", "nan", "run 1, step 5: distance is nan, and the other numbers give "),
]  # fmt: skip


@pytest.mark.parametrize(("column", "cell", "says"), CELLS)
def test_a_cell_that_follows_from_others_is_compared(column, cell, says, swept, tmp_path):
    folder = shutil.copytree(swept, tmp_path / "result")
    alter(folder, 11, column, lambda text: cell)
    (defect,) = examine_result(folder).defects
    assert says in defect


@pytest.mark.parametrize("row", [1, 7, 16])
def test_an_altered_epoch_is_named(row, runs):
    folder = trained(runs, PROBLEMS["linear"], eta=[0.1, 0.2])
    before = momentumlab.load(folder).metrics["epoch"][row]
    alter(folder, row, "epoch", lambda text: "0.3")
    first = examine_result(folder).deviation
    assert (first.row, first.column, first.expected) == (row, "epoch", pytest.approx(before, abs=0))


OUTCOMES = [
    ("runs.csv", "gamma", "0.6", 0.5), ("runs.csv", "eta", "0.03", 0.02), ("runs.csv", "seed", "3", 0),
    ("runs.csv", "run", "1", 0), ("runs.csv", "status", "diverged", "finished"),
    ("runs.csv", "status", "interrupted", "finished"), ("runs.csv", "status", "failed", "finished"),
    ("runs.csv", "steps", "11", 12), ("runs.csv", "loss_first", "1.5", None), ("runs.csv", "loss_last", "nan", None),
    ("runs.csv", "loss_best", "0", None), ("runs.csv", "loss_best", "1e9", None),
]  # fmt: skip


@pytest.mark.parametrize(("file", "column", "cell", "expected"), OUTCOMES)
def test_the_table_of_runs_says_what_the_experiment_and_the_metrics_say(file, column, cell, expected, swept, tmp_path):
    folder = shutil.copytree(swept, tmp_path / "result")
    table = list(csv.reader(io.StringIO((folder / file).read_text())))
    before = table[1][table[0].index(column)]
    table[1][table[0].index(column)] = cell
    (folder / file).write_text("".join(",".join(line) + "\n" for line in table))
    repaired(folder)
    report = examine_result(folder)
    (defect,) = report.defects
    assert f"runs.csv:2: run 0: {column} is " in defect
    said = report.as_object()
    assert [said[name] for name in ("file", "run", "step", "column")] == ["runs.csv", 0, None, column]
    assert said["expected"] == (float(before) if expected is None else expected)


@pytest.mark.parametrize(("row", "shown"), [(0, "loss_first"), (24, "loss_last"), (10, "loss_best")])
def test_a_loss_in_the_metrics_that_the_table_of_runs_does_not_know_is_found(row, shown, swept, tmp_path):
    folder = shutil.copytree(swept, tmp_path / "result")
    alter(folder, row, "loss", lambda text: "1e-9")
    found = examine_result(folder).deviation
    assert (found.file, found.run, found.column) == ("runs.csv", 0, shown)


def test_evaluations_are_the_last_that_were_made(runs):
    folder = trained(runs, PROBLEMS["mlp"], eta=[0.1, 0.2])
    metrics = momentumlab.load(folder).metrics
    last = int(np.flatnonzero(~np.isnan(metrics["train_accuracy"]))[-1])
    alter(folder, last, "train_accuracy", lambda text: "0.125")
    found = examine_result(folder).deviation
    assert (found.file, found.run, found.column, found.expected) == ("runs.csv", 1, "train_accuracy", 0.125)


@pytest.mark.parametrize("change", ["another number", "another shape", "no archive", "text"])
def test_the_final_parameters_are_the_last_that_were_recorded(change, swept, tmp_path):
    folder = shutil.copytree(swept, tmp_path / "result")
    with np.load(folder / "parameters.npz") as file:
        arrays = dict(file)
    if change == "another number":
        arrays["parameters"][1, 0] += 1e-9
    elif change == "another shape":
        arrays["parameters"] = arrays["parameters"][:1]
    np.savez(folder / "parameters.npz", **arrays)
    if change in ("no archive", "text"):
        (folder / "parameters.npz").write_bytes(b"PK\x03\x04" if change == "no archive" else b"text")
    repaired(folder)
    (defect,) = examine_result(folder).defects
    says = {
        "another number": "parameters.npz: run 1: theta_0 is ",
        "another shape": "parameters.npz: parameters of 1 runs, expected 2.",
    }
    assert says.get(change, "parameters.npz: this is not a file of parameters.") in defect


def test_runs_of_several_kinds_and_endings_agree_with_their_tables(runs):
    sections = [
        {"kind": "quadratic", "eigenvalues": [1]}, {"kind": "quadratic", "eigenvalues": [1, 9]}, {"kind": "rosenbrock"},
        {"kind": "saddle"}, {"kind": "forces", "pushes": [[1.0], [0.5]]},
    ]  # fmt: skip
    vary = {"objective": sections, "train.dtype": ["float32", "float64"], "optimizer.eta": [0.01, 3.0, 1e30]}
    base = {"objective": {"kind": "booth"}, "train": {"steps": 30}, "record": {"every": 7}}
    folder = momentumlab.sweep(base, vary=vary, runs=runs).folder
    assert set(momentumlab.load(folder).runs["status"]) == {"finished", "diverged"}
    assert examine_result(folder).defects == []


def test_the_bound_of_divergence_is_the_one_of_the_training():
    assert DIVERGED == TOO_FAR


def test_a_diverged_run_is_not_passed_off_as_finished(runs):
    folder = trained(runs, eta=[0.05, 5.0])
    file = folder / "runs.csv"
    text = file.read_text()
    assert ",diverged," in text
    file.write_text(text.replace(",diverged,", ",finished,"))
    repaired(folder)
    assert (
        "runs.csv:3: run 1: status is 'finished', and the other numbers give diverged"
        in examine_result(folder).defects[0]
    )


@pytest.mark.parametrize(
    ("settings", "recurrence", "form"),
    [
        ({"optimizer": {"kind": "nesterov", "form": "torch"}}, "nesterov", "torch"),
        ({"optimizer": {"kind": "ema"}, "eta": [0.01, 0.02]}, "ema", None),
        ({"optimizer": {"kind": "sgd"}}, "sgd", None),
        ({"optimizer": {"kind": "aggmo"}}, None, None),
        ({"vary": {"optimizer": [{"kind": "ema"}, {}]}}, None, None),
        ({"vary": {"optimizer": [{"kind": "Adam"}, {}]}}, None, None),
        ({"record": {"every": 5}}, None, None),
        ({"record": {"every": 11}}, None, None),  # the last two rows are neighbours, and the others are not
    ],
    ids=str,
)  # fmt: skip
def test_the_recurrence_is_named_where_every_run_follows_one(settings, recurrence, form, runs):
    folder = trained(runs, **settings)
    said = examine_result(folder).as_object()
    assert (said["defects"], said["recurrence"], said["form"]) == ([], recurrence, form)
    alter(folder, -2, "eta", lambda text: "0.5")
    assert examine_result(folder).recurrence is None


def test_of_several_deviations_the_first_row_is_named(swept, tmp_path):
    folder = shutil.copytree(swept, tmp_path / "result")
    for row, column in ((20, "theta_0"), (9, "eta"), (14, "velocity_1")):
        alter(folder, row, column, another_digit)
    assert (examine_result(folder).deviation.row, examine_result(folder).deviation.column) == (9, "eta")
