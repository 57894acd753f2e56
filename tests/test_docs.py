"""What README, docs and CONTRIBUTING show is what happens: commands, experiments, keys, columns and links."""

import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

import momentumlab
from momentumlab import cli
from momentumlab.experiment import expand, load, parse
from momentumlab.experiment.load import load as load_mapping
from momentumlab.problems.objectives import OBJECTIVES

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "README.zh.md", *sorted((ROOT / "docs").glob("*.md"))]
EXPERIMENTS = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")

# Sections that are shown by themselves are read together with these.
AROUND = {"data": {"kind": "line"}, "model": {"kind": "linear"}}


def blocks(language):
    """Every fenced block of a language: its text, named by page and line."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, block.start()) + 1
            found.append(pytest.param(block[1], id=f"{page.name}:{line}"))
    return found


@pytest.fixture
def type_in(monkeypatch, capsys, tmp_path):
    """Type a command in an empty folder: (exit code, what it printed); 2>&1 adds what went to stderr."""
    monkeypatch.chdir(tmp_path)

    def typed(command):
        program, *arguments = shlex.split(command.removesuffix("2>&1"))
        monkeypatch.setattr(sys, "argv", [program, *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
            raise SystemExit(0)
        said = capsys.readouterr()
        return left.value.code or 0, said.out + (said.err if command.endswith("2>&1") else "")

    return typed


def words(text):
    """The lines of a text, each as its words: a terminal parts cells by spaces, a pipe by tabs."""
    return [line.split() for line in text.splitlines()]


@pytest.mark.parametrize("block", blocks("console"))
def test_a_command_that_is_shown_prints_what_is_shown(block, type_in):
    commands = re.split(r"^\$ ", block, flags=re.MULTILINE)
    assert commands.pop(0) == ""
    for shown in commands:
        command, _, expected = shown.partition("\n")
        assert command.startswith("momentumlab ")
        code, printed = type_in(command)
        assert words(printed) == words(expected)
        assert code == 0 or command.endswith("2>&1")


def test_the_files_that_are_shown_are_those_of_the_command_above_them(type_in):
    (block,) = (block.values[0] for block in blocks("console") if block.id.startswith("results.md"))
    type_in(block.splitlines()[0].removeprefix("$ ") + " --no-plot")
    (folder,) = Path("runs").iterdir()
    shown = [block.values[0] for block in blocks("csv") if block.id.startswith("results.md")]
    assert shown == [(folder / name).read_text(encoding="utf-8") for name in ("metrics.csv", "runs.csv")]


@pytest.mark.parametrize("block", blocks("yaml"))
def test_an_experiment_that_is_shown_loads(block, tmp_path):
    sections = parse(block, "shown")
    file = tmp_path / "shown.yaml"
    file.write_text(block, encoding="utf-8")
    whole = "objective" in sections or {"data", "model"} <= set(sections)
    experiment = load(file) if whole else load_mapping(AROUND | sections)
    if experiment.sweep:
        assert expand(experiment).cells


def test_the_result_that_the_pages_name_is_the_one_that_the_default_sweep_leaves(tmp_path):
    result = momentumlab.sweep(gamma="0,0.5,0.9,0.99", runs=tmp_path)
    named = {name for page in PAGES for name in re.findall(r"linreg-[0-9a-f]{8}\b", page.read_text(encoding="utf-8"))}
    assert named == {result.name}


# ---- every key, every column -------------------------------------------------------------------------------


def keys_of_the_schema():
    schema = json.loads((ROOT / "configs" / "experiment.schema.json").read_text(encoding="utf-8"))
    sections = [schema, *schema["$defs"].values(), schema["properties"]["sweep"]["anyOf"][0]]
    return {key for section in sections for key in section["properties"]}


def choices_of_the_schema(node):
    """Every word that some key can be."""
    if isinstance(node, list):
        return {word for inner in node for word in choices_of_the_schema(inner)}
    if not isinstance(node, dict):
        return set()
    here = {word for word in [node.get("const"), *node.get("enum", [])] if isinstance(word, str)}
    return here | choices_of_the_schema(list(node.values()))


def not_in(page, names):
    """The names that the page does not have between backticks."""
    return sorted(name for name in names if f"`{name}`" not in page)


def test_every_key_of_the_experiment_file_is_explained():
    keys = keys_of_the_schema()
    assert {"gamma", "γ", "lr", "schedule", "pushes", "zip"} <= keys
    assert not not_in(EXPERIMENTS, keys)


def test_every_kind_and_choice_is_explained():
    schema = json.loads((ROOT / "configs" / "experiment.schema.json").read_text(encoding="utf-8"))
    choices = choices_of_the_schema(schema)
    assert {"nesterov", "cross_entropy", "npz", "gelu", "forces", *OBJECTIVES} <= choices
    assert not not_in(EXPERIMENTS, choices)


@pytest.mark.parametrize("kind", sorted(OBJECTIVES))
def test_an_objective_stands_in_the_table_with_its_start_and_minima(kind):
    (row,) = (line for line in EXPERIMENTS.splitlines() if line.startswith(f"| `{kind}` | ") and line.count(" | ") == 4)
    _, _, start, minima, domain = row.strip("| ").split(" | ")
    objective = OBJECTIVES[kind]()
    if kind != "quadratic":  # its number of coordinates is its own: 1 and 0 everywhere
        assert numbers(start) == pytest.approx(objective.start)
        assert set(np.ravel(objective.domain).round(4)) == domain_ends(domain)
    if kind == "quadratic" or kind == "plateau":
        return
    for minimum in objective.minima:
        assert {f"{abs(x):.4f}".rstrip("0").rstrip(".") for x in minimum} <= {f"{abs(x):g}" for x in numbers(minima)}
    if not objective.minima:
        assert not re.search(r"\(\S+, \S+\)", minima)


def numbers(text):
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text.replace("−", "-"))]


def domain_ends(text):
    return set(numbers(text.replace("`width` + 2", "3")))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Small results that have every column there is between them."""
    runs = tmp_path_factory.mktemp("runs")
    digits = {"data.test": 0.5, "train.epochs": 1, "train.batch_size": "full", "model.hidden": [1]}
    return [
        momentumlab.run("digits_mlp", set=digits, runs=runs),
        momentumlab.run("rosenbrock", set={"train.steps": 1}, runs=runs),
        momentumlab.sweep(AROUND, vary={"model": [{"kind": "linear"}, {"kind": "mlp"}]}, runs=runs),
    ]


