"""`momentumlab.Momentum`: its numbers beside torch.optim.SGD's and beside our rules'."""

import copy
import functools
import re

import pytest
import torch

import momentumlab
from momentumlab.optimizers.rules import RULES
from tests.reference import case

OPTIONS = [
    {},
    {"weight_decay": 0.1},
    {"weight_decay": torch.tensor(0.1, dtype=torch.float64)},
    {"maximize": True},
    {"dampening": 0.5},
    {"momentum": 0.9},
    {"momentum": 0.9, "nesterov": True},
    {"momentum": 0.9, "dampening": 0.5},
    {"momentum": 0.9, "dampening": 1.0},
    {"momentum": 0.9, "weight_decay": 0.1},
    {"momentum": 0.9, "maximize": True, "weight_decay": 0.1},
    {"momentum": 0.9, "nesterov": True, "maximize": True, "weight_decay": 0.1},
]
DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex128, torch.complex64]
FORMS = ["torch", "classical"]
KINDS = ["sgd", "momentum", "nesterov"]


def parameters(dtype=torch.float64):
    """Parameters of every shape: contiguous, a scalar, empty, transposed, strided, channels last."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=dtype)

    tensors = [draw(3, 2), draw(3), draw(), draw(0), draw(2, 3).t(), draw(4, 2)[:, 0]]
    tensors.append(draw(2, 3, 2, 2).to(memory_format=torch.channels_last))
    return [torch.nn.Parameter(tensor) for tensor in tensors]


def gradient(tensor, step):
    """A push of its own for every step, and a pull to 0 that feeds differences of θ back."""
    return tensor.detach() / 2 + push(tensor.shape, tensor.dtype, step)


@functools.cache
def push(shape, dtype, step):
    return torch.randn(shape, generator=torch.Generator().manual_seed(step), dtype=dtype)


def train(optimizer, tensors, steps=30, start=0, lr=None):
    """θ after scripted gradients; `lr` is a function of the step."""
    for step in range(start, start + steps):
        for group in optimizer.param_groups:
            group["lr"] = group["lr"] if lr is None else lr(step)
        for tensor in tensors:
            tensor.grad = gradient(tensor, step)
        optimizer.step()
    return [tensor.detach().clone() for tensor in tensors]


def torchs(tensors, lr=0.1, **options):
    """torch.optim.SGD with fused=True where our one call goes that way, and torch's default for all other tensors."""
    fused = [
        tensor.is_contiguous() and tensor.numel() > 0 and tensor.dtype in (torch.float32, torch.float64)
        for tensor in tensors
    ]
    groups = [
        {
            "params": [tensor for tensor, mark in zip(tensors, fused, strict=True) if mark is kind],
            "fused": kind,
            "lr": copy.deepcopy(lr),  # a schedule changes a tensor in place, once for every group
        }
        for kind in (True, False)
    ]
    return torch.optim.SGD([group for group in groups if group["params"]], **options)


def falling(step):
    return 0.1 if step < 10 else 0.03


def follow_the_rule(rule, tensors, settings):
    """θ after the same gradients by one of our rules, under the (γ, η) of every step."""
    thetas = [tensor.detach().clone() for tensor in tensors]
    for index, start in enumerate(thetas):
        theta, memory = start, torch.zeros_like(start)
        for step, (gamma, eta) in enumerate(settings):
            theta, memory = rule.update(theta, gradient(theta, step), memory, gamma, eta)
        thetas[index] = theta
    return thetas


def assert_same_bits(ones, others):
    assert all(torch.equal(one, other) for one, other in zip(ones, others, strict=True))


