"""`momentumlab check` as it is typed: what it says, in words and as JSON, and with which exit code."""

import json
import re
import shlex

import pytest

import momentumlab

RESULT_KEYS = [
    "target", "recurrence", "form", "defects", "file", "run", "step", "column", "expected", "got", "checked",
    "unchecked",
]  # fmt: skip
QUADRATIC = {"objective": {"kind": "quadratic", "eigenvalues": [1, 25]}, "train": {"steps": 5}}
BROKEN = """\
from torch.optim import SGD


class Deaf(SGD):
    def __init__(self, params, lr=0.1, momentum=0.9):
        super().__init__(params, lr=lr)
        self.defaults["momentum"] = momentum
"""
RULE = """\
def update(theta, gradient, memory, gamma, eta, nu=1.0):
    memory = gamma * memory + nu * gradient
    return theta - eta * memory, memory
"""


def trained(folder, **optimizer):
    return momentumlab.run({**QUADRATIC, "optimizer": optimizer}, runs=folder / "runs").folder


def spoil(folder, cell="1.9"):
    """Write another number into the last cell of metrics.csv."""
    file = folder / "metrics.csv"
    file.write_text(file.read_text().rpartition(",")[0] + f",{cell}\n")


# ---- a result --------------------------------------------------------------------------------------------------------


def test_a_sound_result_is_said_to_be_one(type_in, tmp_path):
    folder = trained(tmp_path)
    code, out, err = type_in("check", folder)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        str(folder),
        "checked       5 files are as they were written (SHA-256)",
        "checked       5 updates of 1 run: θ and v follow momentum, classical form",
        "checked       6 rows: step, gamma, eta, gradient_norm, velocity_norm, cosine, distance",
        "checked       1 run: runs.csv and parameters.npz, by the experiment and metrics.csv",
        "not checked   taken as they were recorded: losses, gradients and the start of each run",
        "defects       none found",
    ]


def test_an_altered_result_ends_with_the_number_of_its_defects_and_exit_code_1(type_in, tmp_path):
    folder = trained(tmp_path)
    spoil(folder)
    code, out, err = type_in("check", folder)
    assert (code, err) == (1, f"momentumlab: 2 defects found in {folder}\n")
    assert f"defect        {folder}/metrics.csv: not as it was written (its checksum differs)" in out
    assert "defect        metrics.csv:7: run 0, step 5: velocity_" in out
    assert "checked       5 files" not in out


def test_the_object_of_a_result_has_its_keys(type_in, tmp_path):
    folder = trained(tmp_path)
    code, out, _ = type_in("check", folder, "--json")
    sound = json.loads(out)
    assert (code, list(sound), sound["target"]) == (0, RESULT_KEYS, str(folder))
    assert (sound["defects"], sound["step"], sound["expected"], sound["got"]) == ([], None, None, None)
    assert (sound["recurrence"], sound["form"]) == ("momentum", "classical")
    spoil(folder)
    code, out, err = type_in("check", folder, "--json")
    found = json.loads(out)
    assert (code, err != "", len(found["defects"])) == (1, True, 2)
    assert [found[name] for name in ("file", "run", "step", "column")] == ["metrics.csv", 0, 5, "velocity_1"]
    assert (found["expected"] < 1, found["got"], found["recurrence"], found["form"]) == (True, 1.9, None, None)


@pytest.mark.parametrize("cell", ["nan", "inf", "-inf", "1e308"])
def test_a_number_that_json_does_not_know_is_named(type_in, tmp_path, cell):
    folder = trained(tmp_path)
    spoil(folder, cell)
    code, out, err = type_in("check", folder, "--json")
    assert (code, err) == (1, f"momentumlab: 2 defects found in {folder}\n")
    assert json.loads(out)["column"] == "velocity_1"
    assert type_in("check", folder)[0] == 1


