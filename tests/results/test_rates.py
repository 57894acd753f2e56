"""rate_predicted and rate_measured in runs.csv, and what the manifest says of the landscape."""

import json

import numpy as np
import pytest

import momentumlab
from momentumlab.problems.formulas import ObjectiveProblem
from momentumlab.results import rates
from momentumlab.theory.fit import rate_of

QUADRATIC = {
    "objective": {"kind": "quadratic", "eigenvalues": [1.0, 30.0], "start": [1.0, -2.0]},
    "train": {"steps": 400},
}
LINE = {"data": {"kind": "line"}, "model": {"kind": "linear"}, "train": {"epochs": 60}}


def said(result):
    return json.loads((result.folder / "manifest.json").read_text()).get("theory")


def random_cases(generator, largest, count):
    """γ and η of stable momentum, each at its own share of the edge 2(1 + γ)/λ_max."""
    gamma = generator.uniform(0, 0.97, count)
    return gamma.tolist(), (generator.uniform(0.05, 0.97, count) * 2 * (1 + gamma) / largest).tolist()


def test_on_a_hundred_random_quadratics_the_measured_rate_is_the_predicted_one(runs):
    generator = np.random.default_rng(20261122)
    predicted, measured = [], []
    for _ in range(10):
        eigenvalues = np.sort(10 ** generator.uniform(-1, 1, generator.integers(1, 6)))
        start = (generator.choice([-1, 1], eigenvalues.size) * generator.uniform(0.5, 2, eigenvalues.size)).tolist()
        objective = {"kind": "quadratic", "eigenvalues": eigenvalues.tolist(), "start": start}
        gamma, eta = random_cases(generator, eigenvalues[-1], 10)
        experiment = {"objective": objective, "train": {"steps": 600}, "record": {"vectors": False}}
        result = momentumlab.sweep(experiment, gamma=gamma, eta=eta, zip=True, runs=runs)
        predicted += result.runs["rate_predicted"].tolist()
        measured += result.runs["rate_measured"].tolist()
    wrong = np.abs(np.divide(measured, predicted) - 1)
    assert len(wrong) == 100
    assert wrong.max() < 0.02, f"worst {wrong.max():.3g}"  # as promised
    # What is left until it stands still, 1 − rate, is the stricter measure. Directions of nearly one rate, which only
    # very many steps would tell apart, are what keeps a few from it.
    left = np.abs((1 - np.array(measured)) / (1 - np.array(predicted)) - 1)
    assert np.median(left) < 1e-6
    assert np.quantile(left, 0.9) < 0.01
    assert left.max() < 0.05, f"worst {left.max():.3g}"


@pytest.mark.parametrize("eta", [0.01, 0.1, 0.8])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_rounding_leaves_of_a_loss_is_not_fitted(dtype, eta, runs):
    model = {"kind": "linear", "start": [0.1, 0.9]}
    experiment = {**LINE, "train": {"epochs": 2000, "dtype": dtype}, "model": model, "record": {"vectors": False}}
    found = momentumlab.sweep(experiment, gamma=[0, 0.5, 0.9, 0.99], eta=[eta], runs=runs).runs
    # At most a few hundred of the 2000 rows stand clear of the floor: the two directions differ by so much at first.
    np.testing.assert_allclose(found["rate_measured"], found["rate_predicted"], rtol=0.02)


def test_a_run_that_diverges_grows_as_predicted(runs):
    result = momentumlab.sweep(QUADRATIC, gamma=[0, 0.5, 0.9], eta=[0.2], runs=runs)
    assert (result.runs["status"] == "diverged").all()
    assert (result.runs["rate_predicted"] > 1).all()
    np.testing.assert_allclose(result.runs["rate_measured"], result.runs["rate_predicted"], rtol=1e-3)


def test_rows_may_be_strided_and_the_last_one_stands_off_the_stride(runs):
    strided = momentumlab.run({**QUADRATIC, "record": {"every": 7}}, gamma=0.9, eta=0.01, runs=runs)
    assert strided.metrics["step"][-1] % 7
    (measured,), (predicted,) = strided.runs["rate_measured"], strided.runs["rate_predicted"]
    assert measured == pytest.approx(predicted, rel=1e-4)
    assert list(strided.runs)[-2:] == ["rate_predicted", "rate_measured"]


