"""The reference's numbers as a person gets them: from the tables of `run` and `sweep`.

What theory says of the same cases is tested with theory, what `momentumlab claims` says with the claims.
"""

import numpy as np
import pytest

import momentumlab
from momentumlab.experiment import load
from momentumlab.problems.build import build
from momentumlab.problems.curvature import curvature
from momentumlab.theory.filter import stopping_distance
from momentumlab.theory.fit import rate_of, settled, steps_to
from momentumlab.theory.method import Method
from momentumlab.theory.modes import period
from momentumlab.theory.stability import curvature_limit
from momentumlab.theory.tuning import gradient_descent, heavy_ball
from tests.reference import case

GAMMAS = [0, 0.5, 0.9, 0.99]


def table(result, *names):
    """Columns of the metrics by run, each a list of (step,)."""
    return [[result.rows(run)[name] for run in range(len(result.runs["run"]))] for name in names]


@pytest.fixture
def one_direction(tmp_path):
    """The runs of pairs of γ and ηλ along one direction of a quadratic, from x₀ = 1: λ is 1, so η is ηλ."""

    def trained(pairs, steps, every=1):
        gammas, etas = zip(*pairs, strict=True)
        experiment = {"objective": {"kind": "quadratic", "eigenvalues": [1.0]}, "train": {"steps": steps}}
        return momentumlab.sweep(
            experiment, gamma=gammas, eta=etas, zip=True, set={"record.every": every}, runs=tmp_path
        )

    return trained


# ---- quadratics ------------------------------------------------------------------------------------------------------


def test_one_direction_moves_as_in_the_reference(one_direction):
    reference = case("quad-mode-trajectory")
    rows, tolerance = reference["expected"]["rows"], reference["tolerance"]
    pairs = list(dict.fromkeys((row["gamma"], row["eta_lambda"]) for row in rows))
    result = one_direction(pairs, max(row["t"] for row in rows))
    (paths,) = table(result, "theta_0")
    for row in rows:
        run = pairs.index((row["gamma"], row["eta_lambda"]))
        if row["t"] < len(paths[run]):
            assert paths[run][row["t"]] == pytest.approx(
                row["x_over_x0"], rel=tolerance["rel"], abs=tolerance["abs"]
            ), row
        else:  # its loss passed the bound of divergence before
            assert result.runs["status"][run] == "diverged"
            assert row["x_over_x0"] ** 2 > 1e12


def test_the_rates_of_the_table_are_measured(one_direction):
    rows = [(row["gamma"], row["eta_lambda"], row["rho"]) for row in case("quad-rate-table")["expected"]["rows"]]
    critical = case("quad-critical-damping")["expected"]["rows"]
    rows += [(row["gamma_critical"], row["eta_lambda"], row["rate"]) for row in critical]
    result = one_direction([pair for *pair, _ in rows], 600)
    for run, (gamma, eta, expected) in enumerate(rows):
        distances = result.rows(run)["distance"]
        if expected == 0:  # ηλ = 1 without momentum is there after one update
            assert distances[1] == 0
            continue
        measured = rate_of(distances, period(Method.of("momentum", gamma=gamma, eta=eta), 1.0))
        assert measured == pytest.approx(expected, rel=0.02), (gamma, eta)


def test_runs_on_both_sides_of_the_edge(one_direction):
    reference = case("quad-stability-boundary")
    rows, setting = reference["expected"]["rows"], reference["setting"]
    result = one_direction([(row["gamma"], row["eta_lambda"]) for row in rows], setting["steps"], setting["steps"])
    (distances,) = table(result, "distance")
    for run, row in enumerate(rows):
        assert (result.runs["status"][run] == "finished") == row["converges"], row
        assert (distances[run][-1] < setting["converged_below"]) == row["converges"], row


def test_oscillations_change_sides_as_often_as_in_the_reference(one_direction):
    rows = [row for row in case("quad-oscillation-period")["expected"]["rows"] if row["regime"] == "underdamped"]
    result = one_direction([(row["gamma"], row["eta_lambda"]) for row in rows], 1500)
    (paths,) = table(result, "theta_0")
    for path, row in zip(paths, rows, strict=True):
        turns = np.flatnonzero(np.diff(np.signbit(path)))
        # From the first change of sides to the last one: the first and the last oscillation may be cut.
        assert (len(turns) - 1) / (turns[-1] - turns[0]) == pytest.approx(row["sign_flips_per_step"], abs=2 / 1500)
        assert np.diff(turns).mean() * 2 == pytest.approx(row["period"], rel=0.02)


