"""Schedules: equal to torch's schedulers and to published values, at their ends and beyond, warmed up to."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch.optim import lr_scheduler

from momentumlab.optimizers.schedules import (
    Schedule,
    as_schedule,
    constant,
    cosine,
    demon,
    exponential,
    linear,
    one_cycle,
    points,
    step_decay,
    sutskever,
    warmed_up,
)
from tests.reference import case

STEPS = 40
VALUE, END = 0.3, 0.06
Optimizer = torch.optim.Optimizer

# torch multiplies the last value by a ratio at each step, we compute every value anew: forty roundings apart.
ROUNDINGS = 1e-13

AS_TORCH: dict[str, tuple[Schedule, Callable[[Optimizer], lr_scheduler.LRScheduler]]] = {
    "constant": (constant(VALUE), lambda of: lr_scheduler.LambdaLR(of, lambda step: 1.0)),
    "step_decay": (
        step_decay(VALUE, 0.1, [3, 20]),
        lambda of: lr_scheduler.MultiStepLR(of, milestones=[3, 20], gamma=0.1),
    ),
    "linear": (
        linear(VALUE, END, 25),
        lambda of: lr_scheduler.LinearLR(of, start_factor=1.0, end_factor=END / VALUE, total_iters=25),
    ),
    "cosine": (cosine(VALUE, END, STEPS), lambda of: lr_scheduler.CosineAnnealingLR(of, T_max=STEPS, eta_min=END)),
    "exponential": (exponential(VALUE, 0.9), lambda of: lr_scheduler.ExponentialLR(of, gamma=0.9)),
    "points": (
        points([(0, VALUE), (3, VALUE / 10), (20, VALUE / 100)]),
        lambda of: lr_scheduler.MultiStepLR(of, milestones=[3, 20], gamma=0.1),
    ),
    "warmed_up": (
        warmed_up(constant(VALUE), 10),
        lambda of: lr_scheduler.LinearLR(of, start_factor=0.1, end_factor=1.0, total_iters=9),
    ),
    "warmed_up, then cosine": (
        warmed_up(cosine(VALUE, END, STEPS - 10), 10),
        lambda of: lr_scheduler.SequentialLR(
            of,
            [
                lr_scheduler.LinearLR(of, start_factor=0.1, end_factor=1.0, total_iters=9),
                lr_scheduler.CosineAnnealingLR(of, T_max=STEPS - 10, eta_min=END),
            ],
            milestones=[10],
        ),
    ),
}


def used_by_torch(make: Callable[[Optimizer], lr_scheduler.LRScheduler], steps: int, option: str = "lr") -> list[float]:
    """What torch's SGD uses in each of its updates under a scheduler."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=VALUE, momentum=0.9)
    scheduler = make(optimizer)
    used = []
    for step in range(steps):
        used.append(optimizer.param_groups[0][option])
        optimizer.step()
        if step < steps - 1:
            scheduler.step()
    return used


@pytest.mark.parametrize(("schedule", "make"), AS_TORCH.values(), ids=AS_TORCH)
def test_every_update_uses_what_torchs_scheduler_gives(
    schedule: Schedule, make: Callable[[Optimizer], lr_scheduler.LRScheduler]
) -> None:
    expected = used_by_torch(make, STEPS)

    assert [schedule(step) for step in range(STEPS)] == pytest.approx(expected, rel=ROUNDINGS)


@pytest.mark.parametrize("steps", [4, 7, 40, 101])
@pytest.mark.parametrize("rise", [0.3, 0.45, 0.9])
def test_one_cycle_is_torchs_with_the_momentum_that_it_cycles(steps: int, rise: float) -> None:
    def make(of: Optimizer) -> lr_scheduler.LRScheduler:
        return lr_scheduler.OneCycleLR(of, max_lr=VALUE, total_steps=steps, pct_start=rise)

    eta = one_cycle(VALUE / 25, VALUE, VALUE / 250_000, steps, rise)
    gamma = one_cycle(0.95, 0.85, 0.95, steps, rise)

    assert [eta(step) for step in range(steps)] == pytest.approx(used_by_torch(make, steps), rel=ROUNDINGS)
    cycled = used_by_torch(make, steps, "momentum")
    assert [gamma(step) for step in range(steps)] == pytest.approx(cycled, rel=ROUNDINGS)


@pytest.mark.parametrize(("steps", "rise"), [(1, 0.3), (2, 0.3), (10, 0.1), (10, 0.01)])
def test_a_cycle_too_short_to_rise_begins_at_its_top(steps: int, rise: float) -> None:
    schedule = one_cycle(0.1, 1.0, 0.01, steps, rise)

    assert schedule(0) == 1.0
    assert [schedule(step) for step in range(max(steps - 1, 1), steps + 3)] == [0.01] * (steps + 3 - max(steps - 1, 1))


def test_demon_has_its_published_values() -> None:
    reference = case("demon-schedule")
    schedule = demon(reference["setting"]["beta_init"], reference["setting"]["T"])

    for step, expected in reference["expected"]["values"].items():
        assert schedule(int(step)) == pytest.approx(expected, abs=reference["tolerance"]["abs"])


def test_what_demon_lets_a_gradient_add_up_to_falls_along_a_line() -> None:
    schedule = demon(0.9, 50)

    sums = [schedule(step) / (1 - schedule(step)) for step in range(51)]

    # 1 − γ loses up to four bits where γ is 0.9, and sums are up to 9
    assert sums == pytest.approx([9 * (1 - step / 50) for step in range(51)], abs=1e-13)


