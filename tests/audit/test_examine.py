"""What is said of sound optimizers, of other people's, and of those that cannot be examined."""

import json

import pytest
import torch

from momentumlab.audit import examine
from momentumlab.errors import ConfigError
from momentumlab.optimizers.rules import RULES

SOUND = "tests.audit.broken"
TORCHS = sorted(
    {name for name, value in vars(torch.optim).items() if isinstance(value, type)} - {"Optimizer", "SparseAdam"}
)


def of_tests(name, **settings):
    return examine(f"{SOUND}:{name}", allow_code=[SOUND], **settings)


def found(report):
    return report.recurrence, report.form, report.weight_decay, [defect.name for defect in report.defects]


SGD_OPTIONS = [
    ({}, "momentum", None),
    ({"nesterov": True}, "nesterov", None),
    ({"dampening": 0.5}, "momentum, dampening skipped on step 1", None),
    ({"dampening": 0.9}, "momentum, dampening skipped on step 1", None),
    ({"weight_decay": 0.1}, "momentum", "coupled"),
    ({"maximize": True}, "momentum", None),
    ({"maximize": True, "weight_decay": 0.1}, "momentum", "coupled"),
    ({"nesterov": True, "weight_decay": 0.1}, "nesterov", "coupled"),
    ({"dampening": 0.5, "weight_decay": 0.1}, "momentum, dampening skipped on step 1", "coupled"),
]


@pytest.mark.parametrize(("arguments", "recurrence", "decay"), SGD_OPTIONS, ids=str)
@pytest.mark.parametrize(
    ("target", "form"),
    [("torch.optim.SGD", "torch"), ("momentumlab:Momentum", "torch"), ("momentumlab:Momentum", "classical")],
)
def test_torchs_sgd_and_ours_are_what_their_options_say(target, form, arguments, recurrence, decay):
    own = {"form": form} if target == "momentumlab:Momentum" else {}
    report = examine(target, arguments=arguments | own)
    assert found(report) == (recurrence, form, decay, [])
    assert (report.step, report.expected, report.got) == (None, None, None)


@pytest.mark.parametrize("eta", [1e-6, 0.003, 50.0])
@pytest.mark.parametrize("gamma", [0.0, 0.3, 0.9, 0.999])
def test_the_answer_is_the_same_for_every_gamma_and_eta(gamma, eta):
    assert found(examine("torch.optim.SGD", gamma=gamma, eta=eta)) == ("momentum", "torch", None, [])
    assert found(of_tests("Ema", gamma=gamma, eta=eta)) == ("ema", None, None, [])


def test_torchs_foreach_nesterov_changes_the_gradient():
    report = examine("torch.optim.SGD", arguments={"nesterov": True, "foreach": True})
    assert found(report) == ("nesterov", "torch", None, ["p.grad changed"])
    # torch leaves ∇J + γ·b in its place, and b is ∇J in update 1
    assert report.step == 1
    assert report.got == pytest.approx(1.9 * report.expected, rel=1e-15)


NAMES = {"torch_momentum": ("momentum", "torch"), "torch_nesterov": ("nesterov", "torch")} | {
    name: (name, "classical") for name in ("momentum", "nesterov")
}


@pytest.mark.parametrize("name", RULES)
def test_every_rule_of_ours_is_found_to_be_itself(name):
    recurrence, form = NAMES.get(name, (name, None))
    assert found(examine(name)) == (recurrence, form, None, [])


@pytest.mark.parametrize(
    ("name", "recurrence", "form"),
    [
        ("Plain", "momentum", "classical"),
        ("Ema", "ema", None),
        ("CorrectedEma", "ema, bias-corrected", None),
        ("EmaFromTheFirstGradient", "ema, started at the first gradient", None),
        ("Signum", "signum", None),
        ("SignDescent", "signum", None),
        ("Lion", "lion", None),
        ("AggMo", "aggmo", None),
        ("Quasi", "qhm", None),
        ("DampenedAlways", "momentum, dampened from step 1", "classical"),
        ("DampenedWithMomentum", "momentum, dampened from step 1", "classical"),
        ("DampeningIgnored", "momentum", "classical"),
        ("PassesItsOptionsOn", "momentum", "torch"),
        ("OtherKeys", "momentum", "classical"),
        ("UnknownKeys", "momentum", "classical"),
    ],
)
def test_somebodys_optimizer_follows(name, recurrence, form):
    assert found(of_tests(name)) == (recurrence, form, None, [])


