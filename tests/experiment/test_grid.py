"""From axes to cells: values, order, pairs, merging, and what is refused."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from momentumlab.errors import ConfigError
from momentumlab.experiment import Grid, expand, load, parse_values, single

BOWL: dict[str, Any] = {"objective": {"kind": "quadratic", "condition": 1000}}
LINE: dict[str, Any] = {"data": {"kind": "line"}, "model": {"kind": "linear"}}
STEP = {"schedule": "step", "value": 0.1, "factor": 0.5, "at": [3]}


def grid(data: dict[str, Any] = BOWL, **axes: Any) -> Grid:
    return expand(load(data), **axes)


def values(*args: Any, **axes: Any) -> list[dict[str, Any]]:
    return [cell.values for cell in grid(*args, **axes).cells]


def refusal(*args: Any, **axes: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        grid(*args, **axes)
    return str(caught.value)


def problems_of(call: Callable[[], object]) -> tuple[str, ...]:
    """What `call` is refused with; nothing when it succeeds."""
    try:
        call()
    except ConfigError as error:
        return error.problems
    return ()


# ---- values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0,0.5,0.9", [0, 0.5, 0.9]),
        ("0.9", [0.9]),
        ("sgd, momentum", ["sgd", "momentum"]),
        ("lin:0:0.9:4", [0, 0.3, 0.6, 0.9]),
        ("lin:0.9:0:4", [0.9, 0.6, 0.3, 0]),
        ("lin:0.5:0.9:1", [0.5]),
        ("log:1e-3:1:4", [0.001, 0.01, 0.1, 1]),
        ("1-log:1e-3:0.1:3", [0.999, 0.99, 0.9]),
        ("0..4", [0, 1, 2, 3, 4]),
        ("-1..1", [-1, 0, 1]),
        ("7..7", [7]),
        ("[1, 0],[0, 1]", [[1, 0], [0, 1]]),
        ("{kind: sgd, eta: 1},{kind: momentum}", [{"kind": "sgd", "eta": 1}, {"kind": "momentum"}]),
        ("'a,b',\"c,d\",don't", ["a,b", "c,d", "don't"]),
        ("[']'],2", [["]"], 2]),
        ("full,10", ["full", 10]),
    ],
)
def test_a_text_stands_for_values(text: str, expected: list[Any]) -> None:
    assert parse_values(text, "--vary") == expected


@given(st.floats(0.001, 1e6), st.floats(0.001, 1e6), st.integers(2, 50))
def test_spaced_values_begin_and_end_exactly_as_typed(low: float, high: float, count: int) -> None:
    for spacing in ("lin", "log"):
        spaced = parse_values(f"{spacing}:{low!r}:{high!r}:{count}", "--eta")
        assert (len(spaced), spaced[0], spaced[-1]) == (count, low, high)
        # between them 14 digits are kept, so a value may lie that much outside
        assert all(min(low, high) * (1 - 1e-13) <= value <= max(low, high) * (1 + 1e-13) for value in spaced)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,,1", "--x: element 2 of '0,,1' is empty: values are parted by one comma"),
        ("", "--x: element 1 of '' is empty: values are parted by one comma"),
        ("[0", "--x: got '[0': not valid YAML: did not find expected ',' or ']'"),
        ("lin:0:1", "--x: got 'lin:0:1', must read lin:LOW:HIGH:COUNT, such as lin:0:0.99:64"),
        ("log:a:1:3", "--x: got 'log:a:1:3', its two bounds must be finite numbers: such as log:1e-3:1:7"),
        ("lin:true:1:3", "--x: got 'lin:true:1:3', its two bounds must be finite numbers: such as lin:0:0.99:64"),
        ("log:0:1:3", "--x: got 'log:0:1:3', its two bounds must be greater than 0: such as log:1e-3:1:7"),
        (
            "1-log:1:2:1.5",
            "--x: got '1-log:1:2:1.5', its count must be a whole number of at least 1: such as 1-log:1e-3:0.3:7",
        ),
        ("4..0", "--x: got '4..0', must ascend: write 0..4"),
        ("0..9999999", "--x: got '0..9999999', which makes 10000000 values: an axis has at most 1000000"),
    ],
)
def test_a_text_that_stands_for_nothing_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_values(text, "--x")
    assert str(caught.value) == message


@given(st.text(alphabet="0123456789.,:-lingoe[]{}'\" ", max_size=20))
def test_any_text_stands_for_values_or_is_refused_in_words(text: str) -> None:
    assert all(line.startswith("--x: ") for line in problems_of(lambda: parse_values(text, "--x")))


# ---- the grid -------------------------------------------------------------------------------------------------


def test_gamma_comes_first_then_eta_then_the_others_and_the_seed_is_fastest() -> None:
    cells = grid(seed="0..1", vary={"objective.noise": "0,1"}, eta="0.1,0.2", gamma="0,0.5").cells
    assert [cell.run for cell in cells] == list(range(16))
    assert [tuple(cell.values.values()) for cell in cells[:5]] == [
        (0.0, 0.1, 0, 0),
        (0.0, 0.1, 0, 1),
        (0.0, 0.1, 1, 0),
        (0.0, 0.1, 1, 1),
        (0.0, 0.2, 0, 0),
    ]
    assert list(cells[0].values) == ["gamma", "eta", "objective.noise", "seed"]


def test_a_cell_is_the_experiment_with_its_values_set() -> None:
    cell = grid(LINE, gamma="0.3", eta="0.2", seed="7", vary={"train.batch_size": "10"}).cells[0]
    wanted = LINE | {"seed": 7, "optimizer": {"gamma": 0.3, "eta": 0.2}, "train": {"batch_size": 10}}
    assert cell.experiment == load(wanted)


def test_the_same_axes_come_from_texts_sequences_numpy_and_the_file() -> None:
    numpy = pytest.importorskip("numpy")
    typed = grid(gamma="lin:0:0.9:4", seed="0..2")
    assert grid(gamma=[0, 0.3, 0.6, 0.9], seed=range(3)) == typed
    assert grid(gamma=numpy.array([0, 0.3, 0.6, 0.9]), seed=numpy.arange(3)) == typed
    assert grid(vary={"γ": "0,0.3,0.6,0.9", "seed": [0, 1, 2]}) == typed
    assert grid(BOWL | {"sweep": {"seed": "0..2", "momentum": "lin:0:0.9:4"}}) == typed


def test_the_axes_have_their_full_keys() -> None:
    axes = grid(gamma="0,0.5", vary={"objective.noise": [0, 1]}).axes
    assert [(axis.key, axis.values) for axis in axes] == [
        ("optimizer.gamma", (0.0, 0.5)),
        ("objective.noise", (0, 1)),
    ]


def test_axes_given_take_the_place_of_the_section_and_a_note_says_so() -> None:
    made = grid(BOWL | {"sweep": {"eta": [0.1, 0.2]}}, gamma="0,0.5")
    assert [cell.values for cell in made.cells] == [{"gamma": 0.0}, {"gamma": 0.5}]
    assert made.notes == ("the axes given take the place of the sweep section, without its eta",)
    assert grid(BOWL | {"sweep": {"gamma": [0.1, 0.2]}}, gamma="0,0.5").notes == ()  # nothing is lost


def test_no_cell_has_a_sweep_of_its_own() -> None:
    experiment = load(BOWL | {"sweep": {"eta": [0.1, 0.2]}})
    assert all(cell.experiment.sweep is None for cell in (*expand(experiment).cells, *single(experiment).cells))


def test_a_single_run_leaves_the_section_aside_and_says_so() -> None:
    made = single(load(BOWL | {"sweep": {"eta": [0.1, 0.2]}}))
    assert made.notes == ("the sweep section is left aside: momentumlab sweep trains it",)
    assert (made.axes, made.columns, len(made.cells)) == ((), [], 1)
    assert made.cells[0].experiment == load(BOWL)
    assert single(load(BOWL)).notes == ()


def test_zip_pairs_all_axes_but_the_seed() -> None:
    pairs = [
        {"gamma": 0.0, "eta": 0.1, "seed": 0},
        {"gamma": 0.0, "eta": 0.1, "seed": 1},
        {"gamma": 0.5, "eta": 0.2, "seed": 0},
        {"gamma": 0.5, "eta": 0.2, "seed": 1},
    ]
    assert values(gamma="0,0.5", eta="0.1,0.2", seed="0..1", zip=True) == pairs
    section = {"gamma": [0, 0.5], "eta": [0.1, 0.2], "seed": [0, 1], "zip": True}
    assert values(BOWL | {"sweep": section}) == pairs
    assert values(seed="0..1", zip=True) == [{"seed": 0}, {"seed": 1}]


def test_options_do_not_inherit_the_zip_of_the_section_that_they_replace() -> None:
    assert len(values(BOWL | {"sweep": {"eta": [1], "zip": True}}, gamma="0,0.5", eta="0.1,0.2")) == 4


def test_gamma_and_eta_set_the_value_of_a_schedule() -> None:
    optimizer = grid(BOWL | {"optimizer": {"eta": STEP}}, eta="0.3").cells[0].experiment.optimizer
    assert optimizer.model_dump(exclude_none=True)["eta"] == STEP | {"value": 0.3}


def test_a_varied_key_takes_the_place_of_what_contradicts_it() -> None:
    cells = grid(LINE | {"train": {"epochs": 5}}, vary={"train.steps": "3,4"}).cells
    assert [(cell.experiment.train.epochs, cell.experiment.train.steps) for cell in cells] == [(None, 3), (None, 4)]


def test_a_cell_keeps_what_the_file_says_and_derives_the_rest_anew() -> None:
    first, second = (cell.experiment.objective for cell in grid(vary={"objective.dimension": "2,3"}).cells)
    assert first is not None
    assert second is not None
    assert second.model_dump() == first.model_dump() | {"dimension": 3, "condition": 1000.0}


# ---- optimizers -----------------------------------------------------------------------------------------------


def test_entries_of_an_optimizer_axis_are_merged_over_the_section() -> None:
    made = grid(
        BOWL | {"optimizer": {"gamma": 0.8, "eta": 0.003}},
        vary={"optimizer": "{kind: sgd},{kind: momentum},{kind: nesterov, lr: 0.001}"},
    )
    assert [cell.values for cell in made.cells] == [
        {"optimizer.kind": "sgd", "gamma": 0.0, "eta": 0.003},
        {"optimizer.kind": "momentum", "gamma": 0.8, "eta": 0.003},
        {"optimizer.kind": "nesterov", "gamma": 0.8, "eta": 0.001},
    ]
    assert made.columns == ["optimizer.kind"]


def test_a_schedule_beside_a_constant_is_told_apart_by_its_keys() -> None:
    made = grid(vary={"optimizer": [{"eta": 0.1}, {"eta": STEP}]})
    assert made.columns == ["optimizer.eta.schedule", "optimizer.eta.factor", "optimizer.eta.at"]
    assert list(made.cells[0].values.values()) == [None, None, None]
    assert list(made.cells[1].values.values()) == ["step", 0.5, [3]]


def test_cells_of_sgd_that_differ_in_gamma_alone_are_merged_with_a_note() -> None:
    made = grid(gamma="0,0.5,0.9", vary={"optimizer.kind": "sgd,momentum"}, seed="0..1")
    assert made.notes[0] == "4 cells are the same training as another (sgd has no γ): merged"
    assert made.notes[1].startswith("the seed decides nothing here")
    assert [cell.run for cell in made.cells] == list(range(8))
    assert [tuple(cell.values.values()) for cell in made.cells[:4]] == [
        (0.0, "sgd", 0),
        (0.0, "sgd", 1),
        (0.0, "momentum", 0),
        (0.0, "momentum", 1),
    ]


def test_values_given_twice_are_merged_with_a_note() -> None:
    made = grid(gamma="0.5, 0.50, .5, 0.9", eta="0.1")
    assert [cell.values["gamma"] for cell in made.cells] == [0.5, 0.9]
    assert made.notes == ("2 cells are the same training as another: merged",)
    assert grid(gamma="0.5,0.5").notes == ("1 cell is the same training as another: merged",)


# ---- refusals -------------------------------------------------------------------------------------------------

REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "no axis": ({}, "nothing is varied: add for example --gamma 0,0.5,0.9,0.99, or use run for a single training"),
    "a bad element": ({"gamma": "0,banana,0.9"}, "--gamma: element 2 of '0,banana,0.9' is 'banana': must be a number"),
    "out of range": (
        {"gamma": "lin:0:1:3"},
        "--gamma: element 3 of 'lin:0:1:3' is 1.0: must be in [0, 1): at 1 the velocity never decays; try 0.99",
    ),
    "several at once": (
        {"gamma": [0, -1], "seed": "0.5,x"},
        "--gamma: element 2 is -1: must be in [0, 1): at 1 the velocity never decays; try 0.99\n"
        "--seed: element 1 of '0.5,x' is 0.5: must be a whole number\n"
        "--seed: element 2 of '0.5,x' is 'x': must be a whole number",
    ),
    "unknown": (
        {"vary": {"train.batchsize": "1"}},
        "--vary train.batchsize: unknown key 'train.batchsize'. Did you mean 'train.batch_size'?",
    ),
    "the name": ({"vary": {"name": "a,b"}}, "--vary name: name cannot be varied"),
    "twice": ({"gamma": "0", "vary": {"γ": "0.1"}}, "gamma is varied twice: keep one of the two axes"),
    "inside another axis": (
        {"gamma": "0", "vary": {"optimizer": "{gamma: 0.3}"}},
        "optimizer.gamma is varied, and also set by an entry of optimizer: keep one of the two",
    ),
    "unequal pairs": (
        {"gamma": "0,0.5", "eta": "0.1", "zip": True},
        "--zip pairs the values one to one, but gamma has 2, eta has 1: give each axis as many",
    ),
    "bad cells": (
        {"gamma": "0,0.5", "vary": {"optimizer": "{kind: sgdd},{lr: 0}"}},
        "with optimizer={'kind': 'sgdd'}: optimizer.kind: got 'sgdd', must be sgd, momentum, nesterov, ema, qhm, "
        "aggmo, signum, lion, file or a class of torch.optim such as Adam. Did you mean 'sgd'?\n"
        "with optimizer={'eta': 0}: optimizer.eta: got 0, must be greater than 0: η is the length of a step; try 0.01",
    ),
}


@pytest.mark.parametrize(("axes", "message"), REFUSALS.values(), ids=REFUSALS)
def test_a_grid_that_cannot_be_is_refused_in_words(axes: dict[str, Any], message: str) -> None:
    assert refusal(**axes) == message


def test_a_schedule_that_leaves_the_range_in_one_cell_is_refused() -> None:
    data = BOWL | {"optimizer": {"gamma": STEP | {"factor": 1.5}}}
    assert refusal(data, gamma="0.1,0.8") == (
        "with gamma=0.8: optimizer.gamma.factor: makes it 1.2000000000000002 at update 4, must be in [0, 1): "
        "at 1 the velocity never decays; try 0.99"
    )


def test_the_first_ten_bad_cells_are_named_and_the_rest_is_counted() -> None:
    lines = refusal(LINE, vary={"train.batch_size": "100..120"}).split("\n")
    assert len(lines) == 11
    assert lines[0] == (
        "with train.batch_size=101: train.batch_size: got 101, but there are 100 training samples: at most 100, or full"
    )
    assert lines[-1] == "and 10 more"


def test_a_large_grid_takes_less_than_its_reader_notices() -> None:
    experiment = load(LINE)
    start = time.process_time()
    assert len(expand(experiment, gamma="lin:0:0.99:32", eta="log:1e-3:1:32").cells) == 1024
    assert time.process_time() - start < 1  # measured: 0.1 s
