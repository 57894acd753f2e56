"""The laws that a result keeps, through the public functions: run, sweep, load."""

import hashlib
import math
import os
from pathlib import Path

import numpy as np
import pytest

import momentumlab
from momentumlab import lab
from momentumlab.errors import ConfigError, DataError
from tests.reference import case

GAMMAS = [0, 0.5, 0.9, 0.99]


def final(result, run):
    rows = result.rows(run)
    return np.array([rows[name][-1] for name in rows if name.startswith("theta_")])


def content(result):
    """The bytes of everything in a result that must not depend on when, where or how often it was made."""
    return {name: (result.folder / name).read_bytes() for name in ("runs.csv", "metrics.csv", "parameters.npz")}


def rows_of(result, run):
    """Every recorded number of a run, apart from its run number."""
    return {name: values for name, values in result.rows(run).items() if name != "run"}


# ---- linreg is the article's -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", case("regression-torch-seeded")["expected"]["rows"], ids=lambda r: str(r["gamma"]))
def test_linreg_is_the_articles_script_to_the_printed_digit(row, tmp_path):
    result = momentumlab.run("linreg", gamma=row["gamma"], runs=tmp_path)
    printed = result.metrics["loss"][[19, 39, 59, 79, 99]]
    assert [f"{loss:.4f}" for loss in printed] == [f"{loss:.4f}" for loss in row["printed_losses"]]
    # float32 against float32 in another order of operations, 100 updates: the reference's own tolerance
    np.testing.assert_allclose(final(result, 0), [row["torch_w"], row["torch_b"]], atol=1e-5)


@pytest.mark.parametrize("seed", range(10))
def test_linreg_equals_the_exact_recursion_of_the_datas_moments(seed, tmp_path):
    from momentumlab.experiment import load
    from momentumlab.problems.build import build

    changes = {"data.seed": seed}
    result = momentumlab.sweep("linreg", gamma=GAMMAS, set=changes, runs=tmp_path)
    data = build(load("linreg", set={**changes, "optimizer.backend": "torch"})).dataset  # with all of its samples
    x, y = data.x[:, 0].astype(float), data.y[:, 0].astype(float)
    hessian = 2 * np.array([[np.mean(x * x), np.mean(x)], [np.mean(x), 1]])
    pull = 2 * np.array([np.mean(x * y), np.mean(y)])
    for run, gamma in enumerate(GAMMAS):
        theta, velocity = np.array([0.12483882904052734, 0.8956928253173828]), np.zeros(2)
        for _ in range(100):
            velocity = gamma * velocity + 0.01 * (hessian @ theta - pull)
            theta = theta - velocity
        np.testing.assert_allclose(final(result, run), theta, atol=1e-5)  # float32 over 100 updates


# ---- objectives follow the reference trajectories
# ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "row",
    [row for row in case("testfun-trajectories")["expected"]["rows"] if row["steps"] >= 200],
    ids=lambda row: f"{row['f']}-{row['gamma']}-{row['steps']}",
)
def test_objectives_follow_the_reference_trajectories(row, tmp_path):
    experiment = {
        "objective": {"kind": row["f"], "start": row["x0"]},
        "optimizer": {"gamma": row["gamma"], "eta": row["eta"]},
        "train": {"steps": row["steps"]},
        "record": {"every": row["steps"]},
    }
    result = momentumlab.run(experiment, runs=tmp_path)
    np.testing.assert_allclose(final(result, 0), row["x"], atol=row["abs_tol"], rtol=0)


def test_the_two_forms_part_as_the_reference_says_when_eta_falls(tmp_path):
    reference = case("lr-schedule-divergence")
    experiment = {
        "objective": {"kind": "forces", "pushes": [[1]] * 6, "start": [1.0]},
        "optimizer": {"gamma": 0.9, "eta": {"schedule": "step", "value": 0.1, "factor": 0.1, "at": [3]}},
        "train": {"steps": 6},
        "sweep": {"optimizer": [{"form": "classical"}, {"form": "torch"}]},
    }
    result = momentumlab.sweep(experiment, runs=tmp_path)
    for run, name in enumerate(("seed_form", "pytorch_form")):
        np.testing.assert_allclose(
            result.rows(run)["theta_0"][1:], reference["expected"][name], atol=reference["tolerance"]["abs"]
        )
    np.testing.assert_allclose(result.rows(0)["eta"], [0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01])
    assert "loss" not in result.metrics
    assert set(result.runs["status"]) == {"finished"}


