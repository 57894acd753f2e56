"""Hyperparameters for another rule: the numbers, the formula that is printed, where two rules part, and refusals."""

import math
import re
from fractions import Fraction

import numpy as np
import pytest

from momentumlab.errors import ConfigError
from momentumlab.optimizers.convert import SOURCES, TARGETS, convert, parse_pair
from momentumlab.optimizers.rules import RULES
from momentumlab.optimizers.schedules import constant, step_decay
from tests.reference import case

USUAL = {"gamma": 0.9, "eta": 0.1}
GIVEN = {
    "sgd": {"eta": 0.1},
    "classical": USUAL,
    "torch": USUAL,
    "nesterov": USUAL,
    "ema": USUAL,
    "qhm": USUAL | {"nu": 0.7},
    "aggmo": {"gammas": [0, 0.9], "eta": 0.1, "weights": [0.25, 0.75]},
    "nesterov_1983": USUAL,
    "synthesized_nesterov": {"eta": 0.1, "beta1": 0.6, "beta2": 0.3},
    "triple_momentum": {"smoothness": 100, "convexity": 1},
    "schedule_free": {"eta": 0.1, "beta": 0.8, "c": 0.1},
    "pid": {"proportional": -0.9, "integral": 0.1, "derivative": 8.1},
}
FALLING = step_decay(0.1, 0.1, [3])
RISING = step_decay(0.5, 1.8, [3])


def problems(call, *arguments, **options):
    with pytest.raises(ConfigError) as refused:
        call(*arguments, **options)
    return refused.value.problems


# Numbers


@pytest.mark.parametrize(
    ("source", "target", "given", "expected"),
    [("torch", "classical", USUAL, USUAL),
     ("classical", "torch", USUAL, USUAL),
     ("torch", "ema", USUAL, {"gamma": 0.9, "eta": 1.0}),
     ("ema", "torch", USUAL, {"gamma": 0.9, "eta": 0.01}),
     ("torch", "qhm", USUAL, {"gamma": 0.9, "eta": 1.0, "nu": 1.0}),
     ("nesterov", "qhm", USUAL, {"gamma": 0.9, "eta": 1.0, "nu": 0.9}),
     ("nesterov_1983", "nesterov", USUAL, USUAL),
     ("sgd", "qhm", {"eta": 0.1}, {"gamma": 0.0, "eta": 0.1, "nu": 0.0}),
     ("sgd", "nesterov", {"eta": 0.1}, {"gamma": 0.0, "eta": 0.1}),
     ("torch", "sgd", {"gamma": 0, "eta": 0.1}, {"eta": 0.1}),
     ("qhm", "sgd", USUAL | {"nu": 0}, {"eta": 0.1}),
     ("qhm", "nesterov", USUAL | {"nu": 0}, {"gamma": 0.0, "eta": 0.1}),
     ("qhm", "nesterov", {"gamma": 0.9, "eta": 1, "nu": 0.9}, USUAL),
     ("qhm", "classical", {"gamma": 0.9, "eta": 1, "nu": 1}, USUAL),
     ("torch", "aggmo", USUAL, {"gammas": [0.9], "eta": 0.1, "weights": [1.0]}),
     ("nesterov", "aggmo", USUAL, {"gammas": [0.0, 0.9], "eta": 0.1, "weights": [1.0, 0.9]}),
     ("sgd", "aggmo", {"eta": 0.1}, {"gammas": [0.0], "eta": 0.1, "weights": [1.0]}),
     ("aggmo", "torch", {"gammas": [0.9, 0, 0.9], "eta": 0.2, "weights": [0.25, 0, 0.25]}, USUAL),
     ("aggmo", "qhm", {"gammas": [0, 0.5], "eta": 1}, {"gamma": 0.5, "eta": 1.5, "nu": 2 / 3}),
     ("aggmo", "aggmo", {"gammas": [0.5, 0.9, 0.99, 0], "eta": 1},
      {"gammas": [0.5, 0.9, 0.99, 0.0], "eta": 1.0, "weights": [0.25] * 4}),
     ("schedule_free", "nesterov", {"eta": 1, "beta": 0.9, "c": 0.1}, USUAL),
     ("triple_momentum", "torch", {"smoothness": 4, "convexity": 4}, {"gamma": 0.0, "eta": 0.25})],
)  # fmt: skip
def test_numbers_come_out_as_a_person_would_write_them(source, target, given, expected):
    found = convert(source, target, given)
    assert found.hyperparameters == expected
    assert (found.parts_at, found.reason) == (None, "")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("source", TARGETS)