# The torch form


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_torch_form_gives_torchs_iterates_to_the_bit(options, dtype):
    ours, theirs = parameters(dtype), parameters(dtype)
    mine = train(momentumlab.Momentum(ours, lr=0.1, **options), ours, lr=falling)
    assert_same_bits(mine, train(torchs(theirs, **options), theirs, lr=falling))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_torchs_default_gives_the_same_up_to_rounding(options, dtype):
    ours, theirs = parameters(dtype), parameters(dtype)
    mine = train(momentumlab.Momentum(ours, lr=0.1, **options), ours, lr=falling)
    # A few ulps of b in each of 30 steps: the kernel rounds a product and a sum together or one after the other.
    ulps = 100 * torch.finfo(dtype).eps
    reference = train(torch.optim.SGD(theirs, lr=0.1, **options), theirs, lr=falling)
    torch.testing.assert_close(mine, reference, rtol=ulps, atol=ulps)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize(
    "lr", [torch.tensor(0.1), torch.tensor([0.1]), torch.tensor(0.1, dtype=torch.float64)], ids=str
)
def test_lr_may_be_a_tensor_of_one_element(lr, momentum):
    ours, theirs = parameters(), parameters()
    mine = train(momentumlab.Momentum(ours, lr=lr, momentum=momentum), ours)
    assert_same_bits(mine, train(torchs(theirs, lr=lr, momentum=momentum), theirs))


def test_a_momentum_that_passes_through_zero_leaves_torchs_buffer_standing():
    tensors = parameters(), parameters()
    paths = []
    for made, tensor in zip((momentumlab.Momentum, torchs), tensors, strict=True):
        optimizer = made(tensor, lr=0.1, momentum=0.9)
        for step in range(12):
            for group in optimizer.param_groups:
                group["momentum"] = 0.0 if 4 <= step < 8 else 0.9
            train(optimizer, tensor, 1, start=step)
        paths.append(tensor)
    assert_same_bits(*paths)


# The classical form


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_the_classical_form_is_the_classical_rule_to_the_bit_also_when_eta_falls(kind, dtype):
    ours, gamma = parameters(dtype), 0.0 if kind == "sgd" else 0.9
    optimizer = momentumlab.Momentum(ours, lr=0.1, momentum=gamma, nesterov=kind == "nesterov", form="classical")
    mine = train(optimizer, ours, lr=falling)
    settings = [(gamma, falling(step)) for step in range(30)]
    assert_same_bits(mine, follow_the_rule(RULES[kind], parameters(dtype), settings))


@pytest.mark.parametrize("nesterov", [False, True])
def test_the_classical_form_is_the_classical_rule_also_when_gamma_starts_from_zero(nesterov):
    ours, gammas = parameters(), [0.0, 0.0, 0.5, 0.9, 0.0, 0.9, 0.99]
    optimizer = momentumlab.Momentum(ours, lr=0.1, momentum=0.5, nesterov=nesterov, form="classical")
    for step, gamma in enumerate(gammas):
        optimizer.param_groups[0]["momentum"] = gamma
        mine = train(optimizer, ours, 1, start=step)
    rule = RULES["nesterov" if nesterov else "momentum"]
    assert_same_bits(mine, follow_the_rule(rule, parameters(), [(gamma, 0.1) for gamma in gammas]))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_under_a_constant_lr_both_forms_give_the_same_iterates(options):
    one, other = parameters(), parameters()
    mine = train(momentumlab.Momentum(one, lr=0.1, form="torch", **options), one)
    classical = train(momentumlab.Momentum(other, lr=0.1, form="classical", **options), other)
    # A few ulp a step; `maximize` carries θ, and with it the ulp, away from 0.
    torch.testing.assert_close(mine, classical, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(("form", "expected"), [("classical", "seed_form"), ("torch", "pytorch_form")])
def test_the_forms_part_as_the_exact_numbers_say_when_eta_falls(form, expected):
    reference = case("lr-schedule-divergence")
    tensor = torch.nn.Parameter(torch.ones((), dtype=torch.float64))
    optimizer = momentumlab.Momentum([tensor], lr=0.1, momentum=0.9, form=form)
    path = []
    for lr, push in zip(reference["setting"]["lrs"], reference["setting"]["grads"], strict=True):
        optimizer.param_groups[0]["lr"] = lr
        tensor.grad = torch.full((), float(push), dtype=torch.float64)
        optimizer.step()
        path.append(tensor.item())
    assert path == pytest.approx(reference["expected"][expected], rel=0, abs=reference["tolerance"]["abs"])


@pytest.mark.parametrize("form", FORMS)
def test_dampening_leaves_the_first_update_alone(form):
    tensor = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))
    optimizer = momentumlab.Momentum([tensor], lr=1.0, momentum=0.5, dampening=0.5, form=form)
    path = []
    for _ in range(3):
        tensor.grad = torch.ones((), dtype=torch.float64)
        optimizer.step()
        path.append(tensor.item())
    assert path == [-1, -2, -3]  # b = 1, then ½·1 + ½·1: the EMA that begins at its first gradient