def test_a_push_on_the_flat_ends_where_the_geometric_series_does(tmp_path):
    experiment = {
        "objective": {"kind": "plateau", "start": [-0.95], "width": 100},
        "optimizer": {"eta": 0.1},
        "train": {"steps": 6000},
    }
    result = momentumlab.sweep(experiment, gamma=GAMMAS, runs=tmp_path)
    rests = [row["coast_limit_x"] for row in case("exactly-flat-coast")["expected"]["rows"]]
    np.testing.assert_allclose([final(result, run)[0] for run in range(4)], rests, atol=1e-11)


# ---- backends agree
# ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("kind", "form"),
    [("sgd", "classical"), *((k, f) for k in ("momentum", "nesterov") for f in ("classical", "torch"))],
)
@pytest.mark.parametrize(
    "config",
    ["linreg", {"objective": {"kind": "quadratic", "eigenvalues": [1, 25]}, "optimizer": {"eta": 0.03}}],
    ids=["linreg", "quadratic"],
)
def test_our_rules_and_torchs_give_the_same_iterates_under_a_constant_eta(config, kind, form, dtype, tmp_path):
    changes = {"optimizer.kind": kind, "optimizer.form": form, "train.dtype": dtype}
    gammas = [0] if kind == "sgd" else [0, 0.5, 0.9]
    ours, torchs = (
        momentumlab.sweep(config, gamma=gammas, set=changes | {"optimizer.backend": backend}, runs=tmp_path)
        for backend in ("scratch", "torch")
    )
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    for run in range(len(gammas)):
        np.testing.assert_allclose(final(ours, run), final(torchs, run), atol=tolerance, rtol=0)
        mine, theirs = ours.rows(run), torchs.rows(run)
        np.testing.assert_allclose(mine["velocity_norm"], theirs["velocity_norm"], atol=tolerance)


def test_without_gamma_momentum_is_sgd_to_the_bit(tmp_path):
    result = momentumlab.sweep(
        "linreg",
        vary={"optimizer": [{"kind": "sgd"}, {"gamma": 0.0}, {"kind": "nesterov", "gamma": 0.0}]},
        runs=tmp_path,
    )
    sgd = rows_of(result, 0)
    for run in (1, 2):
        for name, values in rows_of(result, run).items():
            np.testing.assert_array_equal(values, sgd[name])


# ---- a run's numbers are its own
# ---------------------------------------------------------------------------------------

STACKS = {
    "linreg": ("linreg", {}),
    "digits_softmax": ("digits_softmax", {"train.epochs": 1}),
    "digits_mlp": ("digits_mlp", {"train.epochs": 1}),
    "rosenbrock": ("rosenbrock", {"train.steps": 50, "objective.noise": 0.5, "objective.start": "random"}),
    "ackley": ({"objective": {"kind": "ackley"}, "train": {"steps": 50}}, {}),
    "gelu": (  # widths that no vector register divides
        {"data": {"kind": "moons", "samples": 69}, "model": {"kind": "mlp", "hidden": [17, 5], "activation": "gelu"}},
        {"train.epochs": 20, "train.dtype": "float64"},
    ),
    "threads": ("digits_softmax", {"train.epochs": 1, "train.threads": 2, "model": {"kind": "mlp", "hidden": [500]}}),
}


@pytest.mark.parametrize("name", STACKS)
def test_a_run_has_the_same_bits_alone_and_in_a_stack(name, tmp_path):
    config, changes = STACKS[name]
    etas = [1e-4, 1e-3, 1e-2]
    grid = momentumlab.sweep(config, gamma=[0, 0.9], eta=etas, seed=[0, 1], set=changes, runs=tmp_path)
    for run in (0, 5, 11):
        settings = {key: grid.runs[key][run].item() for key in ("gamma", "eta", "seed")}
        alone = momentumlab.run(config, **settings, set=changes, runs=tmp_path)
        for column, values in rows_of(alone, 0).items():
            np.testing.assert_array_equal(values, rows_of(grid, run)[column])