def test_there_and_back_again(source, target):
    # Exact but for the rounding of what is printed in between.
    there = convert(source, target, GIVEN[source]).hyperparameters
    if there and source != "aggmo":  # which has many weights for the same steps
        back = convert(target, source, there).hyperparameters
        assert list(back) == list(GIVEN[source])
        assert list(back.values()) == pytest.approx(list(GIVEN[source].values()), rel=1e-14)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("target", TARGETS)
def test_the_keys_are_the_targets_own(source, target):
    found = convert(source, target, GIVEN[source])
    rule = {"classical": "momentum", "torch": "torch_momentum", "nesterov": "torch_nesterov"}.get(target, target)
    own = RULES[rule].hyperparameters if target != "sgd" else ("eta",)
    assert set(found.hyperparameters) in (set(own), set())
    assert bool(found.hyperparameters) == bool(found.formula) == (found.parts_at is None) == (not found.reason)


def test_numbers_of_numpy_and_numbers_computed_before_are_numbers():
    found = convert("qhm", "nesterov", {"gamma": np.float64(0.3), "eta": np.float32(0.5), "nu": 0.1 * 3})
    assert found.hyperparameters == {"gamma": 0.3, "eta": 0.35}


# The formula


SYMBOLS = {"η": "eta", "γ": "gamma", "ν": "nu", "μ": "convexity", "L": "smoothness"} | {
    "k_P": "proportional", "k_I": "integral", "k_D": "derivative",
}  # fmt: skip


def evaluated(formula, given):
    """What the assignments of a printed formula give, the source's first; the target's own names last."""
    known = {name: value if isinstance(value, list) else Fraction(str(value)) for name, value in given.items()}
    if "gammas" in known:
        known |= {"w0": Fraction("0.25"), "w": Fraction("0.75"), "gamma": Fraction("0.9")}
    plain = formula.translate(str.maketrans("₀₁₂−·", "012-*")).replace("²", "**2").replace("√(", "root(")
    for symbol, name in SYMBOLS.items():
        plain = re.sub(rf"\b{symbol}\b", name, plain)
    plain = plain.replace("β1", "beta1").replace("β2", "beta2")
    read, written = (part.partition(": ")[2].partition(" with ")[0] for part in plain.split("; "))
    for assignment in re.split(r", (?=[^\W\d]\w* = )", f"{read}, {written}"):
        name, _, expression = assignment.partition(" = ")
        known[name] = eval(expression, {"root": lambda square: Fraction(math.sqrt(square))}, known)
    return known


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("source", SOURCES)
def test_the_printed_formula_gives_the_numbers(source, target):
    found = convert(source, target, GIVEN[source])
    if not found.hyperparameters or source == target or {source, target} == {"torch", "classical"}:
        return
    known = evaluated(found.formula, GIVEN[source])
    for name, value in found.hyperparameters.items():
        assert np.array(known[name], float) == pytest.approx(np.array(value), rel=1e-14), found.formula


def test_between_the_forms_of_momentum_the_formula_says_what_v_and_b_are():
    assert convert("torch", "classical", USUAL).formula == "γ = momentum, η = lr: v = η·b"


# No constants


@pytest.mark.parametrize(
    ("source", "target", "given", "parts_at", "words"),
    [("nesterov", "classical", USUAL, 1,
      "no constants make classical follow nesterov: its step is the memory alone, ν = 1, and here β = 0.9, ν = 0.9; "
      "with the same γ and η they part at update 1"),
     ("torch", "nesterov", USUAL, 1, "ν = β, and here β = 0.9, ν = 1"),
     # The first step is the same: there is no inertia yet.
     ("torch", "sgd", USUAL, 2, "it has no memory, β = 0 or ν = 0, and here β = 0.9, ν = 1; with the same η they part"),
     ("qhm", "ema", GIVEN["qhm"], 1, "ν = 1, and here β = 0.9, ν = 0.7"),
     ("pid", "nesterov", GIVEN["pid"], 1, "ν = β, and here β = 0.9, ν = 1"),
     ("aggmo", "qhm", {"gammas": [0, 0.9, 0.99], "eta": 0.1}, 1,
      "and here are several: 0.9, 0.99; with the same η and the largest γ they part at update 1")],
)  # fmt: skip
def test_where_no_constants_exist_it_says_why_and_where_the_same_gamma_and_eta_part(
    source, target, given, parts_at, words
):
    found = convert(source, target, given)
    assert (found.hyperparameters, found.formula, found.parts_at) == ({}, "", parts_at)
    assert words in found.reason


