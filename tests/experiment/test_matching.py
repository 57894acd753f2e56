"""What `match` holds equal while γ varies: the η of every cell, exactly."""

from typing import Any

import numpy as np
import pytest

import momentumlab
from momentumlab.engine.plan import groups
from momentumlab.errors import ConfigError
from momentumlab.experiment import Experiment, Grid, column, expand, load, repeated_by
from momentumlab.lab import critical_etas
from momentumlab.optimizers.methods import method_of
from momentumlab.problems.curvature import curvature
from momentumlab.theory.method import effective_eta
from momentumlab.theory.modes import angle

BOWL = {"objective": {"kind": "quadratic", "eigenvalues": [1, 100]}, "train": {"steps": 20}}
GAMMAS = [0, 0.5, 0.9, 0.99]
MLP = {"data": {"kind": "moons"}, "model": {"kind": "mlp"}}


def bowl(**optimizer: Any) -> Experiment:
    return load(BOWL | {"optimizer": optimizer})


def swept(experiment: Experiment, match: str, **axes: Any) -> Grid:
    return expand(experiment, **({"gamma": GAMMAS} | axes), match=match, critical=critical_etas)


def refusal(experiment: Experiment, match: str, **axes: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        swept(experiment, match, **axes)
    return str(caught.value)


# ---- what is equal -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["momentum", "nesterov", "SGD"])
@pytest.mark.parametrize(("gamma", "eta"), [(0.9, 0.01), (0.7, 0.003)])
def test_effective_is_eta_over_one_minus_gamma_to_the_last_bit(kind: str, gamma: float, eta: float) -> None:
    cells = swept(bowl(kind=kind, gamma=gamma, eta=eta), "effective").cells
    assert column(cells, "gamma") == GAMMAS
    assert column(cells, "eta") == [eta / (1 - gamma) * (1 - each) for each in GAMMAS]


@pytest.mark.parametrize(
    "optimizer",
    [
        {"kind": "momentum"},
        {"kind": "momentum", "form": "torch", "backend": "torch"},
        {"kind": "nesterov", "form": "torch"},
        {"kind": "ema"},
        {"kind": "qhm", "nu": 0.4},
        {"kind": "SGD", "gamma": 0.8, "arguments": {"nesterov": True}},
    ],
    ids=str,
)
def test_effective_is_what_theory_finds_from_the_matrix_of_the_rule(optimizer: dict[str, Any]) -> None:
    experiment = bowl(**optimizer)
    cells = swept(experiment, "effective").cells
    found = [float(effective_eta(method_of(cell.experiment.optimizer, 1))) for cell in cells]
    # A handful of roundings, each divided by 1 − γ, of which the smallest is 0.01.
    np.testing.assert_allclose(found, float(effective_eta(method_of(experiment.optimizer, 1))), rtol=1e-13)


def test_sgd_has_no_gamma_and_keeps_its_eta() -> None:
    grid = swept(bowl(kind="sgd", eta=0.02), "effective")
    assert (column(grid.cells, "gamma"), column(grid.cells, "eta")) == ([0.0], [0.02])


@pytest.mark.parametrize("form", ["classical", "torch"])
def test_critical_is_the_largest_eta_at_which_no_direction_oscillates(form: str) -> None:
    cells = swept(bowl(form=form), "critical").cells
    assert column(cells, "eta") == [(1 - gamma**0.5) ** 2 / 100 for gamma in GAMMAS]
    for cell in cells:
        method = method_of(cell.experiment.optimizer, 1)
        # At the double root itself rounding may take it a hair apart: a root of 1e-16 is 1e-8.
        assert float(np.max(angle(method.at(eta=method.eta * (1 - 1e-6)), [1.0, 100.0]))) == 0
        if method.hyperparameters["gamma"]:
            assert float(angle(method.at(eta=method.eta * (1 + 1e-6)), 100.0)) > 0


def test_critical_of_a_regression_goes_by_the_curvature_of_its_data() -> None:
    experiment = load("linreg")
    found = curvature(groups(expand(experiment))[0].problem)
    assert found is not None
    etas = column(swept(experiment, "critical").cells, "eta")
    assert etas == [(1 - gamma**0.5) ** 2 / found.largest for gamma in GAMMAS]


def test_eta_stays_as_it_stands() -> None:
    grid = swept(bowl(), "eta", eta=[0.1, 0.2])
    assert grid.axes == expand(bowl(), gamma=GAMMAS, eta=[0.1, 0.2]).axes
    assert grid.notes == ("match: η is equal for every γ, 0.1 to 0.2",)


def test_a_schedule_of_eta_keeps_its_shape_and_takes_the_value() -> None:
    cells = swept(bowl(eta={"schedule": "cosine", "value": 0.05, "warmup": 3}), "effective").cells
    assert [cell.experiment.optimizer.eta.value for cell in cells] == [0.05 / (1 - 0.9) * (1 - g) for g in GAMMAS]
    assert all(cell.experiment.optimizer.eta.warmup == 3 for cell in cells)


def test_a_note_says_what_is_equal_and_from_where_to_where_eta_goes() -> None:
    assert swept(bowl(), "effective").notes == (
        "match: the effective learning rate η/(1 − γ) is 0.1; η is 0.001 to 0.1",
    )
    assert "η is 0.01\n" in "\n".join([*swept(bowl(kind="ema"), "effective").notes, ""])
    assert swept(bowl(), "critical", gamma=[0, 0.25]).notes == (
        "match: the steepest direction is critically damped, η = (1 − √γ)²/λ_max; η is 0.0025 to 0.01",
    )


# ---- the pairs and the other axes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "axes",
    [
        {},
        {"seed": "0..1"},
        {"vary": {"train.dtype": ["float32", "float64"], "optimizer.form": ["classical", "torch"]}, "seed": "0..1"},
        {"vary": {"train.steps": [1, 2, 3, 4]}, "zip": True},
    ],
    ids=["alone", "seeds", "crossed", "zipped"],
)
@pytest.mark.parametrize("match", ["effective", "critical"])
def test_the_other_axes_vary_as_they_would_and_what_is_written_repeats_it(
    axes: dict[str, Any], match: str, tmp_path: Any
) -> None:
    experiment = bowl()
    grid, plain = swept(experiment, match, **axes), expand(experiment, gamma=GAMMAS, **axes)
    assert [cell.values for cell in plain.cells] == [
        {key: value for key, value in cell.values.items() if key != "eta"} for cell in grid.cells
    ]
    assert len({(cell.values["gamma"], cell.values["eta"]) for cell in grid.cells}) == len(GAMMAS)
    file = tmp_path / "again.yaml"
    file.write_text(repeated_by(experiment, grid), encoding="utf-8")
    again = expand(load(file))
    assert [(cell.run, cell.values) for cell in again.cells] == [(cell.run, cell.values) for cell in grid.cells]
    assert again.axes == grid.axes


