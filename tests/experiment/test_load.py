"""From files, names, mappings and options to an experiment, and every message on the way there."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from momentumlab.errors import ConfigError
from momentumlab.experiment import load
from momentumlab.experiment.keys import every_key
from momentumlab.experiment.schema_schedules import StepSchedule

LINE = "data: {kind: line}\nmodel: {kind: linear}\n"
FORCES = {"objective": {"kind": "forces", "pushes": [[1, 0]]}}


def refusals(source: Any, **options: Any) -> list[str]:
    """The lines that `source` is refused with."""
    with pytest.raises(ConfigError) as caught:
        load(source, **options)
    return list(caught.value.problems)


def problems_of(call: Callable[[], object]) -> tuple[str, ...]:
    """What `call` is refused with; nothing when it succeeds."""
    try:
        call()
    except ConfigError as error:
        return error.problems
    return ()


@pytest.fixture
def write(empty_folder: Path) -> Any:
    """Writes `x.yaml` into the current folder, which is empty but for it."""

    def write(content: str | bytes, name: str = "x.yaml") -> str:
        encoded = content.encode() if isinstance(content, str) else content
        (empty_folder / name).write_bytes(encoded)
        return name

    return write


# ---- messages -------------------------------------------------------------------------------------------------


OPTIMIZERS = (
    "must be sgd, momentum, nesterov, ema, qhm, aggmo, signum, lion, file or a class of torch.optim such as Adam"
)
MESSAGES = {
    "optimizer: {gama: 1}": (
        "x.yaml:3:13: optimizer.gama: unknown key for momentum. Allowed: kind, form, backend, gamma, eta, "
        "dampening, momentum_correction, weight_decay, decoupled, clip, restart. Did you mean 'gamma'?"
    ),
    "optimizer: {gamma: 1.2}": (
        "x.yaml:3:20: optimizer.gamma: got 1.2, must be in [0, 1): at 1 the velocity never decays; try 0.99"
    ),
    "optimizer: {kind: nestrov}": (
        f"x.yaml:3:19: optimizer.kind: got 'nestrov', {OPTIMIZERS}. Did you mean 'nesterov'?"
    ),
    "optimizer: {lr: '0.1'}": "x.yaml:3:17: optimizer.eta: got '0.1', must be a number: take the quotes away",
    "optimizer: {lr: .nan}": "x.yaml:3:17: optimizer.eta: got nan, must be finite",
    "optimizer: {gamma: true}": "x.yaml:3:20: optimizer.gamma: got true, must be a number",
    "optimizer: {γ: 0.1, momentum: 0.1}": (
        "x.yaml:3:21: optimizer.gamma: duplicate key 'momentum', already given on line 3: keep one"
    ),
    "optimizer:": "x.yaml:3:11: optimizer: got nothing, must be a section such as {kind: sgd}",
    "optimizer: {eta: {schedule: step, value: 1}}": (
        "x.yaml:3:18: optimizer.eta.at: missing\nx.yaml:3:18: optimizer.eta.factor: missing"
    ),
    "optimizer: {eta: {schedule: demon, value: 1}}": (
        "x.yaml:3:29: optimizer.eta.schedule: got 'demon', must be constant, step, linear, cosine, exponential, list "
        "or one_cycle"
    ),
    "optimizer: {kind: momentum, backend: torch, restart: function}": (
        "x.yaml:3:54: optimizer.restart: torch.optim.SGD does not have it: take backend scratch"
    ),
    "optimizer: {kind: aggmo, gamma: 0.9}": (
        "x.yaml:3:26: optimizer.gamma: unknown key for aggmo. Allowed: kind, backend, gammas, weights, eta, "
        "weight_decay, decoupled, clip. Did you mean 'gammas'?"
    ),
    "optimizer: {kind: aggmo, gammas: [0, 1.5], weights: [1]}": (
        "x.yaml:3:38: optimizer.gammas: element 2: got 1.5, must be in [0, 1): at 1 the velocity never decays; try 0.99"
    ),
    "optimizer: {kind: aggmo, gammas: [0, 0.9], weights: [1]}": (
        "x.yaml:3:53: optimizer.weights: got [1.0], must have one number for each of the 2 gammas"
    ),
    "train: nesterov": "x.yaml:3:8: train: got 'nesterov', must be a section such as {epochs: …}",
    "train: {epochs: 1.0}": "x.yaml:3:17: train.epochs: got 1.0, must be a whole number",
    "train: {device: gpu}": "x.yaml:3:17: train.device: got 'gpu', must be cpu, cuda, or one GPU such as cuda:0",
    "record: {evaluate: true}": (
        "x.yaml:3:20: record.evaluate: got true, must be auto, false or a whole number of at least 1"
    ),
    "epochs: 3": (
        "x.yaml:3:1: epochs: unknown key. Allowed: name, seed, data, model, loss, objective, optimizer, train, "
        "record, expect, sweep. Did you mean 'train.epochs'?"
    ),
    "name: 1e3": "x.yaml:3:7: name: got 1000.0, must be text: put it in quotes",
    "name: a/b": (
        "x.yaml:3:7: name: got 'a/b', must be letters, digits, '.', '_' or '-', at most 100, "
        "beginning with a letter or digit"
    ),
    "seed: -1": "x.yaml:3:7: seed: got -1, must be in [0, 4294967295]",
    "sweep: 3": "x.yaml:3:8: sweep: got 3, must be a section with keys of its own",
    "sweep: {gama: 3}": "x.yaml:3:15: sweep.gama: unknown key 'gama'. Did you mean 'optimizer.gamma'?",
    "sweep: {lr: [0.1, x, 0]}": (
        "x.yaml:3:13: sweep.eta: element 2 is 'x': must be a number\n"
        "x.yaml:3:13: sweep.eta: element 3 is 0: must be greater than 0: η is the length of a step; try 0.01"
    ),
    "sweep: {eta: [1], zip: yes}": "x.yaml:3:24: sweep.zip: got 'yes', must be true or false",
    "sweep: {eta: []}": (
        "x.yaml:3:14: sweep.eta: got no values, must be a list such as [0, 0.9] or values such as lin:0:0.99:64"
    ),
    '"\\e]0;x\\a": 1': (
        "x.yaml:3:1: \\x1b]0;x\\x07: unknown key. Allowed: name, seed, data, model, loss, objective, optimizer, "
        "train, record, expect, sweep."
    ),
}


@pytest.mark.parametrize(("line", "message"), MESSAGES.items())
def test_a_message_says_where_what_and_what_next(write: Any, line: str, message: str) -> None:
    assert refusals(write(LINE + line)) == message.split("\n")


KINDS = {
    "data: {kind: line, slop: 1}\nmodel: {kind: linear}": (
        "x.yaml:1:20: data.slop: unknown key for line. Allowed: kind, seed, test, standardize, samples, slope, "
        "intercept, noise. Did you mean 'slope'?"
    ),
    "data: {kind: lines}\nmodel: {kind: mlp, hidden: [3, 0, x]}": (
        "x.yaml:1:14: data.kind: got 'lines', must be line, moons, digits, csv or npz. Did you mean 'line'?\n"
        "x.yaml:2:32: model.hidden: element 2: got 0, must be in [1, 65536]\n"
        "x.yaml:2:35: model.hidden: element 3: got 'x', must be a whole number"
    ),
    "data: {path: a.csv}\nmodel: linear": (
        "x.yaml:1:7: data.kind: missing, must be line, moons, digits, csv or npz\n"
        "x.yaml:2:8: model: got 'linear', must be a section such as {kind: linear}"
    ),
    "data: {kind: csv, features: []}\nmodel: {kind: mlp, hidden: [1, 1, 1, 1, 1, 1, 1, 1, 1]}": (
        "x.yaml:1:7: data.path: missing\nx.yaml:1:7: data.target: missing\n"
        "x.yaml:1:29: data.features: got [], must not be empty\n"
        "x.yaml:2:28: model.hidden: got [1, 1, 1, 1, 1, 1, 1, 1, 1], must have at most 8 elements"
    ),
    "data: [line]\nmodel: {kind: linear, start: x}": (
        "x.yaml:1:7: data: got ['line'], must be a section such as {kind: line}\n"
        "x.yaml:2:30: model.start: got 'x', must be a list such as [1, 2]"
    ),
    "loss: mse": ("x.yaml: nothing to minimise: give data and model, or an objective such as {kind: rosenbrock}"),
    "": "x.yaml: is empty, must hold sections such as optimizer: {gamma: 0.9}",
    "- a": "x.yaml: holds ['a'], must hold sections such as optimizer: {gamma: 0.9}",
}


@pytest.mark.parametrize(("text", "message"), KINDS.items(), ids=range(len(KINDS)))
def test_a_message_knows_the_kind_of_its_section(write: Any, text: str, message: str) -> None:
    assert refusals(write(text)) == message.split("\n")


def test_all_problems_of_a_file_and_of_the_options_come_at_once(write: Any) -> None:
    source = write(LINE + "sed: 1\nloss: nll\noptimizer: {gamma: 2, eta: 0}\ntrain: {epochs: 1, epochs: 2}\n")
    lines = refusals(source, set=["record.evry=1", "oops"], seed=-1)
    assert [line.split(": ")[0] for line in lines] == [
        "x.yaml:3:1",
        "x.yaml:4:7",
        "x.yaml:5:20",
        "x.yaml:5:28",
        "x.yaml:6:20",
        "--seed",
        "--set",
        "--set",
    ]


def test_what_was_refused_as_an_alias_is_not_refused_again_as_a_value(write: Any) -> None:
    assert len(refusals(write(LINE + "seed: &a 1\noptimizer: {eta: *a}"))) == 2


# ---- sources --------------------------------------------------------------------------------------------------


def test_a_missing_file_whose_name_is_shipped_leads_to_the_shipped_one(empty_folder: Path) -> None:
    (line,) = refusals("configs/linreg.yaml")
    assert line == "configs/linreg.yaml: no such file; but linreg comes with momentumlab: momentumlab run linreg"


def test_a_misspelt_shipped_name_is_recognised() -> None:
    (line,) = refusals("linrge")
    assert line == "linrge: no such file, and no experiment that comes with momentumlab. Did you mean 'linreg'?"


def test_a_folder_is_no_experiment_but_may_hold_one(empty_folder: Path, write: Any) -> None:
    (empty_folder / "result").mkdir()
    assert refusals("result") == ["result: is a folder, must be a YAML file"]
    write(LINE, "result/experiment.yaml")
    assert refusals("result") == ["result: is a folder: try result/experiment.yaml"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\nb: caf\xe9", "x.yaml:2: byte 0xe9 is not UTF-8: save the file as UTF-8"),
        (b"\xff\xfea\0", "x.yaml:1: byte 0xff is not UTF-8: save the file as UTF-8"),
        (b"a: \0", r"x.yaml:1:4: the control character '\x00' is not allowed: delete it"),
        (b" " * (2**20 + 1), "x.yaml: larger than 1 MiB, which is no experiment"),
    ],
)
def test_bytes_that_are_no_text_are_refused(write: Any, content: bytes, message: str) -> None:
    assert refusals(write(content)) == [message]


@pytest.mark.parametrize("source", ["a\0b", "a" * 300, "\x1b[31m"])
def test_a_name_that_is_no_file_is_refused_and_cannot_steer_the_terminal(empty_folder: Path, source: str) -> None:
    (line,) = refusals(source)
    assert "no such file" in line
    assert line.isprintable()


def test_a_file_that_cannot_be_read_says_why(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(LINE)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert refusals(source) == ["x.yaml: cannot be read: Permission denied"]


def test_a_byte_order_mark_and_windows_lines_are_accepted(write: Any) -> None:
    assert load(write(b"\xef\xbb\xbf" + LINE.replace("\n", "\r\n").encode())).loss == "mse"


@pytest.mark.parametrize(
    ("file", "name"), [("my run.yaml", "my-run"), ("_x.yaml", "x"), ("γ.yml", "experiment"), ("a.b.yaml", "a.b")]
)
def test_the_name_is_the_cleaned_stem_of_the_file(write: Any, file: str, name: str) -> None:
    assert load(write(LINE, file)).name == name
    assert load(write(LINE + "name: own", file)).name == "own"


def test_data_paths_are_seen_from_the_file_and_made_absolute(empty_folder: Path, write: Any) -> None:
    (empty_folder / "deep").mkdir()
    source = write("data: {kind: npz, path: ../a.npz}\nmodel: {kind: mlp}\nsweep: {data.path: [b.npz]}", "deep/x.yaml")
    experiment = load(source)
    assert experiment.data is not None
    assert experiment.data.model_dump()["path"] == str(empty_folder / "a.npz")
    assert experiment.sweep == {"data.path": [str(empty_folder / "deep" / "b.npz")]}
    changed = load(source, set=["data.path=c.npz"])  # typed at the prompt, so seen from there
    assert changed.data is not None
    assert changed.data.model_dump()["path"] == str(empty_folder / "c.npz")


def test_python_values_are_taken_as_yaml_would_have_given_them() -> None:
    numpy = pytest.importorskip("numpy")
    experiment = load(
        {
            "data": {"kind": "npz", "path": Path("/a.npz")},
            "model": {"kind": "mlp", "hidden": (3, numpy.int64(4))},
            "optimizer": {"lr": numpy.float64(0.5), "γ": 0},
        }
    )
    assert experiment.resolved()["model"]["hidden"] == [3, 4]
    assert experiment.optimizer.eta == 0.5


def test_both_spellings_at_once_are_refused_in_a_mapping() -> None:
    assert refusals(FORCES | {"optimizer": {"lr": 1, "η": 2}}) == ["optimizer.eta: given twice, once as 'η': keep one"]


# ---- options --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["gamma", "γ", "momentum", "optimizer.gamma", "optimizer.γ", "ｇａｍｍａ"])
def test_every_spelling_of_gamma_sets_gamma(spelling: str) -> None:
    assert load(FORCES, set=[f"{spelling}=0.25"]).optimizer.gamma == 0.25
    assert load(FORCES, set={spelling: 0.25}).optimizer.gamma == 0.25


def test_options_win_over_the_file(write: Any) -> None:
    source = write(LINE + "seed: 1\noptimizer: {gamma: 0.1, eta: 0.1}")
    experiment = load(source, set=["train.epochs=7", "model.start=[1, 2]"], gamma=0.2, eta="3e-1", seed=4)
    assert (experiment.optimizer.gamma, experiment.optimizer.eta, experiment.seed) == (0.2, 0.3, 4)
    assert experiment.train.epochs == 7
    assert experiment.resolved()["model"]["start"] == [1.0, 2.0]


def test_gamma_and_eta_set_the_value_of_a_schedule(write: Any) -> None:
    step = "{schedule: step, value: 0.1, factor: 0.1, at: [3]}"
    experiment = load(write(LINE + f"optimizer: {{gamma: {step}, eta: {step}}}"), gamma=0.5, eta=0.2)
    assert experiment.optimizer.gamma == StepSchedule(schedule="step", value=0.5, factor=0.1, at=[3])
    assert experiment.optimizer.eta == StepSchedule(schedule="step", value=0.2, factor=0.1, at=[3])


def test_an_option_takes_the_place_of_what_contradicts_it_in_the_file(write: Any) -> None:
    source = write(LINE + "train: {epochs: 9}\noptimizer: {gamma: 0.5}")
    experiment = load(source, set=["train.steps=5", "optimizer.kind=sgd"])
    assert (experiment.train.epochs, experiment.train.steps) == (None, 5)
    assert experiment.optimizer.gamma == 0.0


def test_leaving_sgd_brings_the_usual_gamma_back() -> None:
    sgd = load(FORCES | {"optimizer": {"kind": "sgd"}}).resolved()
    assert load(sgd, set=["optimizer.kind=momentum"]).optimizer.gamma == 0.9


OPTIONS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "misspelt": (
        {"set": ["optimizer.gama=1"]},
        ["--set: unknown key 'optimizer.gama'. Did you mean 'optimizer.gamma'?"],
    ),
    "section forgotten": ({"set": {"epochs": 1}}, ["--set: unknown key 'epochs'. Did you mean 'train.epochs'?"]),
    "no value": ({"set": ["seed"]}, ["--set: got 'seed', must be key=value such as train.epochs=10"]),
    "broken value": (
        {"set": ["seed=[1"]},
        ["--set: seed: got '[1': not valid YAML: did not find expected ',' or ']'"],
    ),
    "anchor": (
        {"set": ["seed=&a 1"]},
        ["--set: seed: got '&a 1': the anchor &a is not allowed: write the value out where needed"],
    ),
    "into a number": (
        {"set": ["optimizer.eta.factor=1"]},
        ["--set: optimizer.eta.factor: eta is 0.01, which has no keys of its own"],
    ),
    "wrong type": ({"set": ["lr=fast"]}, ["--set: optimizer.eta: got 'fast', must be a number"]),
    "contradiction": (
        {"set": ["optimizer.kind=sgd"], "gamma": 0.5},
        ["--gamma: got 0.5, but sgd has no γ: leave gamma out, or take kind momentum"],
    ),
    "gamma": ({"gamma": 1}, ["--gamma: got 1, must be in [0, 1): at 1 the velocity never decays; try 0.99"]),
    "section": (
        {"set": ["optimizer={kind: nestrov}"]},
        [f"--set: optimizer.kind: got 'nestrov', {OPTIMIZERS}. Did you mean 'nesterov'?"],
    ),
}


@pytest.mark.parametrize(("options", "lines"), OPTIONS.values(), ids=OPTIONS)
def test_a_wrong_option_is_named(options: dict[str, Any], lines: list[str]) -> None:
    assert refusals(FORCES | {"optimizer": {"eta": 0.01}}, **options) == lines


# ---- laws -----------------------------------------------------------------------------------------------------


words = st.sampled_from(sorted({part for key in every_key() for part in key.split(".")}))
kinds = st.sampled_from(["line", "csv", "mlp", "linear", "quadratic", "forces", "sgd", "step", "random", "auto"])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | kinds | st.text(max_size=5)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words | kinds, inner, max_size=4)
)


@given(st.dictionaries(words, values | st.fixed_dictionaries({"kind": kinds}), max_size=6))
def test_any_data_is_an_experiment_or_refused_in_our_words(data: dict[str, Any]) -> None:
    lines = problems_of(lambda: load(data))
    assert not any(foreign in line for line in lines for foreign in ("Input should", "Field required", "type="))
    assert all(line.isprintable() for line in lines)


def test_the_room_loads_without_numpy_and_torch() -> None:
    code = "import sys, momentumlab.experiment; print({'torch', 'numpy', 'matplotlib'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
