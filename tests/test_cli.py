"""What a user types and what comes back: words, numbers and exit codes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import momentumlab
from momentumlab.errors import MomentumLabError
from momentumlab.experiment import shipped

ROOT = Path(__file__).parent.parent


def only_result(folder="runs"):
    (found,) = Path(folder).iterdir()
    return found


# ---- run
# ---------------------------------------------------------------------------------------------------------------


def test_run_prints_what_the_article_prints(type_in):
    code, out, err = type_in("run", ROOT / "configs" / "linreg.yaml")
    assert code == 0
    assert out.splitlines() == [
        "Epoch [20/100], Loss: 0.2835",
        "Epoch [40/100], Loss: 0.0211",
        "Epoch [60/100], Loss: 0.0086",
        "Epoch [80/100], Loss: 0.0085",
        "Epoch [100/100], Loss: 0.0084",
        "",
        "learned: w = 1.9837, b = 1.0177",
        "true:    w = 2.0000, b = 1.0000",
    ]
    rate = "rate 0.9487 measured, 0.9487 predicted; steps to the floor of the loss: 97 measured, 97 predicted"
    assert rate in err.splitlines()
    assert str(only_result() / "figures" / "loss.png") in err
    assert (only_result() / "figures" / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_run_alone_lists_the_shipped_experiments_with_their_question(type_in):
    code, out, _ = type_in("run")
    rows = dict(line.split("\t") for line in out.splitlines()[1:])
    assert code == 0
    assert set(rows) == set(shipped.names())
    assert len(rows) >= 10
    assert all(question.endswith("?") for question in rows.values())
    assert not Path("runs").exists()


def test_a_shipped_experiment_runs_by_name_from_any_folder(type_in):
    code, out, _ = type_in("run", "moons", "--set", "train.epochs=2", "--gamma", 0.95, "--no-plot")
    assert code == 0
    assert "test accuracy" in out
    assert momentumlab.load(only_result()).runs["gamma"][0] == 0.95


def test_a_run_that_diverges_exits_with_three_and_says_when(type_in):
    code, out, _ = type_in("run", "linreg", "--eta", 5, "--no-plot")
    assert code == 3
    assert "diverged at step" in out


def test_a_finished_run_says_so_and_is_shown(type_in):
    first = type_in("run", "rosenbrock")
    again = type_in("run", "rosenbrock")
    assert again[:2] == first[:2]
    assert "already finished" in again[2]
    assert "--fresh" in again[2]


def test_missing_figures_of_a_finished_run_are_drawn(type_in):
    type_in("run", "rosenbrock", "--no-plot")
    assert not (only_result() / "figures").exists()
    type_in("run", "rosenbrock")
    assert (only_result() / "figures" / "loss.png").exists()


def test_json_is_one_object(type_in):
    code, out, _ = type_in("run", "rosenbrock", "--json", "--no-plot")
    said = json.loads(out)
    assert code == 0
    assert said["runs"][0]["status"] == "finished"
    assert said["state"] == "finished"
    assert not said["found"]


def test_quiet_prints_nothing_when_all_is_well(type_in):
    assert type_in("run", "rosenbrock", "--quiet") == (0, "", "")


# ---- sweep
# ---------------------------------------------------------------------------------------------------------------


def test_the_default_sweep_prints_its_table(type_in):
    code, out, err = type_in("sweep", "--gamma", "0,0.5,0.9,0.99")
    assert code == 0
    assert [line.split("\t") for line in out.splitlines()] == [
        ["γ", "loss@20", "loss@100", "w (true 2)", "b (true 1)",
         "rate", "rate (theory)", "to floor", "to floor (theory)", "note"],
        ["0", "1.6432", "0.0625", "1.7659", "1.0178", "0.9789", "0.9804", ">100", "252", ""],
        ["0.5", "0.7390", "0.0089", "1.9664", "1.0183", "0.9561", "0.9590", ">100", "120", ""],
        ["0.9", "0.2835", "0.0084", "1.9837", "1.0177", "0.9487", "0.9487", "97", "97", "best"],
        ["0.99", "2.7212", "0.2156", "2.4713", "1.3030", "0.9950", "0.9950", ">100", "1052", "overshoots"],
    ]  # fmt: skip
    *_, best, chosen = err.splitlines()
    assert best == "best measured: γ = 0.9, training loss 0.0084"
    assert chosen == "best γ at η = 0.01 is about 0.74: momentumlab sweep linreg --gamma 0.61,0.74,0.9"
    assert re.search(r"picture runs/linreg-[0-9a-f]{8}/figures/loss.png", err)
    assert re.search(r"numbers runs/linreg-[0-9a-f]{8}/metrics.csv", err)


def test_divergence_inside_a_sweep_is_data(type_in):
    code, out, _ = type_in("sweep", "linreg", "--eta", "0.01,5", "--no-plot")
    assert code == 0
    assert "diverged" in out


def test_a_failed_run_of_a_sweep_exits_with_one(type_in, monkeypatch):
    from momentumlab.problems.formulas import ObjectiveProblem

    feed = ObjectiveProblem.feed
    monkeypatch.setattr(ObjectiveProblem, "feed", lambda self, seeds: feed(self, seeds) if 1 not in seeds else 1 / 0)
    code, out, err = type_in("sweep", "rosenbrock", "--seed", "0..2", "--no-plot", "--set", "train.steps=5")
    assert code == 1
    assert "1 of 3 runs failed" in err
    assert "ZeroDivisionError" in out


def test_a_dry_run_prints_the_runs_and_writes_nothing(type_in):
    code, out, _ = type_in("sweep", "linreg", "--gamma", "0,0.9", "--seed", "0..1", "--dry-run")
    assert code == 0
    assert out.splitlines() == ["run\tγ\tseed", "0\t0\t0", "1\t0\t1", "2\t0.9\t0", "3\t0.9\t1"]
    assert not Path("runs").exists()


def test_zip_pairs_the_axes(type_in):
    code, out, _ = type_in("sweep", "linreg", "--gamma", "0,0.9", "--eta", "0.1,0.01", "--zip", "--dry-run")
    assert code == 0
    assert out.splitlines()[1:] == ["0\t0\t0.1", "1\t0.9\t0.01"]


# ---- show and plot
# ---------------------------------------------------------------------------------------------------------


def test_show_ranks_and_sorts_the_runs(type_in):
    type_in("sweep", "--no-plot")
    code, out, _ = type_in("show", "--best", 2)
    header, *rows = [line.split("\t") for line in out.splitlines()]
    assert code == 0
    assert [row[header.index("gamma")] for row in rows] == ["0.9", "0.5"]
    _, out, _ = type_in("show", "runs/", "--sort", "loss_best")
    assert [line.split("\t")[2] for line in out.splitlines()[1:]] == ["0.9", "0.5", "0.99", "0"]
    _, out, _ = type_in("show", "--json")
    assert len(json.loads(out)["runs"]) == 4
    _, out, _ = type_in("show", "--json", "--best", 1)
    assert [row["gamma"] for row in json.loads(out)["runs"]] == [0.9]


def test_show_says_which_optimizer_each_of_several_runs_used(type_in):
    for kind in ("momentum", "lion"):
        type_in("run", "ravine", "--set", f"optimizer.kind={kind}", "--set", "train.steps=5", "--no-plot")
    _, out, _ = type_in("show", "--json")
    assert sorted(run["optimizer.kind"] for run in json.loads(out)["runs"]) == ["lion", "momentum"]


def test_show_refuses_an_unknown_column_with_the_nearest(type_in):
    type_in("run", "rosenbrock", "--no-plot")
    code, _, err = type_in("show", "--sort", "loss_lats")
    assert code == 2
    assert "Did you mean loss_last?" in err


def test_plot_draws_one_result_into_its_own_folder_and_several_into_the_one_given(type_in):
    type_in("run", "linreg", "--no-plot")
    code, out, _ = type_in("plot", "runs")
    assert code == 0
    assert Path(out.splitlines()[0]) == only_result() / "figures" / "loss.png"
    type_in("run", "linreg", "--gamma", 0.5, "--no-plot")
    _, out, _ = type_in("plot", "runs/")
    assert "runs/figures/loss.png" in out.splitlines()
    _, out, _ = type_in(
        "plot", "runs/", "--out", "elsewhere", "--format", "svg", "--metric", "velocity_norm", "--kind", "curves"
    )
    assert out.splitlines() == ["elsewhere/velocity_norm.svg"]
    assert Path("elsewhere/velocity_norm.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--metric", "los"], "loss"),
        (["--kind", "curve"], "curves"),
        (["--format", "gif"], "png, svg, pdf"),
        (["--x", "time"], "step, epoch"),
        (["--kind", "heatmap"], "two"),
    ],
)
def test_an_impossible_picture_is_refused_with_what_is_possible(type_in, options, words):
    type_in("run", "linreg", "--no-plot")
    code, _, err = type_in("plot", "runs", *options)
    assert code == 2
    assert words in err
    assert "Traceback" not in err


# ---- bad input
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("run configs/linreg.yaml", "momentumlab run linreg"),
        ("run linerg", "'linreg'"),
        ("run linreg --gamma 1.2", "--gamma: got 1.2, must be in [0, 1)"),
        ("run linreg --gamma banana", "banana"),
        ("run linreg --gamma 0,0.5", "momentumlab sweep linreg --gamma 0,0.5"),
        ("run linreg --set train.device=cuda:99", "Use cpu"),
        ("sweep --vary train.threads=1,2", "cannot be varied"),
        ("show --best 0", "--best: got 0"),
        ("run linreg --set train.epoch=3", "train.epochs"),
        ("run linreg --set epochs", "key=value"),
        ("run linreg --set train.batch_size=1000", "1000"),
        ("sweep --gamma 0,banana,0.9", "'banana'"),
        ("sweep --vary banana", "KEY=VALUES"),
        ("sweep --vary seed=1 --vary seed=2", "twice"),
        ("plot none", "no such folder"),
        ("plot .", "no result"),
        ("show", "no such folder"),
    ],
)
def test_wrong_use_exits_with_two_names_the_place_and_writes_nothing(type_in, command, words):
    code, out, err = type_in(*command.split())
    assert code == 2
    assert words in err
    assert out == ""
    assert "Traceback" not in err
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"optimizer: {gama: 0.9}\nobjective: {kind: rosenbrock}\n", "bad.yaml:1:"),
        (b"\xff\xfe", "UTF-8"),
        (b"a: &x 1\nb: *x\n", "alias"),
        (b"", "empty"),
    ],
)
def test_a_bad_file_is_named_with_the_place_and_nothing_is_written(type_in, content, words):
    Path("bad.yaml").write_bytes(content)
    code, _, err = type_in("run", "bad.yaml")
    assert code == 2
    assert words in err
    assert [path.name for path in Path().iterdir()] == ["bad.yaml"]


def test_our_own_mistake_is_admitted_without_a_traceback_unless_asked(type_in, monkeypatch):
    monkeypatch.setattr(shipped, "names", lambda: 1 / 0)
    code, _, err = type_in("run")
    assert code == 1
    assert "should not have happened: ZeroDivisionError" in err
    assert "Traceback" not in err
    assert "Traceback" in type_in("--debug", "run")[2]


def test_every_error_has_an_exit_code_of_the_contract():
    kinds = [MomentumLabError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert {kind.exit_code for kind in kinds} <= {1, 2}


# ---- help
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["run", "sweep", "plot", "show"])
def test_every_command_has_an_example_in_its_help_that_works(type_in, command):
    code, out, _ = type_in(command, "--help")
    assert code == 0
    example = re.search(r"Example:\s+momentumlab (.+)", out)[1].split()
    if command in {"plot", "show"}:
        type_in("sweep", "--quiet", "--no-plot")
    assert type_in(*example)[0] == 0


def test_help_is_quick_because_it_loads_nothing_heavy():
    heavy = {"torch", "numpy", "matplotlib", "pydantic", "rich", "yaml"}
    code = (
        "import sys\n"
        "from momentumlab.cli import app\n"
        "try:\n app(['--help'])\n"
        "except SystemExit:\n print(*sys.modules)\n"
    )
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in asked.stdout.splitlines()[-1].split()}
    # typer itself loads pydantic and rich where it needs them
    assert not (heavy - {"pydantic", "rich"}) & loaded


def test_a_scratch_run_builds_no_torch_optimizer_and_an_objective_loads_no_torch(tmp_path):
    code = (
        "import sys, momentumlab\n"
        f"momentumlab.run('rosenbrock', runs={str(tmp_path)!r})\n"
        "assert 'torch' not in sys.modules\n"
        f"momentumlab.run('linreg', runs={str(tmp_path)!r})\n"
        "assert 'torch' in sys.modules and 'torch._dynamo' not in sys.modules\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_articles_script_with_one_import_changed_prints_the_same(tmp_path):
    script = ROOT / "examples" / "article.py"
    said = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert "Epoch [20/100], Loss: 0.2835" in said
    assert "w = 1.9837, b = 1.0177" in said
    changed = [line for line in script.read_text(encoding="utf-8").splitlines() if "momentumlab" in line]
    assert changed[-1] == "import momentumlab.optimizers as optim"


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_stops_the_training_in_words_and_leaves_the_result_marked(name, code, tmp_path):
    import signal
    import time

    command = [sys.executable, "-m", "momentumlab", "run", "rosenbrock", "--set", "train.steps=100000000"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob("runs/*/manifest.json")):
        time.sleep(0.02)
    process.send_signal(getattr(signal, name))
    _, said = process.communicate(timeout=30)
    assert process.returncode == code
    assert "The same command goes on from here" in said
    assert "Traceback" not in said
    result = momentumlab.load(next((tmp_path / "runs").iterdir()))
    assert result.manifest["state"] == "interrupted"
    assert result.runs["status"].tolist() == ["interrupted"]