@pytest.mark.parametrize(
    ("spectrum", "kappa"),
    dict.fromkeys((row["spectrum"], row["kappa"]) for row in case("quad-iteration-counts")["expected"]["rows"]),
)
def test_a_millionth_is_reached_after_the_updates_of_the_reference(spectrum, kappa, tmp_path):
    reference = case("quad-iteration-counts")
    tunings = {
        "gd_1overL": (0.0, 1 / kappa),
        "gd_opt": gradient_descent(1.0, kappa)[:2],
        "hb_opt": heavy_ball(1.0, kappa)[:2],
    }
    rows = [
        row
        for row in reference["expected"]["rows"]
        if (row["spectrum"], row["kappa"]) == (spectrum, kappa) and row["method"] in tunings
    ]
    eigenvalues = [1.0, float(kappa)] if spectrum == "2d" else list(np.geomspace(1, kappa, 50))
    gammas, etas = zip(*(tunings[row["method"]] for row in rows), strict=True)
    result = momentumlab.sweep(
        {"objective": {"kind": "quadratic", "eigenvalues": eigenvalues}, "train": {"steps": 1500}},
        gamma=gammas,
        eta=etas,
        zip=True,
        runs=tmp_path,
    )
    slack = reference["tolerance"]["abs_int"]
    for row, distances, losses in zip(rows, *table(result, "distance", "loss"), strict=True):
        assert steps_to(distances, 1e-6 * distances[0]) == pytest.approx(row["first_k_dist"], abs=slack)
        assert settled(distances, 1e-6 * distances[0]) == pytest.approx(row["settled_k_dist"], abs=slack)
        assert steps_to(losses, 1e-6 * losses[0]) == pytest.approx(row["first_k_f"], abs=slack)
        assert max(distances) / distances[0] == pytest.approx(row["peak_dist_ratio"], rel=1e-9)


@pytest.mark.parametrize("row", case("quad-transient-growth")["expected"]["rows"], ids=lambda row: str(row["kappa"]))
def test_the_best_tuning_overshoots_as_far_as_in_the_reference(row, tmp_path):
    best = heavy_ball(1.0, row["kappa"])
    result = momentumlab.run(
        {"objective": {"kind": "quadratic", "eigenvalues": [1.0, row["kappa"]]}, "train": {"steps": 400}},
        gamma=best.gamma,
        eta=best.eta,
        runs=tmp_path,
    )
    steep = np.abs(result.metrics["theta_1"])
    assert steep.max() == pytest.approx(row["peak"], rel=case("quad-transient-growth")["tolerance"]["rel"])
    assert steep.argmax() == row["t_peak"]


# ---- the velocity ----------------------------------------------------------------------------------------------------


def test_the_velocity_of_steady_and_of_alternating_pushes(tmp_path):
    reference = case("filter-constants")
    rows = [row for row in reference["expected"]["rows"] if 0 < row["gamma"] <= 0.99]
    pushed = 3500  # 0.99 to that is 5e-16
    pushes = [[1.0, float((-1) ** step)] for step in range(pushed)]
    result = momentumlab.sweep(
        {
            "objective": {"kind": "forces", "pushes": pushes},
            "optimizer": {"eta": 1.0},
            "train": {"steps": 2 * pushed},
            "record": {"every": 1},
        },
        gamma=[row["gamma"] for row in rows],
        runs=tmp_path,
    )
    for row, steady, swung, place in zip(rows, *table(result, "velocity_0", "velocity_1", "theta_0"), strict=True):
        assert steady[pushed] == pytest.approx(row["dc_gain"], rel=1e-12)
        assert abs(swung[pushed]) == pytest.approx(row["nyquist_gain"], rel=1e-12)
        nearly = steps_to(-steady[: pushed + 1], -0.95 * row["dc_gain"])
        assert nearly == np.ceil(row["steps_to_95pct_terminal_velocity"])
        # Left alone it keeps the share γ: half of it after the half-life, and the rest of the way is v·γ/(1 − γ).
        coasted = place[pushed] - place[-1]
        assert coasted / steady[pushed] == pytest.approx(row["coast_multiplier"], rel=1e-11)
        assert steps_to(steady[pushed:], steady[pushed] / 2) == np.ceil(row["half_life_steps"])


