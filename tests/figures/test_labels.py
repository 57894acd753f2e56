"""Words for figures."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from momentumlab.figures import labels, legends


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(0.9, 4, "0.9"), (430.0, 2, "430"), (1e-5, 4, "1e−5"), (-0.5, 4, "−0.5"), (0.0, 4, "0"), (128, 4, "128"),
     (0.00012346, 2, "0.00012"), (1.25e7, 3, "1.25e7"), (9.999e-5, 2, "0.0001"), (100000.0, 2, "1e5")],
)  # fmt: skip
def test_numbers_are_said_shortly(value: float, digits: int, text: str) -> None:
    assert labels.number(value, digits) == text


@given(some.floats(allow_nan=False, allow_infinity=False), some.integers(1, 17))
def test_a_number_reads_back_to_its_digits(value: float, digits: int) -> None:
    read = float(labels.number(value, digits).replace("−", "-"))

    assert read == pytest.approx(float(f"{value:.{digits}g}"), rel=1e-9, abs=0)


@given(some.lists(some.floats(0, 1), unique=True, max_size=8))
def test_distinct_values_have_distinct_texts(values: list[float]) -> None:
    assert len(set(labels.distinct(values))) == len(values)


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        ("theta_12", "parameter θ₁₂"),
        ("velocity_0", "velocity, component v₀"),
        ("gradient_norm", "length of the gradient ‖∇J(θₖ)‖"),
        ("my_own", "my own"),
    ],
)
def test_metrics_are_named_in_words_and_symbols(metric: str, text: str) -> None:
    assert labels.metric_label(metric) == text


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("gamma", 0.9, "γ = 0.9"),
        ("rule", "nesterov", "Nesterov"),
        ("form", "torch", "torch form"),
        ("train.batch_size", 32, "batch size = 32"),
        ("model.hidden", (64.0, 32.0), "hidden = [64, 32]"),
        ("eta schedule", "×0.1 after update 3", "η ×0.1 after update 3"),
    ],
)
def test_settings_are_named_shortly(key: str, value: labels.Value, text: str) -> None:
    assert labels.setting(key, value) == text


@pytest.mark.parametrize(
    ("experiment", "text"),
    [
        ({"objective": {"kind": "rosenbrock"}}, "Rosenbrock"),
        ({"objective": {"kind": "quadratic", "eigenvalues": [1, 25]}}, "quadratic with eigenvalues 1, 25"),
        (
            {"objective": {"kind": "quadratic", "condition": 100.0, "dimension": 2}},
            "quadratic with condition 100 in 2 dimensions",
        ),
        ({"objective": {"kind": "forces", "pushes": [[1], [2]]}}, "a body under 2 scripted pushes"),
        ({"objective": {"kind": "forces", "pushes": [[1]]}}, "a body under 1 scripted push"),
        (
            {"model": {"kind": "mlp", "hidden": [64, 32], "activation": "tanh"}, "data": {"kind": "digits"}},
            "neural network (64–32 hidden, tanh) on handwritten digits",
        ),
        (
            {"model": {"kind": "linear"}, "data": {"kind": "csv", "path": "/a/b\x1b.csv"}},
            "linear regression on b\\x1b.csv",
        ),
    ],
)
def test_problems_are_named_in_words(experiment, text: str) -> None:  # type: ignore[no-untyped-def]
    assert labels.problem(experiment) == text


@given(some.text(some.characters(exclude_characters=" "), max_size=80), some.integers(5, 40))
def test_shortened_text_fits(text: str, limit: int) -> None:
    assert labels.columns(labels.shortened(text, limit)) <= limit


def test_a_legend_breaks_after_commas_before_it_breaks_words() -> None:
    assert legends.fold("γ = 0.9, diverged at step 3512") == ["γ = 0.9,", "diverged at step 3512"]
    assert " ".join(legends.fold("a long text without any comma in all of it")) == (
        "a long text without any comma in all of it"
    )
