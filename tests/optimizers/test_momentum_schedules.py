"""`momentumlab.Momentum` under torch's LR schedulers: like SGD in torch's form, like our rule in the classical one."""

import copy

import pytest
import torch
from torch.optim import lr_scheduler

import momentumlab
from momentumlab.optimizers.rules import RULES
from tests.optimizers.test_momentum import FORMS, assert_same_bits, follow_the_rule, parameters, torchs, train

STEPS = 30
SCHEDULERS = {
    "StepLR": lambda optimizer: lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.5),
    "MultiStepLR": lambda optimizer: lr_scheduler.MultiStepLR(optimizer, milestones=[5, 20]),
    "ConstantLR": lambda optimizer: lr_scheduler.ConstantLR(optimizer, factor=0.4, total_iters=4),
    "LinearLR": lambda optimizer: lr_scheduler.LinearLR(optimizer, start_factor=0.4, end_factor=0.8, total_iters=4),
    "LambdaLR": lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda step: step / 10),  # begins at lr = 0
    "MultiplicativeLR": lambda optimizer: lr_scheduler.MultiplicativeLR(optimizer, lambda step: 0.9),
    "ExponentialLR": lambda optimizer: lr_scheduler.ExponentialLR(optimizer, gamma=0.95),
    "PolynomialLR": lambda optimizer: lr_scheduler.PolynomialLR(optimizer, total_iters=20, power=0.9),
    "CosineAnnealingLR": lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, T_max=STEPS),
    "CosineAnnealingWarmRestarts": lambda optimizer: lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=8),
    "OneCycleLR": lambda optimizer: lr_scheduler.OneCycleLR(optimizer, max_lr=0.2, total_steps=STEPS + 1),
    "CyclicLR": lambda optimizer: lr_scheduler.CyclicLR(optimizer, base_lr=0.01, max_lr=0.1, step_size_up=6),
    "CyclicLR from γ = 0": lambda optimizer: lr_scheduler.CyclicLR(
        optimizer, base_lr=0.01, max_lr=0.1, step_size_up=6, base_momentum=0.0
    ),
    "ReduceLROnPlateau": lambda optimizer: lr_scheduler.ReduceLROnPlateau(optimizer, patience=2),
    "SequentialLR": lambda optimizer: lr_scheduler.SequentialLR(
        optimizer,
        [lr_scheduler.LinearLR(optimizer, total_iters=5), lr_scheduler.ExponentialLR(optimizer, gamma=0.9)],
        milestones=[5],
    ),
}
CYCLING = [name for name in SCHEDULERS if name.startswith(("OneCycle", "Cyclic"))]


def advance(scheduler):
    """The plateau is one from the start: its loss never falls."""
    scheduler.step(*[1.0] if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau) else [])


def follow(optimizer, scheduler, tensors, steps, start=0):
    """θ after the steps, and the (γ, η) that each one used."""
    used = []
    for step in range(start, start + steps):
        group = optimizer.param_groups[0]
        used.append((group["momentum"], float(group["lr"])))
        train(optimizer, tensors, 1, start=step)
        advance(scheduler)
    return [tensor.detach().clone() for tensor in tensors], used


@pytest.mark.parametrize("lr", [0.1, torch.tensor(0.1, dtype=torch.float64)], ids=["number", "tensor"])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_torch_form_follows_a_schedule_as_sgd_does_to_the_bit(name, nesterov, lr):
    runs = []
    for made in (momentumlab.Momentum, torchs):
        tensors = parameters()
        optimizer = made(tensors, lr=copy.deepcopy(lr), momentum=0.9, nesterov=nesterov)
        runs.append(follow(optimizer, SCHEDULERS[name](optimizer), tensors, STEPS))
    (mine, used), (theirs, asked) = runs
    assert used == asked
    assert len(set(used)) > 1
    assert_same_bits(mine, theirs)


@pytest.mark.parametrize("lr", [0.1, torch.tensor(0.1, dtype=torch.float64)], ids=["number", "tensor"])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_classical_form_follows_it_as_the_classical_rule_does_to_the_bit(name, nesterov, lr):
    tensors = parameters()
    optimizer = momentumlab.Momentum(tensors, lr=copy.deepcopy(lr), momentum=0.9, nesterov=nesterov, form="classical")
    mine, used = follow(optimizer, SCHEDULERS[name](optimizer), tensors, STEPS)
    rule = RULES["nesterov" if nesterov else "momentum"]
    assert len(set(used)) > 1
    assert_same_bits(mine, follow_the_rule(rule, parameters(), used))


@pytest.mark.parametrize("name", CYCLING)
def test_a_cycle_of_lr_cycles_momentum_the_other_way(name):
    tensors = parameters()
    optimizer = momentumlab.Momentum(tensors, lr=0.1, momentum=0.9)
    _, used = follow(optimizer, SCHEDULERS[name](optimizer), tensors, STEPS)
    highest, lowest = (pick(used, key=lambda pair: pair[1]) for pick in (max, min))
    assert highest[0] < lowest[0]


def test_a_schedule_changes_a_tensor_in_place():
    lr = torch.tensor(0.1)
    tensors = parameters()
    optimizer = momentumlab.Momentum(tensors, lr=lr, momentum=0.9)
    follow(optimizer, lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5), tensors, 2)
    assert optimizer.param_groups[0]["lr"] is lr
    assert lr.item() == pytest.approx(0.025)


@pytest.mark.parametrize("form", FORMS)
def test_every_group_follows_its_own_schedule(form):
    together, alone = parameters(), parameters()
    optimizer = momentumlab.Momentum([{"params": [tensor]} for tensor in together[:2]], 0.1, 0.9, form=form)
    factors = [lambda step: 0.9**step, lambda step: 1 / (1 + step)]
    follow(optimizer, lr_scheduler.LambdaLR(optimizer, factors), together[:2], 10)
    for tensor, factor in zip(alone[:2], factors, strict=True):
        single = momentumlab.Momentum([tensor], 0.1, 0.9, form=form)
        follow(single, lr_scheduler.LambdaLR(single, factor), [tensor], 10)
    assert_same_bits(together[:2], alone[:2])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_schedule_resumed_with_its_optimizer_was_never_interrupted(name, form):
    whole, parts = parameters(), parameters()
    optimizer = momentumlab.Momentum(whole, lr=0.1, momentum=0.9, form=form)
    expected, _ = follow(optimizer, SCHEDULERS[name](optimizer), whole, 20)

    optimizer = momentumlab.Momentum(parts, lr=0.1, momentum=0.9, form=form)
    scheduler = SCHEDULERS[name](optimizer)
    follow(optimizer, scheduler, parts, 9)
    saved = copy.deepcopy((optimizer.state_dict(), scheduler.state_dict()))

    optimizer = momentumlab.Momentum(parts, lr=0.1, momentum=0.9)
    scheduler = SCHEDULERS[name](optimizer)
    for one, state in zip((optimizer, scheduler), saved, strict=True):
        one.load_state_dict(state)
    resumed, _ = follow(optimizer, scheduler, parts, 11, start=9)
    assert_same_bits(resumed, expected)