@pytest.mark.parametrize(
    ("name", "decay"),
    [
        ("Decoupled", "decoupled"),
        ("Lion", "decoupled"),
        ("DecoupledUnscaled", "decoupled, not scaled by η"),
    ],
)
def test_the_kinds_of_weight_decay_are_told_apart(name, decay):
    report = of_tests(name, arguments={"weight_decay": 0.1})
    assert (report.weight_decay, report.defects) == (decay, ())


@pytest.mark.parametrize("name", TORCHS)
def test_every_class_of_torch_is_examined_without_a_false_alarm(name):
    report = examine(f"torch.optim.{name}", arguments={"ns_steps": 1} if name == "Muon" else {})  # it is slow
    assert report.defects == ()
    if name != "SGD":
        assert report.recurrence == "none that I know"
        assert report.step >= 1
        assert report.expected != report.got


def test_an_unknown_formula_is_said_to_leave_the_nearest_where_it_does():
    report = of_tests("MovesTwice")
    assert found(report) == ("none that I know", None, None, [])
    assert (report.nearest.name, report.nearest.form, report.step) == ("momentum", "classical", 5)
    text = "\n".join(report.lines())
    assert f"expected {report.expected!r}, got {report.got!r}" in text


def test_without_an_eta_to_change_the_form_is_not_told():
    report = of_tests("Bare")
    assert found(report) == ("momentum", None, None, [])
    assert any("no η that could be changed" in note for note in report.notes)
    assert any("cannot be taken up again" in note for note in report.notes)


@pytest.mark.parametrize(
    ("name", "says"),
    [("SignDescent", "takes no γ"), ("OneNorm", "influence each other"), ("Noisy", "random numbers")],
)
def test_what_could_not_be_looked_at_is_noted(name, says):
    report = of_tests(name)
    assert report.defects == ()
    assert any(says in note for note in report.notes)


@pytest.mark.parametrize("target", ["torch.optim.Muon", "torch.optim.LBFGS"])
def test_what_was_examined_otherwise_is_noted(target):
    says = {"torch.optim.Muon": "matrices only", "torch.optim.LBFGS": "two groups of parameters were not"}
    arguments = {"ns_steps": 1} if target == "torch.optim.Muon" else {}
    assert any(says[target] in note for note in examine(target, arguments=arguments).notes)


def test_ignored_dampening_is_noted():
    assert "dampening = 0.5 has no effect" in of_tests("DampeningIgnored").notes


def test_the_object_is_json_with_the_promised_keys():
    report = json.loads(json.dumps(examine("momentum").as_object(), allow_nan=False))
    assert {"recurrence", "form", "defects", "step", "expected", "got"} <= set(report)
    assert (report["recurrence"], report["form"], report["defects"], report["step"]) == (
        "momentum",
        "classical",
        [],
        None,
    )


def test_the_lines_say_what_was_found():
    lines = examine("torch.optim.SGD", arguments={"weight_decay": 0.1}).lines()
    assert lines[:5] == [
        "torch.optim.SGD, γ = 0.9, η = 0.1",
        "recurrence    momentum, torch form",
        "formula       b ← γ·b + ∇J, θ ← θ − η·b",
        "weight decay  coupled",
        "defects       none found",
    ]


