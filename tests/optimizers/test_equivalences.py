"""Rules against each other, against the recursions of the papers, and against torch, on one problem for all."""

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
import torch

import momentumlab
from momentumlab.optimizers.rules import RULES
from tests.optimizers.recursions import (
    ETA,
    GAMMA,
    REFERENCE,
    START,
    STEPS,
    ema_from_first_gradient,
    memories,
    nesterov_1983,
    play,
    running_mean,
    schedule_free,
    sign_of_accumulated,
    sutskever,
    sutskever_look_ahead,
    sutskever_theta_from_torchs_memory,
    synthesized_nesterov,
    torch_sgd,
    triple_momentum,
)
from tests.reference import case

EXPECTED, TOLERANCE = REFERENCE["expected"], REFERENCE["tolerance"]


# What a rule is tested with: a new rule is one row here


class Row(NamedTuple):
    """Hyperparameters, another γ, and the velocity after n updates with the gradient 1."""

    hyperparameters: dict
    other_gamma: dict
    velocity: Callable[[int], float] | None


def accumulated(gamma, n):
    """1 + γ + … + γ^(n−1)."""
    return (1 - gamma**n) / (1 - gamma)


PLAIN = {"gamma": GAMMA, "eta": ETA}
LESS = {"gamma": 0.5}
AGGMO = {"gammas": [0.0, 0.9, 0.99], "eta": ETA, "weights": [1 / 3] * 3}
ROWS = {
    "sgd": Row({"gamma": 0.0, "eta": ETA}, {}, None),
    "momentum": Row(PLAIN, LESS, lambda n: ETA * accumulated(GAMMA, n)),
    "torch_momentum": Row(PLAIN, LESS, lambda n: ETA * accumulated(GAMMA, n)),
    "nesterov": Row(PLAIN, LESS, lambda n: ETA * accumulated(GAMMA, n)),
    "torch_nesterov": Row(PLAIN, LESS, lambda n: ETA * accumulated(GAMMA, n)),
    "ema": Row(PLAIN, LESS, lambda n: ETA * (1 - GAMMA**n)),
    "qhm": Row(PLAIN | {"nu": 0.7}, LESS, lambda n: ETA * (1 - GAMMA**n)),
    "aggmo": Row(
        AGGMO,
        {"gammas": [0.0, 0.5, 0.9]},
        lambda n: ETA / 3 * sum(accumulated(gamma, n) for gamma in AGGMO["gammas"]),
    ),
    "signum": Row(PLAIN, LESS, lambda n: ETA * (1 - GAMMA**n)),
    "lion": Row({"gamma": 0.99, "eta": ETA, "beta1": 0.9}, LESS, lambda n: ETA * (1 - 0.99**n)),
}
WITH_GAMMA = [name for name, row in ROWS.items() if row.other_gamma]


def column(values):
    """(run, 1), or one such column for each velocity."""
    if isinstance(values[0], list):
        return [column(list(ones)) for ones in zip(*values, strict=True)]
    return np.array(values)[:, None]


def test_every_rule_has_its_row():
    assert list(ROWS) == list(RULES)


@pytest.mark.parametrize("name", ROWS)
def test_a_run_has_the_same_bits_alone_and_in_a_stack(name):
    one, other = ROWS[name].hyperparameters, ROWS[name].hyperparameters | ROWS[name].other_gamma
    runs = [one, other, one | {"eta": 0.01}]
    columns = {key: column([run[key] for run in runs]) for key in one}
    stacked = np.array([theta for theta, _ in memories(name, np.array([START] * 3), **columns)])
    for run, hyperparameters in enumerate(runs):
        np.testing.assert_array_equal(stacked[:, run], play(name, **hyperparameters))


@pytest.mark.parametrize("name", ROWS)
def test_a_plain_number_has_the_bits_of_a_stack(name):
    rule, hyperparameters = RULES[name], ROWS[name].hyperparameters
    columns = {key: column([value]) for key, value in hyperparameters.items()}
    theta, thetas = 1.0, np.ones((1, 1))
    memory, stacked = rule.at_rest(theta, hyperparameters), rule.at_rest(thetas, hyperparameters)
    for push in np.cos(np.arange(STEPS) ** 2):
        theta, memory = rule.update(theta, float(push), memory, **hyperparameters)
        thetas, stacked = rule.update(thetas, np.full((1, 1), push), stacked, **columns)
        assert theta == thetas[0, 0]


