"""What torch's own tests ask of SGD, asked of `momentumlab.Momentum` in its place."""

import pytest
import torch
from torch.optim import lr_scheduler
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

import momentumlab
from tests.optimizers.test_momentum import FORMS

# torch.testing._internal.common_optimizers: the inputs, and the schedulers run together, that torch tests SGD with
TENSOR = "a tensor of 0.001, made anew for every test, as schedulers change it in place"
INPUTS = [
    {},
    {"lr": 1e-2},
    {"lr": TENSOR},
    {"weight_decay": 0.5},
    {"momentum": 0.9},
    {"weight_decay": 0.1, "maximize": True},
    {"momentum": 0.9, "dampening": 0.5},
    {"momentum": 0.9, "weight_decay": 0.1},
    {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
]
SCHEDULES = {
    "none": lambda optimizer: [],
    "step": lambda optimizer: [lr_scheduler.StepLR(optimizer, gamma=0.9, step_size=10)],
    "linear": lambda optimizer: [lr_scheduler.LinearLR(optimizer, 0.4, 0.8, total_iters=4)],
    "step and linear": lambda optimizer: [
        lr_scheduler.StepLR(optimizer, gamma=0.9, step_size=10),
        lr_scheduler.LinearLR(optimizer, 0.4, 0.6, total_iters=4),
    ],
    "step, exponential and plateau": lambda optimizer: [
        lr_scheduler.StepLR(optimizer, gamma=0.99, step_size=10),
        lr_scheduler.ExponentialLR(optimizer, gamma=0.99),
        lr_scheduler.ReduceLROnPlateau(optimizer),
    ],
    "constant": lambda optimizer: [lr_scheduler.ConstantLR(optimizer, factor=0.4, total_iters=4)],
    "polynomial": lambda optimizer: [lr_scheduler.PolynomialLR(optimizer, power=0.9, total_iters=4)],
}


def fresh(options):
    return {name: torch.tensor(0.001) if value is TENSOR else value for name, value in options.items()}


def advance(schedulers, loss):
    for scheduler in schedulers:
        scheduler.step(*[loss.detach()] if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau) else [])