def test_a_velocity_too_small_to_see_does_not_part_them():
    found = convert("aggmo", "torch", {"gammas": [0.9, 0.5], "eta": 0.1, "weights": [1, 1e-13]}, steps=3)
    assert found.hyperparameters == {}
    assert found.parts_at is None
    assert found.reason.endswith("they do not part in 3 updates")


# Schedules


def test_the_forms_part_with_the_first_lower_eta_as_in_the_reference_case():
    setting = case("lr-schedule-divergence")["setting"]
    for source, target in (("torch", "classical"), ("classical", "torch")):
        found = convert(source, target, {"gamma": setting["gamma"], "eta": setting["lrs"].__getitem__}, steps=6)
        assert found.hyperparameters == USUAL
        assert found.parts_at == 4
        assert found.reason == (
            "classical keeps the η of its day in v, torch rescales the past: they part at update 4; "
            "with momentum_correction: true classical follows torch"
        )


@pytest.mark.parametrize(
    ("source", "target", "given", "parts_at", "words"),
    [("torch", "classical", USUAL | {"eta": FALLING}, 4, "momentum_correction: true classical follows torch"),
     ("ema", "classical", USUAL | {"eta": FALLING}, 4, "momentum_correction: true classical follows ema"),
     ("aggmo", "classical", {"gammas": [0.9], "eta": FALLING}, 4, "momentum_correction: true"),
     ("classical", "ema", {"gamma": RISING, "eta": 0.1}, 4, "classical keeps the η of its day in v"),
     ("torch", "ema", {"gamma": RISING, "eta": 0.1}, 4, "torch and ema weigh the past differently once γ changes"),
     ("nesterov", "qhm", {"gamma": RISING, "eta": 0.1}, 4, "nu of qhm would have to change with γ"),
     ("torch", "aggmo", {"gamma": RISING, "eta": 0.1}, 4, "gammas of aggmo would have to change with γ")],
)  # fmt: skip
def test_a_schedule_parts_them_at_its_first_change(source, target, given, parts_at, words):
    found = convert(source, target, given)
    assert found.parts_at == parts_at
    assert words in found.reason
    first = {name: value(0) if callable(value) else value for name, value in given.items()}
    assert found.hyperparameters == convert(source, target, first).hyperparameters


def test_no_correction_is_promised_where_it_does_not_help():
    # Where γ changes, η·(1 − γ) does not fall as η does.
    found = convert("classical", "ema", {"gamma": RISING, "eta": 0.1})
    assert "momentum_correction" not in found.reason


@pytest.mark.parametrize(
    ("source", "target", "given", "words"),
    [("torch", "ema", USUAL | {"eta": FALLING}, "the same iterates in all 100 updates, with every η times 10"),
     ("ema", "aggmo", USUAL | {"eta": FALLING}, "with every η times 0.1"),
     ("nesterov", "qhm", USUAL | {"eta": FALLING}, "with every η times 10"),
     ("sgd", "classical", {"eta": FALLING}, "with the same schedule of η and γ = 0"),
     ("qhm", "sgd", {"gamma": RISING, "eta": 0.1, "nu": 0}, "with the same η"),
     ("qhm", "sgd", {"gamma": RISING, "eta": FALLING, "nu": 0}, "with the same schedule of η"),
     ("qhm", "torch", {"gamma": RISING, "eta": 0.1, "nu": 0}, "with the same η and γ = 0"),
     ("aggmo", "torch", {"gammas": [0.9], "eta": FALLING}, "with the same schedule of η and γ = 0.9"),
     ("aggmo", "ema", {"gammas": [0.9], "eta": FALLING}, "with every η times 10 and γ = 0.9"),
     ("torch", "classical", {"gamma": RISING, "eta": 0.1}, "with the same schedules"),
     ("ema", "qhm", {"gamma": RISING, "eta": FALLING}, "with the same schedules"),
     ("qhm", "qhm", {"gamma": RISING, "eta": FALLING, "nu": 0.7}, "with the same schedules"),
     # v = α·m: the push α·(1 − γ_t)·∇J is what ema adds in its day.
     ("ema", "classical", {"gamma": RISING, "eta": 0.1}, "if η follows this formula in each")],
)  # fmt: skip
def test_some_stay_together_under_a_schedule(source, target, given, words):
    found = convert(source, target, given)
    assert (found.parts_at, found.reason) == (None, "")
    assert found.formula.endswith(words)
    first = {name: value(0) if callable(value) else value for name, value in given.items()}
    assert found.hyperparameters == convert(source, target, first).hyperparameters


