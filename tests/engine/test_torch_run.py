"""Backend torch: every class of torch.optim is trained as the four lines in anybody's script train it."""

import itertools
from functools import partial

import numpy as np
import pytest
import torch

from momentumlab.engine.plan import groups
from momentumlab.experiment import load, single
from momentumlab.experiment.schema_torch import TORCH_CLASSES

LINREG = {
    "data": {"kind": "line", "samples": 20},
    "model": {"kind": "linear", "start": [0.5, -0.5]},
    "train": {"steps": 20},
}
DIGITS = {
    "data": {"kind": "digits"},
    "model": {"kind": "mlp", "hidden": [16, 8]},
    "train": {"steps": 30, "batch_size": 64},  # 23 updates are an epoch: the second one is begun
    "seed": 3,
}
QUADRATIC = {"objective": {"kind": "quadratic", "eigenvalues": [1, 25]}, "train": {"steps": 50}}
PUSHES = [[3.0, 4.0], [0.3, 0.4], [-6.0, 8.0], [0.0, 0.0], [30.0, 40.0]]
FORCES = {"objective": {"kind": "forces", "pushes": PUSHES, "start": [1.0, -1.0]}, "train": {"steps": 5}}
PROBLEMS = {"linreg": LINREG, "digits": DIGITS, "quadratic": QUADRATIC}


def prepared(problem, optimizer):
    [group] = groups(single(load({**problem, "optimizer": optimizer})))
    return group


def looks(problem, optimizer):
    """What the lab sees before each update, and after the last."""
    group = prepared(problem, optimizer)
    stack = group.stack(group.cells)
    seen = []
    for step in range(group.plan.steps + 1):
        look = stack.look(step)
        kept = {column: np.asarray(getattr(look, column)).copy() for column in ("theta", "gradient")}
        velocity = np.asarray(look.velocity).copy()
        seen.append(look._replace(compute_velocity=partial(np.copy, velocity), **kept))  # our rules work in place
        if step < group.plan.steps:
            stack.advance()
    return seen


def path(problem, optimizer):
    """θ after every update, (update, parameter)."""
    return np.concatenate([look.theta for look in looks(problem, optimizer)])


def written_out(problem, make, settings=None):
    """θ after every update of the loop that a user writes; `make(parameters)` gives the optimizers that step in turn.

    `settings(step)` is written into the parameter groups before the update after `step` updates.
    """
    group = prepared(problem, {"kind": "sgd", "backend": "torch"})
    trained, seed = group.problem, group.experiment.seed
    start = torch.as_tensor(trained.start([seed]))[0].clone()
    if "objective" in problem:
        parameters = [torch.nn.Parameter(start)]

        def loss_at(step):
            return trained.objective.value(parameters[0][None], torch).sum()

    else:
        model, criterion, feed = trained.module(), trained.criterion(), trained.feed([seed])
        parameters = list(model.parameters())
        torch.nn.utils.vector_to_parameters(start, parameters)

        def loss_at(step):
            x, y = feed.batch(step)
            return criterion(model(x[0]), y[0])

    optimizers, iterates = make(parameters), []
    for step in range(group.plan.steps + 1):
        iterates.append(torch.cat([parameter.detach().flatten() for parameter in parameters]).numpy())
        for optimizer in optimizers:
            optimizer.zero_grad()
            optimizer.param_groups[0].update(settings(step) if settings else {})
        loss_at(step).backward()
        for optimizer in optimizers:
            optimizer.step()
    return np.stack(iterates)


def alone(name, **arguments):
    return lambda parameters: [getattr(torch.optim, name)(parameters, **arguments)]


# ---- bit for bit the loop that a user writes ------------------------------------------------------------------------

CLASSES = [name for name in TORCH_CLASSES if name != "Muon"]


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_a_class_by_its_name_is_the_loop_of_zero_grad_backward_step(problem, name):
    np.testing.assert_array_equal(path(problem, {"kind": name}), written_out(problem, alone(name)))


