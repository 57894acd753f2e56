"""What README, docs and CONTRIBUTING show is what happens: commands, experiments, keys, columns and links."""

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

import momentumlab
from momentumlab import cli
from momentumlab.audit import examine, report
from momentumlab.audit.result import examine_result
from momentumlab.errors import ConfigError
from momentumlab.experiment import expand, load, parse
from momentumlab.experiment.schema_torch import TORCH_CLASSES
from momentumlab.optimizers.quasi_hyperbolic import READ, hyperparameters
from momentumlab.optimizers.rules import RULES
from momentumlab.problems.objectives import OBJECTIVES

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "README.zh.md", *sorted((ROOT / "docs").glob("*.md"))]
EXPERIMENTS = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
RULES_PAGE = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
CHECK = (ROOT / "docs" / "check.md").read_text(encoding="utf-8")
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


def once(found):
    """The blocks without those that another page has already, as those of a translation."""
    return list({block.values[0]: block for block in reversed(found)}.values())[::-1]


@pytest.fixture
def type_line(type_in, monkeypatch):
    """Type a line as a page shows it: (exit code, what it printed); 2>&1 adds what went to stderr."""
    monkeypatch.setattr(cli, "_pictures", lambda carried: [])  # only stderr names them, and drawing takes the most time
    shutil.copytree(ROOT / "examples", "examples")
    for block in blocks("python"):
        if named := re.match(r"# (\w+\.py)\n", block.values[0]):
            Path(named[1]).write_text(block.values[0], encoding="utf-8")

    def typed(command):
        _, *arguments = shlex.split(command.removesuffix("2>&1"))
        code, out, err = type_in(*arguments)
        return code, out + (err if command.endswith("2>&1") else "")

    return typed


def words(text):
    """The lines of a text, each as its words: a terminal parts cells by spaces, a pipe by tabs."""
    return [line.split() for line in text.splitlines()]


@pytest.mark.parametrize("block", once(blocks("console")))
def test_a_command_that_is_shown_prints_what_is_shown(block, type_line):
    commands = re.split(r"^\$ ", block, flags=re.MULTILINE)
    assert commands.pop(0) == ""
    for shown in commands:
        command, _, expected = shown.partition("\n")
        assert command.startswith("momentumlab ")
        code, printed = type_line(command)
        assert words(printed) == words(expected)
        assert code == 0 or command.endswith("2>&1")


def test_the_files_that_are_shown_are_those_of_the_command_above_them(type_line):
    (block,) = (block.values[0] for block in blocks("console") if block.id.startswith("results.md"))
    type_line(block.splitlines()[0].removeprefix("$ "))
    (folder,) = Path("runs").iterdir()
    shown = [block.values[0] for block in blocks("csv") if block.id.startswith("results.md")]
    assert shown == [(folder / name).read_text(encoding="utf-8") for name in ("metrics.csv", "runs.csv")]


@pytest.mark.parametrize("block", blocks("yaml"))
def test_an_experiment_that_is_shown_loads(block, tmp_path):
    sections = parse(block, "shown")
    whole = "objective" in sections or {"data", "model"} <= set(sections)
    file = tmp_path / "shown.yaml"
    file.write_text(block, encoding="utf-8")
    experiment = load(file if whole else AROUND | sections)
    if experiment.sweep:
        assert expand(experiment).cells