# Both


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_gradient_is_never_changed(options, form):
    ours = parameters()
    optimizer = momentumlab.Momentum(ours, lr=0.1, form=form, **options)
    for tensor in ours:
        tensor.grad = torch.ones_like(tensor)
    for _ in range(3):
        optimizer.step()
    assert_same_bits([tensor.grad for tensor in ours], [torch.ones_like(tensor) for tensor in ours])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_complex_parameter_is_two_real_ones(options, form):
    whole = torch.nn.Parameter(torch.randn(3, dtype=torch.complex128, generator=torch.Generator().manual_seed(0)))
    parts = torch.nn.Parameter(torch.view_as_real(whole).detach().clone())
    optimizers = [momentumlab.Momentum([tensor], lr=0.1, form=form, **options) for tensor in (whole, parts)]
    for step in range(10):
        whole.grad = gradient(whole, step)
        parts.grad = torch.view_as_real(whole.grad).clone()
        for optimizer in optimizers:
            optimizer.step()
        # Complex and real loops round a product and a sum together or one after the other.
        torch.testing.assert_close(torch.view_as_real(whole), parts, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("form", FORMS)
def test_every_group_has_its_own_options(form):
    alone, together = parameters(), parameters()
    settings = [{"lr": 0.1}, {"momentum": 0.9}, {"lr": 0.03, "momentum": 0.5, "nesterov": True}, {"weight_decay": 0.5}]
    groups = [{"params": [tensor], **setting} for tensor, setting in zip(together, settings, strict=False)]
    optimizer = momentumlab.Momentum(groups[:-1], lr=0.2, form=form)
    optimizer.add_param_group(groups[-1])
    train(optimizer, together[: len(groups)])
    for tensor, setting in zip(alone, settings, strict=False):
        train(momentumlab.Momentum([tensor], **({"lr": 0.2} | setting), form=form), [tensor])
    assert_same_bits(together, alone)


def test_forms_may_differ_between_groups():
    tensors = [torch.nn.Parameter(torch.ones(2, dtype=torch.float64)) for _ in range(2)]
    groups = [{"params": tensors[:1], "form": "torch"}, {"params": tensors[1:], "form": "classical"}]
    torchs, classical = train(momentumlab.Momentum(groups, lr=0.1, momentum=0.9), tensors, lr=falling)
    assert (torchs - classical).abs().min() > 1e-3


def test_parameters_may_come_with_names():
    model = torch.nn.Linear(2, 1)
    optimizer = momentumlab.Momentum(model.named_parameters(), lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]


@pytest.mark.parametrize("form", FORMS)
def test_a_parameter_without_a_gradient_stays_and_its_velocity_too(form):
    tensor, still = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))
    optimizer = momentumlab.Momentum([tensor, still], lr=0.1, momentum=0.9, weight_decay=0.1, form=form)
    train(optimizer, [tensor], 3)
    assert torch.equal(still.detach(), torch.ones(2))
    assert still not in optimizer.state
    train(optimizer, [still], 1)
    before, velocity = still.detach().clone(), next(iter(optimizer.state[still].values())).clone()
    still.grad = None
    train(optimizer, [tensor], 2)
    assert_same_bits([still.detach(), *optimizer.state[still].values()], [before, velocity])


def test_the_torch_form_without_momentum_remembers_nothing():
    ours = parameters()
    optimizer = momentumlab.Momentum(ours, lr=0.1, weight_decay=0.1)
    train(optimizer, ours, 3)
    assert not optimizer.state


@pytest.mark.parametrize("form", FORMS)
def test_a_gradient_accumulated_over_parts_is_the_gradient_of_the_whole(form):
    x, y = torch.arange(12, dtype=torch.float64).reshape(6, 2) / 12, torch.arange(6, dtype=torch.float64)
    whole, parts = (torch.nn.Parameter(torch.zeros(2, dtype=torch.float64)) for _ in range(2))
    optimizers = [momentumlab.Momentum([tensor], lr=0.01, momentum=0.9, form=form) for tensor in (whole, parts)]
    for _ in range(10):
        for optimizer in optimizers:
            optimizer.zero_grad()
        (x @ whole - y).square().sum().backward()
        for part in range(0, 6, 2):
            (x[part : part + 2] @ parts - y[part : part + 2]).square().sum().backward()
        for optimizer in optimizers:
            optimizer.step()
    torch.testing.assert_close(whole, parts, rtol=1e-13, atol=0)


