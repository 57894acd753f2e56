"""`train.target`: the first step of each run whose loss is at or below it, recorded or not."""

import numpy as np
import pytest

import momentumlab
from momentumlab.audit.result import examine_result
from momentumlab.engine import ahead
from momentumlab.engine.loop import train
from momentumlab.engine.outcome import Outcome
from momentumlab.engine.plan import groups
from momentumlab.experiment import expand, load
from momentumlab.results.checkpoint import read_checkpoint, write_checkpoint
from momentumlab.results.naming import identity
from momentumlab.results.outcomes import Outcomes
from momentumlab.summary import run_lines, sweep_table
from tests.audit.altered import repaired
from tests.engine.recording import Recording, train_quietly

LINE = {"data": {"kind": "line", "samples": 20}, "model": {"kind": "linear"}, "train": {"epochs": 60}}
NET = {
    "data": {"kind": "moons", "samples": 30},
    "model": {"kind": "mlp", "hidden": [4]},
    "train": {"epochs": 8, "batch_size": 8},
}
BOWL = {"objective": {"kind": "quadratic", "eigenvalues": [1, 30]}, "train": {"steps": 60}}


def aiming(data, target, **record):
    return {**data, "train": {**data["train"], "target": target}, "record": record}


@pytest.mark.parametrize("backend", [{}, {"backend": "torch", "form": "torch"}])
@pytest.mark.parametrize(("data", "target"), [(LINE, 0.1), (NET, 0.6), (BOWL, 0.05)])
def test_it_is_the_first_row_at_or_below_the_target(data, target, backend, tmp_path):
    data = {**data, "optimizer": {"eta": 0.03, **backend}}
    rows = momentumlab.sweep(aiming(data, target, every=1), gamma=[0, 0.5, 0.9], eta=[0.001, 0.03], runs=tmp_path)
    steps = rows.runs["steps_to_target"]
    for run, step in enumerate(steps):
        own = rows.metrics["run"] == run
        below = rows.metrics["step"][own][rows.metrics["loss"][own] <= target]
        assert below[:1].tolist() == ([] if np.isnan(step) else [step])
    assert np.isfinite(steps).any()
    assert np.isnan(steps).any()
    # Training goes on, and rows that were not recorded count.
    assert (rows.runs["steps"] == rows.runs["steps"].max()).all()
    seldom = momentumlab.sweep(aiming(data, target, every=37), gamma=[0, 0.5, 0.9], eta=[0.001, 0.03], runs=tmp_path)
    np.testing.assert_array_equal(seldom.runs["steps_to_target"], steps)


def test_it_stands_behind_the_evaluations_as_whole_numbers(tmp_path):
    result = momentumlab.run(aiming(LINE, 0.1), runs=tmp_path)
    header, row = (result.folder / "runs.csv").read_text(encoding="utf-8").splitlines()
    assert header.endswith(",loss_best,train_loss,steps_to_target,rate_predicted,rate_measured")
    assert row.split(",")[-3].isdigit()


def test_the_start_may_be_there_and_a_run_that_diverges_never(tmp_path):
    there = momentumlab.run(aiming(BOWL, 1e6), runs=tmp_path)
    assert there.runs["steps_to_target"].tolist() == [0]
    away = momentumlab.sweep(aiming(BOWL, 1.0), eta=[1.0, 0.03], runs=tmp_path)
    assert away.runs["status"].tolist() == ["diverged", "finished"]
    assert np.isnan(away.runs["steps_to_target"]).tolist() == [True, False]


def test_a_target_in_float32_is_the_one_that_the_file_shows():
    # 0.1 as float32 is above 0.1, and metrics.csv says 0.1 of it.
    data = {**BOWL, "objective": {"kind": "quadratic", "eigenvalues": [0.2], "start": [1.0]}}
    data = aiming({**data, "train": {"steps": 1, "dtype": "float32"}}, 0.1)
    (group,) = groups(expand(load(data), seed=[0, 1]))
    outcomes = {}
    train_quietly(group, group.chunks[0], Recording(), outcomes)
    assert outcomes[0].loss_first == np.float32(0.1)
    assert outcomes[0].steps_to_target == 0


def test_without_a_target_nothing_is_said_and_the_name_is_the_same(tmp_path):
    result = momentumlab.run(LINE, runs=tmp_path)
    assert "steps_to_target" not in result.runs
    one, other = (expand(load(data), seed=[0, 1]) for data in (LINE, aiming(LINE, 0.1)))
    assert "target" not in load(LINE).resolved()["train"]
    assert identity(one, {}) != identity(other, {})


def test_a_stack_that_runs_ahead_notes_the_same_steps():
    for group in groups(expand(load(aiming(NET, 0.6)), gamma=[0.5, 0.9], eta=[0.01, 0.1, 1e3])):
        for cells in group.chunks:
            plain, outcomes = {}, {}
            train_quietly(group, cells, Recording(), plain)
            stack = ahead.Ahead(group.stack(cells), group.plan, 5)
            train(stack, group.problem, group.plan, Recording(), lambda updates: None, outcomes)
            found = [outcomes[run].steps_to_target for run in plain]
            np.testing.assert_array_equal(found, [outcome.steps_to_target for outcome in plain.values()])
            assert np.isfinite(found).any()


def test_it_is_kept_in_the_checkpoint_of_a_result(tmp_path):
    grid = expand(load(aiming(BOWL, 1e-3)), gamma=[0, 0.5, 0.9])
    noted = Outcomes(grid)
    noted.note({1: Outcome("finished", "", 60, 1.0, 0.0, 0.0, 2.0**24 + 1)})
    write_checkpoint(tmp_path / "checkpoint", noted.state())
    again = Outcomes(grid)
    again.restore(read_checkpoint(tmp_path / "checkpoint"))
    assert [line.rpartition(",")[2] for line in "".join(again.table()).splitlines()[1:]] == ["nan", "16777217", "nan"]


@pytest.mark.parametrize(("every", "found"), [(1, True), (7, False)])
def test_the_audit_knows_the_step_where_every_row_was_recorded(every, found, tmp_path):
    folder = momentumlab.run(aiming(BOWL, 1.0, every=every), runs=tmp_path).folder
    assert examine_result(folder).defects == []
    table = folder / "runs.csv"
    head, row = table.read_text(encoding="utf-8").splitlines()
    *before, step, predicted, measured = row.split(",")
    altered = ",".join([*before, str(int(step) - 1), predicted, measured])
    table.write_text(f"{head}\n{altered}\n", encoding="utf-8")
    repaired(folder)
    defects = examine_result(folder).defects
    assert any(f"steps_to_target is {int(step) - 1}" in defect for defect in defects) == found


def test_the_table_of_a_sweep_and_the_lines_of_a_run_say_it(tmp_path):
    result = momentumlab.sweep(aiming(BOWL, 1.0), gamma=[0, 0.9], eta=[1e-9, 0.03], runs=tmp_path)
    table = sweep_table(result)
    place = table.header.index("steps to target")
    said = [row[place] for row in table.rows]
    assert said == ["—" if np.isnan(step) else str(int(step)) for step in result.runs["steps_to_target"]]
    assert "target:  loss 1e-99 not reached" in run_lines(momentumlab.run(aiming(BOWL, 1e-99), runs=tmp_path))