def test_every_result_below_a_folder_is_checked(type_in, tmp_path):
    folders = [trained(tmp_path, gamma=gamma) for gamma in (0.5, 0.9)]
    code, out, _ = type_in("check", tmp_path)
    assert code == 0
    assert [part.splitlines()[0] for part in out.split("\n\n")] == sorted(map(str, folders))
    spoil(folders[1])
    code, out, err = type_in("check", "runs", "--json")
    assert (code, err) == (1, "momentumlab: 2 defects found in runs\n")
    by_target = {report["target"]: report["defects"] for report in json.loads(out)}
    assert {target: len(found) for target, found in by_target.items()} == {
        f"runs/{folders[0].name}": 0,
        f"runs/{folders[1].name}": 2,
    }


def test_an_altered_experiment_is_a_defect_and_no_wrong_use(type_in, tmp_path):
    file = trained(tmp_path) / "experiment.yaml"
    file.write_text(file.read_text().replace("gamma: 0.9", "gamma: 1.9"))
    code, out, err = type_in("check", file.parent)
    assert (code, err) == (1, f"momentumlab: 2 defects found in {file.parent}\n")
    assert "optimizer.gamma: got 1.9, must be in [0, 1)" in out


@pytest.mark.parametrize("text", ["{", "[]", "", "[" * 100_000])
def test_a_result_that_cannot_be_read_at_all_is_one_defect_and_the_others_are_checked(type_in, tmp_path, text):
    folder, other = trained(tmp_path), trained(tmp_path, gamma=0.5)
    (folder / "manifest.json").write_text(text)
    code, out, err = type_in("check", folder)
    assert (code, err) == (1, f"momentumlab: 1 defect found in {folder}\n")
    assert out.startswith(f"{folder}\ndefect        {folder}/manifest.json: this is not ")
    code, out, err = type_in("check", "runs", "--json")
    assert (code, err) == (1, "momentumlab: 1 defect found in runs\n")
    assert {report["target"]: len(report["defects"]) for report in json.loads(out)} == {
        f"runs/{folder.name}": 1,
        f"runs/{other.name}": 0,
    }


def test_a_file_that_is_missing_is_one_defect(type_in, tmp_path):
    folder = trained(tmp_path)
    (folder / "metrics.csv").unlink()
    code, out, err = type_in("check", folder)
    assert (code, err) == (1, f"momentumlab: 1 defect found in {folder}\n")
    assert out.splitlines() == [str(folder), f"defect        {folder}/metrics.csv: missing"]


def test_a_result_by_a_rule_file_is_checked_with_leave_only(type_in, tmp_path):
    rule = tmp_path / "rule.py"
    rule.write_text(RULE)
    experiment = {**QUADRATIC, "optimizer": {"kind": "file", "path": str(rule), "arguments": {"nu": 0.5}}}
    folder = momentumlab.run(experiment, runs=tmp_path / "runs", allow_code=["rule.py", str(rule)]).folder
    code, out, _ = type_in("check", folder)
    assert code == 0
    assert f"not checked   1 run: rule.py holds code, which runs only if you say so: add --allow-code {rule}" in out
    spoil(folder, "0.125")
    assert "rule.py" in type_in("check", folder)[1]


# ---- an optimizer ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "recurrence", "form"),
    [
        (["torch.optim.SGD"], "momentum", "torch"),
        (["torch.optim.SGD", "--set", "nesterov=true"], "nesterov", "torch"),
        (["torch.optim.SGD", "--gamma", "0.5", "--eta", "1e-3", "--set", "dampening=0.5"],
         "momentum, dampening skipped on step 1", "torch"),
        (["momentumlab:Momentum", "--set", "form=classical"], "momentum", "classical"),
        (["qhm", "--set", "nu=1"], "ema", None),
        (["aggmo", "--set", "gammas=[0.5, 0.9]"], "aggmo", None),
        (["torch.optim.Adam"], "none that I know", None),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)  # fmt: skip