REFUSED = [
    ("torch.optim.Sgd", {}, ["no such optimizer", "Did you mean torch.optim.SGD?"]),
    ("torch.optim.Optimizer", {}, ["no such optimizer"]),
    ("torch.optim.SparseAdam", {}, ["cannot be examined", "sparse gradients only"]),
    ("momentun", {}, ["names no optimizer", "Did you mean momentum?", "torch.optim.NAME", "--allow-code"]),
    ("torch.optim.SGD", {"arguments": {"dampenig": 0.5}}, ["'dampenig'", "Did you mean 'dampening'?"]),
    ("torch.optim.SGD", {"arguments": {"lr": 1, "momentum": 0.5}}, ["lr is η", "momentum is γ"]),
    ("torch.optim.SGD", {"arguments": {"weight_decay": -1}}, ["ValueError: Invalid weight_decay value: -1"]),
    ("momentum", {"arguments": {"nu": 0.5}}, ["takes no argument 'nu'", "γ and η alone"]),
    ("qhm", {"arguments": {"mu": 0.5}}, ["takes no argument 'mu'", "It takes nu"]),
    ("aggmo", {"arguments": {"gammas": 0.9}}, ["gammas: got 0.9", "must be a list"]),
    ("aggmo", {"arguments": {"gammas": [0.9], "weights": [1, 2]}}, ["got 1 gammas and 2 weights", "one weight for"]),
    ("aggmo", {"arguments": {"weights": [1, 2]}}, ["got 3 gammas and 2 weights"]),
    ("aggmo", {"arguments": {"weights": []}}, ["weights: got []", "must be a list"]),
    ("aggmo", {"arguments": {"gammas": []}}, ["gammas: got []", "must be a list"]),
    ("aggmo", {"arguments": {"gammas": [0.5, 2.0]}}, ["gammas: got 2.0 in [0.5, 2.0]", "[0, 1)"]),
    ("lion", {"arguments": {"beta1": float("nan")}}, ["beta1: got nan", "[0, 1)"]),
    ("qhm", {"arguments": {"nu": "much"}}, ["nu: got 'much'", "must be a finite number"]),
    ("qhm", {"arguments": {"nu": 10**400}}, ["nu: got 1000", "must be a finite number"]),
    ("aggmo", {"gamma": 0.5}, ["aggmo: got γ = 0.5, but it takes none"]),
    ("sgd", {"gamma": 0.9}, ["sgd: got γ = 0.9, but it takes none"]),
    ("torch.optim.Adagrad", {"gamma": 0.9}, ["it takes none: leave gamma out"]),
    ("AdamW", {}, ["Did you mean torch.optim.AdamW?"]),
    ("adamw", {}, ["Did you mean torch.optim.AdamW?"]),
    ("SGD", {}, ["Did you mean torch.optim.SGD?"]),
    ("nofolder", {}, ["names no optimizer, and there is no such folder"]),
    ("runs/linreg-nope", {}, ["no such folder or file", "Results lie in runs/"]),
    ("linreg", {}, ["is an experiment: train it first (momentumlab run linreg)"]),
    ("torch:classical", {}, ["Did you mean --convert torch:classical?"]),
    ("momentum", {"gamma": 1.0, "eta": 0.0}, ["gamma: got 1.0", "[0, 1)", "eta: got 0.0"]),
    ("momentum", {"eta": float("nan")}, ["eta: got nan"]),
    ("momentumlab:Momentun", {}, ["Did you mean 'Momentum'?"]),
    ("momentumlab.errors:ConfigError", {}, ["no method step"]),
    (f"{SOUND}:Raises", {}, ["update 3 raised ZeroDivisionError: the third time (broken.py:"]),
    (f"{SOUND}:ExitsInAnUpdate", {}, ["update 1 raised SystemExit: 0 (broken.py:"]),
    (f"{SOUND}:ExitsWhenBuilt", {}, ["building it with lr=0.1 raised SystemExit: no (broken.py:"]),
]


@pytest.mark.parametrize(("target", "settings", "says"), REFUSED)
def test_what_cannot_be_examined_is_refused_in_words(target, settings, says):
    with pytest.raises(ConfigError) as refusal:
        examine(target, allow_code=[SOUND], **settings)
    assert refusal.value.__cause__ is None
    assert [part for part in says if part not in str(refusal.value)] == []


def test_what_lies_in_a_folder_is_no_optimizer_and_what_to_do_with_it_is_said(tmp_path):
    result = tmp_path / "linreg-01234567"
    result.mkdir()
    for name in ("manifest.json", "metrics.csv", "notes.txt"):
        (result / name).touch()
    (tmp_path / "mine.yaml").touch()
    says = {
        "linreg-01234567/metrics.csv": f"is a file of a result: check its folder, {result}",
        "linreg-01234567/notes.txt": "is neither a result folder nor a file of Python",
        "linreg-01234568": f"no such folder or file. Did you mean {result}?",
        "mine.yaml": f"is an experiment: train it first (momentumlab run {tmp_path / 'mine.yaml'})",
    }
    for name, words in says.items():
        with pytest.raises(ConfigError) as refusal:
            examine(str(tmp_path / name))
        assert words in str(refusal.value)


