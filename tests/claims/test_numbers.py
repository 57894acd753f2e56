"""What is trained comes out as the reference has it, and theory beside it says the same."""

import numpy as np
import pytest

from momentumlab.claims.quadratics import GAMMAS
from tests.claims.found import experiment, found
from tests.reference import case

ONE_OFF = 1  # the reference's own tolerance of counts: the distance may be the accuracy to the last digit


@pytest.mark.parametrize("claim", [1, 2, 3, 4])
def test_measured_and_theory_agree(claim):
    assert found(claim).disagreements == []


# ---- 1 accelerates ---------------------------------------------------------------------------------------------------


def test_the_same_eta_takes_the_updates_of_the_reference():
    counts = experiment(1, "the same η =").of("steps")
    expected = {row["gamma"]: row["settled_k"] for row in case("claim1-same-eta")["expected"]["rows"]}
    assert counts == {gamma: pytest.approx(expected[gamma], abs=ONE_OFF) for gamma in GAMMAS}


def test_without_a_ravine_the_updates_are_those_of_the_reference():
    counts = experiment(1, "no ravine").of("steps")
    expected = case("claim1-false-kappa1")["expected"]["rows"]
    assert counts == {row["gamma"]: pytest.approx(row["settled_k"], abs=ONE_OFF) for row in expected}


def test_at_the_best_tunings_the_updates_are_those_of_the_reference():
    best = experiment(1, "the best η")
    rows = [row for row in case("quad-iteration-counts")["expected"]["rows"] if row["kappa"] == 100]
    counts = {row["method"]: row["settled_k_dist"] for row in rows}
    (tuned,) = (row for row in case("quad-optimal-tuning")["expected"]["rows"] if row["kappa"] == 100)
    gammas = best.of("eta")
    (star,) = (gamma for gamma in gammas if gamma not in GAMMAS)
    assert (star, gammas[star]) == (
        pytest.approx(tuned["gamma_star"], rel=1e-12),
        pytest.approx(tuned["eta_star"], rel=1e-12),
    )
    assert best.of("steps")[0.0] == pytest.approx(counts["gd_opt"], abs=ONE_OFF)
    assert best.of("steps")[star] == pytest.approx(counts["hb_opt"], abs=ONE_OFF)


def test_no_eta_that_was_tried_beats_the_best_tuning():
    least = experiment(1, "the best η").of("least_steps")
    assert min(least.values()) == pytest.approx(93, abs=ONE_OFF)


def test_gradient_descent_cannot_have_the_effective_eta_that_momentum_can():
    matched = experiment(1, "the same η/(1 − γ)")
    assert matched.of("steps", "0.1")[0.0] is None
    assert matched.of("steps", "0.1")[0.9] == experiment(1, "the same η =").of("steps")[0.9]


def test_the_regression_keeps_the_error_of_the_reference():
    reference = case("regression-population")
    left = experiment(1, "the article's regression").of("factor")
    rows = {round(row["gamma"], 9): row["p_100"] for row in reference["expected"]["rows"]}
    tolerance = reference["tolerance"]["abs"]
    assert {round(gamma, 9): share for gamma, share in left.items()} == {
        gamma: pytest.approx(rows[gamma], abs=tolerance)
        for gamma in (0.0, 0.5, 0.737157288, 0.9, 0.99)
        if gamma in rows
    } | {0.737157288: pytest.approx(3.6157e-6, abs=tolerance)}


# ---- 2 damps ---------------------------------------------------------------------------------------------------------


def test_every_steepness_takes_the_updates_of_the_reference():
    steep = experiment(2, "one steep direction")
    rows = case("claim2-steep-direction")["expected"]["rows"]
    for row in rows:
        if row["eta_lambda"] in steep.rows:
            measured = steep.of("steps", f"{row['gamma']:g}")[row["eta_lambda"]]
            assert measured == pytest.approx(row["settled_1e_3"], abs=ONE_OFF), row


def test_momentum_damps_sooner_exactly_where_its_rate_is_below_that_of_gradient_descent():
    steep = experiment(2, "one steep direction")
    for gamma in GAMMAS[1:]:
        for eta, count in steep.of("steps", f"{gamma:g}").items():
            without = steep.of("steps", "0")[eta]
            sooner = count is not None and (without is None or count < without)
            assert sooner == (np.sqrt(gamma) < abs(1 - eta) and eta < 2 * (1 + gamma)), (gamma, eta)


def test_the_zigzag_is_as_long_with_and_without():
    zigzag, reference = experiment(2, "both tuned"), case("quad-zigzag-not-reduced")
    for row in reference["expected"]["rows"]:
        expected = [row["total_variation_gd"], row["total_variation_hb"]]
        measured = [zigzag.of("way", name)[row["kappa"]] for name in ("0", "best")]
        assert measured == pytest.approx(expected, rel=reference["tolerance"]["rel"])