def test_every_column_is_explained(results):
    for tables in ([result.metrics for result in results], [result.runs for result in results]):
        columns = {column for table in tables for column in table if "." not in column}
        columns = {re.sub(r"_[1-9]\d*$", "_0", column) for column in columns}
        assert {"run", "gamma", "test_accuracy"} <= columns
        assert not not_in(RESULTS, columns)


def test_every_key_of_the_manifest_and_of_the_parameters_is_explained(results):
    manifests = {key for result in results for key in result.manifest}
    parameters = {key for result in results for key in np.load(result.folder / "parameters.npz")}
    assert {"layout", "names", "names_0", "shapes"} <= parameters
    assert not not_in(RESULTS, manifests | parameters)


# ---- links -------------------------------------------------------------------------------------------------


def links():
    found = []
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            if not re.match(r"[a-z]+:", target):
                found.append(pytest.param(page, target, id=f"{page.name}:{target}"))
    return found


@pytest.mark.parametrize(("page", "target"), links())
def test_a_link_leads_to_a_file_and_a_heading_that_are_there(page, target):
    name, _, heading = target.partition("#")
    file = page.parent / name if name else page
    assert file.exists()
    if heading:
        headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
        assert heading in {re.sub(r"[^\w -]", "", text).lower().replace(" ", "-") for text in headings}
