"""YAML 1.2 as a student expects it, and every refusal with its place."""

import math
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from momentumlab.errors import ConfigError
from momentumlab.experiment import load
from momentumlab.experiment.axes import axis
from momentumlab.experiment.strict_yaml import DEEPEST, LARGEST, MOST_NODES, MOST_PROBLEMS, parse, parse_value, read


def problems_of(call: Callable[[], object]) -> tuple[str, ...]:
    """What `call` is refused with; nothing when it succeeds."""
    try:
        call()
    except ConfigError as error:
        return error.problems
    return ()


MEANINGS = {
    "1e-3": 0.001,
    "1E3": 1000.0,
    ".5": 0.5,
    "5.": 5.0,
    "+3": 3,
    "-0.1": -0.1,
    "0777": 777,
    "0o17": 15,
    "0x1F": 31,
    ".inf": math.inf,
    "-.INF": -math.inf,
    "1e999": math.inf,
    "no": "no",
    "off": "off",
    "Yes": "Yes",
    "1:30": "1:30",
    "1_000": "1_000",
    "2024-01-01": "2024-01-01",
    "0b11": "0b11",
    "=": "=",
    "<<": "<<",
    "true": True,
    "FALSE": False,
    "tRUE": "tRUE",
    "null": None,
    "~": None,
    "": None,
    "'1'": "1",
    '"true"': "true",
    "[1, a, 2.0]": [1, "a", 2.0],
    "{a: 1}": {"a": 1},
    "γ": "γ",
}


@pytest.mark.parametrize(("text", "value"), MEANINGS.items())
def test_a_scalar_means_what_yaml_1_2_says(text: str, value: object) -> None:
    read_value = parse_value(text)
    assert read_value == value
    assert type(read_value) is type(value)


def test_not_a_number_is_read_as_such() -> None:
    assert math.isnan(parse_value(".nan"))


def test_a_number_of_ten_thousand_digits_is_infinite_rather_than_an_accident() -> None:
    assert parse_value("9" * 10_000) == math.inf


def test_every_key_and_value_has_its_place() -> None:
    document = read("a: 1\nb:\n  c: [x, yy]\n", "f")
    assert document.data == {"a": 1, "b": {"c": ["x", "yy"]}}
    assert document.keys["b", "c"] == (3, 3)
    assert document.values["b", "c", 1] == (3, 10)


REFUSALS = {
    "a: 1\nb: 2\na: 3": "f:3:1: a: duplicate key 'a', already given on line 1: keep one",
    "a: &x 1": "f:1:4: a: the anchor &x is not allowed: write the value out where needed",
    "a: [*x]": "f:1:5: a: element 1: the alias *x is not allowed: write the value out",
    "a: !!python/name:os.system x": "f:1:4: a: the tag '!!python/name:os.system' is not allowed: plain values only",
    "a: 1\n---\nb: 2": "f:2:1: a second document begins here: one file holds one experiment",
    "a: 1\nb: \x1b[0m": r"f:2:4: the control character '\x1b' is not allowed: delete it",
    "a: [1\n": "f:2:1: not valid YAML: did not find expected ',' or ']'",
    "a:\n\tb: 1": (
        "f:2:1: not valid YAML: found character that cannot start any token: indent with spaces, not with tabs"
    ),
    "[a]: 1": "f:1:1: a key must be a single word",
    "[" * 40: f"f:1:34: nested deeper than {DEEPEST}, which is no experiment",
    "x" * (LARGEST + 1): "f: larger than 1 MiB, which is no experiment",
    "- a\n" * (MOST_NODES + 1): f"f:{MOST_NODES}:3: more than {MOST_NODES} values, which is no experiment",
}


@pytest.mark.parametrize(("text", "message"), REFUSALS.items(), ids=range(len(REFUSALS)))
def test_what_no_experiment_needs_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "f")
    assert str(caught.value) == message


def test_all_refusals_of_a_text_come_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("a: 1\na: 2\nb: &x 3\nc: *x\n", "f")
    assert [line[:6] for line in caught.value.problems] == ["f:2:1:", "f:3:4:", "f:4:4:"]


def test_the_name_of_a_file_cannot_steer_the_terminal() -> None:
    with pytest.raises(ConfigError, match=r"^\\x1b\[31m:2:1"):
        parse("a: [1\n", "\x1b[31m")


@given(st.text())
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    assert all(line.startswith("f:") for line in problems_of(lambda: parse(text, "f")))


@given(st.text(alphabet="ab:- \n[]{},'\"&*!|>#?%@`\t0.1e", max_size=40))
def test_any_scramble_of_yaml_signs_is_read_or_refused_in_words(text: str) -> None:
    assert all(line.startswith("f:") for line in problems_of(lambda: parse(text, "f")))


@given(
    st.text(st.characters(exclude_categories=()), max_size=60),
    st.sampled_from(["", "optimizer: {gamma: ", "sweep: {eta: "]),
)
@settings(max_examples=60)
def test_any_text_is_an_experiment_or_refused_in_words_that_can_be_printed(text: str, before: str) -> None:
    for call in (lambda: load({"objective": {"kind": "booth"}}, set=[text]), lambda: parse(before + text, "x.yaml")):
        assert all(problem.isprintable() for line in problems_of(call) for problem in line.split("\n"))


@given(
    st.text(st.characters(exclude_categories=()), max_size=40),
    st.sampled_from(["gamma", "eta", "seed", "optimizer.nu"]),
)
@settings(max_examples=60)
def test_any_text_is_the_value_of_an_option_or_refused_in_words(text: str, key: str) -> None:
    for call in (
        lambda: axis(key, text),
        lambda: load("linreg", gamma=text),
        lambda: load({"name": text, "objective": {"kind": "booth"}}),
    ):
        assert all(problem.replace("\u00a0", "").isprintable() for problem in problems_of(call))


@pytest.mark.parametrize(
    "name", ["../x", "/etc", ".hidden", "-rf", "a\nb", "a\n", "é" * 150, "a/b", "a\\b", "", "a" * 101, "\ud800"]
)
def test_a_name_that_could_leave_its_folder_is_refused(name: str) -> None:
    (problem,) = problems_of(lambda: load({"name": name, "objective": {"kind": "booth"}}))
    assert problem.startswith("name: ")


def test_a_great_many_problems_are_told_as_some_and_a_count(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("optimizer: {" + ", ".join(f"gamna{index}: 1" for index in range(3000)) + "}")
    assert len(problems_of(lambda: load(file))) <= MOST_PROBLEMS + 1


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.yaml")
    (problem,) = problems_of(lambda: load(tmp_path / "x.yaml"))
    assert "a device or a pipe" in problem


@pytest.mark.parametrize("text", ['name: "\\e[31m"', "seed: 0o" + "7" * 5000, "seed: " + "9" * 5000])
def test_escapes_in_quotes_and_endless_numbers_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(f"objective: {{kind: booth}}\n{text}")
    assert len(problems_of(lambda: load(tmp_path / "x.yaml"))) == 1