ARGUMENTS = [
    ("SGD", {"nesterov": True, "weight_decay": 0.1, "maximize": True}, {"gamma": 0.5, "eta": 1e-3}),
    ("SGD", {"dampening": 0.5, "fused": True}, {"gamma": 0.5, "eta": 0.01}),
    ("Adam", {"betas": [0.8, 0.99], "amsgrad": True, "eps": 1e-6}, {}),
    ("Adam", {"betas": [None, 0.99], "foreach": True}, {"gamma": 0.7, "eta": 0.01}),
    ("Adam", {"betas": [0.0, 0.99], "decoupled_weight_decay": True, "weight_decay": 1}, {}),
    ("AdamW", {"weight_decay": 0.3}, {"gamma": 0.0}),
    ("NAdam", {"momentum_decay": 0.01}, {"gamma": 0.8}),
    ("RMSprop", {"alpha": 0.9, "centered": True}, {"gamma": 0.9, "eta": 1e-3}),
    ("Adafactor", {"eps": [None, 0.01], "d": 2}, {"eta": 0.1}),
    ("Rprop", {"etas": [0.4, 1.1], "step_sizes": [1e-5, 1]}, {"eta": 0.1}),
    ("ASGD", {"t0": 5}, {}),
]


@pytest.mark.parametrize(("name", "arguments", "numbers"), ARGUMENTS, ids=[f"{row[0]} {row[1]}" for row in ARGUMENTS])
@pytest.mark.parametrize("problem", [DIGITS, QUADRATIC], ids=["digits", "quadratic"])
def test_arguments_reach_torch(problem, name, arguments, numbers):
    lists = {key: tuple(value) for key, value in arguments.items() if isinstance(value, list)}
    torchs = arguments | lists | ({"lr": numbers["eta"]} if "eta" in numbers else {})
    if "gamma" in numbers and TORCH_CLASSES[name].gamma_argument == "betas":
        torchs["betas"] = (numbers["gamma"], lists.get("betas", (0.9, 0.999))[1])
    elif "gamma" in numbers:
        torchs["momentum"] = numbers["gamma"]
    got = path(problem, {"kind": name, "arguments": arguments, **numbers})
    np.testing.assert_array_equal(got, written_out(problem, alone(name, **torchs)))


@pytest.mark.parametrize("name", [name for name in TORCH_CLASSES if TORCH_CLASSES[name].gamma_argument])
def test_gamma_has_an_effect(name):
    low, high = (path(DIGITS, {"kind": name, "gamma": gamma})[-1] for gamma in (0.5, 0.9))
    assert not np.array_equal(low, high)


# ---- torch.optim.SGD and our own rules ------------------------------------------------------------------------------

OPTIONS = [
    {"kind": "sgd"},
    {"kind": "sgd", "weight_decay": 0.1},
    {"kind": "momentum", "gamma": 0.9},
    {"kind": "momentum", "gamma": 0.9, "dampening": 0.4},
    {"kind": "momentum", "gamma": 0.0, "dampening": 0.4, "weight_decay": 0.1},
    {"kind": "momentum", "gamma": 0.9, "dampening": 0.4, "weight_decay": 0.1, "clip": 0.7},
    {"kind": "nesterov", "gamma": 0.9},
    {"kind": "nesterov", "gamma": 0.0},
    {"kind": "nesterov", "gamma": 0.9, "weight_decay": 0.1, "clip": 0.7},
]
FALLING = {"schedule": "step", "value": 0.02, "factor": 0.5, "at": [10, 30]}
FADING = {"schedule": "linear", "value": 0.9, "end": 0.1}


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("eta", [0.02, FALLING], ids=["constant", "falling"])
@pytest.mark.parametrize("problem", [QUADRATIC, {**LINREG, "train": {"steps": 50, "dtype": "float64"}}, FORCES])
def test_the_options_of_torchs_sgd_are_our_rules_in_torch_form(problem, eta, options):
    if options.get("gamma"):
        options = {**options, "gamma": FADING} if eta is FALLING else options
    ours, torchs = (
        looks(problem, {"form": "torch", "eta": eta, "backend": backend, **options}) for backend in ("scratch", "torch")
    )
    for mine, theirs in zip(ours, torchs, strict=True):
        assert mine.gamma == theirs.gamma
        assert mine.eta == theirs.eta
        for column in ("theta", "gradient", "velocity"):
            # float64, 50 contracting updates: rounding of a few ulp of numbers up to 50 does not grow
            np.testing.assert_allclose(getattr(mine, column), getattr(theirs, column), atol=1e-12, rtol=0)