def test_a_rate_is_the_same_bits_alone_and_in_a_sweep(runs):
    swept = momentumlab.sweep(LINE, gamma=[0, 0.5, 0.9], eta=[0.01, 0.1], runs=runs).runs
    for row, (gamma, eta) in enumerate(zip(swept["gamma"], swept["eta"], strict=True)):
        alone = momentumlab.run(LINE, gamma=gamma, eta=eta, runs=runs).runs
        np.testing.assert_array_equal(alone["rate_measured"][0], swept["rate_measured"][row])  # of one it is nan
        assert alone["rate_predicted"][0] == swept["rate_predicted"][row]


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "ema", "qhm", "aggmo"])
def test_every_linear_rule_has_its_rate(optimizer, runs):
    result = momentumlab.run(QUADRATIC, eta=0.02, set={"optimizer.kind": optimizer}, runs=runs)
    (measured,), (predicted,) = result.runs["rate_measured"], result.runs["rate_predicted"]
    assert measured == pytest.approx(predicted, rel=0.002)  # ema and aggmo have not forgotten all else by then


def test_torch_sgd_has_the_rate_of_ours(runs):
    settings = {"optimizer.backend": "torch", "optimizer.form": "torch"}
    torch = momentumlab.run(LINE, gamma=0.9, eta=0.05, set=settings, runs=runs).runs
    ours = momentumlab.run(LINE, gamma=0.9, eta=0.05, runs=runs).runs
    assert torch["rate_predicted"] == ours["rate_predicted"]
    assert torch["rate_measured"] == pytest.approx(ours["rate_measured"], rel=1e-3)  # float32 losses, rounded otherwise


@pytest.mark.parametrize(
    ("experiment", "changes"),
    [
        ("rosenbrock", {}),
        (QUADRATIC, {"objective.noise": 0.1}),
        (QUADRATIC, {"optimizer.kind": "signum"}),
        (QUADRATIC, {"optimizer.eta": {"schedule": "step", "value": 0.1, "factor": 0.1, "at": [3]}}),
        (QUADRATIC, {"objective.eigenvalues": [-1.0, 1.0]}),
        (LINE, {"train.batch_size": 10}),
        (LINE, {"optimizer.weight_decay": 0.1}),
        ("saddle", {}),
    ],
)
def test_where_theory_does_not_reach_there_are_no_rates(experiment, changes, runs):
    result = momentumlab.run(experiment, set=changes, runs=runs)
    assert not {"rate_predicted", "rate_measured"} & set(result.runs)
    assert said(result) is None


def test_beside_runs_that_theory_knows_others_have_none(runs):
    result = momentumlab.sweep(QUADRATIC, vary={"optimizer.kind": ["momentum", "signum"]}, eta=[0.01], runs=runs)
    assert np.isfinite(result.runs["rate_measured"]).tolist() == [True, False]
    assert np.isfinite(result.runs["rate_predicted"]).tolist() == [True, False]
    assert said(result)["curvature"] == [1, 30]


def test_a_rule_that_is_linear_for_some_gamma_alone_is_not_known(runs, repository, tmp_path):
    rule = repository / "examples" / "my_rule.py"
    experiment = {**QUADRATIC, "optimizer": {"kind": "file", "path": str(rule), "eta": 0.02}}
    result = momentumlab.sweep(experiment, gamma=[0, 0.5], runs=runs, allow_code=[str(rule)])
    assert "rate_predicted" not in result.runs


def test_a_decay_towards_the_minimum_is_no_hindrance(runs):
    found = momentumlab.run(QUADRATIC, gamma=0.5, eta=0.02, set={"optimizer.weight_decay": 0.1}, runs=runs).runs
    assert found["rate_measured"] == pytest.approx(found["rate_predicted"], rel=1e-3)


def test_a_file_beyond_all_measure_is_not_read(runs, monkeypatch):
    monkeypatch.setattr(rates, "LARGEST", 1000)
    result = momentumlab.run(QUADRATIC, gamma=0.9, eta=0.01, runs=runs)
    assert np.isnan(result.runs["rate_measured"]).all()
    assert np.isfinite(result.runs["rate_predicted"]).all()