def test_a_matched_sweep_has_the_bytes_of_the_zipped_one(tmp_path: Any) -> None:
    matched = momentumlab.sweep(BOWL, gamma=GAMMAS, match="effective", runs=tmp_path / "a")
    etas = [0.01 / (1 - 0.9) * (1 - gamma) for gamma in GAMMAS]
    zipped = momentumlab.sweep(BOWL, gamma=GAMMAS, eta=etas, zip=True, runs=tmp_path / "b")
    assert matched.name == zipped.name
    for name in ("metrics.csv", "runs.csv", "parameters.npz", "experiment.yaml"):
        assert (matched.folder / name).read_bytes() == (zipped.folder / name).read_bytes()


def test_the_sweep_section_may_say_it_and_options_take_its_place() -> None:
    section = {"sweep": {"gamma": GAMMAS, "match": "effective"}}
    experiment = load(BOWL | section)
    assert column(expand(experiment).cells, "eta") == column(swept(bowl(), "effective").cells, "eta")
    assert set(column(expand(experiment, gamma=GAMMAS).cells, "eta")) == {0.01}
    assert expand(experiment, gamma=GAMMAS).notes == ()
    only_matched = expand(load(BOWL | {"sweep": {"gamma": GAMMAS}}), match="effective")
    assert only_matched.axes == expand(experiment).axes