# ---- 3 escapes -------------------------------------------------------------------------------------------------------


def test_two_wells_are_crossed_as_often_as_in_the_reference():
    wells, reference = experiment(3, "two wells, from far above"), case("double-well-1d")
    for row in reference["expected"]["rows"]:
        gamma = row["gamma"]
        assert wells.of("crossings")[gamma] == row["barrier_crossings"]
        assert (wells.of("well")[gamma] == "deep") == (row["well"] == "global")
        assert wells.of("rest")[gamma] == pytest.approx(row["x_final"], abs=reference["tolerance"]["abs"])


def test_a_larger_eta_alone_stays_unless_it_is_very_large():
    wells = experiment(3, "the same without momentum").of("well")
    assert list(wells.values()) == ["shallow", "shallow", "deep"]
    assert case("double-well-1d")["expected"]["gd_matched_effective_lr"]["well"] == "local"


def test_nothing_crosses_from_below_the_rim():
    below, reference = experiment(3, "two wells, from rest below"), case("energy-barrier-theorem")
    rows = {row["gamma"]: row for row in reference["expected"]["rows"]}
    for gamma in GAMMAS:
        assert below.of("crossings")[gamma] == 0
        assert below.of("eta")[gamma] == pytest.approx(rows[gamma]["eta"], rel=1e-12)
        assert below.of("lowest")[gamma] == rows[gamma]["min_x"]
        assert below.of("highest")[gamma] == pytest.approx(rows[gamma]["max_x"], abs=1e-12)  # a few roundings


def test_momentum_leaves_the_deep_well_too():
    assert list(experiment(3, "two wells, from above").of("well").values()) == ["deep", "deep", "deep", "shallow"]
    starts = experiment(3, "two wells, 64 random")
    assert [starts.of(name)[0.0] for name in ("escaped", "left")] == [0, 0]
    assert starts.of("escaped")[0.99] > starts.of("left")[0.99] > 0


def test_flat_ground_is_coasted_over_as_in_the_reference():
    flat, reference = experiment(3, "exactly flat"), case("exactly-flat-coast")
    tolerance = reference["tolerance"]["abs"]
    for row in reference["expected"]["rows"]:
        gamma = row["gamma"]
        assert flat.of("speed")[gamma] == pytest.approx(row["entry_speed"], abs=tolerance)
        assert flat.of("rest")[gamma] == pytest.approx(row["coast_limit_x"], abs=tolerance)
        expected = row["entry_speed"] * gamma / (1 - gamma)
        assert flat.of("coast")[gamma] == pytest.approx(expected, abs=tolerance)


def test_the_saddle_is_left_after_the_updates_of_the_reference():
    saddle = experiment(3, "a saddle")
    rows = {row["gamma"]: row["steps"] for row in case("strict-saddle-escape")["expected"]["rows"] if row["y0"] == 1e-3}
    assert saddle.of("steps", "0.001") == rows
    assert set(saddle.of("steps", "0").values()) == {None}


def test_where_nobody_gets_out_all_end_in_the_minimum_of_the_reference():
    traps = experiment(3, "local minima")
    ends = {row["f"]: row["f_value"] for row in case("testfun-trajectories")["expected"]["rows"] if row["steps"] == 500}
    for name in ("three_hump_camel", "rastrigin"):
        (minimum,) = (
            minimum["f"]
            for function in case("testfun-definitions")["expected"]["functions"]
            if function["name"] == name
            for minimum in function["minima"]
            if minimum["kind"] == "local" and minimum["x"][0] > 0
        )
        assert list(traps.of("above", name).values()) == pytest.approx([minimum] * 4, abs=1e-9)
        assert name in ends
    assert all(above > 1 for above in traps.of("above", "styblinski_tang").values())


# ---- 4 smooths -------------------------------------------------------------------------------------------------------

NOISY = case("noisy-quadratic-stationary")["expected"]["rows"]


@pytest.mark.parametrize("row", NOISY, ids=lambda row: f"{row['variant']}-{row['gamma']}")
def test_the_noise_floor_is_that_of_the_reference(row):
    name = {"same_eta": "the same η =", "matched_effective_lr": "the same η/("}[row["variant"]]
    smooth, gamma = experiment(4, name), row["gamma"]
    quantities = {quantity.key[0]: quantity for quantity in smooth.quantities}
    place = GAMMAS.index(gamma)
    for key, theirs in (("var_theta", "var_theta"), ("var_v", "var_v"), ("flips", "velocity_sign_flip_rate")):
        assert quantities[key].theory[place] == pytest.approx(row[theirs], rel=1e-9)
        # The reference's own tolerance of simulations; these have about as many updates.
        assert smooth.of(key)[gamma] == pytest.approx(row[theirs], rel=0.05)
        assert quantities[key].margin[place] < 0.15 * row[theirs]  # four errors: being within them says something
