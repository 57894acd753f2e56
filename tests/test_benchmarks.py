"""The benchmarks' own arithmetic, and that the contestants train the same. No time is looked at."""

import ast
import importlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))


@pytest.fixture
def framework() -> Any:
    return importlib.import_module("framework")


@pytest.fixture
def tables() -> Any:
    return importlib.import_module("tables")


def scripted(**given: list[Any]) -> Callable[[Any], Any]:
    """A way to play: each contestant gives the next of its list, or fails."""
    turns: dict[str, Iterator[Any]] = {label: iter(turn) for label, turn in given.items()}

    def play(contestant: Any) -> Any:
        got = next(turns[contestant.label])
        if isinstance(got, Exception):
            raise got
        return got

    return play


def took(seconds: float, **answer: float) -> dict[str, Any]:
    return {"seconds": seconds, "answer": answer or {"loss": 1.0}}


def row(framework: Any, *beside: str, **options: Any) -> Any:
    others = tuple(framework.Beside(framework.Contestant(label, ""), 2.0) for label in beside)
    return framework.Row("work", framework.Contestant("ours", ""), others, **options)


def test_a_line_is_the_ratio_of_the_medians(framework: Any, tables: Any) -> None:
    play = scripted(ours=[took(1), took(9), took(2)], slow=[took(8), took(5), took(6)])

    (line,) = framework.measure(row(framework, "slow"), play)

    assert (line.ours, line.theirs, line.ratio) == (2, 6, 3)
    assert not line.failure
    assert tables.cells(line) == ("work", "2.00 s", "slow", "6.00 s", "3.00×", "2×", "")


def test_a_ratio_below_what_is_asked_is_said(framework: Any, tables: Any) -> None:
    (line,) = framework.measure(row(framework, "fast", rounds=1), scripted(ours=[took(1)], fast=[took(1.5)]))

    assert tables.cells(line)[-1] == "below what is asked"


def test_an_unequal_answer_has_no_ratio_and_the_others_go_on(framework: Any, tables: Any) -> None:
    play = scripted(ours=[took(1)] * 2, wrong=[took(2, loss=1.1)], right=[took(3)] * 2)

    wrong, right = framework.measure(row(framework, "wrong", "right", rounds=2, tolerance=0.01), play)

    assert "unequal answers: loss is 1 here and 1.1 there" in wrong.failure
    assert tables.cells(wrong)[4] == "—"
    assert right.ratio == 3


def test_a_contestant_that_fails_is_named_and_the_others_go_on(framework: Any) -> None:
    play = scripted(ours=[took(1)] * 2, broken=[framework.FailureError("no such module")], right=[took(3)] * 2)

    broken, right = framework.measure(row(framework, "broken", "right", rounds=2), play)

    assert broken.failure == "FAILED: no such module"
    assert right.ratio == 3


@pytest.mark.parametrize(
    "answer", [{}, {"other": 1.0}, {"loss": 1.001}, {"loss": float("nan")}], ids=["none", "other", "far", "nan"]
)
def test_answers_that_do_not_agree_are_refused(framework: Any, answer: dict[str, float]) -> None:
    framework.check_equal({"loss": 1.0}, {"loss": 1.0000001}, 1e-6)

    with pytest.raises(framework.FailureError):
        framework.check_equal({"loss": 1.0}, answer, 1e-6)


def test_a_section_of_the_page_is_replaced_and_nothing_else(tables: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("above\n<!-- bench: begin -->\nold\n<!-- bench: end -->\nbelow\n", encoding="utf-8")

    tables.write_section("bench", "new", page)

    assert page.read_text(encoding="utf-8") == "above\n<!-- bench: begin -->\nnew\n<!-- bench: end -->\nbelow\n"
    with pytest.raises(ValueError, match="no section gpu"):
        tables.write_section("gpu", "new", page)


def test_the_page_has_a_section_for_every_table(tables: Any) -> None:
    page = tables.PAGE.read_text(encoding="utf-8")

    for name in ("bench", "peers", "gpu", "million"):
        assert f"<!-- {name}: begin -->\n" in page
        assert f"<!-- {name}: end -->\n" in page


def test_every_contestant_is_there_and_takes_its_arguments() -> None:
    bench, peers, gpu, million = map(importlib.import_module, ("bench", "bench_peers", "bench_gpu", "bench_million"))
    rows = [*bench.rows(), *peers.rows(), *gpu.rows("cuda", (1, 64), epochs=1, jax=True)]
    contestants = [one for row in rows for one in (row.ours, *(beside.contestant for beside in row.beside))]
    contestants += [limit.contestant for limit in (*bench.limits(), *million.limits())]

    for contestant in contestants:
        module, _, name = contestant.function.partition(":")
        tree = ast.parse((FOLDER / "contestants" / f"{module}.py").read_text(encoding="utf-8"))
        (function,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name)
        taken = [argument.arg for argument in function.args.args]
        needed = taken[: len(taken) - len(function.args.defaults)]
        assert set(needed) <= set(contestant.arguments) <= set(taken), contestant


def here(contestant: Any) -> Any:
    """Play in this process."""
    module, _, name = contestant.function.partition(":")
    return getattr(importlib.import_module(f"contestants.{module}"), name)(**contestant.arguments)


@pytest.mark.parametrize("runs", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_the_rows_for_a_gpu_agree_on_the_processor(framework: Any, runs: int) -> None:
    for row in importlib.import_module("bench_gpu").rows("cpu", (runs,), epochs=1, jax=False):
        for line in framework.measure(replace(row, rounds=1), here):
            assert not line.failure


VMAPPED = {"config": "linreg", "runs": 3, "steps": 100, "some": 3, "changes": {}}


@pytest.mark.parametrize(
    ("ours", "theirs", "arguments"),
    [
        ("files:ours", "files:csv_module", {"rows": 5000, "dtype": "float32"}),
        ("files:ours", "files:csv_module", {"rows": 5000, "dtype": "float64"}),
        pytest.param("pictures:ours", "pictures:matplotlib", {"points": 20_000}, marks=pytest.mark.slow),
        pytest.param("stacks:ours", "stacks:vmap", VMAPPED, marks=pytest.mark.slow),
        ("updates:engine", "updates:sgd_as_engine", {"size": "2"}),
        ("updates:momentum", "updates:sgd", {"size": "2"}),
        ("digits:ours", "digits:data_loader", {"epochs": 1}),
        ("digits:ours", "digits:indexed", {"epochs": 1}),
    ],
)
def test_tiny_contestants_agree(
    framework: Any, monkeypatch: pytest.MonkeyPatch, ours: str, theirs: str, arguments: dict[str, Any]
) -> None:
    once = importlib.import_module("contestants.updates")
    monkeypatch.setattr(once, "median_seconds", lambda work: work() or 1.0)

    answers = [here(framework.Contestant("", function, arguments))["answer"] for function in (ours, theirs)]

    framework.check_equal(*answers, 1e-4)  # float32, rounded otherwise in each of at most 23 updates