def test_the_two_forms_come_to_rest_as_far_apart_as_in_the_reference(tmp_path):
    reference = case("lr-schedule-divergence")
    result = momentumlab.sweep(
        {
            "objective": {"kind": "forces", "pushes": [[1.0]] * 3},
            "optimizer": {"gamma": 0.9, "eta": {"schedule": "step", "value": 0.1, "factor": 0.1, "at": [3]}},
            "train": {"steps": 400},
            "sweep": {"optimizer": [{"form": "classical"}, {"form": "torch"}]},
        },
        runs=tmp_path,
    )
    classical, torchs = (path[-1] for path in table(result, "theta_0")[0])
    expected = reference["expected"]["coast_gap_if_gradient_vanishes_after_step_3"]
    assert torchs - classical == pytest.approx(expected, rel=0, abs=reference["tolerance"]["abs"])


# ---- landscapes ------------------------------------------------------------------------------------------------------


def test_the_double_well_is_left_at_the_step_of_the_reference(tmp_path):
    reference = case("double-well-1d")
    rows, (_, barrier, _) = reference["expected"]["rows"], reference["expected"]["critical_points"]
    ((start, eta),) = {(row["x0"], row["eta"]) for row in rows}
    result = momentumlab.sweep(
        {
            "objective": {"kind": "double_well", "start": [start]},
            "optimizer": {"eta": eta},
            "train": {"steps": 1000},
            "record": {"every": 1},
        },
        gamma=[row["gamma"] for row in rows],
        runs=tmp_path,
    )
    for row, path in zip(rows, table(result, "theta_0")[0], strict=True):
        assert steps_to(path, barrier) == row["first_crossing_step"]


@pytest.mark.parametrize("row", case("exactly-flat-coast")["expected"]["rows"], ids=lambda row: str(row["gamma"]))
def test_the_flat_is_entered_at_the_speed_of_the_reference(row, tmp_path):
    reference = case("exactly-flat-coast")
    setting, tolerance = reference["setting"], reference["tolerance"]["abs"]
    result = momentumlab.run(
        {"objective": {"kind": "plateau", "start": [setting["x0"]], "width": 1}, "train": {"steps": 100}},
        gamma=row["gamma"],
        eta=setting["eta"],
        runs=tmp_path,
    )
    path, speed = result.metrics["theta_0"], result.metrics["velocity_norm"]
    entry = row["entry_step"]
    assert np.flatnonzero(path >= 0)[0] == entry
    assert path[entry] == pytest.approx(row["entry_x"], rel=0, abs=tolerance)
    assert speed[entry] == pytest.approx(row["entry_speed"], rel=0, abs=tolerance)
    assert (path.max() > 1) == row["crosses_D_1"]
    rest = path[entry] + stopping_distance(row["gamma"], speed[entry])
    assert rest == pytest.approx(row["coast_limit_x"], rel=0, abs=100 * tolerance)  # of numbers up to 39


@pytest.mark.parametrize("start", [1e-3, 1e-6, 0.0])
def test_the_saddle_is_left_at_the_step_of_the_reference(start, tmp_path):
    reference = case("strict-saddle-escape")
    setting = reference["setting"]
    result = momentumlab.sweep(
        {"objective": {"kind": "saddle", "start": [setting["x0"], start]}, "train": {"steps": 150}},
        gamma=GAMMAS,
        set={"optimizer.eta": setting["eta"]},
        runs=tmp_path,
    )
    rows = {row["gamma"]: row["steps"] for row in reference["expected"]["rows"] if row["y0"] == start}
    for gamma, path in zip(GAMMAS, table(result, "theta_1")[0], strict=True):
        if start == 0:
            assert (path == 0).all()
        else:
            assert steps_to(-np.abs(path), -1) == rows[gamma]