@pytest.mark.parametrize("name", WITH_GAMMA)
def test_gamma_has_an_effect(name):
    one, other = ROWS[name].hyperparameters, ROWS[name].hyperparameters | ROWS[name].other_gamma
    # Three updates of size η part the two by a visible share of η; a γ without effect gives the same bits.
    assert np.abs(play(name, **one) - play(name, **other)).max() > 0.1 * ETA


@pytest.mark.parametrize("name", WITH_GAMMA)
@pytest.mark.parametrize("updates", [1, 10, 3000])
def test_a_constant_gradient_drives_the_velocity_to_its_closed_form(name, updates):
    rule, hyperparameters = RULES[name], ROWS[name].hyperparameters
    theta = np.zeros(3)
    memory, push = rule.at_rest(theta, hyperparameters), np.array([1.0, -2.0, 0.5])
    for _ in range(updates):
        theta, memory = rule.update(theta, push, memory, **hyperparameters)
    # A sum of rounded terms, all of one sign; 1/(1 − 0.99) magnifies its rounding a hundredfold.
    velocity = rule.velocity(memory, hyperparameters)
    np.testing.assert_allclose(velocity, push * ROWS[name].velocity(updates), rtol=1e-13)


TORCHS = {"lr": ETA, "momentum": GAMMA}
QHM_OF_AGGMO = {"gamma": GAMMA, "eta": ETA * (2 - GAMMA) / (2 * (1 - GAMMA)), "nu": 1 / (2 - GAMMA)}
SYNTHESIZED, TRIPLE = {"eta": 0.02, "beta1": 0.6, "beta2": 0.3}, {"smoothness": 25, "convexity": 0.1}
SCHEDULE_FREE = {"eta": ETA, "beta": 0.8, "c": 0.1}
SHARE = 1 / 10  # the constant c of schedule-free SGD


def qhm_of_synthesized(eta, beta1, beta2):
    return play("qhm", gamma=beta1, eta=eta / (1 - beta1), nu=1 - (1 - beta1) / beta1 * beta2)


def qhm_of_triple(smoothness, convexity):
    rho = 1 - (convexity / smoothness) ** 0.5
    return qhm_of_synthesized((1 + rho) / smoothness, rho**2 / (2 - rho), rho**2 / ((1 + rho) * (2 - rho)))


def shrinking(step):
    return 1 / (step + 1)


