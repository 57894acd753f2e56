"""Other people's code: what is run when, and what is said when it fails."""

import os
import sys

import numpy as np
import pytest

from momentumlab.arrays import TorchArrays
from momentumlab.engine.plan import groups
from momentumlab.errors import ConfigError
from momentumlab.experiment import load, single
from momentumlab.optimizers.code import RuleError, allowed, load_attribute, rule_from_file, try_out
from tests.engine.recording import Recording, train_quietly

MOMENTUM = """\
def update(theta, gradient, memory, gamma, eta):
    memory = gamma * memory + eta * gradient
    return theta - memory, memory
"""


@pytest.fixture
def write(tmp_path):
    def written(text, name="my_rule.py"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return written


def rule(path, arguments=None, **settings):
    return rule_from_file(path, arguments, allow_code=[path], **settings)


def refusal(function, *arguments, **settings):
    with pytest.raises(ConfigError) as refused:
        function(*arguments, **settings)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None  # no traceback of theirs
    return str(refused.value)


@pytest.mark.parametrize("allow", [[], ["other.py"], ["my_rule"], ["my_rule.py.py"]])
def test_nothing_is_run_before_it_is_allowed(write, tmp_path, allow):
    path = write(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    assert f"--allow-code {path}" in refusal(load_attribute, path, None, allow)
    assert not (tmp_path / "ran").exists()
    load_attribute(path, None, [path])
    assert (tmp_path / "ran").exists()


def test_a_text_is_one_name_and_not_its_letters(write):
    path = write(MOMENTUM)
    assert allowed(path, path)
    assert not allowed("package", "my.package.module")
    assert "--allow-code" in refusal(load_attribute, "os", "sep", "os.path, shutil")


def test_a_refusal_says_what_to_add_and_what_was_named_instead(write, tmp_path):
    path, other = write(MOMENTUM), write(MOMENTUM, "other.py")
    assert refusal(load_attribute, path, None, []).endswith(f"add --allow-code {path}, in Python allow_code=[{path!r}]")
    assert refusal(load_attribute, path, None, [other]).endswith(f"; --allow-code names {other}")
    said = refusal(load_attribute, path, None, ["absent.py", other])
    assert said.endswith(f"; --allow-code names absent.py, {other}, and there is no absent.py")
    absent = str(tmp_path / "absent.py")
    assert refusal(load_attribute, absent, None, []) == f"{absent}: there is no such file"


def test_a_module_is_not_imported_before_it_is_allowed(write, tmp_path, monkeypatch):
    write("value = 1\n", "not_yet_imported.py")
    monkeypatch.syspath_prepend(tmp_path)
    assert "--allow-code not_yet_imported" in refusal(load_attribute, "not_yet_imported", "value", ["other"])
    assert "not_yet_imported" not in sys.modules
    assert load_attribute("not_yet_imported", "value", ["not_yet_imported"]) == 1
    del sys.modules["not_yet_imported"]


def test_one_file_may_be_named_in_several_ways(write, tmp_path, monkeypatch):
    path = write(MOMENTUM)
    monkeypatch.chdir(tmp_path)
    assert allowed(path, ["my_rule.py"])
    assert allowed("./my_rule.py", [path])
    assert not allowed("folder/my_rule.py", [path])


def test_our_own_and_torchs_modules_need_no_leave_but_files_of_that_name_do():
    assert allowed("momentumlab.optimizers", [])
    assert allowed("torch.optim", [])
    assert not allowed("momentumlab.py", [])
    assert not allowed("momentumlab_tricks", [])
    assert not allowed("torch_optimizer", [])


def test_loading_leaves_the_search_path_and_the_folder_as_they_were(write, tmp_path):
    before, path = list(sys.path), write(MOMENTUM)
    load_attribute(path, "update", [path])
    assert sys.path == before
    assert [found.name for found in tmp_path.iterdir()] == ["my_rule.py"]


def test_a_file_is_read_anew_every_time(write):
    path = write("value = 1\n")
    assert load_attribute(path, "value", [path]) == 1
    write("value = 2\n")  # as long, and within the same second
    assert load_attribute(path, "value", [path]) == 2


def test_dataclasses_with_late_annotations_load(write):
    path = write(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Options:\n    gamma: float = 0.9\n"
    )
    assert load_attribute(path, "Options", [path])().gamma == 0.9


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1\ndef update(:\n", ["my_rule.py:2: SyntaxError: invalid syntax"]),
        ("x = 1\n\nimport nowhere_at_all\n", ["my_rule.py:3: ModuleNotFoundError: No module named 'nowhere_at_all'"]),
        ("1 / 0\n", ["my_rule.py:1: ZeroDivisionError: division by zero"]),
        ("raise SystemExit('bye')\n", ["my_rule.py:1: SystemExit: bye"]),
        ("raise ValueError('a\\x1b[31mb')\n", [r"ValueError: a\x1b[31mb"]),
        ("open('/nowhere/at/all')\n", ["my_rule.py:1: FileNotFoundError"]),
        (b"x = '\xff'\n", ["SyntaxError", "utf-8"]),
        (b"x = 1\0\n", ["my_rule.py", "null bytes"]),
    ],
)
def test_a_file_that_does_not_load_says_where_and_why(write, text, says):
    path = write(text)
    said = refusal(load_attribute, path, None, [path])
    assert [part for part in says if part not in said] == []


@pytest.mark.parametrize(
    ("name", "says"), [("absent.py", "cannot be read: No such file"), ("folder.py", "cannot be read: Is a directory")]
)
def test_what_is_no_file_is_said_to_be_none(tmp_path, name, says):
    (tmp_path / "folder.py").mkdir()
    path = str(tmp_path / name)
    assert says in refusal(load_attribute, path, None, [path])


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    path = str(tmp_path / "pipe.py")
    os.mkfifo(path)
    assert refusal(load_attribute, path, None, [path]) == f"{path}: is a device or a pipe. Name an ordinary file."


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (
            "nowhere_at_all.inside",
            "no module 'nowhere_at_all' to import here. A file is named with its ending: inside.py",
        ),
        ("not-a-module", "neither a module (package.module) nor a file"),
        ("", "neither a module"),
        (".relative", "neither a module"),
    ],
)
def test_a_module_that_cannot_be_imported_is_refused_in_words(source, says):
    assert says in refusal(load_attribute, source, "name", [source])