def test_sutskevers_schedule_has_its_published_values() -> None:
    reference = case("sutskever-schedule")
    schedule = sutskever(reference["setting"]["mu_max"])

    for step, expected in reference["expected"]["values"].items():
        assert schedule(int(step)) == pytest.approx(expected, abs=reference["tolerance"]["abs"])
    for gamma, first in reference["expected"]["first_t_reaching"].items():
        assert schedule(first - 1) < float(gamma) <= schedule(first) + reference["tolerance"]["abs"]


@pytest.mark.parametrize("step", range(0, 60, 7))
def test_sutskevers_schedule_is_the_formula_with_the_logarithm(step: int) -> None:
    printed = min(1 - 2 ** (-1 - math.log2(step // 5 + 1)), 0.93)

    assert sutskever(0.93, every=5)(step) == pytest.approx(printed, rel=1e-15)  # a logarithm and a power: an ulp or two


ENDING = {
    "linear": (linear(0.8, 0.2, 10), 0.2),
    "linear to 0": (linear(0.8, 0.0, 10), 0.0),
    "cosine": (cosine(0.8, 0.2, 10), 0.2),
    "one_cycle": (one_cycle(0.1, 0.8, 0.2, 10), 0.2),
    "demon": (demon(0.8, 10), 0.0),
}


@pytest.mark.parametrize(("schedule", "end"), ENDING.values(), ids=ENDING)
def test_after_its_last_step_a_schedule_stays_at_its_end(schedule: Schedule, end: float) -> None:
    assert [schedule(step) for step in (10, 11, 10**9)] == [end] * 3
    assert schedule(7) > end


@pytest.mark.parametrize("make", [linear, cosine])
def test_up_is_down_backwards(make: Callable[[float, float, int], Schedule]) -> None:
    up, down = make(0.1, 0.5, 20), make(0.5, 0.1, 20)

    # each is an ulp or two from the exact number
    assert [up(step) for step in range(21)] == pytest.approx([down(20 - step) for step in range(21)], rel=1e-14)


@pytest.mark.parametrize(
    ("schedule", "ends"),
    [
        (linear(0.07, 0.3, 3), {0: 0.07, 3: 0.3}),
        (cosine(0.002, 0.05, 3), {0: 0.002, 3: 0.05}),
        (one_cycle(0.002, 0.05, 2e-7, 11, 0.5454545454545454), {0: 0.002, 5: 0.05, 10: 2e-7}),
    ],
)
def test_the_numbers_that_were_given_are_used_to_the_bit(schedule: Schedule, ends: dict[int, float]) -> None:
    assert {step: schedule(step) for step in ends} == ends


def test_the_half_wave_is_half_way_in_the_middle_and_flat_at_its_ends() -> None:
    schedule = cosine(1.0, 0.0, 1000)

    assert schedule(500) == pytest.approx(0.5, abs=1e-15)  # cos(π/2) is 6e-17 in float64
    assert 100 * (1 - schedule(1)) < schedule(499) - schedule(500)


def test_points_hold_each_value_from_its_step_on() -> None:
    schedule = points([(0, 0.1), (3, 0.01), (5, 0.2)])

    assert [schedule(step) for step in range(7)] == [0.1, 0.1, 0.1, 0.01, 0.01, 0.2, 0.2]


def test_step_decay_changes_after_the_updates_it_counts() -> None:
    schedule = step_decay(1.0, 0.5, [3, 4])

    assert [schedule(step) for step in range(6)] == [1.0, 1.0, 1.0, 0.5, 0.25, 0.25]


def test_an_exponential_beyond_every_float_is_an_error() -> None:
    with pytest.raises(OverflowError):
        exponential(1.0, 2.0)(2000)


@pytest.mark.parametrize("updates", [1, 2, 5])
def test_a_warm_up_rises_in_equal_parts_and_moves_the_schedule_back(updates: int) -> None:
    schedule = warmed_up(linear(1.0, 0.0, 10), updates)

    first = [schedule(step) for step in range(updates)]
    assert first == [(step + 1) / updates for step in range(updates)]
    assert [schedule(updates + step) for step in range(12)] == [linear(1.0, 0.0, 10)(step) for step in range(12)]


def test_without_updates_there_is_no_warm_up() -> None:
    schedule = cosine(1.0, 0.0, 10)

    assert warmed_up(schedule, 0) is schedule


@dataclass
class Down:
    """A line to 0 as a section of an experiment describes it."""

    warmup: int

    def function(self, steps: int) -> Schedule:
        return linear(1.0, 0.0, steps)


def test_a_number_is_a_schedule_that_stays() -> None:
    assert [as_schedule(0.9, 5)(step) for step in (0, 4, 99)] == [0.9] * 3
    assert isinstance(as_schedule(1, 5)(0), float)


@pytest.mark.parametrize("warmup", [0, 4])
def test_what_a_warm_up_leaves_of_the_run_is_the_schedules(warmup: int) -> None:
    schedule = as_schedule(Down(warmup), 10)

    assert [schedule(step) for step in (warmup, 9, 10)] == [1.0, pytest.approx(1 / (10 - warmup)), 0.0]


@pytest.mark.parametrize("steps", [1, 3, 4])
def test_a_run_that_ends_within_the_warm_up_rises_to_the_first_value_all_the_same(steps: int) -> None:
    schedule = as_schedule(Down(warmup=4), steps)

    assert [schedule(step) for step in range(steps)] == [0.25, 0.5, 0.75, 1.0][:steps]