# ---- what cannot be --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("optimizer", "match", "axes", "words"),
    [
        ({}, "efective", {}, "--match: got 'efective', must be eta, effective or critical. Did you mean 'effective'?"),
        ({}, "effective", {"gamma": None, "eta": [0.1]}, "vary γ, such as --gamma 0,0.5,0.9"),
        ({}, "eta", {"gamma": None, "eta": [0.1]}, "vary γ, such as"),
        ({}, "effective", {"eta": [0.1]}, "match: effective decides η by γ, so eta cannot be varied"),
        ({}, "critical", {"eta": [0.1]}, "match: critical decides η by γ, so eta cannot be varied"),
        ({}, "effective", {"vary": {"optimizer": [{"eta": 0.1}]}}, "decides η by γ, so eta cannot be varied"),
        ({}, "effective", {"vary": {"optimizer.kind": ["ema", "qhm"]}}, "is of one rule, so optimizer.kind cannot"),
        ({}, "critical", {"vary": {"objective.condition": [1, 9]}}, "of one curvature, so objective.condition cannot"),
        ({}, "critical", {"vary": {"optimizer.weight_decay": [0.1]}}, "so optimizer.weight_decay cannot be varied"),
        (
            {"kind": "lion"},
            "effective",
            {},
            "effective is known for momentum, nesterov, SGD, ema, qhm, sgd, not for lion",
        ),
        ({"dampening": 0.3}, "effective", {}, "is not known with dampening, which is left out where γ is 0"),
        ({"kind": "SGD", "arguments": {"dampening": 0.3}}, "effective", {}, "is not known with dampening"),
        ({"kind": "lion"}, "critical", {}, "does not reach this lion: its step does not grow with ∇J"),
        ({"kind": "nesterov"}, "critical", {}, "does not reach this nesterov: its damping is not that of momentum"),
        ({"weight_decay": 0.1}, "critical", {}, "its damping is not that of momentum alone"),
        ({"eta": {"schedule": "list", "points": [[0, 0.1]]}}, "effective", {}, "eta is a list of points"),
        ({}, "effective", {"gamma": "lin:0:0.9:10001"}, "10,001 are more than 10,000"),
    ],
)
def test_what_cannot_be_matched_is_refused_in_words(
    optimizer: dict[str, Any], match: str, axes: dict[str, Any], words: str
) -> None:
    assert words in refusal(bowl(**optimizer), match, **axes)


@pytest.mark.parametrize(
    ("experiment", "axes", "words"),
    [
        (MLP, {}, "wants λ_max exactly, and of this model only an estimate is known"),
        ({"objective": {"kind": "forces", "pushes": [[1]]}}, {}, "no landscape"),
        ({"objective": {"kind": "plateau", "start": [0.5]}}, {}, "no direction bends upwards"),
        ({"objective": {"kind": "ackley", "start": "random"}}, {"seed": "0..1"}, "so seed cannot be varied"),
        (MLP, {"seed": "0..1"}, "so seed cannot be varied"),
    ],
    ids=["estimate", "forces", "flat", "drawn", "drawn model"],
)
def test_critical_is_refused_where_the_curvature_is_not_known_exactly(
    experiment: dict[str, Any], axes: dict[str, Any], words: str
) -> None:
    assert words in refusal(load(experiment), "critical", **axes)


def test_a_match_in_the_file_is_checked_with_its_place() -> None:
    with pytest.raises(ConfigError, match=r"sweep\.match: got 'gamma', must be eta, effective or critical"):
        load(BOWL | {"sweep": {"gamma": [0, 0.9], "match": "gamma"}})
