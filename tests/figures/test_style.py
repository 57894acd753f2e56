"""Colours, fonts and wrapping."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from momentumlab.figures import style

# Machado, Oliveira and Fernandes 2009: what the colour-blind see of linear light.
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
)
PROTANOPIA = np.array(
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
)


def lab(colour: tuple[float, float, float], eye: np.ndarray) -> np.ndarray:
    """A colour as an eye sees it, in CIE L*a*b*."""
    light = np.where(np.array(colour) <= 0.04045, np.array(colour) / 12.92, ((np.array(colour) + 0.055) / 1.055) ** 2.4)
    light = np.clip(eye @ light, 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(np.maximum(to_xyz @ light / np.array([0.9505, 1.0, 1.089]), 1e-6))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eye", [np.eye(3), DEUTERANOPIA, PROTANOPIA])
def test_the_usual_gammas_can_be_told_apart_by_every_eye(eye: np.ndarray) -> None:
    seen = [lab(style.gamma_colour(gamma), eye) for gamma in (0.0, 0.5, 0.9, 0.99)]

    # A difference of 10 is seen at a glance.
    assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2)) > 15


@pytest.mark.parametrize("eye", [np.eye(3), DEUTERANOPIA, PROTANOPIA])
def test_the_rules_can_be_told_apart_by_every_eye(eye: np.ndarray) -> None:
    seen = [lab(style.rgb(colour), eye) for colour in style.RULE_COLOURS.values()]

    assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2)) > 15


def test_sgd_is_the_colour_of_gamma_zero_and_momentum_that_of_its_usual_gamma() -> None:
    assert style.gamma_colour(0.0) == style.rgb(style.RULE_COLOURS["sgd"])
    assert np.allclose(style.gamma_colour(0.9), style.rgb(style.RULE_COLOURS["momentum"]))


def test_equal_factors_of_one_minus_gamma_are_equal_steps() -> None:
    steps = np.diff([style.gamma_position(gamma) for gamma in (0.0, 0.9, 0.99, 0.999)])

    assert np.allclose(steps, 1 / 3)


@given(some.text(max_size=200), some.integers(1, 3))
def test_wrapped_text_fits_the_figure(text: str, most: int) -> None:
    lines = style.wrapped(style.plain(text), style.TITLE, most, bold=True)

    assert len(lines) <= most
    assert all(style.breadth(line, style.TITLE, bold=True) <= style.WIDTH for line in lines)


def test_wrapping_keeps_a_setting_together() -> None:
    lines = style.wrapped("word " * 17 + "· γ = 0.9 · η = 0.01", style.NOTE, 2)

    assert all("=" not in (line[0], line[-1]) for line in lines)
    assert " ".join(lines) == "word " * 17 + "· γ = 0.9 · η = 0.01"


def test_letters_that_no_font_has_become_boxes_and_controls_become_visible() -> None:
    assert style.plain("γ\x1b[31m\u202e") == "γ\\x1b[31m\\u202e"
    assert style.plain("\U0001f0ff\U00013000") == "□□"


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (0.01, 1e-3, 10.0, "0.01"),
        (1000.0, 1e-3, 1e4, "1000"),
        (1e-7, 1e-9, 1.0, "10⁻⁷"),
        (1.0, 1e-9, 1.0, "10⁰"),
        (2e6, 1e5, 1e7, "2×10⁶"),
    ],
)
def test_ticks_of_a_logarithmic_axis(value: float, low: float, high: float, text: str) -> None:
    assert style.Decades(low, high)(value) == text
