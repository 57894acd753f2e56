"""The velocity as a filter: against a table, and against sums of past gradients."""

import numpy as np
import pytest

from momentumlab.theory import filter as filtered
from momentumlab.theory.method import Method, effective_eta
from tests.reference import case

QUANTITIES = {
    "effective_lr_multiplier": lambda gamma: effective_eta(Method.of("momentum", gamma=gamma, eta=1.0)),
    "dc_gain": filtered.gain,
    "nyquist_gain": lambda gamma: filtered.gain(gamma, np.pi),
    "gain_ratio": lambda gamma: filtered.gain(gamma) / filtered.gain(gamma, np.pi),
    "noise_power_gain": filtered.noise_power,
    "snr_gain": filtered.signal_to_noise,
    "cos_gv_pure_noise": filtered.noise_alignment,
    "velocity_sign_flip_rate_pure_noise": filtered.noise_flips,
    "half_life_steps": filtered.half_life,
    "e_fold_steps": filtered.time_constant,
    "steps_to_95pct_terminal_velocity": filtered.steps_to_share,
    "coast_multiplier": filtered.stopping_distance,
}


def test_filter_constants():
    reference = case("filter-constants")
    for row in reference["expected"]["rows"]:
        for name, expected in row.items():
            if name != "gamma":
                # of numbers up to 2994 the last digit is larger than the absolute tolerance
                close = pytest.approx(expected, rel=1e-13, abs=reference["tolerance"]["abs"])
                assert QUANTITIES[name](row["gamma"]) == close, name


def test_stopping_distance_on_exactly_flat_ground():
    reference = case("exactly-flat-coast")
    for row in reference["expected"]["rows"]:
        rest = row["entry_x"] + filtered.stopping_distance(row["gamma"], row["entry_speed"])
        assert rest == pytest.approx(row["coast_limit_x"], rel=0, abs=reference["tolerance"]["abs"])
    np.testing.assert_allclose(filtered.stopping_distance(np.array([0, 0.5, 0.9, 0.99])), [0, 1, 9, 99], rtol=1e-13)


def test_the_gap_of_the_two_forms_when_eta_drops_is_a_stopping_distance():
    # the torch form rescales what v was, so the classical one coasts the difference further
    expected = case("lr-schedule-divergence")["expected"]["coast_gap_if_gradient_vanishes_after_step_3"]
    speed = (0.1 - 0.01) * filtered.weights(0.9, 3).sum()
    assert filtered.stopping_distance(0.9, speed) == pytest.approx(expected, rel=0, abs=1e-12)


@pytest.mark.parametrize("frequency", [0.0, 0.3, 1.5, np.pi])
def test_gain_is_the_size_of_the_weighted_sum(frequency):
    weights = filtered.weights(0.9, 400)
    total = np.abs((weights * np.exp(-1j * frequency * np.arange(400))).sum())
    assert filtered.gain(0.9, frequency) == pytest.approx(total, rel=1e-12)


def test_without_memory_nothing_is_kept():
    assert filtered.half_life(0.0) == filtered.time_constant(0.0) == filtered.steps_to_share(0.0) == 0
