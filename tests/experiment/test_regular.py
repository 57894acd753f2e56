"""Regular grids: the same cells, labels and notes as when each cell is made and validated by itself."""

from typing import Any

import pytest

from momentumlab.errors import ConfigError
from momentumlab.experiment import Grid, column, examples, expand, load
from momentumlab.experiment import grid as roads
from momentumlab.experiment.cells import Lattice

BOWL: dict[str, Any] = {"objective": {"kind": "quadratic", "condition": 1000}}
LINE: dict[str, Any] = {"data": {"kind": "line"}, "model": {"kind": "linear"}}
STEP = {"schedule": "step", "value": 0.1, "factor": 0.5, "at": [3]}
LISTED = {"schedule": "list", "points": [[0, 0.1], [5, 0.01]]}

REGULAR: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "one axis": (BOWL, {"gamma": "0,0.5,0.9"}),
    "all numbers": (LINE, {"gamma": "lin:0:0.9:4", "eta": "log:1e-3:1:3", "seed": "0..2"}),
    "seeds alone": (BOWL | {"optimizer": {"eta": STEP}}, {"seed": "3,1,2"}),
    "repeated values": (BOWL, {"gamma": "0.5, 0.50, .5, 0.9, 0, -0.0", "eta": "0.1,0.1"}),
    "in pairs": (BOWL, {"gamma": "0,0.5,0", "eta": "0.1,0.2,0.1", "seed": "0..1", "zip": True}),
    "pairs of one": (BOWL, {"eta": "0.1,0.2,0.1", "seed": "0,1", "zip": True}),
    "another number": (BOWL, {"gamma": "0.5,0.9", "vary": {"objective.noise": "0,1,0.5"}, "seed": "0..1"}),
    "kinds": (BOWL, {"gamma": "0.5,0.9", "vary": {"optimizer.kind": "momentum,nesterov,ema"}, "eta": "0.1,0.2"}),
    "two others": (LINE, {"eta": "1,0.1", "vary": {"train.batch_size": "10,20", "model.kind": "linear,mlp"}}),
    "sections": (
        BOWL,
        {"eta": "0.1,0.2", "vary": {"optimizer": "{kind: momentum, gamma: 0.3},{kind: qhm, nu: 1},{kind: aggmo}"}},
    ),
    "eta of sgd": (BOWL | {"optimizer": {"kind": "sgd"}}, {"eta": "0.1,0.2", "seed": "0,1"}),
    "over a list of points": (BOWL | {"optimizer": {"eta": LISTED}}, {"eta": "0.1,0.2"}),
    "torch's sgd": (LINE | {"optimizer": {"backend": "torch"}}, {"gamma": "0,0.5", "eta": "0.1,0.2"}),
}
OTHERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a kind without a gamma": (BOWL, {"gamma": "0,0.5", "vary": {"optimizer.kind": "sgd,momentum"}}),
    "a schedule's value": (BOWL | {"optimizer": {"eta": STEP}}, {"eta": "0.1,0.3"}),
    "pairs with others": (BOWL, {"gamma": "0,0.5", "vary": {"objective.noise": "0,1"}, "zip": True}),
    "no number": (LINE, {"vary": {"train.batch_size": "10,20"}}),
    "a repeated template": (BOWL, {"gamma": "0,0.5", "vary": {"objective.noise": "0,0"}}),
    "a rule of torch": (LINE | {"optimizer": {"kind": "Adam"}}, {"gamma": "0,0.5"}),
}


def one_by_one(data: dict[str, Any], axes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Grid:
    with monkeypatch.context() as patch:
        patch.setattr(roads, "lattice", lambda *_: None)
        return expand(load(data), **axes)


@pytest.mark.parametrize(("data", "axes"), REGULAR.values(), ids=REGULAR)
def test_a_regular_grid_is_what_its_cells_are_one_by_one(
    data: dict[str, Any], axes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, expected = expand(load(data), **axes), one_by_one(data, axes, monkeypatch)
    assert isinstance(made.cells, Lattice)
    assert list(made.cells) == list(expected.cells)
    for cell, other in zip(made.cells, expected.cells, strict=True):
        assert list(cell.values) == list(other.values)
        assert repr(cell.values) == repr(other.values)  # 0 is not 0.0, nor is −0
        assert cell.experiment.written() == other.experiment.written()
    assert (made.axes, made.zipped, made.notes, made.columns) == (
        expected.axes, expected.zipped, expected.notes, expected.columns,
    )  # fmt: skip
    for name in ("run", "gamma", "eta", "seed", *made.columns):
        assert repr(column(made.cells, name)) == repr(column(expected.cells, name))


@pytest.mark.parametrize(("data", "axes"), OTHERS.values(), ids=OTHERS)
def test_any_other_grid_is_made_cell_by_cell(data: dict[str, Any], axes: dict[str, Any]) -> None:
    made = expand(load(data), **axes)
    assert not isinstance(made.cells, Lattice)
    assert list(examples(made.cells)) == list(made.cells)


def test_a_part_of_the_cells_is_the_same_cells() -> None:
    cells = expand(load(BOWL), gamma="0,0.5,0.9", vary={"objective.noise": "0,1,2"}, seed="0..1").cells
    assert isinstance(cells, Lattice)
    every = list(cells)
    assert list(cells[4:11]) == every[4:11]
    assert list(cells[4:11][2:]) == every[6:11]
    assert cells[-1] == every[-1]
    around = cells.around([0, 2])
    assert list(around) == [cell for cell in every if cell.experiment.objective.noise != 1]
    assert column(around[3:5], "run") == [cell.run for cell in around[3:5]]
    assert around[3:5].column("objective.noise") == [cell.values["objective.noise"] for cell in around[3:5]]
    assert [cell.experiment.objective.noise for cell in examples(around)] == [0, 2]


TOO_NEAR_ONE = "got {0}, which float32 rounds to 1: take train.dtype float64"


@pytest.mark.parametrize("count", [4, 1000])
def test_a_number_that_cannot_be_is_told_once(count: int) -> None:
    with pytest.raises(ConfigError) as caught:
        expand(load(LINE), gamma=[*(0.001 * number for number in range(999)), 0.99999999], eta=f"log:1e-3:1:{count}")
    assert caught.value.problems == (f"with gamma=0.99999999: optimizer.gamma: {TOO_NEAR_ONE.format(0.99999999)}",)


def test_of_many_numbers_that_cannot_be_ten_are_told() -> None:
    with pytest.raises(ConfigError) as caught:
        expand(load(LINE), eta=[10.0**-power for power in range(70)], gamma="0,0.5", seed="0..99")
    assert len(caught.value.problems) == 11
    assert caught.value.problems[-1] == "and more"


def test_a_million_cells_are_made_when_they_are_asked_for() -> None:
    cells = expand(load(LINE), gamma="lin:0:0.9:1000", eta="log:1e-3:1:1000").cells
    assert len(cells) == 10**6
    assert cells[123_456].values == {"gamma": cells[123_000].values["gamma"], "eta": cells[456].values["eta"]}
    assert cells[123_456].run == 123_456