@pytest.mark.parametrize("target", ["classical", "torch", "nesterov", "ema"])
def test_what_remembers_nothing_is_followed_with_gamma_zero_and_not_with_the_schedule_of_gamma(target):
    found = convert("qhm", target, {"gamma": RISING, "eta": FALLING, "nu": 0})
    assert found.formula.endswith("with the same schedule of η and γ = 0")
    rule, qhm = (
        RULES[{"classical": "momentum", "torch": "torch_momentum", "nesterov": "torch_nesterov"}.get(target, target)],
        RULES["qhm"],
    )

    def steps(gamma_of):
        """θ of qhm and of the target after each of 20 updates, under the same gradients."""
        theirs = ours = (0.0, 0.0)
        for step in range(20):
            gradient, gamma, eta = math.cos(step * step), RISING(step), FALLING(step)
            theirs = qhm.update(*_with(theirs, gradient), gamma=gamma, eta=eta, nu=0.0)
            ours = rule.update(*_with(ours, gradient), gamma=gamma_of(step), eta=eta)
            yield theirs[0], ours[0]

    # floats: 20 roundings of numbers below 1
    assert all(one == pytest.approx(other, abs=1e-14) for one, other in steps(lambda step: 0.0))
    assert any(abs(one - other) > 1e-3 for one, other in steps(RISING))


def _with(state, gradient):
    theta, memory = state
    return theta, gradient, memory


def test_a_schedule_that_changes_after_the_last_update_changes_nothing():
    late = step_decay(0.1, 0.1, [50])
    assert convert("torch", "classical", USUAL | {"eta": late}, steps=50).parts_at is None
    assert convert("torch", "classical", USUAL | {"eta": late}, steps=51).parts_at == 51
    assert convert("torch", "classical", USUAL | {"eta": constant(0.1)}).parts_at is None


def test_a_slow_schedule_parts_them_at_once():
    found = convert("torch", "classical", USUAL | {"eta": lambda step: 0.05 * (1 + math.cos(step / 1e4))})
    assert found.parts_at == 2


@pytest.mark.parametrize("gamma", [0.999999, 1 - 1e-12])
def test_a_gamma_near_1_is_not_taken_for_a_parting(gamma):
    # In float64 the rounding of 1 − γ alone would part them.
    assert convert("torch", "ema", {"gamma": gamma, "eta": FALLING}).parts_at is None


def test_eta_may_come_down_to_zero():
    fading = {"gamma": 0.9, "eta": lambda step: 0.1 * max(0, 3 - step)}
    assert convert("torch", "qhm", fading).parts_at is None
    assert convert("torch", "classical", fading).parts_at == 2


def test_gamma_and_nu_that_are_equal_only_at_first_give_no_nesterov():
    found = convert("qhm", "nesterov", {"gamma": RISING, "eta": 0.1, "nu": 0.5})
    assert found.hyperparameters == {}
    assert "ν = β, and here β = 0.9, ν = 0.5" in found.reason


# What is refused


def test_every_wrong_hyperparameter_is_named_at_once():
    assert problems(convert, "qhm", "ema", {"gamma": 1.0, "eta": 0, "nuu": 1}) == (
        "qhm needs nu: --set nu=0.7",
        "qhm: unknown hyperparameter nuu. Allowed: gamma, eta, nu. Did you mean 'nu'?",
        "qhm: gamma: got 1.0, must be in [0, 1): at 1 the velocity never decays",
        "qhm: eta: got 0, must be greater than 0 and finite",
    )


@pytest.mark.parametrize("source", SOURCES)
def test_what_is_missing_is_said_with_an_example(source):
    missing = problems(convert, source, "qhm", {"weights": None} if source == "aggmo" else {})
    assert [line.split(": --")[0] for line in missing] == [
        f"{source} needs {name}" for name in GIVEN[source] if name != "weights"
    ]


@pytest.mark.parametrize("value", [-0.1, 1, math.nan, math.inf, True, "0.9", [0.9], 10**400, 1j])
def test_a_gamma_out_of_range_is_refused(value):
    (line,) = problems(convert, "torch", "ema", {"gamma": value, "eta": 0.1})
    assert line.startswith("torch: gamma: got ")
    assert "must be in [0, 1)" in line