@pytest.mark.parametrize("to_none", [True, False])
def test_zero_grad_forgets_the_gradient_or_makes_it_zero(to_none):
    tensor = torch.nn.Parameter(torch.ones(2))
    optimizer = momentumlab.Momentum([tensor], lr=0.1)
    tensor.square().sum().backward()
    optimizer.zero_grad(set_to_none=to_none)
    assert tensor.grad is None if to_none else torch.equal(tensor.grad, torch.zeros(2))


def test_a_closure_is_called_once_and_its_loss_returned():
    tensor = torch.nn.Parameter(torch.ones(2))
    optimizer = momentumlab.Momentum([tensor], lr=0.1)
    calls = []

    def closure():
        calls.append(torch.is_grad_enabled())
        optimizer.zero_grad()
        loss = (tensor * tensor).sum()
        loss.backward()
        return loss

    with torch.no_grad():
        assert optimizer.step(closure) == 2
    assert calls == [True]
    torch.testing.assert_close(tensor.detach(), torch.full((2,), 0.8))
    assert optimizer.step() is None


# Sparse gradients


def sparse(tensor, step):
    """A gradient of an embedding: rows 1 and 3 alone, and row 1 twice."""
    values = gradient(tensor[:3], step)
    return torch.sparse_coo_tensor(torch.tensor([[1, 1, 3]]), values, tensor.shape)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_sparse_gradient_gives_what_the_dense_one_gives(options, form):
    one, other = (torch.nn.Parameter(torch.ones(5, 2, dtype=torch.float64)) for _ in range(2))
    optimizers = [momentumlab.Momentum([tensor], lr=0.1, form=form, **options) for tensor in (one, other)]
    with torch.sparse.check_sparse_tensor_invariants():
        for step in range(10):
            one.grad = sparse(one, step)
            other.grad = one.grad.to_dense() if step % 2 else sparse(one, step).to_dense()
            before = one.grad.to_dense()
            for optimizer in optimizers:
                optimizer.step()
            assert one.grad.is_sparse
            assert torch.equal(one.grad.to_dense(), before)
    torch.testing.assert_close(one, other, rtol=1e-14, atol=1e-14)  # the row met twice is added in another order


def test_plain_sgd_leaves_a_sparse_gradient_sparse(monkeypatch):
    tensor = torch.nn.Parameter(torch.ones(5, 2))
    optimizer = momentumlab.Momentum([tensor], lr=0.1)
    with torch.sparse.check_sparse_tensor_invariants():
        tensor.grad = sparse(tensor, 0)
        monkeypatch.setattr(torch.Tensor, "to_dense", None, raising=False)
        optimizer.step()
    assert torch.equal(tensor.detach()[[0, 2, 4]], torch.ones(3, 2))
    assert not optimizer.state


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}, {"momentum": 0.9, "dampening": 0.5}], ids=str)
def test_sparse_gradients_give_torchs_iterates(options):
    ours, theirs = (torch.nn.Parameter(torch.ones(5, 2, dtype=torch.float64)) for _ in range(2))
    optimizers = momentumlab.Momentum([ours], lr=0.1, **options), torch.optim.SGD([theirs], lr=0.1, **options)
    with torch.sparse.check_sparse_tensor_invariants():
        for step in range(10):
            ours.grad, theirs.grad = sparse(ours, step), sparse(ours, step)
            for optimizer in optimizers:
                optimizer.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-14, atol=1e-14)


# Words