@pytest.mark.parametrize("text", ["import nowhere_at_all\n", "raise RuntimeError('no')\n"])
def test_a_module_that_fails_is_refused_in_its_own_words(write, tmp_path, monkeypatch, text):
    write(text, "failing_module.py")
    monkeypatch.syspath_prepend(tmp_path)
    said = refusal(load_attribute, "failing_module", None, ["failing_module"])
    assert said.startswith(("failing_module: ModuleNotFoundError: No module named", "failing_module: RuntimeError: no"))


def test_a_wrong_name_is_answered_with_the_nearest(write):
    path = write("class Heavyball:\n    pass\n")
    assert "Did you mean 'Heavyball'?" in refusal(load_attribute, path, "HeavyBall", [path])
    assert "It has Heavyball" in refusal(load_attribute, path, "xyz", [path])


def test_a_rule_file_gives_the_rule(write):
    found = rule(write(MOMENTUM))
    theta, memory = found.update(np.array([1.0]), np.array([2.0]), np.array([0.5]), gamma=0.5, eta=0.25)
    assert (theta, memory) == (0.25, 0.75)
    assert found.hyperparameters == ("gamma", "eta")
    assert found.velocity(memory, {"gamma": 0.5, "eta": 0.25}) == 0.75
    assert found.arguments == {}


def test_further_parameters_are_hyperparameters_with_the_files_defaults(write):
    path = write(MOMENTUM.replace("eta):", "eta, nu=0.7, *, kind='a'):"))
    assert rule(path).arguments == {"nu": 0.7, "kind": "a"}
    assert rule(path, {"nu": 0.5}).arguments == {"nu": 0.5, "kind": "a"}
    assert rule(path).hyperparameters == ("gamma", "eta", "nu", "kind")


def test_of_several_functions_update_is_the_rule_or_the_one_that_is_named(write):
    helpers = "from math import sqrt\nfrom os.path import join\ndef _own():\n    pass\n"
    assert rule(write(helpers + MOMENTUM.replace("update", "mine"))).update.__name__ == "mine"
    path = write(MOMENTUM + MOMENTUM.replace("update", "other"))
    assert rule(path).update.__name__ == "update"
    assert rule(path, name="other").update.__name__ == "other"


def rule_with(body="return theta, memory", parameters="theta, gradient, memory, gamma, eta"):
    return f"import numpy as np\ndef update({parameters}):\n    {body}\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1\n", "holds no function. A rule is one: def update(theta"),
        ("def a():\n    pass\ndef b():\n    pass\n", "holds the functions a, b, none of them named update"),
        ("update = 3\n", "holds no function"),
        (rule_with(parameters="theta, gradient, gamma, eta"), "must take θ, ∇J and the memory"),
        (rule_with(parameters="theta, gradient, memory, gamma"), "must take θ, ∇J and the memory"),
        (rule_with(parameters="theta, *, gradient, memory, gamma, eta"), "must take θ, ∇J and the memory"),
        (rule_with(parameters="theta, gradient, memory, gamma, eta, /"), "move the / before gamma"),
        (rule_with(parameters="theta, gradient, memory, gamma, eta, **others"), "takes **others"),
        (rule_with(parameters="theta, gradient, memory, gamma, eta, nu"), "nu needs a default"),
        (rule_with("return theta"), "must return θ and the memory, returned an array of shape (2, 3)"),
        (rule_with("pass"), "must return θ and the memory, returned None"),
        (rule_with("return theta, memory.sum()"), "the memory in the shape and dtype of θ, returned"),
        (rule_with("return theta.astype('float32'), memory"), "θ in the shape and dtype of θ, returned an array"),
        (rule_with("gradient *= eta; return theta - gradient, memory"), "changes ∇J"),
        (rule_with("return theta - eta * gradient / np.linalg.norm(gradient), memory"), "a run gets other numbers"),
        (rule_with("return eta * gradient, theta - eta * gradient"), "the memory and θ in the wrong order"),
    ],
)
def test_what_is_no_rule_is_refused_with_file_and_line(write, text, says):
    path = write(text)
    said = refusal(rule, path)
    assert says in said
    assert said.startswith(path)
    assert "holds" in said or said.startswith(f"{path}:2: update: ")