@pytest.mark.parametrize("name", ["linreg", "rosenbrock", "digits_softmax"])
def test_the_numbers_do_not_depend_on_the_chunks(name, tmp_path, monkeypatch):
    from momentumlab.engine.plan import Group

    config, changes = STACKS[name]
    whole = momentumlab.sweep(config, gamma=[0, 0.5, 0.9], eta=[1e-4, 1e-3], set=changes, runs=tmp_path / "whole")
    monkeypatch.setattr(Group, "chunks", property(lambda self: [self.cells[:4], self.cells[4:]]))
    parts = momentumlab.sweep(config, gamma=[0, 0.5, 0.9], eta=[1e-4, 1e-3], set=changes, runs=tmp_path / "parts")
    assert parts.metrics["run"].tolist() != whole.metrics["run"].tolist()  # the chunks did change
    assert content(parts)["parameters.npz"] == content(whole)["parameters.npz"]
    for run in range(6):
        for column, values in rows_of(whole, run).items():
            np.testing.assert_array_equal(rows_of(parts, run)[column], values)


@pytest.mark.parametrize("name", STACKS)
def test_the_same_command_gives_the_same_bytes(name, tmp_path):
    config, changes = STACKS[name]
    first, second = (momentumlab.sweep(config, gamma=[0, 0.9], set=changes, runs=tmp_path / folder) for folder in "ab")
    assert first.name == second.name
    assert content(first) == content(second)


def test_a_run_that_diverges_leaves_its_neighbours_as_they_are(tmp_path):
    together = momentumlab.sweep("linreg", eta=[0.01, 5.0, 0.02], runs=tmp_path)
    apart = momentumlab.sweep("linreg", eta=[0.01, 0.02], runs=tmp_path)
    assert together.runs["status"].tolist() == ["finished", "diverged", "finished"]
    for mine, other in ((0, 0), (2, 1)):
        for column, values in rows_of(apart, other).items():
            np.testing.assert_array_equal(rows_of(together, mine)[column], values)


# ---- divergence
# -------------------------------------------------------------------------------------------------------


def test_a_run_is_diverged_at_the_first_step_past_the_bound_and_ends_there(tmp_path):
    experiment = {"objective": {"kind": "quadratic", "eigenvalues": [1.0], "start": [3.0]}, "train": {"steps": 500}}
    result = momentumlab.run(experiment, gamma=0, eta=4.0, runs=tmp_path)  # θ ← −3·θ, J ← 9·J, J₀ = 4.5
    bound = math.ceil(math.log(1e12) / math.log(9))
    assert result.runs["status"][0] == "diverged"
    assert result.runs["steps"][0] == bound == result.metrics["step"][-1]
    assert result.metrics["loss"][-1] == pytest.approx(4.5 * 9**bound)
    assert f"at step {bound}" in result.runs["reason"][0]


def test_falling_without_end_is_not_divergence(tmp_path):
    experiment = {"objective": {"kind": "saddle", "start": [1.0, 0.001]}, "train": {"steps": 200}}
    result = momentumlab.run(experiment, gamma=0.9, eta=0.05, runs=tmp_path)
    assert result.runs["status"][0] == "finished"
    assert result.runs["loss_last"][0] < -1e12


def test_a_diverged_runs_last_row_is_written_whatever_the_stride(tmp_path):
    changes = {"record.every": 50}
    result = momentumlab.sweep("linreg", eta=[0.01, 5.0], set=changes, runs=tmp_path)
    assert result.rows(0)["step"].tolist() == [0, 50, 100]
    assert result.rows(1)["step"].tolist() == [0, result.runs["steps"][1]]


# ---- what is written
# ----------------------------------------------------------------------------------------------------