def test_a_file_with_mistakes_is_answered_as_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (wrong,), (answer,) = blocks("yaml invalid"), blocks("text")
    Path("valley.yaml").write_text(wrong.values[0], encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load("valley.yaml")
    assert str(refused.value).splitlines() == answer.values[0].splitlines()


def test_the_result_that_the_pages_name_is_the_one_that_the_default_sweep_leaves(tmp_path):
    result = momentumlab.sweep(gamma="0,0.5,0.9,0.99", runs=tmp_path)
    named = {name for page in PAGES for name in re.findall(r"linreg-[0-9a-f]{8}\b", page.read_text(encoding="utf-8"))}
    assert named == {result.name}


VERDICTS = {"对": "true", "错": "false", "有条件": "conditional"}


def judged(page):
    """Each statement of a page on the article: its number, its verdict in table and section, commands and pictures."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    for chinese, english in VERDICTS.items():
        text = text.replace(f"**{chinese}**", f"**{english}**")
    table = dict(re.findall(r"^\| \[(\d+)\]\(.*\*\*(.+)\*\*", text, re.MULTILINE))
    _, *sections = re.split(r"^### (\d+) .*\n(?=> )", text, flags=re.MULTILINE)
    found = []
    for number, section in zip(sections[::2], sections[1::2], strict=True):
        verdict = re.search(r"^\*\*(.+?)\*\*", section, re.MULTILINE)[1].lower()
        proof = re.findall(r"^```console\n[^`]*^```$|\(images/.*?\)|`momentumlab [^`]*`", section, re.MULTILINE)
        found.append((number, table[number], verdict, proof))
    return found


def test_the_article_is_judged_the_same_in_both_languages_and_in_table_and_section():
    english = judged("article.md")
    assert judged("article.zh.md") == english
    assert {verdict for _, verdict, *_ in english} == set(VERDICTS.values())
    assert all(in_table == in_section for _, in_table, in_section, _ in english)


def test_a_cell_that_was_altered_is_answered_as_shown(type_line):
    type_line("momentumlab sweep")
    (folder,) = Path("runs").iterdir()
    table = (folder / "metrics.csv").read_text(encoding="utf-8")
    (row,) = (line for line in table.splitlines() if line.startswith("2,40,"))
    theta = row.split(",")[table.partition("\n")[0].split(",").index("theta_0")]
    (folder / "metrics.csv").write_text(table.replace(row, row.replace(theta, "1.9")), encoding="utf-8")
    code, printed = type_line(f"momentumlab check {folder}")
    assert code == 1
    assert re.sub(r"^", "    ", printed.strip(), flags=re.MULTILINE) in CHECK


def test_the_rule_that_is_shown_is_the_one_of_the_example():
    example = (ROOT / "examples" / "my_rule.py").read_text(encoding="utf-8")
    for page in ("README.md", "README.zh.md", "docs/rules.md"):
        assert example in (ROOT / page).read_text(encoding="utf-8")


# ---- every key, every column -------------------------------------------------------------------------------


def below(node):
    """Every mapping of the schema, at any depth."""
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return ([node] if isinstance(node, dict) else []) + [one for each in inner for one in below(each)]


@pytest.fixture(scope="module")
def schema():
    return below(json.loads((ROOT / "configs" / "experiment.schema.json").read_text(encoding="utf-8")))


def not_in(page, names):
    """The names that the page does not have between backticks."""
    return sorted(name for name in names if f"`{name}`" not in page)


def test_every_key_of_the_experiment_file_is_explained(schema):
    keys = {key for part in schema for key in part.get("properties", {})}
    assert {"gamma", "γ", "lr", "schedule", "pushes", "zip"} <= keys
    assert not not_in(EXPERIMENTS, keys)


def test_every_kind_and_choice_is_explained(schema):
    choices = {word for part in schema for word in [part.get("const"), *part.get("enum", [])] if isinstance(word, str)}
    assert {"nesterov", "cross_entropy", "npz", "gelu", "forces", *OBJECTIVES} <= choices
    assert not not_in(EXPERIMENTS, choices)


def test_every_rule_option_schedule_and_mapping_is_explained(schema):
    schedules = {part["properties"]["schedule"]["const"] for part in schema if "schedule" in part.get("properties", {})}
    mapped = {name for source in READ for name in (source, *hyperparameters(source))} - {"gamma", "eta"}
    options = {"restart", "clip", "weight_decay", "decoupled", "dampening", "momentum_correction"}
    names = {name.removeprefix("torch_") for name in RULES} | schedules | mapped | options
    assert {"lion", "demon", "pid"} <= names
    assert not [name for name in names if not re.search(rf"`{name}\b", RULES_PAGE)]


def test_torchs_classes_stand_in_the_table_with_their_defaults():
    rows = {row[0].strip("`"): row for row in map(cells, RULES_PAGE.splitlines()) if row[0].strip("`") in TORCH_CLASSES}
    words = {"momentum": "`momentum`", "betas": "β₁", "": "none"}
    assert rows == {
        name: [f"`{name}`", words[its.gamma_argument], f"{its.gamma:g}" if its.gamma_argument else "", f"{its.eta:g}"]
        for name, its in TORCH_CLASSES.items()
    }


def test_every_defect_and_every_key_of_a_check_is_explained(tmp_path):
    defects = [value for name, value in vars(report).items() if name.isupper() and isinstance(value, str)]
    shown = {row[0] for row in map(cells, CHECK.splitlines())}
    assert len(defects) > len({report.UNKNOWN})
    assert set(defects) - {report.UNKNOWN} <= shown
    result = momentumlab.run("rosenbrock", set={"train.steps": 1}, runs=tmp_path)
    assert not not_in(CHECK, {*examine("qhm").as_object(), *examine_result(result.folder).as_object()})


def cells(line):
    """The cells of a line of a table; of any other line the line itself."""
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize("kind", sorted(set(OBJECTIVES) - {"quadratic"}))
def test_an_objective_stands_in_the_table_with_its_start_domain_and_minima(kind):
    (row,) = (line for line in EXPERIMENTS.splitlines() if line.startswith(f"| `{kind}` | "))
    if kind == "plateau":
        row = row.replace("`width` + 1", "2").replace("`width` + 2", "3")
    _, _, start, minima, domain = row.strip("| ").split(" | ")
    objective = OBJECTIVES[kind]()
    assert numbers(start) == list(objective.start)
    assert set(numbers(domain)) == set(np.ravel(objective.domain))
    # Some stand there once for both signs or both coordinates.
    assert set(np.round(np.abs(objective.minima), 4).ravel()) <= {abs(number) for number in numbers(minima)}


def numbers(text):
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text.replace("−", "-"))]


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