EQUAL = {
    "seed HB(eta,g) == torch SGD(lr=eta,momentum=g)": (lambda: play("momentum", **PLAIN), lambda: torch_sgd(**TORCHS)),
    "HB(eta,g) == QHM(alpha=eta/(1-g), beta=g, nu=1)": (
        lambda: play("momentum", **PLAIN),
        lambda: play("qhm", gamma=GAMMA, eta=ETA / (1 - GAMMA), nu=1.0),
    ),
    "SGD(eta) == QHM(alpha=eta, any beta, nu=0)": (
        lambda: play("sgd", gamma=0.0, eta=ETA),
        lambda: play("qhm", **PLAIN, nu=0.0),
    ),
    "EMA(lr,g) == HB((1-g)lr, g)": (
        lambda: play("ema", **PLAIN),
        lambda: play("momentum", gamma=GAMMA, eta=(1 - GAMMA) * ETA),
    ),
    "torch Nesterov(lr,mu) == QHM(alpha=lr/(1-mu), beta=mu, nu=mu)": (
        lambda: torch_sgd(**TORCHS, nesterov=True),
        lambda: play("qhm", gamma=GAMMA, eta=ETA / (1 - GAMMA), nu=GAMMA),
    ),
    "torch Nesterov iterate == Sutskever look-ahead theta+mu v": (
        lambda: play("torch_nesterov", **PLAIN),
        lambda: sutskever_look_ahead(**PLAIN),
    ),
    "Sutskever theta == torch p + lr*mu*buf (final)": (
        lambda: sutskever(**PLAIN)[0],
        lambda: sutskever_theta_from_torchs_memory(**PLAIN),
    ),
    "Nesterov-1983 x == Sutskever theta": (lambda: nesterov_1983(**PLAIN)[0], lambda: sutskever(**PLAIN)[0]),
    "Nesterov-1983 y == torch Nesterov iterate": (
        lambda: nesterov_1983(**PLAIN)[1],
        lambda: play("torch_nesterov", **PLAIN),
    ),
    "AggMo(lr,[0,g]) == QHM(alpha=lr(2-g)/(2(1-g)), beta=g, nu=1/(2-g))": (
        lambda: play("aggmo", gammas=[0.0, GAMMA], eta=ETA, weights=[0.5, 0.5]),
        lambda: play("qhm", **QHM_OF_AGGMO),
    ),
    "AggMo weights (1,mu) on betas (0,mu) == torch Nesterov": (
        lambda: play("aggmo", gammas=[0.0, GAMMA], eta=ETA, weights=[1.0, GAMMA]),
        lambda: play("torch_nesterov", **PLAIN),
    ),
    "AggMo(lr,[g]) == HB(lr,g)": (
        lambda: play("aggmo", gammas=[GAMMA], eta=ETA, weights=[1.0]),
        lambda: play("momentum", **PLAIN),
    ),
    "Lessard synthesized Nesterov(a,b1,b2) y == QHM(a/(1-b1), b1, 1-((1-b1)/b1) b2)": (
        lambda: synthesized_nesterov(**SYNTHESIZED)[1],
        lambda: qhm_of_synthesized(**SYNTHESIZED),
    ),
    "Triple Momentum y == QHM by the same map": (lambda: triple_momentum(**TRIPLE), lambda: qhm_of_triple(**TRIPLE)),
    "Schedule-free SGD with constant c: y == QHM(alpha=lr, beta=1-c, nu=beta_SF)": (
        lambda: schedule_free(**SCHEDULE_FREE)[1],
        lambda: play("qhm", gamma=1 - SHARE, eta=ETA, nu=0.8),
    ),
    "Primal averaging (beta_SF=1), constant c: x == HB(eta=c lr, g=1-c)": (
        lambda: schedule_free(ETA, 1.0, SHARE)[0],
        lambda: play("momentum", gamma=1 - SHARE, eta=SHARE * ETA),
    ),
    "Schedule-free beta=0: z == SGD(lr)": (
        lambda: schedule_free(ETA, 0.0, shrinking)[2],
        lambda: play("sgd", gamma=0.0, eta=ETA),
    ),
    "Schedule-free beta=0: x == running mean of z_1..z_t": (
        lambda: schedule_free(ETA, 0.0, shrinking)[0],
        lambda: running_mean(schedule_free(ETA, 0.0, shrinking)[2]),
    ),
    "Primal averaging c=1/(t+1), t=0..: x == HB with gamma_t=(t-1)/(t+1), eta_t=lr/(t+1)": (
        lambda: schedule_free(ETA, 1.0, shrinking)[0],
        lambda: play("momentum", gamma=lambda t: (t - 1) / (t + 1), eta=lambda t: ETA / (t + 1)),
    ),
    "Signum with EMA buffer == Signum with accumulating buffer": (
        lambda: play("signum", **PLAIN),
        lambda: sign_of_accumulated(**PLAIN),
    ),
    "Lion(b1=b2=b) == Signum(b)": (lambda: play("lion", **PLAIN, beta1=GAMMA), lambda: play("signum", **PLAIN)),
    "Lion(b1=0) == signSGD": (lambda: play("lion", **PLAIN, beta1=0.0), lambda: sign_of_accumulated(0.0, ETA)),
    "torch SGD(momentum=g,dampening=g) == EMA initialised at m_1=g_1": (
        lambda: torch_sgd(**TORCHS, dampening=GAMMA),
        lambda: ema_from_first_gradient(**PLAIN),
    ),
}
DIFFERENT = {
    "torch dampening=momentum vs EMA from zero": (
        lambda: torch_sgd(lr=0.3, momentum=GAMMA, dampening=GAMMA),
        lambda: play("ema", gamma=GAMMA, eta=0.3),
    ),
    "Lion(.9,.99) vs Signum(.9)": (
        lambda: play("lion", gamma=0.99, eta=0.01, beta1=0.9),
        lambda: play("signum", gamma=0.9, eta=0.01),
    ),
    "HB vs Nesterov same (lr,mu)": (lambda: play("momentum", **PLAIN), lambda: play("nesterov", **PLAIN)),
}


def claims(kind):
    return {row["claim"]: row["max_abs_diff_seen"] for row in EXPECTED[kind]}


def test_every_claim_of_the_reference_case_is_here():
    assert list(EQUAL) == list(claims("must_be_equal"))
    assert list(DIFFERENT) == list(claims("must_differ"))