def test_rows_and_columns_mean_what_the_contract_says(tmp_path):
    result = momentumlab.run("linreg", gamma=0.9, runs=tmp_path)
    rows = result.metrics
    assert rows["step"].tolist() == list(range(101))
    for name in ("theta", "gradient", "velocity"):
        assert {f"{name}_0", f"{name}_1"} <= set(rows)
    assert rows["velocity_0"][0] == 0
    assert np.isnan(rows["cosine"][0])
    theta = np.stack([rows["theta_0"], rows["theta_1"]])
    velocity = np.stack([rows["velocity_0"], rows["velocity_1"]])
    gradient = np.stack([rows["gradient_0"], rows["gradient_1"]])
    # float32 columns: one rounding of each operation
    np.testing.assert_allclose(theta[:, 1:], theta[:, :-1] - velocity[:, 1:], atol=2e-7)
    np.testing.assert_allclose(velocity[:, 1:], 0.9 * velocity[:, :-1] + 0.01 * gradient[:, :-1], atol=1e-8)
    np.testing.assert_allclose(rows["gradient_norm"], np.hypot(*gradient), rtol=2e-7)
    np.testing.assert_allclose(rows["velocity_norm"], np.hypot(*velocity), rtol=2e-7)
    evaluated = rows["step"][~np.isnan(rows["train_loss"])]
    assert evaluated.tolist() == list(range(0, 101, 10))  # start, end and at most 10 epochs between


def test_the_stride_is_the_smallest_that_keeps_the_file_within_its_rows(tmp_path):
    experiment = {
        "objective": {"kind": "quadratic", "eigenvalues": [1.0]},
        "train": {"steps": 4000},
        "record": {"vectors": False},
    }
    result = momentumlab.sweep(experiment, gamma="lin:0:0.5:101", runs=tmp_path)
    assert result.rows(100)["step"][:2].tolist() == [0, 3]  # 101 · 2001 rows would be too many, 101 · 1335 are not
    assert len(result.metrics["run"]) == 101 * 1335 <= 200_000
    assert result.rows(100)["step"][-1] == 4000


def test_the_last_row_of_a_minibatch_run_is_the_batch_that_would_come_next(tmp_path):
    short, long = (
        momentumlab.run("digits_softmax", set={"train.epochs": epochs, "record.every": 1}, runs=tmp_path)
        for epochs in (1, 2)
    )
    last = short.metrics["step"][-1]
    assert short.metrics["loss"][-1] == long.metrics["loss"][last]
    assert short.metrics["epoch"][-1] == 1


def test_every_number_reads_back_to_the_bits_that_were_trained(tmp_path):
    result = momentumlab.run("linreg", gamma=0.9, runs=tmp_path)
    with np.load(result.folder / "parameters.npz", allow_pickle=False) as file:
        assert file["parameters"].dtype == np.float32
        np.testing.assert_array_equal(file["parameters"][0], final(result, 0).astype(np.float32))
        assert file["names"].tolist() == ["weight", "bias"]
        assert file["shapes"].tolist() == ["1x1", "1"]


def test_runs_of_different_problems_share_a_file(tmp_path):
    result = momentumlab.sweep(
        "rosenbrock", vary={"objective.start": [[-1.2, 1.0], [0.0, 0.0]], "train.steps": [10, 20]}, runs=tmp_path
    )
    assert result.runs["steps"].tolist() == [10, 20, 10, 20]
    assert [final(result, run).tolist() for run in range(4)] == [
        final(momentumlab.run("rosenbrock", set=changes, runs=tmp_path), 0).tolist()
        for changes in (
            {"objective.start": start, "train.steps": steps}
            for start in ([-1.2, 1.0], [0.0, 0.0])
            for steps in (10, 20)
        )
    ]


# ---- a result is found again
# ----------------------------------------------------------------------------------------------


def test_a_finished_result_is_found_and_not_trained_again(tmp_path, monkeypatch):
    first = momentumlab.run("rosenbrock", runs=tmp_path)
    monkeypatch.setattr("momentumlab.engine.loop.train", lambda *_: pytest.fail("trained again"))
    again = momentumlab.run("rosenbrock", runs=tmp_path)
    assert again.folder == first.folder
    np.testing.assert_array_equal(again.metrics["loss"], first.metrics["loss"])