def test_numbers_beyond_all_bounds_are_no_warning():
    assert found(examine("qhm", arguments={"nu": 1e308})) == ("qhm", None, None, [])


def test_gamma_is_that_of_the_rules_paper_unless_given():
    assert (examine("lion").gamma, examine("signum").gamma, examine("lion", gamma=0.9).gamma) == (0.99, 0.9, 0.9)


def test_lion_is_printed_with_the_letters_that_it_was_given_by():
    # γ is the paper's β₂ for our rule, and β₁ for a class with betas
    assert examine("lion").nearest.formula.endswith("m ← γ·m + (1 − γ)·∇J")
    assert of_tests("Lion").nearest.formula.endswith("m ← β₂·m + (1 − β₂)·∇J")


@pytest.mark.parametrize(
    ("arguments", "formula"),
    [({}, "b ← γ·b + ∇J, θ ← θ + η·b"), ({"nesterov": True}, "b ← γ·b + ∇J, θ ← θ + η·(∇J + γ·b)")],
)
def test_the_formula_of_what_maximizes_goes_up(arguments, formula):
    report = examine("torch.optim.SGD", arguments=arguments | {"maximize": True})
    assert report.nearest.formula == formula
    assert report.defects == ()


@pytest.mark.parametrize("target", ["Adam", "RMSprop", "Adagrad", "Adamax", "NAdam", "RAdam"])
def test_an_unknown_formula_that_does_not_notice_the_size_of_gradients_is_said_to_be_adaptive(target):
    report = examine(f"torch.optim.{target}")
    assert any("when all gradients are 1000 times as large" in note and "adaptive" in note for note in report.notes)


@pytest.mark.parametrize("report", [lambda: of_tests("MovesTwice"), lambda: examine("torch.optim.ASGD")])
def test_an_unknown_formula_whose_steps_grow_with_the_gradients_is_not(report):
    found = report()
    assert found.recurrence == "none that I know"
    assert not any("adaptive" in note for note in found.notes)


def test_a_rule_of_ours_with_its_hyperparameter_is_followed():
    assert found(examine("qhm", arguments={"nu": 1.0})) == ("ema", None, None, [])
    assert found(examine("qhm", arguments={"nu": 0.0}))[0] == "sgd"
    assert found(examine("aggmo", arguments={"gammas": [0.5, 0.9]}))[0] == "aggmo"


def test_a_rule_file_is_examined_as_it_would_train(tmp_path):
    path = tmp_path / "my_rule.py"
    path.write_text(
        "def update(theta, gradient, memory, gamma, eta, scale=1.0):\n"
        "    memory = gamma * memory + scale * eta * gradient\n"
        "    return theta - memory, memory\n"
    )
    assert found(examine(str(path), allow_code=[str(path)])) == ("momentum", "classical", None, [])
    assert found(examine(f"{path}:update", allow_code=[str(path)])) == ("momentum", "classical", None, [])
    doubled = examine(str(path), arguments={"scale": 2.0}, allow_code=[str(path)])
    assert doubled.recurrence == "none that I know"


def test_a_rule_file_may_count_on_the_axes_of_a_stack(tmp_path):
    path = tmp_path / "normed.py"
    path.write_text(
        "def update(theta, gradient, memory, gamma, eta, weight_decay='none'):\n"
        "    runs, parameters = theta.shape\n    assert gamma.shape == (runs, 1)\n"
        "    memory = gamma * memory + gradient\n    return theta - eta * memory, memory\n"
    )
    assert found(examine(str(path), allow_code=[str(path)])) == ("momentum", "torch", None, [])


def test_a_class_in_a_file_is_examined_only_where_its_code_is_allowed(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        f"from pathlib import Path\nfrom torch.optim import SGD\nPath({str(tmp_path / 'ran')!r}).touch()\n"
        "class Mine(SGD):\n    pass\n"
    )
    with pytest.raises(ConfigError, match="--allow-code"):
        examine(f"{path}:Mine")
    assert not (tmp_path / "ran").exists()
    assert found(examine(f"{path}:Mine", allow_code=[str(path)])) == ("momentum", "torch", None, [])