def test_an_optimizer_is_examined_as_it_was_built(type_in, arguments, recurrence, form):
    code, out, err = type_in("check", *arguments, "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert {"recurrence", "form", "defects", "step", "expected", "got"} <= set(found)
    assert (found["recurrence"], found["form"], found["defects"]) == (recurrence, form, [])
    assert (found["step"] is None) == (recurrence != "none that I know")
    code, out, _ = type_in("check", *arguments)
    assert code == 0
    assert f"recurrence    {recurrence}{f', {form} form' if form else ''}" in out.splitlines()


def test_an_optimizer_with_a_defect_fails(type_in, tmp_path):
    (tmp_path / "mine.py").write_text(BROKEN)
    code, out, err = type_in("check", "mine.py:Deaf", "--allow-code", "mine.py")
    assert (code, err) == (1, f"momentumlab: {len(re.findall('^defect  ', out, re.M))} defects found in mine.py:Deaf\n")
    assert "defect        γ without effect" in out
    code, out, _ = type_in("check", "mine.py:Deaf", "--allow-code", "mine.py", "--json")
    assert code == 1
    assert json.loads(out)["defects"][0].startswith("γ without effect")


def test_a_file_is_not_run_without_leave(type_in, tmp_path):
    (tmp_path / "mine.py").write_text("open('ran', 'w').close()\n" + BROKEN)
    code, out, err = type_in("check", "mine.py:Deaf")
    assert (code, out) == (2, "")
    assert "add --allow-code mine.py" in err
    assert not (tmp_path / "ran").exists()


def test_a_rule_file_is_examined(type_in, tmp_path):
    (tmp_path / "rule.py").write_text(RULE)
    code, out, _ = type_in("check", "rule.py", "--allow-code", "rule.py")
    assert code == 0
    assert "recurrence    momentum, torch form" in out.splitlines()


# ---- hyperparameters of another rule ---------------------------------------------------------------------------------

SCHEDULE = "--eta={schedule: step, value: 0.1, factor: 0.1, at: [3]}"


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("torch:classical --gamma 0.9 --eta 0.1", {"gamma": 0.9, "eta": 0.1}),
        ("classical:ema --gamma 0.5 --eta 0.25", {"gamma": 0.5, "eta": 0.5}),
        ("nesterov:qhm --gamma 0.5 --eta 0.25", {"gamma": 0.5, "eta": 0.5, "nu": 0.5}),
        ("aggmo:torch --set gammas=[0.5] --set weights=[1] --eta 0.1", {"gamma": 0.5, "eta": 0.1}),
        ("torch:aggmo --gamma 0.5 --eta 0.1", {"gamma": None, "eta": 0.1, "gammas": [0.5], "weights": [1.0]}),
    ],
)
def test_a_conversion_gives_the_targets_hyperparameters_and_the_formula(type_in, typed, expected):
    code, out, err = type_in("check", "--convert", *shlex.split(typed), "--json")
    found = json.loads(out)
    assert (code, err, found.pop("parts_at"), found.pop("reason")) == (0, "", None, "")
    assert found.pop("formula")
    assert found == {
        name: value if value is None else pytest.approx(value, rel=1e-15) for name, value in expected.items()
    }
    code, out, _ = type_in("check", "--convert", *shlex.split(typed))
    rows = dict(line.split("\t") for line in out.splitlines())
    assert (code, rows["hyperparameter"]) == (0, "value")
    assert {"eta", *(name for name, value in expected.items() if value is not None)} <= set(rows)


def test_where_a_schedule_makes_it_impossible_they_part_at_a_step(type_in):
    code, out, err = type_in("check", "--convert", "torch:classical", "--gamma", "0.9", SCHEDULE, "--json")
    assert code == 1
    assert json.loads(out)["parts_at"] == 4
    assert "they part at update 4" in err
    code, _, err = type_in("check", "--convert", "torch:classical", "--gamma", "0.9", SCHEDULE, "--set", "steps=3")
    assert (code, err) == (0, "")