def test_fresh_begins_a_new_folder_and_leaves_the_old_one(tmp_path):
    first = momentumlab.run("rosenbrock", runs=tmp_path)
    before = content(first)
    again = momentumlab.run("rosenbrock", runs=tmp_path, fresh=True)
    assert again.folder.name == f"{first.folder.name}-2"
    assert content(again) == content(first) == before


def test_the_name_is_a_hash_over_what_decides_a_number_and_nothing_else(tmp_path):
    name = momentumlab.run("rosenbrock", runs=tmp_path).name.removeprefix("rosenbrock-")
    same = momentumlab.run("rosenbrock", set={"name": "other", "train.threads": 2}, runs=tmp_path).name
    other = momentumlab.run("rosenbrock", set={"train.steps": 1999}, runs=tmp_path).name
    assert same.removeprefix("other-") == name
    assert other.removeprefix("rosenbrock-") != name


def test_a_data_file_counts_by_its_content_and_not_by_its_path(tmp_path):
    names = []
    for folder, scale in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / f"{folder}.npz"
        np.savez(path, x=scale * np.linspace(-1, 1, 10), y=np.linspace(0, 1, 10))
        experiment = {"data": {"kind": "npz", "path": str(path)}, "model": {"kind": "linear"}, "train": {"epochs": 2}}
        names.append(momentumlab.run(experiment, runs=tmp_path / "runs").name)
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize("command", ["run", "sweep", "zip"])
def test_the_resolved_experiment_repeats_the_result(command, tmp_path):
    if command == "run":
        first = momentumlab.run("linreg", gamma=0.5, runs=tmp_path / "a")
        again = momentumlab.run(first.folder / "experiment.yaml", runs=tmp_path / "b")
    else:
        first = momentumlab.sweep("linreg", gamma=[0, 0.5], eta=[0.01, 0.02], zip=command == "zip", runs=tmp_path / "a")
        again = momentumlab.sweep(first.folder / "experiment.yaml", runs=tmp_path / "b")
    assert first.name == again.name
    assert content(first) == content(again)


def test_an_unfinished_result_is_trained_whole_when_asked_again(tmp_path, monkeypatch):
    from momentumlab.results import writer

    whole = momentumlab.sweep("rosenbrock", gamma=[0, 0.9], runs=tmp_path / "whole")

    def dies(self, layouts):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(writer.ResultWriter, "finish", dies)
        with pytest.raises(KeyboardInterrupt):
            momentumlab.sweep("rosenbrock", gamma=[0, 0.9], runs=tmp_path / "runs")
    broken = momentumlab.load(tmp_path / "runs" / whole.name)
    assert not broken.finished
    assert broken.manifest["state"] == "interrupted"
    assert broken.runs["status"].tolist() == ["finished", "finished"]  # what came to its end before stays
    again = momentumlab.sweep("rosenbrock", gamma=[0, 0.9], runs=tmp_path / "runs")
    assert again.finished
    assert content(again) == content(whole)


def test_a_run_that_fails_is_recorded_and_the_others_go_on(tmp_path, monkeypatch):
    from momentumlab.problems.formulas import ObjectiveProblem

    feed = ObjectiveProblem.feed

    def failing(self, seeds):
        if 1 in seeds:
            raise RuntimeError("seed 1 is cursed")
        return feed(self, seeds)

    clean = momentumlab.sweep("rosenbrock", seed=[0, 2], runs=tmp_path)
    monkeypatch.setattr(ObjectiveProblem, "feed", failing)
    result = momentumlab.sweep("rosenbrock", seed=[0, 1, 2], runs=tmp_path)
    assert result.runs["status"].tolist() == ["finished", "failed", "finished"]
    assert result.runs["reason"][1] == "RuntimeError: seed 1 is cursed"
    assert not len(result.rows(1)["step"])
    for mine, other in ((0, 0), (2, 1)):
        for column, values in rows_of(clean, other).items():
            np.testing.assert_array_equal(rows_of(result, mine)[column], values)