def test_ackley_lets_momentum_out_and_never_lets_it_settle(tmp_path):
    reference = case("ackley-escape-no-settle")
    setting, expected = reference["setting"], reference["expected"]
    result = momentumlab.sweep(
        {
            "objective": {"kind": "ackley", "start": setting["x0"]},
            "optimizer": {"eta": setting["eta"]},
            "train": {"steps": 3000},
            "record": {"every": 1},
        },
        gamma=[0, 0.5, 0.9],
        runs=tmp_path,
    )
    slow, middle, quick = table(result, "loss")[0]
    trapped = [expected["f_final_gamma_0_steps_2000"], expected["f_final_gamma_0_5_steps_2000"]]
    assert [slow[2000], middle[2000]] == pytest.approx(trapped, rel=0, abs=reference["tolerance"]["abs"])
    low, high = expected["gamma_0_9_steps_2000_3000_f_between"]
    assert low <= quick[2000:].min() <= quick[2000:].max() <= high


def test_momentum_stays_at_a_sharpness_that_throws_gradient_descent_out(tmp_path):
    reference = case("eos-toy")
    rows, setting = reference["expected"]["rows"], reference["setting"]
    tolerance = reference["tolerance"]["abs"]
    experiment = {
        "objective": {"kind": "product", "start": [setting["x0"], setting["y0"]]},
        "optimizer": {"eta": setting["eta"]},
        "train": {"steps": setting["steps"]},
        "record": {"every": setting["steps"]},
    }
    result = momentumlab.sweep(experiment, gamma=[row["gamma"] for row in rows], runs=tmp_path)
    problem = build(load(experiment))
    for row, x, y in zip(rows, *table(result, "theta_0", "theta_1"), strict=True):
        assert [x[-1], y[-1]] == pytest.approx([row["x"], row["y"]], rel=0, abs=tolerance)
        sharpness = curvature(problem, [x[-1], y[-1]]).largest
        assert sharpness == pytest.approx(row["sharpness"], rel=0, abs=tolerance)
        threshold = curvature_limit(Method.of("momentum", gamma=row["gamma"], eta=setting["eta"]))
        assert threshold == pytest.approx(row["threshold"], rel=1e-12)
        assert sharpness < threshold
    start = curvature(problem).largest
    assert rows[0]["threshold"] < start < rows[1]["threshold"]  # why gradient descent alone could not stay


# ---- the article's regression ----------------------------------------------------------------------------------------


def test_the_regression_of_a_whole_population(tmp_path):
    reference = case("regression-population")
    rows, setting = reference["expected"]["rows"], reference["setting"]
    tolerance = reference["tolerance"]["abs"]
    result = momentumlab.sweep(
        {
            "objective": {"kind": "quadratic", "eigenvalues": [setting["lam"]]},
            "optimizer": {"eta": setting["eta"]},
            "train": {"steps": 4000},
            "record": {"every": 1},
        },
        gamma=[row["gamma"] for row in rows],
        runs=tmp_path,
    )
    for row, path, losses in zip(rows, *table(result, "theta_0", "loss"), strict=True):
        assert path[setting["epochs"]] == pytest.approx(row["p_100"], rel=0, abs=tolerance)
        assert losses[setting["epochs"]] / losses[0] == pytest.approx(row["excess_ratio"], rel=0, abs=tolerance)
        assert settled(np.abs(path), 1e-3) == row["settle_1e_3"]


@pytest.mark.parametrize("row", case("regression-torch-seeded")["expected"]["rows"], ids=lambda row: str(row["gamma"]))
def test_the_losses_of_the_articles_script(row, tmp_path):
    tolerance = case("regression-torch-seeded")["tolerance"]["loss_abs"]
    result = momentumlab.run("linreg", gamma=row["gamma"], runs=tmp_path)
    assert result.metrics["loss"][[19, 39, 59, 79, 99]] == pytest.approx(row["printed_losses"], rel=0, abs=tolerance)


def test_the_article_regression_ends_at_least_squares(tmp_path):
    reference = case("regression-torch-seeded")
    row, tolerance = reference["expected"]["rows"][0], reference["tolerance"]
    result = momentumlab.run("linreg", gamma=0.9, set={"train.epochs": 1000}, runs=tmp_path)
    end = [result.metrics["theta_0"][-1], result.metrics["theta_1"][-1]]
    assert end == pytest.approx(row["ols"], rel=0, abs=tolerance["recursion_vs_torch_abs"])
    assert result.runs["loss_last"][0] == pytest.approx(row["loss_min"], rel=0, abs=tolerance["loss_abs"])
