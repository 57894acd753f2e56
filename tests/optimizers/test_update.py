"""Every option around a rule against its law, and all of them together against a loop in plain floats."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from momentumlab.arrays import NumpyArrays, TorchArrays
from momentumlab.experiment import load
from momentumlab.optimizers import schedules
from momentumlab.optimizers.rules import RULES
from momentumlab.optimizers.update import Moment, Update, clipped
from momentumlab.optimizers.updates import update_of
from tests.reference import case

LIBRARIES = [NumpyArrays("float64"), TorchArrays("float64")]
CURVATURE = np.array([1.0, 25.0])
START = [1.0, -0.5]
PLAIN = {"gamma": 0.9, "eta": 0.03}


def quadratic(theta, step):
    """½·Σ λ·θ² of every run, and its gradient."""
    del step
    curvature = CURVATURE if isinstance(theta, np.ndarray) else torch.tensor(CURVATURE)
    return (curvature * theta * theta).sum(-1) / 2, curvature * theta


def scripted(pushes, losses=None):
    """The same gradient, and loss, for every run: those of the script, step by step."""

    def at(theta, step):
        loss = theta[:, 0] * 0 + (losses[step] if losses else 0.0)
        return loss, theta * 0 + pushes[step]

    return at


def play(update, problem=quadratic, steps=100, start=(START,), arrays=LIBRARIES[0], **given):
    """What a stack does: (θ, v) after every update, both (update, run, parameter).

    A hyperparameter is a number, a function of the step, or a list with one of these for each run.
    """

    def columns(step):
        return {name: arrays.column([_now(one, step) for one in _each(value, start)]) for name, value in given.items()}

    theta = arrays.array(start)
    now = Moment(theta, None, update.rule.at_rest(theta, {}), arrays.column(np.ones(len(start))) > 0, theta - theta,
                 columns(0)["eta"], None, None)  # fmt: skip
    thetas, velocities = [], []
    for step in range(steps):
        today = columns(step)
        loss, now.gradient = problem(now.theta, step)
        now.loss, now.loss_before = loss, now.loss if step else loss
        now.theta, now.memory = update(now, today, arrays)
        now.velocity, now.at_rest = update.rule.velocity(now.memory, today), now.at_rest & False
        now.eta_before = today["eta"]
        thetas.append(arrays.numpy(now.theta).copy())
        velocities.append(arrays.numpy(now.velocity).copy())
    return SimpleNamespace(theta=np.array(thetas), velocity=np.array(velocities))


def _now(value, step):
    return value(step) if callable(value) else value


def _each(value, start):
    return value if isinstance(value, list) else [value] * len(start)


def torch_sgd(problem=quadratic, steps=100, settings=lambda step: {}, **options):
    """θ of torch.optim.SGD after every update, (update, run, parameter)."""
    parameter = torch.nn.Parameter(torch.tensor([START], dtype=torch.float64))
    optimizer, path = torch.optim.SGD([parameter], **options), []
    for step in range(steps):
        optimizer.param_groups[0] |= settings(step)
        parameter.grad = problem(parameter.detach(), step)[1]
        optimizer.step()
        path.append(parameter.detach().numpy().copy())
    return np.array(path)


# ---- the gradient is clipped ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("library", [NumpyArrays, TorchArrays])
def test_a_longer_gradient_gets_the_length_c_and_a_shorter_one_keeps_its_bits(library, dtype):
    arrays = library(dtype)
    random = np.random.default_rng(0)
    gradients = (random.standard_normal((200, 7)) * 10 ** random.uniform(-3, 3, (200, 1))).astype(dtype)
    limits = 10 ** random.uniform(-2, 2, (200, 1))
    given = arrays.array(gradients)
    short = arrays.numpy(clipped(given, arrays.column(limits), arrays))
    np.testing.assert_array_equal(arrays.numpy(given), gradients)
    lengths, limits = np.linalg.norm(gradients.astype(float), axis=1), limits[:, 0]
    longer = lengths > limits
    assert 50 < longer.sum() < 150
    np.testing.assert_array_equal(short[~longer], gradients[~longer])
    # a norm, a quotient and a product, each rounded
    rounding = 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(np.linalg.norm(short.astype(float), axis=1)[longer], limits[longer], rtol=rounding)
    np.testing.assert_allclose(
        short[longer] / limits[longer, None], gradients[longer] / lengths[longer, None], rtol=2 * rounding
    )


@pytest.mark.parametrize("arrays", LIBRARIES, ids=["numpy", "torch"])
def test_clipping_leaves_zero_alone_and_lets_what_is_no_number_be_seen(arrays):
    gradient = arrays.array([[0.0, 0.0], [3.0, 4.0], [math.nan, 1.0]])
    found = arrays.numpy(clipped(gradient, arrays.column([5.0, 5.0, 5.0]), arrays))
    np.testing.assert_array_equal(found[:2], [[0, 0], [3, 4]])
    assert np.isnan(found[2]).any()


@pytest.mark.parametrize("name", ["momentum", "torch_momentum"])
def test_clipping_before_momentum_bounds_the_step_by_the_geometric_series(name):
    reference = case("clip-then-momentum")
    setting, rows = reference["setting"], reference["expected"]["rows"]
    found = play(
        Update(RULES[name], clip=True),
        scripted([setting["constant_gradient"]] * setting["steps"]),
        setting["steps"],
        start=[[0.0]] * len(rows),
        gamma=[row["gamma"] for row in rows],
        eta=setting["eta"],
        clip=setting["clip"],
    )
    limits = [row["limit_step"] for row in rows]
    np.testing.assert_allclose(found.velocity[-1][:, 0], limits, rtol=reference["tolerance"]["rel"])


# ---- weight decay ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decay", "eta", "expected"),
    [
        ("coupled", 0.01, "coupled_torch_L2"),
        ("decoupled", 0.01, "decoupled_sgdw"),
        ("decoupled", 0.1, "decoupled_with_effective_lr"),
    ],
)
@pytest.mark.parametrize("name", ["momentum", "torch_momentum"])
def test_decay_alone_shrinks_the_parameters_as_the_reference_says(name, decay, eta, expected):
    reference = case("weight-decay-coupling")
    update = Update(RULES[name], weight_decay=decay)
    found = play(update, scripted([0.0] * 100), start=[[1.0]], gamma=0.9, eta=eta, weight_decay=0.1)
    assert found.theta[-1, 0, 0] == pytest.approx(reference["expected"][expected], abs=reference["tolerance"]["abs"])


@pytest.mark.parametrize("name", ["sgd", "momentum", "torch_momentum", "nesterov", "torch_nesterov"])
def test_coupled_decay_is_torchs(name):
    gamma = 0.0 if name == "sgd" else 0.9
    found = play(Update(RULES[name], weight_decay="coupled"), gamma=gamma, eta=0.03, weight_decay=0.5)
    theirs = torch_sgd(lr=0.03, momentum=gamma, nesterov="nesterov" in name, weight_decay=0.5)
    np.testing.assert_allclose(found.theta, theirs, rtol=0, atol=1e-14)  # a contraction: roundings do not add up


@pytest.mark.parametrize("name", [name for name in RULES if name != "aggmo"])  # its lists are for a stack
def test_decoupled_decay_goes_past_the_memory(name):
    """θ shrinks by 1 − ηλ before the step; the step itself is the rule's own, for the same gradients."""
    pushes = np.random.default_rng(1).standard_normal((20, 2)).tolist()
    given = {"gamma": 0.9, "eta": 0.1, "nu": 0.7, "beta1": 0.5}
    given = {key: given[key] for key in RULES[name].hyperparameters}
    bare = play(Update(RULES[name]), scripted(pushes), 20, **given)
    found = play(Update(RULES[name], weight_decay="decoupled"), scripted(pushes), 20, **given, weight_decay=0.5)
    np.testing.assert_array_equal(found.velocity, bare.velocity)
    before = np.concatenate([[[START]], bare.theta])
    theta = np.array([START])
    for step, after in enumerate(found.theta):
        theta = theta * (1 - 0.1 * 0.5) + (before[step + 1] - before[step])
        np.testing.assert_allclose(after, theta, rtol=0, atol=1e-14)  # twenty roundings of numbers of size 1