@pytest.mark.parametrize(
    ("source", "name", "value", "words"),
    [("torch", "eta", -1, "greater than 0"),
     ("torch", "eta", math.inf, "greater than 0 and finite"),
     ("qhm", "nu", math.nan, "a finite number"),
     ("aggmo", "gammas", [], "must be a list such as [0, 0.9]"),
     ("aggmo", "gammas", 0.9, "must be a list"),
     ("aggmo", "gammas", "0.9", "must be a list"),
     ("aggmo", "gammas", [0, None], "got None in [0, None], each must be in [0, 1)"),
     ("aggmo", "weights", [1], "got 2 gammas and 1 weights, must be one weight for each"),
     ("aggmo", "weights", [1, math.inf], "each must be a finite number"),
     ("aggmo", "weights", [9, -0.9], "the weights cancel each other"),
     ("aggmo", "weights", [1, -1], "aggmo as quasi-hyperbolic momentum: eta would be -0.9, must be greater than 0"),
     ("schedule_free", "c", 0, "must be in (0, 1]"),
     ("schedule_free", "beta", 1.5, "must be in [0, 1]"),
     ("triple_momentum", "convexity", 101, "cannot exceed smoothness"),
     ("triple_momentum", "smoothness", 0, "greater than 0"),
     ("synthesized_nesterov", "beta1", 0, "which no average does"),
     ("pid", "derivative", 0, "no β follows"),
     ("pid", "derivative", -0.9, "no β follows"),
     ("pid", "derivative", -0.5, "pid as quasi-hyperbolic momentum: gamma would be -1.25, must be in [0, 1)"),
     ("pid", "integral", constant(0.1), "got a schedule, must be a number"),
     ("qhm", "nu", constant(0.7), "got a schedule, must be a number")],
)  # fmt: skip
def test_a_value_that_cannot_be_is_refused_in_words(source, name, value, words):
    (line,) = problems(convert, source, "qhm", GIVEN[source] | {name: value})
    assert line.startswith(source)
    assert words in line


@pytest.mark.parametrize(
    ("given", "words"),
    [({"gamma": 0.999, "eta": 1e308}, "torch:ema: eta would be inf, must be greater than 0 and finite"),
     (USUAL | {"gamma": lambda step: step / 10}, "gamma: its schedule makes it 1 at update 11, must be in [0, 1)"),
     (USUAL | {"eta": lambda step: 10.0 ** (100 * step)}, "eta: its schedule makes it inf at update 5, must be 0 or"),
     (USUAL | {"eta": float}, "eta: its schedule makes it 0 at update 1, must be greater than 0"),
     (USUAL | {"eta": lambda step: "0.1"}, "eta: its schedule makes it nan at update 1")],
)  # fmt: skip
def test_a_result_or_a_schedule_out_of_range_is_refused(given, words):
    (line,) = problems(convert, "torch", "ema", given)
    assert words in line


@pytest.mark.parametrize("steps", [0, -1, 1.5, True, None])
def test_steps_are_counted_from_one(steps):
    assert "whole number, at least 1" in problems(convert, "torch", "ema", USUAL, steps)[0]


def test_a_pair_is_two_names_with_a_colon():
    assert parse_pair("torch:classical") == ("torch", "classical")
    assert parse_pair(" pid : qhm ") == ("pid", "qhm")


@pytest.mark.parametrize("text", ["", ":", "torch", "torch:", ":torch"])
def test_a_text_that_is_no_pair_is_answered_with_an_example_and_all_names(text):
    (line,) = problems(parse_pair, text)
    assert "must be SOURCE:TARGET such as torch:classical" in line
    assert all(name in line for name in SOURCES)


@pytest.mark.parametrize(
    ("text", "words"),
    [("nestrov:qhm", ["got 'nestrov' as the source, must be one of", "Did you mean 'nesterov'?"]),
     ("momentum:qhm", ["Did you mean 'classical'?"]),
     ("torch:torch_nesterov", ["got 'torch_nesterov' as the target", "Did you mean 'nesterov'?"]),
     ("torch:pid", ["pid can be the source only. Targets: sgd, classical, torch, nesterov, ema, qhm, aggmo."]),
     ("torch:ema:qhm", ["got 'ema:qhm' as the target"]),
     ("lion:signum", ["got 'lion' as the source", "got 'signum' as the target",
                      "It steps by signs, which no average follows. lion with beta1 = gamma is signum."]),
     ("\x1b[2J:qhm", ["'\\x1b[2J'"]),
     ("emma:ggmo", ["Did you mean 'ema'?", "Did you mean 'aggmo'?"])],
)  # fmt: skip
def test_unknown_names_are_answered_with_the_nearest(text, words):
    lines = problems(parse_pair, text)
    for word in words:
        assert word in "\n".join(lines)
    source, _, target = text.partition(":")
    assert problems(convert, source, target, {}) == lines
