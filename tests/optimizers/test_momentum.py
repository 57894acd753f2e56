"""`momentumlab.Momentum` beside torch.optim.SGD."""

import copy

import pytest
import torch

import momentumlab
from momentumlab.optimizers.rules import RULES

OPTIONS = [
    {},
    {"momentum": 0.9},
    {"momentum": 0.9, "nesterov": True},
    {"momentum": 0.9, "dampening": 0.5},
    {"momentum": 0.9, "weight_decay": 0.1},
    {"weight_decay": 0.1},
    {"momentum": 0.9, "maximize": True, "weight_decay": 0.1},
]


def parameters():
    generator = torch.Generator().manual_seed(0)
    return [
        torch.nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64)) for shape in [(3, 2), (3,), ()]
    ]


def train(optimizer, tensors, steps, start=0):
    """Scripted gradients that depend on θ; `lr` falls after update 10."""
    for step in range(start, start + steps):
        for group in optimizer.param_groups:
            group["lr"] = 0.1 if step < 10 else 0.03
        for tensor in tensors:
            tensor.grad = torch.sin(tensor.detach() * 3 + step)
        optimizer.step()
    return [tensor.detach().clone() for tensor in tensors]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_torch_form_gives_torchs_iterates_to_the_bit(options):
    ours, theirs = parameters(), parameters()
    mine = train(momentumlab.Momentum(ours, lr=0.1, **options), ours, 30)
    reference = train(torch.optim.SGD(theirs, lr=0.1, **options), theirs, 30)
    for one, other in zip(mine, reference, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["momentum", "nesterov"])
def test_the_classical_form_is_the_classical_rule_also_when_eta_falls(kind):
    ours = parameters()
    theta, memory = ours[0].detach().clone(), torch.zeros(3, 2, dtype=torch.float64)
    optimizer = momentumlab.Momentum(ours, lr=0.1, momentum=0.9, nesterov=kind == "nesterov", form="classical")
    mine = train(optimizer, ours, 30)
    for step in range(30):
        eta = 0.1 if step < 10 else 0.03
        theta, memory = RULES[kind, "classical"].update(theta, torch.sin(theta * 3 + step), memory, 0.9, eta)
    torch.testing.assert_close(mine[0], theta, rtol=0, atol=1e-13)  # the gradient feeds rounding back, tripled


def test_a_checkpoint_of_torchs_goes_on_here_to_the_same_iterates_and_back():
    theirs, ours, undisturbed = parameters(), parameters(), parameters()
    reference = train(torch.optim.SGD(undisturbed, lr=0.1, momentum=0.9), undisturbed, 30)

    torchs = torch.optim.SGD(theirs, lr=0.1, momentum=0.9)
    train(torchs, theirs, 8)
    for mine, other in zip(ours, theirs, strict=True):
        mine.data.copy_(other)
    optimizer = momentumlab.Momentum(ours, lr=0.5, momentum=0.9)
    optimizer.load_state_dict(copy.deepcopy(torchs.state_dict()))
    train(optimizer, ours, 12, start=8)

    torchs.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for mine, other in zip(ours, theirs, strict=True):
        other.data.copy_(mine)
    assert all(
        torch.equal(one, other) for one, other in zip(train(torchs, theirs, 10, start=20), reference, strict=True)
    )


def test_the_gradient_is_never_changed():
    ours = parameters()
    optimizer = momentumlab.Momentum(ours, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1, maximize=True)
    for tensor in ours:
        tensor.grad = torch.ones_like(tensor)
    optimizer.step()
    optimizer.step()
    assert all(torch.equal(tensor.grad, torch.ones_like(tensor)) for tensor in ours)


def test_a_closure_is_called_once_and_its_loss_returned():
    tensor = torch.nn.Parameter(torch.ones(2))
    optimizer = momentumlab.Momentum([tensor], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (tensor * tensor).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) == 2
    torch.testing.assert_close(tensor.detach(), torch.full((2,), 0.8))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lr": -1}, "lr"),
        ({"momentum": 1.0}, "never decays"),
        ({"momentum": -0.1}, "momentum"),
        ({"weight_decay": -1}, "weight_decay"),
        ({"nesterov": True}, "nesterov needs"),
        ({"momentum": 0.9, "nesterov": True, "dampening": 0.1}, "nesterov needs"),
        ({"form": "keras"}, "form"),
    ],
)
def test_an_argument_out_of_range_is_refused_in_words(options, words):
    with pytest.raises(ValueError, match=words):
        momentumlab.Momentum(parameters(), **({"lr": 0.1} | options))