# ---- wrong use -------------------------------------------------------------------------------------------------------

WRONG = [
    ([], "check what? A result folder, an optimizer"),
    ([""], "check what? A result folder, an optimizer"),
    (["nowhere/at/all"], "names no optimizer"),
    (["x" * 300], "names no optimizer"),
    (["torch:classical", "--gamma", "0.9"], "Did you mean --convert torch:classical?"),
    (["aggmo", "--gamma", "0.5"], "aggmo: got γ = 0.5, but it takes none: leave gamma out"),
    (["torch.optim.Sgd"], "Did you mean torch.optim.SGD?"),
    (["qhm", "--gamma", "1.5"], "--gamma: got 1.5, must be in [0, 1)"),
    (["qhm", "--eta", "much"], "--eta: got 'much', must be a number"),
    (["qhm", SCHEDULE], "--eta: got a schedule, must be a number to check an optimizer"),
    (["qhm", "--set", "nu"], "--set: got 'nu', must be KEY=VALUE such as nesterov=true"),
    (["qhm", "--set", "a.b=1"], "--set: got 'a.b=1', must be KEY=VALUE"),
    (["qhm", "--set", "gamma=0.5"], "--set: write --gamma 0.5"),
    (["qhm", "--gamma", "0.5", "--set", "gamma=0.5"], "--set: gamma is given twice"),
    (["qhm", "--set", "nu=1", "--set", "nu=2"], "--set: nu is given twice"),
    (["qhm", "--set", "mu=1"], "takes no argument 'mu'"),
    (["qhm", "--convert", "torch:classical"], "--convert takes no TARGET: leave 'qhm' out"),
    (["--convert", "torch"], "--convert"),
    (["--convert", "torch:classic", "--gamma", "0.9", "--eta", "0.1"], "Did you mean 'classical'?"),
    (["--convert", "torch:classical", "--gamma", "0.9"], "eta"),
    (["--convert", "torch:qhm", "--gamma", "0.9", "--eta", "0.1", "--set", "steps=0"], "steps: got 0, must be a whole"),
    (["--convert", "torch:qhm", "--gamma", "0.9", "--eta", "0.1", "--set", "steps=yes"], "steps: got 'yes'"),
    (["\x1b[31mred"], r"\x1b[31mred"),
    (["qhm", "--set", "\x1b[31m=1"], r"\x1b[31m"),
    (["--convert", "\x1b:qhm"], r"\x1b"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "says"), WRONG, ids=lambda given: " ".join(given) if isinstance(given, list) else ""
)
def test_wrong_use_is_answered_in_words_with_exit_code_2(type_in, arguments, says):
    code, out, err = type_in("check", *arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert "\x1b" not in err
    assert "should not have happened" not in err


def test_a_result_has_its_own_hyperparameters(type_in, tmp_path):
    folder = trained(tmp_path)
    code, out, err = type_in("check", folder, "--gamma", "0.5", "--set", "nu=1")
    assert (code, out) == (2, "")
    assert "gamma, nu: a result has its own; leave them out" in err


def test_foreign_text_cannot_speak_to_the_terminal(type_in, tmp_path):
    folder = trained(tmp_path)
    hostile = folder.rename(tmp_path / "runs" / "a\x1b[2Jb")
    spoil(hostile)
    (hostile / "runs.csv").write_text("\x1b[2J\n")
    for arguments in ([hostile], [tmp_path / "runs"], [hostile, "--json"]):
        code, out, err = type_in("check", *arguments)
        assert code == 1
        assert "\x1b" not in out + err
        assert r"a\x1b[2Jb" in out.replace(r"\\x1b", r"\x1b")


def test_the_example_of_its_help_runs(type_in):
    code, out, _ = type_in("check", "--help")
    assert code == 0
    example = re.search(r"Example:\s+momentumlab (check .+)", out)
    code, out, err = type_in(*shlex.split(example[1]))
    assert (code, err) == (0, "")
    assert "defects       none found" in out