def test_of_a_long_run_every_so_many_rows_are_looked_at(runs, monkeypatch):
    monkeypatch.setattr(rates, "_ROWS", 50)
    result = momentumlab.run(QUADRATIC, gamma=0.9, eta=0.01, runs=runs)
    sizes = result.metrics["distance"][:: -(-401 // 50)]
    assert result.runs["rate_measured"] == pytest.approx(result.runs["rate_predicted"], rel=1e-3)
    assert len(sizes) <= 50
    assert rate_of(sizes, every=9) != result.runs["rate_measured"][0]  # the periods count


def test_runs_that_failed_have_no_rate(runs, monkeypatch):
    monkeypatch.setattr(ObjectiveProblem, "feed", lambda self, seeds: 1 / 0)
    result = momentumlab.sweep(QUADRATIC, gamma=[0, 0.5], runs=runs)
    assert (result.runs["status"] == "failed").all()
    assert np.isnan(result.runs["rate_measured"]).all()


def test_a_start_at_the_minimum_has_no_rate(runs):
    result = momentumlab.run(QUADRATIC, set={"objective.start": [0.0, 0.0]}, runs=runs)
    assert np.isnan(result.runs["rate_measured"]).all()


# ---- the landscape in the manifest


def test_the_landscape_gives_the_loss_at_the_start(runs, tmp_path):
    """J(θ₀) = J* + ½ Σ λ·x², with several outputs too: eigenvalues, eigenbasis, minimum and J* in one number."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(40, 3)) * [1, 5, 0.2]
    np.savez(tmp_path / "data.npz", x=x, y=generator.normal(size=(40, 2)) + x[:, :2])
    data = {"kind": "npz", "path": str(tmp_path / "data.npz")}
    experiment = {"data": data, "model": {"kind": "linear"}, "loss": "mse", "train": {"epochs": 5, "dtype": "float64"}}
    result = momentumlab.run(experiment, eta=0.001, runs=runs)
    told = said(result)
    curvature, start = np.array(told["curvature"]), np.array(told["start"])
    assert len(curvature) == 8
    height = told["loss_minimum"] + 0.5 * (curvature * start**2).sum()
    assert height == pytest.approx(result.runs["loss_first"][0], rel=1e-12)
    least = np.linalg.lstsq(np.column_stack([x, np.ones(40)]), np.load(tmp_path / "data.npz")["y"])[1].sum() / 80
    assert told["loss_minimum"] == pytest.approx(least, rel=1e-12)


def test_booth_is_a_quadratic_that_is_turned(runs):
    result = momentumlab.run({"objective": {"kind": "booth"}, "train": {"steps": 200}}, gamma=0.5, eta=0.02, runs=runs)
    told = said(result)
    assert told["curvature"] == pytest.approx([2, 18])
    height = 0.5 * (np.array(told["curvature"]) * np.array(told["start"]) ** 2).sum()
    assert height == pytest.approx(result.runs["loss_first"][0])
    assert result.runs["rate_measured"] == pytest.approx(result.runs["rate_predicted"], rel=1e-3)


def test_starts_that_differ_are_not_told(runs):
    result = momentumlab.sweep(LINE, seed=[0, 1], runs=runs)
    assert "start" not in said(result)
    assert len(said(result)["curvature"]) == 2


def test_of_very_many_eigenvalues_the_ends_are_told(runs):
    objective = {"kind": "quadratic", "condition": 50, "dimension": 100}
    result = momentumlab.run({"objective": objective, "train": {"steps": 300}}, gamma=0.5, eta=0.01, runs=runs)
    assert said(result) == {"curvature": [1.0, 50.0], "loss_minimum": 0.0}
    assert result.runs["rate_measured"] == pytest.approx(result.runs["rate_predicted"], rel=0.02)


def test_problems_that_differ_share_no_landscape(runs):
    vary = {"objective.eigenvalues": [[1.0, 2.0], [1.0, 3.0]]}
    result = momentumlab.sweep(QUADRATIC, vary=vary, eta=[0.1], runs=runs)
    assert said(result) is None
    assert np.isfinite(result.runs["rate_measured"]).all()


def test_a_flat_direction_does_not_hide_the_rate(runs):
    result = momentumlab.run(QUADRATIC, gamma=0, eta=0.05, set={"objective.eigenvalues": [0.0, 2.0]}, runs=runs)
    assert result.runs["rate_predicted"] == pytest.approx(0.9)
    assert result.runs["rate_measured"] == pytest.approx(0.9, rel=1e-6)