@pytest.mark.parametrize("kind", ["momentum", "nesterov"])
def test_a_kind_of_ours_is_the_class_with_the_same_arguments(kind):
    own = {"kind": kind, "backend": "torch", "gamma": 0.9, "eta": 0.01, "weight_decay": 0.1}
    named = {
        "kind": "SGD",
        "gamma": 0.9,
        "eta": 0.01,
        "arguments": {"nesterov": kind == "nesterov", "weight_decay": 0.1},
    }
    np.testing.assert_array_equal(path(DIGITS, own), path(DIGITS, named))


# ---- schedules, clipping, velocity ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in CLASSES if name != "Rprop"])
def test_gamma_and_eta_are_written_into_the_groups_before_every_update(name):
    argument = TORCH_CLASSES[name].gamma_argument
    gamma = {"schedule": "list", "points": [[0, 0.5], [7, 0.9]]}
    eta = {"schedule": "list", "points": [[0, 0.01], [12, 0.002]]}

    def settings(step):
        now = 0.5 if step < 7 else 0.9
        written = {"momentum": {"momentum": now}, "betas": {"betas": (now, 0.999)}, "": {}}[argument]
        return written | {"lr": 0.01 if step < 12 else 0.002}

    start = settings(0)  # RMSprop makes its buffer only if it is made with momentum
    got = path(QUADRATIC, {"kind": name, "eta": eta} | ({"gamma": gamma} if argument else {}))
    np.testing.assert_array_equal(got, written_out(QUADRATIC, alone(name, **start), settings))


def test_rmsprop_finds_a_velocity_when_gamma_comes_later():
    late = {"schedule": "list", "points": [[0, 0.0], [10, 0.9]]}
    got = path(QUADRATIC, {"kind": "RMSprop", "gamma": late})
    still = path(QUADRATIC, {"kind": "RMSprop"})
    np.testing.assert_array_equal(got[:12], still[:12])  # the first update with γ is from rest, and γ·0 is nothing
    assert not np.array_equal(got[12], still[12])


THROUGH_ZERO = {
    "comes": {"schedule": "list", "points": [[0, 0.0], [10, 0.9]]},
    "goes and comes": {"schedule": "list", "points": [[0, 0.9], [10, 0.0], [20, 0.5]]},
    "cycles": {"schedule": "one_cycle", "value": 0.9, "low": 0.0},
    "fades": {"schedule": "demon"},
}
THROUGH_ZERO_OPTIONS = [{"kind": "momentum"}, {"kind": "momentum", "dampening": 0.4}, {"kind": "nesterov"}]


@pytest.mark.parametrize("clip", [None, 0.7])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("options", THROUGH_ZERO_OPTIONS, ids=str)
@pytest.mark.parametrize("gamma", THROUGH_ZERO.values(), ids=THROUGH_ZERO)
def test_where_gamma_is_zero_the_buffer_is_the_last_push_as_in_our_torch_form(gamma, options, weight_decay, clip):
    section = {**options, "form": "torch", "gamma": gamma, "eta": 0.02, "weight_decay": weight_decay}
    section |= {} if clip is None else {"clip": clip}
    ours, torchs = (looks(QUADRATIC, {**section, "backend": backend}) for backend in ("scratch", "torch"))
    for mine, theirs in zip(ours, torchs, strict=True):
        for column in ("theta", "velocity"):
            # float64, 50 contracting updates: rounding of a few ulp of numbers near 1 does not grow
            np.testing.assert_allclose(getattr(mine, column), getattr(theirs, column), atol=1e-12, rtol=0)


@pytest.mark.parametrize("nesterov", [True, False])
def test_the_class_by_its_name_keeps_the_same_buffer(nesterov):
    numbers = {"gamma": THROUGH_ZERO["comes"], "eta": 0.01}
    ours = {"kind": "nesterov" if nesterov else "momentum", "backend": "torch", "form": "torch"}
    named = {"kind": "SGD", "arguments": {"nesterov": nesterov}}
    np.testing.assert_array_equal(path(QUADRATIC, named | numbers), path(QUADRATIC, ours | numbers))


def test_ascent_keeps_the_push_with_its_sign():
    arguments = {"maximize": True, "weight_decay": 0.1}
    seen = looks(QUADRATIC, {"kind": "SGD", "gamma": THROUGH_ZERO["comes"], "eta": 0.01, "arguments": arguments})
    buffer = -seen[9].gradient + 0.1 * seen[9].theta
    buffer = 0.9 * buffer - seen[10].gradient + 0.1 * seen[10].theta
    np.testing.assert_allclose(seen[11].velocity, 0.01 * buffer, rtol=1e-14)  # a few roundings