@pytest.mark.parametrize(
    ("body", "line", "says"),
    [
        ("return thta, memory", 3, "NameError: name 'thta' is not defined"),
        ("x = 1\n    return theta @ memory, memory", 4, "ValueError: "),
        ("raise SystemExit", 3, "SystemExit"),
        ("import sys; sys.exit(0)", 3, "SystemExit: 0"),
    ],
)
def test_the_line_of_a_failing_update_is_named(write, body, line, says):
    path = write(rule_with(body))
    said = refusal(rule, path)
    assert said.startswith(f"{path}:{line}: update: the update was tried and raised {says}")
    assert "(line" not in said


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("if hasattr(gradient, 'mul_'): gradient.mul_(2)\n    return theta - eta * gradient, memory", "changes ∇J"),
        ("return np.where(gradient > 0, theta, -theta), memory", "must return θ in the shape and dtype of θ"),
        ("return theta - eta * gradient.astype(theta.dtype), memory", "raised AttributeError: "),
    ],
)
def test_a_rule_is_tried_on_torch_tensors_for_a_model(write, body, says, dtype):
    path = write(rule_with(body))
    found = rule(path)
    said = refusal(try_out, found, path, TorchArrays(dtype))
    assert "update, on torch tensors: " in said
    assert says in said
    model = {"data": {"kind": "moons"}, "model": {"kind": "softmax"}, "optimizer": {"kind": "file", "path": path}}
    assert "update, on torch tensors: " in refusal(groups, single(load(model)))
    objective = {"objective": {"kind": "booth"}, "optimizer": {"kind": "file", "path": path}}
    assert len(groups(single(load(objective)))) == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_sound_rule_is_sound_on_torch_tensors_too(write, dtype):
    path = write(rule_with("length = (gradient**2).sum(-1)[:, None] ** 0.5\n    return theta - eta / length, memory"))
    try_out(rule(path), path, TorchArrays(dtype))
    model = {"data": {"kind": "moons"}, "model": {"kind": "softmax"}, "train": {"dtype": dtype}}
    assert len(groups(single(load(model | {"optimizer": {"kind": "file", "path": path}})))) == 1


@pytest.mark.parametrize(
    ("failing", "says"), [("raise SystemExit(0)", "SystemExit: 0"), ("1 / 0", "ZeroDivisionError")]
)
def test_a_later_update_that_fails_names_its_line(write, failing, says):
    path = write(rule_with(f"if abs(theta[0, 0]) > 50:\n        {failing}\n    return theta - eta * gradient, memory"))
    objective = {"objective": {"kind": "booth"}, "optimizer": {"kind": "file", "path": path, "eta": 5.0}}
    [group] = groups(single(load(objective)))
    with pytest.raises(RuleError) as failed:
        train_quietly(group, group.cells, Recording())
    assert str(failed.value).startswith(f"{path}:4: {says}")


def test_a_memory_outside_the_memory_is_refused(write):
    hidden = "calls = []\ndef update(theta, gradient, memory, gamma, eta):\n    calls.append(gradient)\n"
    path = write(hidden + "    return theta - eta * len(calls) * gradient, memory\n")
    assert "keep nothing outside the memory" in refusal(rule, path)


def test_a_norm_along_the_last_axis_and_changes_in_place_are_allowed(write):
    body = "theta -= eta * gradient / np.linalg.norm(gradient, axis=-1, keepdims=True); return theta, memory"
    assert rule(write(rule_with(body))).hyperparameters == ("gamma", "eta")


def test_every_wrong_argument_is_named_at_once(write):
    path = write(rule_with(parameters="theta, gradient, memory, gamma, eta, nu=0.7"))
    said = refusal(rule, path, {"nuu": 1, "eta": 0.1})
    assert "unknown argument 'nuu'. Allowed: nu. Did you mean 'nu'?" in said
    assert "eta is no argument here" in said
    assert "It has none beside gamma and eta" in refusal(rule, write(MOMENTUM), {"nu": 1})


def test_a_rule_needs_the_same_leave_as_any_code(write):
    assert "--allow-code" in refusal(rule_from_file, write(MOMENTUM))