def test_it_shows_itself_in_our_words():
    one = momentumlab.Momentum(parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)
    assert repr(one) == "Momentum(form=torch, η=0.1, γ=0.9, weight_decay=0.01, nesterov, tensors=7)"
    groups = [{"params": parameters()[:2]}, {"params": parameters()[:1], "lr": torch.tensor(0.5), "maximize": True}]
    assert repr(momentumlab.Momentum(groups, lr=0.1, form="classical")).splitlines() == [
        "Momentum(",
        "    0: form=classical, η=0.1, γ=0.0, tensors=2",
        "    1: form=classical, η=0.5, γ=0.0, maximize, tensors=1",
        ")",
    ]


NOT_A_NUMBER = ["0.1", None, True, 1j, [0.1], float("nan"), torch.ones(2), torch.tensor(True)]
OUT_OF_RANGE = {
    "lr": [-1, float("inf"), torch.tensor(-0.1), *NOT_A_NUMBER],
    "momentum": [-0.1, 1.0, 2, *NOT_A_NUMBER],
    "dampening": [-0.1, 1.1, *NOT_A_NUMBER],
    "weight_decay": [-1, float("inf"), *NOT_A_NUMBER],
    "nesterov": [0, 1.0, "yes", None],
    "maximize": [0, 1.0, "yes", None],
    "form": ["keras", "Torch", None, True],
}
REFUSED = [(name, value) for name, values in OUT_OF_RANGE.items() for value in values]


@pytest.mark.parametrize(("name", "value"), REFUSED, ids=str)
def test_an_option_out_of_range_is_refused_at_the_door_by_name_and_value(name, value):
    law = rf"^{name}.* must be .*, got {re.escape(repr(value))}"
    with pytest.raises(ValueError, match=law):
        momentumlab.Momentum(parameters(), **{"lr": 0.1, name: value})
    optimizer = momentumlab.Momentum(parameters(), lr=0.1)
    with pytest.raises(ValueError, match=law):
        optimizer.add_param_group({"params": parameters(), name: value})
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize(("name", "value"), REFUSED, ids=str)
def test_an_option_put_out_of_range_later_is_refused_before_anything_moves(name, value):
    tensors = parameters()
    optimizer = momentumlab.Momentum([{"params": tensors[:1]}, {"params": tensors[1:]}], lr=0.1, momentum=0.9)
    before = train(optimizer, tensors, 1)
    optimizer.param_groups[1][name] = value
    with pytest.raises(ValueError, match=rf"^param_groups\[1\]: {name}.* must be "):
        optimizer.step()
    assert_same_bits([tensor.detach() for tensor in tensors], before)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"momentum": 1.0}, "never decays"),
        ({"nesterov": True}, "nesterov needs a momentum above 0"),
        ({"momentum": 0.9, "nesterov": True, "dampening": 0.1}, "nesterov needs dampening 0, got 0.1"),
    ],
)
def test_a_refusal_says_why(options, words):
    with pytest.raises(ValueError, match=words):
        momentumlab.Momentum(parameters(), lr=0.1, **options)


@pytest.mark.parametrize("torchs", [(0.1, 0.9, 0.0, 1e-4), (0.1, 0.9, 0.0, 1e-4, True), (0.1, 0.9, 0.0, 0.0, True)])
def test_arguments_in_torchs_order_are_refused_where_ours_is_another(torchs):
    with pytest.raises(ValueError, match=r"nesterov must be True or False, got .*: by position it stands before"):
        momentumlab.Momentum(parameters(), *torchs)


@pytest.mark.parametrize(
    ("group", "error", "words"),
    [
        ("weights", TypeError, "must be a dict"),
        ({"params": {torch.ones(1)}}, TypeError, "ordered"),
        ({"params": [1.0]}, TypeError, "can only optimize Tensors"),
        ({"params": [torch.ones(1, requires_grad=True) * 2]}, ValueError, "non-leaf"),
    ],
)
def test_a_group_of_something_else_is_refused_in_torchs_words(group, error, words):
    optimizer = momentumlab.Momentum(parameters(), lr=0.1)
    with pytest.raises(error, match=words):
        optimizer.add_param_group(group)


def test_no_parameter_belongs_to_two_groups():
    ours = parameters()
    optimizer = momentumlab.Momentum(ours, lr=0.1)
    with pytest.raises(ValueError, match="more than one parameter group"):
        optimizer.add_param_group({"params": ours[:1]})
    with pytest.raises(ValueError, match="empty parameter list"):
        momentumlab.Momentum([], lr=0.1)