# ---- nothing is written before the experiment is known to be good
# -----------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "changes", "error"),
    [
        ("linreg", {"data.samples": 10, "train.batch_size": 11}, ConfigError),
        ("digits_mlp", {"record.vectors": True}, ConfigError),
        ("linreg", {"data": {"kind": "csv", "path": "none.csv", "features": ["x"], "target": "y"}}, DataError),
        ("linreg", {"optimizer.gamma": 1.2}, ConfigError),
    ],
)
def test_a_bad_experiment_leaves_no_trace(config, changes, error, tmp_path):
    with pytest.raises(error):
        momentumlab.run(config, set=changes, runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_result_in_use_is_refused_in_words(tmp_path):
    from filelock import FileLock

    from momentumlab.errors import ResultError

    name = momentumlab.run("rosenbrock", runs=tmp_path / "elsewhere").name
    (tmp_path / name).mkdir()
    with FileLock(tmp_path / name / ".lock"), pytest.raises(ResultError, match="another process is writing"):
        momentumlab.run("rosenbrock", runs=tmp_path)


def test_the_manifest_says_where_a_result_comes_from(tmp_path):
    result = momentumlab.run("rosenbrock", runs=tmp_path)
    manifest = result.manifest
    assert (manifest["schema"], manifest["state"], manifest["command"]) == (1, "finished", "run")
    assert {"python", "numpy", "torch"} <= set(manifest["libraries"])
    for name, checksum in manifest["files"].items():
        assert hashlib.sha256(Path(result.folder / name).read_bytes()).hexdigest() == checksum
    assert set(manifest["files"]) == {"experiment.yaml", "runs.csv", "metrics.csv", "parameters.npz"}
    assert {path.name for path in result.folder.iterdir()} == {"manifest.json", *manifest["files"]}


@pytest.mark.parametrize(
    "vary",
    [
        {"model": [{"kind": "mlp", "hidden": [8]}, {"kind": "softmax"}]},
        {"optimizer": [{"kind": "sgd"}, {"kind": "nesterov", "form": "torch"}]},
        {"optimizer": [{"eta": 0.1}, {"eta": {"schedule": "step", "value": 0.1, "factor": 0.5, "at": [3]}}]},
    ],
)
def test_the_resolved_experiment_repeats_a_sweep_over_kinds(vary, tmp_path):
    changes = {"train.epochs": 1, "train.batch_size": 300}
    first = momentumlab.sweep("digits_mlp", vary=vary, set=changes, runs=tmp_path / "a")
    again = momentumlab.sweep(first.folder / "experiment.yaml", runs=tmp_path / "b")
    assert first.name == again.name
    assert content(first) == content(again)


def test_a_data_file_on_an_axis_counts_by_its_content_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, slope in (("a.npz", 1), ("b.npz", 2)):
        np.savez(name, x=np.linspace(-1, 1, 10), y=slope * np.linspace(0, 1, 10))
    experiment = {"data": {"kind": "npz", "path": "a.npz"}, "model": {"kind": "linear"}, "train": {"epochs": 2}}
    first = momentumlab.sweep(experiment, vary={"data.path": "a.npz,b.npz"})
    assert momentumlab.sweep(first.folder / "experiment.yaml", runs="elsewhere").name == first.name
    np.savez("b.npz", x=np.linspace(-1, 1, 10), y=np.linspace(5, 6, 10))
    assert momentumlab.sweep(experiment, vary={"data.path": "a.npz,b.npz"}).name != first.name


def test_a_gpu_that_is_not_there_is_refused_in_words(tmp_path):
    with pytest.raises(ConfigError, match=r"train\.device: got 'cuda:99'.*Use cpu"):
        momentumlab.run("linreg", set={"train.device": "cuda:99"}, runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_loss_that_overflows_downwards_ends_with_the_parameters_and_not_before(tmp_path):
    experiment = {"objective": {"kind": "saddle", "start": [1.0, 0.001]}, "train": {"steps": 4000}}
    result = momentumlab.run(experiment, gamma=0.9, eta=0.05, runs=tmp_path)
    rows = result.metrics
    assert result.runs["status"][0] == "diverged"
    assert "parameter is not finite" in result.runs["reason"][0]
    assert np.isneginf(rows["loss"][:-1]).any()
    assert np.isfinite(rows["theta_1"][:-1]).all()


def test_a_gamma_that_float32_rounds_to_one_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"0\.99999999, which float32 rounds to 1: take train\.dtype float64"):
        momentumlab.run("linreg", gamma=0.99999999, runs=tmp_path)
    momentumlab.run("linreg", gamma=0.99999999, set={"train.dtype": "float64"}, runs=tmp_path)


def test_a_schedule_that_overflows_is_refused(tmp_path):
    eta = {"schedule": "step", "value": 1e-3, "factor": 1e200, "at": [1, 2]}
    with pytest.raises(ConfigError, match=r"optimizer\.eta"):
        momentumlab.run("rosenbrock", set={"optimizer.eta": eta}, runs=tmp_path)


def test_how_far_a_stopped_run_had_come_is_told(tmp_path, monkeypatch):
    from momentumlab.engine.stack import RuleStack

    advance, updates = RuleStack.advance, []

    def stops(self):
        updates.append(1)
        if len(updates) > 7:
            raise KeyboardInterrupt
        advance(self)

    monkeypatch.setattr(RuleStack, "advance", stops)
    with pytest.raises(KeyboardInterrupt):
        momentumlab.run("rosenbrock", runs=tmp_path)
    broken = momentumlab.load(next(tmp_path.iterdir()))
    assert broken.runs["status"][0] == "interrupted"
    assert broken.runs["reason"][0] == "stopped at step 7"
    assert broken.runs["steps"][0] == 7
    assert broken.runs["loss_first"][0] == broken.metrics["loss"][0]
    assert broken.runs["loss_last"][0] == broken.metrics["loss"][-1]


def test_a_disk_that_refuses_leaves_the_result_free_to_be_asked_for_again(tmp_path, monkeypatch):
    from momentumlab.errors import ResultError
    from momentumlab.results import disk

    def full(request, *arguments):
        if request is os.write:
            raise OSError(28, "No space left on device")
        return request(*arguments)

    kept = []
    with monkeypatch.context() as patch:
        patch.setattr(disk, "ask", full)
        for _ in range(2):
            with pytest.raises(ResultError, match="no space left on device") as refused:
                momentumlab.run("rosenbrock", runs=tmp_path)
            kept.append(refused)  # as a notebook keeps the last error
    assert momentumlab.run("rosenbrock", runs=tmp_path).finished


def test_a_run_that_is_not_there_is_an_index_error(tmp_path):
    with pytest.raises(IndexError, match="no run 9"):
        momentumlab.run("rosenbrock", runs=tmp_path).rows(9)


def test_the_losses_of_a_table_are_of_steps_that_runs_have_recorded_and_not_of_where_one_diverged(runs):
    from momentumlab.summary import sweep_table

    # Every third step is recorded; the run of a large η ends at one between, later than a fifth of the training.
    late = {"schedule": "step", "value": 1e-9, "factor": 1e9, "at": [44]}
    optimizers = [{"eta": 1e-4}, {"gamma": 0.0, "eta": 2e-4}, {"gamma": 0.0, "eta": late}]
    changes = {"train.steps": 48, "record.every": 3}
    result = momentumlab.sweep("rosenbrock", vary={"optimizer": optimizers}, set=changes, runs=runs)
    assert result.runs["status"].tolist() == ["finished", "finished", "diverged"]
    assert result.runs["steps"][2] % 3
    table = sweep_table(result)
    steps = [int(name.removeprefix("loss@")) for name in table.header if name.startswith("loss@")]
    assert [step - 1 for step in steps] == [6, 45]
    best_first = [row[table.header.index("loss@46")] for row in sweep_table(result, most=2).rows]
    assert sorted(best_first, key=float) == best_first


def test_the_manifest_of_a_formula_names_the_processor(runs):
    result = momentumlab.run("ravine", set={"train.device": "cuda", "train.steps": 2}, runs=runs)
    assert result.manifest["device"] == "cpu"


def test_a_metric_of_pushes_is_drawn_as_curves(runs):
    """They have no curves of their own accord: there is no loss."""
    result = momentumlab.run("two_pushes", runs=runs)
    assert [path.name for path in lab.plot([result.folder], metric="velocity_norm").pictures] == ["velocity_norm.png"]