@pytest.mark.parametrize("claim", EQUAL)
def test_what_must_be_equal_is_equal_in_every_update(claim):
    one, other = EQUAL[claim]
    np.testing.assert_allclose(one(), other(), rtol=0, atol=TOLERANCE["equal_abs"])


@pytest.mark.parametrize("claim", DIFFERENT)
def test_what_must_differ_differs_by_as_much_as_was_seen(claim):
    one, other = DIFFERENT[claim]
    assert np.abs(one() - other()).max() == pytest.approx(claims("must_differ")[claim], rel=1e-6)


@pytest.mark.parametrize(
    ("expected", "name", "hyperparameters"),
    [("hb_theta_200", "momentum", PLAIN),
     ("hb_theta_200", "torch_momentum", PLAIN),
     ("nesterov_theta_200", "nesterov", PLAIN),
     ("nesterov_theta_200", "torch_nesterov", PLAIN),
     ("qhm_0p7_theta_200", "qhm", {"gamma": GAMMA, "eta": ETA / (1 - GAMMA), "nu": 0.7}),
     ("aggmo_0_0p9_0p99_theta_200", "aggmo", AGGMO | {"eta": 0.02})],
)  # fmt: skip
def test_a_rule_ends_where_the_reference_case_says(expected, name, hyperparameters):
    np.testing.assert_allclose(play(name, **hyperparameters)[-1], EXPECTED[expected], atol=TOLERANCE["theta_abs"])


# torch.optim.SGD by hand


FIVE_STEPS = case("torch-sgd-5-steps")
FIVE_ROWS = {row["config"]: row for row in FIVE_STEPS["expected"]["rows"]}


@pytest.mark.parametrize("config", FIVE_ROWS)
@pytest.mark.parametrize("optimizer", [torch.optim.SGD, momentumlab.Momentum])
def test_torchs_five_steps(config, optimizer):
    parameter = torch.nn.Parameter(torch.tensor(1.0, dtype=torch.float64))
    optimizer = optimizer([parameter], **FIVE_ROWS[config]["kwargs"])
    for push, theta in zip(FIVE_STEPS["setting"]["grads"], FIVE_ROWS[config]["theta"][1:], strict=True):
        parameter.grad = torch.tensor(float(Fraction(push)), dtype=torch.float64)
        optimizer.step()
        assert parameter.item() == pytest.approx(theta, abs=FIVE_STEPS["tolerance"]["float64_abs"])


def is_a_rule(options):
    """Dampening that counts and weight decay are options around a rule, not the rule."""
    return not options["weight_decay"] and not (options["dampening"] and options["momentum"])


@pytest.mark.parametrize("config", [config for config, row in FIVE_ROWS.items() if is_a_rule(row["kwargs"])])
def test_the_rules_take_torchs_five_steps_exactly(config):
    row, options = FIVE_ROWS[config], FIVE_ROWS[config]["kwargs"]
    rule = RULES["torch_nesterov" if options["nesterov"] else "torch_momentum" if options["momentum"] else "sgd"]
    hyperparameters = {"gamma": Fraction(str(options["momentum"])), "eta": Fraction(str(options["lr"]))}
    theta, memory = Fraction(1), Fraction(0)
    for push, expected, buffer in zip(
        FIVE_STEPS["setting"]["grads"], row["theta_exact"][1:], row["buffer_exact"], strict=True
    ):
        slope = -Fraction(push) if options["maximize"] else Fraction(push)
        theta, memory = rule.update(theta, slope, memory, **hyperparameters)
        assert theta == Fraction(expected)
        assert buffer is None or memory == Fraction(buffer)


def test_on_a_mode_nesterov_is_momentum_with_a_gamma_that_falls_with_curvature():
    reference = case("nag-effective-momentum")
    curvature, eta, gamma = (reference["setting"][name] for name in ("lam", "eps", "mu"))
    look_ahead, buffer, theta, velocity = 1.0, 0.0, 1.0, 0.0
    for _ in range(reference["setting"]["steps"]):
        look_ahead, buffer = RULES["torch_nesterov"].update(look_ahead, curvature * look_ahead, buffer, gamma, eta)
        lowered = gamma * (1 - eta * curvature)
        theta, velocity = RULES["momentum"].update(theta, curvature * theta, velocity, lowered, eta)
        assert abs(look_ahead + eta * gamma * buffer - theta) <= reference["expected"]["max_abs_diff_below"]