def rosenbrock(point):
    x, y = point
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def line(contiguous=True):
    """A weight, a bias and a closure maker that torch's tests train."""
    generator = torch.Generator().manual_seed(0)
    if contiguous:
        weight, bias = torch.randn(10, 5, generator=generator), torch.randn(10, generator=generator)
    else:
        weight = torch.randn(10, 5, 2, generator=generator)[..., 0]
        bias = torch.randn(10, 2, generator=generator)[..., 0]
    weight, bias, point = torch.nn.Parameter(weight), torch.nn.Parameter(bias), torch.randn(5, generator=generator)

    def closure_of(optimizer):
        def closure():
            optimizer.zero_grad()
            loss = (weight.mv(point) + bias).pow(2).sum()
            loss.backward()
            return loss

        return closure

    return weight, bias, closure_of


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("contiguous", [True, False])
@pytest.mark.parametrize("options", INPUTS, ids=str)
def test_it_goes_in_the_right_direction(options, contiguous, form):
    weight, bias, closure_of = line(contiguous)
    optimizer = momentumlab.Momentum([weight, bias], **fresh(options), form=form)
    closure = closure_of(optimizer)
    first = closure()
    for _ in range(20):
        optimizer.step(closure)
    assert closure() > first if options.get("maximize") else closure() < first


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("options", INPUTS, ids=str)
def test_groups_under_a_schedule_go_in_the_right_direction(options, schedule, form):
    weight, bias, closure_of = line()
    groups = [{"params": [weight]}, {"params": [bias], "lr": 0.01, "weight_decay": 0.0}]
    optimizer = momentumlab.Momentum(groups, **fresh(options), form=form)
    closure, schedulers = closure_of(optimizer), SCHEDULES[schedule](optimizer)
    first = closure()
    for _ in range(20):
        advance(schedulers, optimizer.step(closure))
    assert closure() > first if options.get("maximize") else closure() < first


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}], ids=str)
@pytest.mark.parametrize("schedule", [name for name in SCHEDULES if "plateau" not in name])
def test_it_comes_closer_to_rosenbrocks_minimum(schedule, options, form):
    point, minimum = torch.nn.Parameter(torch.tensor([1.5, 1.5])), torch.ones(2)
    optimizer = momentumlab.Momentum([point], lr=2e-5, **options, form=form)
    schedulers = SCHEDULES[schedule](optimizer)
    start = point.detach().dist(minimum)
    for _ in range(60):
        optimizer.zero_grad()
        loss = rosenbrock(point)
        loss.backward()
        optimizer.step()
        advance(schedulers, loss)
    assert point.detach().dist(minimum) < start


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}], ids=str)
def test_it_comes_closer_to_it_by_sparse_gradients_of_one_coordinate_at_a_time(options, form):
    points = [torch.nn.Parameter(torch.tensor([1.5, 1.5], dtype=torch.float64)) for _ in range(2)]
    optimizers = [momentumlab.Momentum([point], lr=5e-4, **options, form=form) for point in points]
    schedulers = [lr_scheduler.StepLR(optimizer, gamma=0.99999, step_size=300) for optimizer in optimizers]
    with torch.sparse.check_sparse_tensor_invariants():
        for step in range(200):
            for point in points:
                point.grad = None
                rosenbrock(point).backward()
            value = points[0].grad[step % 2]
            where, parts = torch.full((1, 2), step % 2), torch.stack([value / 4, value - value / 4])
            points[0].grad = torch.sparse_coo_tensor(where, parts, (2,))
            points[1].grad[1 - step % 2] = 0
            for optimizer, scheduler in zip(optimizers, schedulers, strict=True):
                optimizer.step()
                scheduler.step()
    torch.testing.assert_close(*points)
    assert points[0].detach().dist(torch.ones(2)) < 0.7  # where it began: √½


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("options", INPUTS, ids=str)
def test_a_complex_landscape_is_one_of_two_reals(options, form):
    generator = torch.Generator().manual_seed(0)
    whole = torch.nn.Parameter(torch.randn(2, dtype=torch.complex128, generator=generator))
    real, imaginary = (torch.nn.Parameter(part.detach().clone()) for part in (whole.real, whole.imag))
    optimizers = [
        momentumlab.Momentum(tensors, **fresh(options), form=form) for tensors in ([whole], [real, imaginary])
    ]
    for _ in range(10):
        for optimizer in optimizers:
            optimizer.zero_grad()
        for point in (whole, torch.complex(real, imaginary)):
            x, y = point
            ((1 - x) * (y - x / 2)).abs().backward()
        for optimizer in optimizers:
            optimizer.step()
        torch.testing.assert_close(whole.detach(), torch.complex(real, imaginary).detach(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("options", INPUTS, ids=str)
def test_a_step_without_gradients_does_nothing(options, form):
    tensor = torch.nn.Parameter(torch.randn(3, 2, generator=torch.Generator().manual_seed(0)))
    before = tensor.detach().clone()
    optimizer = momentumlab.Momentum([tensor], **fresh(options), form=form)
    optimizer.step()
    assert torch.equal(tensor.detach(), before)
    assert not optimizer.state


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("options", INPUTS, ids=str)
def test_a_step_with_gradients_of_zero_moves_by_weight_decay_alone(options, form):
    tensor = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = momentumlab.Momentum([tensor], **fresh(options), form=form)
    tensor.grad = torch.zeros_like(tensor)
    optimizer.step()
    share = (
        fresh(options).get("lr", 1e-3) * options.get("weight_decay", 0.0) * (1 + 0.9 * options.get("nesterov", False))
    )
    torch.testing.assert_close(tensor.detach(), torch.full((3,), 1.0 - float(share), dtype=torch.float64))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("options", INPUTS, ids=str)
def test_equal_parameters_have_equal_state_dicts_after_a_resume(options, form):
    weight, bias, closure_of = line()
    optimizer = momentumlab.Momentum([weight, bias], **fresh(options), form=form)
    for _ in range(5):
        optimizer.step(closure_of(optimizer))
    again = momentumlab.Momentum([weight, bias], form=form)
    again.load_state_dict(optimizer.state_dict())
    mine, theirs = again.state_dict(), optimizer.state_dict()
    assert mine["param_groups"] == theirs["param_groups"]
    torch.testing.assert_close(mine["state"], theirs["state"], rtol=0, atol=0)
    again.param_groups.extend(again.param_groups)
    assert again.state_dict()["param_groups"][-1] == theirs["param_groups"][-1]


def test_global_hooks_of_torch_see_its_steps():
    weight, bias, closure_of = line()
    optimizer = momentumlab.Momentum([weight, bias])
    seen = []
    handles = [
        register_optimizer_step_pre_hook(lambda one, *_: seen.append(("pre", one))),
        register_optimizer_step_post_hook(lambda one, *_: seen.append(("post", one))),
    ]
    optimizer.register_step_pre_hook(lambda one, *_: seen.append(("own pre", one)))
    optimizer.register_step_post_hook(lambda one, *_: seen.append(("own post", one)))
    optimizer.step(closure_of(optimizer))
    for handle in handles:
        handle.remove()
    assert seen == [(word, optimizer) for word in ("pre", "own pre", "own post", "post")]


@pytest.mark.parametrize("form", FORMS)
def test_a_grad_scaler_scales_back_and_skips_a_step_that_overflows(form):
    scaled, plain = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    optimizers = [momentumlab.Momentum([tensor], lr=0.1, momentum=0.9, form=form) for tensor in (scaled, plain)]
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**4, growth_interval=1)
    for step in range(5):
        for optimizer in optimizers:
            optimizer.zero_grad()
        broken = step == 2
        scaler.scale(scaled.square().sum() * (float("inf") if broken else 1.0)).backward()
        scaler.step(optimizers[0])
        scaler.update()
        if not broken:
            plain.square().sum().backward()
            optimizers[1].step()
        assert torch.equal(scaled.detach(), plain.detach())  # the scale is a power of 2
    assert scaler.get_scale() == 2.0**7


@pytest.mark.parametrize("form", FORMS)
def test_gradients_may_be_clipped_between_unscaling_and_the_step(form):
    tensor = torch.nn.Parameter(torch.full((2,), 100.0))
    optimizer = momentumlab.Momentum([tensor], lr=1.0, momentum=0.9, form=form)
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(tensor.square().sum()).backward()
    scaler.unscale_(optimizer)
    torch.nn.utils.clip_grad_norm_([tensor], 1.0)
    scaler.step(optimizer)
    assert (tensor.detach() - 100).norm() == pytest.approx(1.0, rel=1e-4)