@pytest.mark.parametrize("name", ["SGD", "Adam", "Adagrad"])
def test_a_clipped_gradient_is_what_the_optimizer_sees_and_the_whole_one_is_recorded(name):
    short = [[3.0, 4.0], [0.3, 0.4], [-3.0, 4.0], [0.0, 0.0], [3.0, 4.0]]
    clipped = looks(FORCES, {"kind": name, "clip": 5.0})
    pushed = looks({**FORCES, "objective": {**FORCES["objective"], "pushes": short}}, {"kind": name})
    for row, (one, other) in enumerate(zip(clipped, pushed, strict=True)):
        # the factor 5/‖∇J‖ is rounded once: an ulp of each push
        np.testing.assert_allclose(one.theta, other.theta, rtol=1e-14)
        np.testing.assert_array_equal(one.gradient[0], PUSHES[row] if row < len(PUSHES) else [0, 0])


def test_a_model_is_clipped_as_one_vector_over_all_its_parameters():
    limit, numbers = 0.2, {"lr": 0.1, "momentum": 0.9}

    def make(parameters):
        optimizer = torch.optim.SGD(parameters, **numbers)
        optimizer.register_step_pre_hook(lambda *_: torch.nn.utils.clip_grad_norm_(parameters, limit) and None)
        return [optimizer]

    section = {"kind": "SGD", "eta": 0.1, "gamma": 0.9}
    got, expected = path(DIGITS, {**section, "clip": limit}), written_out(DIGITS, make)
    # clip_grad_norm_ divides by ‖∇J‖ + 1e-6: a hundred-thousandth of a path that is about 1 long
    np.testing.assert_allclose(got, expected, atol=2e-5)
    assert np.abs(got - path(DIGITS, section)).max() > 0.1  # it does clip


@pytest.mark.parametrize("arguments", [{}, {"weight_decay": 0.5}, {"maximize": True, "weight_decay": 0.5}], ids=str)
@pytest.mark.parametrize("gamma", [0.0, 0.9])
def test_the_velocity_of_sgd_is_what_moved_theta(gamma, arguments):
    seen = looks(QUADRATIC, {"kind": "SGD", "gamma": gamma, "eta": 0.01, "arguments": arguments})
    assert not seen[0].velocity.any()
    for before, after in itertools.pairwise(seen):
        scale = max(1, np.abs(after.theta).max())
        np.testing.assert_allclose(before.theta - after.theta, after.velocity, atol=1e-15 * scale)  # one rounding of θ


def test_the_velocity_of_nesterov_is_the_inertial_part():
    seen = looks(QUADRATIC, {"kind": "SGD", "gamma": 0.9, "eta": 0.01, "arguments": {"nesterov": True}})
    velocity = np.zeros((1, 2))
    for before, after in itertools.pairwise(seen):
        velocity = 0.9 * velocity + 0.01 * before.gradient
        np.testing.assert_allclose(after.velocity, velocity, atol=1e-14)  # 50 roundings of numbers below 1


@pytest.mark.parametrize("name", [name for name in TORCH_CLASSES if name != "SGD"])
def test_the_velocity_of_every_other_class_is_the_step(name):
    seen = looks(DIGITS, {"kind": name})
    for before, after in itertools.pairwise(seen):
        np.testing.assert_array_equal(before.theta - after.theta, after.velocity)
    assert seen[-1].velocity.any()


# ---- Muon ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gamma", "nesterov"), [(0.95, True), (0.5, False), (0.0, True)])
@pytest.mark.parametrize("problem", [LINREG, DIGITS], ids=["linreg", "digits"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_muon_trains_the_matrices_and_sgd_the_rest(problem, gamma, nesterov, dtype):
    problem = {**problem, "train": {**problem["train"], "dtype": dtype}}

    def make(parameters):
        matrices = [parameter for parameter in parameters if parameter.ndim == 2]
        biases = [parameter for parameter in parameters if parameter.ndim == 1]
        return [
            torch.optim.Muon(matrices, lr=0.01, momentum=gamma, nesterov=nesterov),
            torch.optim.SGD(biases, lr=0.01, momentum=gamma, nesterov=nesterov and gamma > 0),
        ]

    got = path(problem, {"kind": "Muon", "gamma": gamma, "eta": 0.01, "arguments": {"nesterov": nesterov}})
    np.testing.assert_array_equal(got, written_out(problem, make))