# ---- dampening ------------------------------------------------------------------------------------------------------

FIVE_STEPS = case("torch-sgd-5-steps")
TORCHS_ROWS = [row for row in FIVE_STEPS["expected"]["rows"] if not row["kwargs"]["maximize"]]


@pytest.mark.parametrize("row", TORCHS_ROWS, ids=lambda row: row["config"])
@pytest.mark.parametrize("form", ["", "torch_"])
def test_torchs_five_steps_with_its_options(row, form):
    options = row["kwargs"]
    update = Update(
        RULES[form + ("nesterov" if options["nesterov"] else "momentum")],
        weight_decay="coupled" if options["weight_decay"] else None,
        dampening=bool(options["dampening"]),
    )
    given = {"gamma": options["momentum"], "eta": options["lr"]}
    given |= {name: options[name] for name in ("weight_decay", "dampening") if options[name]}
    pushes = [float(push) if "/" not in push else 0.5 for push in FIVE_STEPS["setting"]["grads"]]
    found = play(update, scripted(pushes), 5, start=[[1.0]], **given)
    tolerance = FIVE_STEPS["tolerance"]["float64_abs"]
    np.testing.assert_allclose(found.theta[:, 0, 0], row["theta"][1:], rtol=0, atol=tolerance)


@pytest.mark.parametrize("dampening", [0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("decay", [None, "coupled"])
def test_dampening_is_torchs(dampening, decay):
    update = Update(RULES["torch_momentum"], dampening=True, weight_decay=decay)
    decays = {"weight_decay": 0.5} if decay else {}
    found = play(update, **PLAIN, dampening=dampening, **decays)
    theirs = torch_sgd(lr=0.03, momentum=0.9, dampening=dampening, **decays)
    np.testing.assert_allclose(found.theta, theirs, rtol=0, atol=1e-14)  # a contraction: roundings do not add up


@pytest.mark.parametrize("name", ["momentum", "torch_momentum"])
def test_dampening_without_gamma_has_no_effect(name):
    damped = play(Update(RULES[name], dampening=True), gamma=0.0, eta=0.03, dampening=0.5)
    np.testing.assert_array_equal(damped.theta, play(Update(RULES[name]), gamma=0.0, eta=0.03).theta)


def test_dampening_spares_the_update_after_a_restart():
    update = Update(RULES["momentum"], dampening=True, restart="gradient")
    found = play(update, scripted([1.0, 1.0, -1.0, -1.0]), 4, start=[[0.0]], gamma=0.5, eta=1.0, dampening=0.75)
    # from rest, dampened, against v and so from rest, dampened
    np.testing.assert_array_equal(found.velocity[:, 0, 0], [1, 0.75, -1, -0.75])


# ---- momentum correction --------------------------------------------------------------------------------------------

ETAS = {
    "constant": schedules.constant(0.03),
    "step": schedules.step_decay(0.03, 0.1, [10, 40]),
    "linear": schedules.linear(0.03, 0.001, 100),
    "cosine to 0": schedules.cosine(0.03, 0.0, 100),
    "exponential": schedules.exponential(0.03, 0.97),
    "one-cycle": schedules.one_cycle(0.001, 0.03, 1e-6, 100, 0.3),
    "list, up and down": schedules.points([(0, 0.001), (20, 0.03), (50, 0.002), (51, 0.02)]),
    "warm-up": schedules.warmed_up(schedules.cosine(0.03, 0.001, 80), 20),
}
GAMMAS = {"constant": schedules.constant(0.9), "demon": schedules.demon(0.9, 100), "up": schedules.sutskever(0.95, 9)}
AROUND = {
    "alone": {},
    "clipped": {"clip": 0.3},
    "coupled": {"weight_decay": 0.5},
    "dampened": {"dampening": 0.5},
    "restarted": {},
}


def corrected(name, around, **options):
    return Update(
        RULES[name],
        clip=around == "clipped",
        weight_decay="coupled" if around == "coupled" else None,
        dampening=around == "dampened",
        restart="function" if around == "restarted" else None,
        **options,
    )


@pytest.mark.parametrize("eta", ETAS)
@pytest.mark.parametrize(
    ("gamma", "around"), [*((gamma, "alone") for gamma in GAMMAS), *(("up", way) for way in AROUND)]
)
@pytest.mark.parametrize("kind", ["momentum", "nesterov"])
def test_corrected_the_classical_form_is_torchs_under_every_schedule(kind, gamma, around, eta):
    given = {"gamma": GAMMAS[gamma], "eta": ETAS[eta], **AROUND[around]}
    ours = play(corrected(kind, around, momentum_correction=True), **given)
    theirs = play(corrected(f"torch_{kind}", around), **given)
    # a rounding of each factor η_t/η_{t−1}, in a contraction
    np.testing.assert_allclose(ours.theta, theirs.theta, rtol=0, atol=1e-12)
    np.testing.assert_allclose(ours.velocity, theirs.velocity, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["momentum", "nesterov"])
def test_corrected_it_is_torchs_own_optimizer(kind):
    eta = ETAS["one-cycle"]
    ours = play(Update(RULES[kind], momentum_correction=True), gamma=0.9, eta=eta)
    theirs = torch_sgd(lr=1.0, momentum=0.9, nesterov=kind == "nesterov", settings=lambda step: {"lr": eta(step)})
    np.testing.assert_allclose(ours.theta, theirs, rtol=0, atol=1e-12)
    assert np.abs(play(Update(RULES[kind]), gamma=0.9, eta=eta).theta - theirs).max() > 1e-3  # it is needed


# ---- restart --------------------------------------------------------------------------------------------------------


def test_restart_by_gradient_forgets_exactly_where_the_gradient_turns_against_the_velocity():
    pushes = [[1.0, 0.0], [-1.0, 0.0], [-1.0, 5.0], [0.0, 1.0], [0.0, 0.0], [1.0, -1.0], [-1.0, 0.25]]
    update = Update(RULES["momentum"], restart="gradient")
    found = play(update, scripted(pushes), 7, start=[[0.0, 0.0]] * 2, gamma=[0.5, 0.75], eta=0.125)
    for run, gamma in enumerate([0.5, 0.75]):
        velocity, restarts = [0.0, 0.0], []
        for step, push in enumerate(pushes):
            if push[0] * velocity[0] + push[1] * velocity[1] < 0:  # not where it is zero
                velocity, restarts = [0.0, 0.0], [*restarts, step]
            velocity = [gamma * v + 0.125 * g for v, g in zip(velocity, push, strict=True)]
            np.testing.assert_array_equal(found.velocity[step, run], velocity)  # short binary fractions: nothing rounds
        assert restarts == [1, 5, 6]


def test_restart_by_function_forgets_exactly_where_the_loss_has_risen():
    losses = [3.0, 2.0, 2.0, 2.5, 1.0, math.nan, 5.0, 5.0 + 1e-15, 4.0]
    update = Update(RULES["momentum"], restart="function")
    found = play(update, scripted([1.0] * 9, losses), 9, start=[[0.0]], gamma=0.5, eta=1.0)
    # Not at the start, not where it is level, not against what is no number.
    expected, velocity = [], 0.0
    for step in range(9):
        velocity = (0.0 if step in (3, 7) else 0.5 * velocity) + 1.0
        expected.append(velocity)
    np.testing.assert_array_equal(found.velocity[:, 0, 0], expected)


def test_one_run_restarts_without_its_neighbour():
    update = Update(RULES["torch_momentum"], restart="function")
    given = {"gamma": [0.99, 0.1], "eta": [0.03, 0.01]}
    both = play(update, start=[START, START], **given)
    for run in range(2):
        alone = play(update, **{key: values[run] for key, values in given.items()})
        np.testing.assert_array_equal(both.theta[:, run], alone.theta[:, 0])
    bare = play(Update(RULES["torch_momentum"]), start=[START, START], **given)
    np.testing.assert_array_equal(bare.theta[:, 1], both.theta[:, 1])  # which only goes down
    assert not np.array_equal(bare.theta[:, 0], both.theta[:, 0])


RESTARTED = ["momentum", "torch_momentum", "nesterov", "torch_nesterov", "ema", "qhm"]


@pytest.mark.parametrize("criterion", ["function", "gradient"])
@pytest.mark.parametrize("name", RESTARTED)
def test_restart_takes_the_swings_out_of_an_ill_conditioned_valley(name, criterion):
    """κ = 1000 and a γ that is too large: without a restart the flat direction swings for thousands of updates.

    With η = 0.3/L: where the steep direction swings too, as heavy ball does at 1/L, every swing would be a restart.
    """
    condition, steps = np.array([1.0, 1000.0]), 3000

    def valley(theta, step):
        return (condition * theta * theta).sum(-1) / 2, condition * theta

    inside = 1 / (1 - 0.999) if name in ("ema", "qhm") else 1  # their η is for the average, 1 − γ times as large
    given = {"gamma": 0.999, "eta": inside * 3e-4} | ({"nu": 0.999} if name == "qhm" else {})

    def updates_needed(restart):
        found = play(Update(RULES[name], restart=restart), valley, steps, [[1.0, 1.0]], **given)
        height = (condition * found.theta[:, 0] ** 2).sum(-1)
        above = np.flatnonzero(height > 1e-9 * condition.sum())
        return int(above[-1]) + 1

    assert updates_needed(None) == steps  # it never gets there
    assert updates_needed(criterion) < steps / 8


# ---- all of them, in their order ------------------------------------------------------------------------------------


def by_hand(name, criterion, decay, steps, schedule, **given):
    """Every option, written out for one run in plain floats."""
    gamma, dampening, limit, share = (given[key] for key in ("gamma", "dampening", "clip", "weight_decay"))
    theta, memory, velocity, path = list(START), [0.0, 0.0], [0.0, 0.0], []
    at_rest, loss_before, eta_before = True, None, schedule(0)
    for step in range(steps):
        eta = schedule(step)
        slope = [curvature * number for curvature, number in zip(CURVATURE.tolist(), theta, strict=True)]
        loss = sum(g * number for g, number in zip(slope, theta, strict=True)) / 2
        risen = loss_before is not None and loss > loss_before
        against = sum(g * v for g, v in zip(slope, velocity, strict=True)) < 0
        if risen if criterion == "function" else against:
            memory, at_rest = [0.0, 0.0], True
        length = math.hypot(*slope)
        push = [g * min(1.0, limit / length) for g in slope]
        if decay == "coupled":
            push = [g + share * number for g, number in zip(push, theta, strict=True)]
        if not at_rest:
            push = [(1 - dampening) * g for g in push]
        if name == "momentum":
            memory = [m * eta / eta_before for m in memory]
        if decay == "decoupled":
            theta = [number * (1 - eta * share) for number in theta]
        inside = eta if name == "momentum" else 1.0
        memory = [gamma * m + inside * g for m, g in zip(memory, push, strict=True)]
        velocity = memory if name == "momentum" else [eta * m for m in memory]
        theta = [number - v for number, v in zip(theta, velocity, strict=True)]
        at_rest, loss_before, eta_before = False, loss, eta
        path.append(theta)
    return np.array(path)


@pytest.mark.parametrize("arrays", LIBRARIES, ids=["numpy", "torch"])
@pytest.mark.parametrize("decay", ["coupled", "decoupled"])
@pytest.mark.parametrize("criterion", ["function", "gradient"])
@pytest.mark.parametrize("name", ["momentum", "torch_momentum"])
def test_all_options_together_are_the_loop_in_plain_floats(name, criterion, decay, arrays):
    options = {"clip": True, "weight_decay": decay, "dampening": True, "restart": criterion}
    update = Update(RULES[name], **options, momentum_correction=name == "momentum")
    given = {"gamma": 0.95, "clip": 4.0, "weight_decay": 0.3, "dampening": 0.2}
    eta = schedules.one_cycle(0.005, 0.05, 0.001, 60, 0.3)
    found = play(update, steps=60, arrays=arrays, **given, eta=eta).theta[:, 0]
    # sixty updates that contract, numbers below 2: a few ulp, unless a sum in another order decides a restart
    np.testing.assert_allclose(found, by_hand(name, criterion, decay, 60, eta, **given), rtol=0, atol=1e-13)
    for left_out in options:
        others = {**options, left_out: None}
        one_less = play(Update(RULES[name], **others), steps=60, arrays=arrays, **given, eta=eta).theta[:, 0]
        assert np.abs(one_less - found).max() > 1e-4  # each of them counts here


def test_the_decay_is_added_to_the_clipped_gradient_and_dampened_with_it():
    update = Update(RULES["sgd"], clip=True, weight_decay="coupled")
    found = play(update, scripted([100.0]), 1, [[1000.0]], gamma=0.0, eta=1.0, clip=1.0, weight_decay=0.5)
    assert found.velocity[0, 0, 0] == 1 + 500
    update = Update(RULES["momentum"], clip=True, weight_decay="coupled", dampening=True)
    given = {"gamma": 0.5, "eta": 1.0, "clip": 1.0, "weight_decay": 0.5, "dampening": 0.75}
    found = play(update, scripted([0.0, 100.0]), 2, [[1000.0]], **given)
    assert found.velocity[1, 0, 0] == 0.5 * 500 + 0.25 * (1 + 0.5 * 500)


def test_decoupled_decay_uses_the_eta_of_this_update():
    update = Update(RULES["momentum"], weight_decay="decoupled")
    found = play(
        update,
        scripted([0.0, 0.0]),
        2,
        [[1.0]],
        gamma=0.9,
        eta=schedules.points([(0, 0.5), (1, 0.25)]),
        weight_decay=0.5,
    )
    np.testing.assert_array_equal(found.theta[:, 0, 0], [0.75, 0.75 * 0.875])


EVERY_OPTION = [
    dict(zip(("restart", "clip", "weight_decay", "dampening", "momentum_correction"), chosen, strict=True))
    for chosen in itertools.product(
        (None, "function", "gradient"), (False, True), (None, "coupled", "decoupled"), (False, True), (False, True)
    )
]


@pytest.mark.parametrize("arrays", LIBRARIES, ids=["numpy", "torch"])
def test_no_option_changes_the_gradient_or_a_hyperparameter(arrays):
    given = {name: arrays.column([0.5]) for name in ("gamma", "eta", "clip", "weight_decay", "dampening")}
    for options in EVERY_OPTION:
        gradient, velocity = arrays.array([[3.0, -4.0]]), arrays.array([[-1.0, 1.0]])
        now = Moment(
            theta=arrays.array([START]),
            gradient=gradient,
            memory=velocity,
            at_rest=arrays.column([0]) > 0,
            velocity=velocity,
            eta_before=arrays.column([0.25]),
            loss=arrays.array([2.0]),
            loss_before=arrays.array([1.0]),
        )
        Update(RULES["momentum"], **options)(now, given, arrays)
        assert gradient.tolist() == [[3, -4]]
        assert {name: column.tolist() for name, column in given.items()} == {name: [[0.5]] for name in given}


def test_a_moment_of_some_runs_has_their_rows_in_every_part():
    whole = np.arange(6.0).reshape(3, 2)
    now = Moment(whole, whole + 1, [whole + 2, whole + 3], whole[:, :1] > 0, whole + 4, whole[:, :1], whole[:, 0], None)
    some = now.of(np.array([2, 0]), NumpyArrays("float64"))
    np.testing.assert_array_equal(some.theta, [[4, 5], [0, 1]])
    np.testing.assert_array_equal(some.memory[1], [[7, 8], [3, 4]])
    np.testing.assert_array_equal(some.at_rest, [[True], [False]])
    assert some.loss.tolist() == [4, 0]
    assert some.loss_before is None


# ---- from the experiment's words ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({}, Update(RULES["momentum"])),
        ({"weight_decay": 0, "dampening": 0, "momentum_correction": False}, Update(RULES["momentum"])),
        ({"kind": "sgd", "form": "torch"}, Update(RULES["sgd"])),
        ({"form": "torch", "dampening": 0.5}, Update(RULES["torch_momentum"], dampening=True)),
        ({"kind": "nesterov", "momentum_correction": True}, Update(RULES["nesterov"], momentum_correction=True)),
        ({"kind": "nesterov", "form": "torch", "clip": 2}, Update(RULES["torch_nesterov"], clip=True)),
        ({"kind": "qhm", "restart": "function"}, Update(RULES["qhm"], restart="function")),
        ({"kind": "ema", "weight_decay": 0.1}, Update(RULES["ema"], weight_decay="coupled")),
        ({"kind": "ema", "weight_decay": 0.1, "decoupled": True}, Update(RULES["ema"], weight_decay="decoupled")),
        ({"kind": "lion", "weight_decay": 0.1}, Update(RULES["lion"], weight_decay="decoupled")),
        ({"kind": "lion", "weight_decay": 0.1, "decoupled": False}, Update(RULES["lion"], weight_decay="coupled")),
        ({"kind": "aggmo"}, Update(RULES["aggmo"])),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)  # fmt: skip
def test_an_option_that_is_left_out_or_zero_is_not_computed_at_all(section, expected):
    found = update_of(load({"objective": {"kind": "booth"}, "optimizer": section}).optimizer)
    assert found == expected
    assert hash(found) == hash(expected)
