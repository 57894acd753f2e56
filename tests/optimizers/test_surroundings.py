"""What torch puts round an optimizer's methods: there when somebody asks, left out when nobody does."""

import subprocess
import sys

import pytest
import torch
from torch.optim import lr_scheduler

import momentumlab
from momentumlab.optimizers.surroundings import without_dynamo

STEP = "Optimizer.step#Momentum.step"


def trained(**options):
    tensor = torch.nn.Parameter(torch.ones(2))
    optimizer = momentumlab.Momentum([tensor], lr=0.1, **options)
    tensor.square().sum().backward()
    return optimizer


def names_of(profile):
    return [event.name for event in profile.function_events]


def test_a_profiler_sees_the_step_and_only_while_it_looks():
    optimizer = trained()
    optimizer.step()
    with torch.autograd.profiler.profile() as profile:
        optimizer.step()
    assert names_of(profile).count(STEP) == 1
    optimizer.step()


def test_the_class_is_wrapped_once_however_many_optimizers_are_made():
    before = momentumlab.Momentum.step
    trained()
    trained()
    assert momentumlab.Momentum.step is before


def test_a_hook_gets_the_arguments_as_they_were_given_and_may_change_them():
    optimizer = trained()
    seen = []
    optimizer.register_step_pre_hook(lambda one, args, kwargs: seen.append((args, kwargs)))
    optimizer.step()
    optimizer.step(None)
    optimizer.step(closure=None)
    assert seen == [((optimizer,), {}), ((optimizer, None), {}), ((optimizer,), {"closure": None})]
    optimizer.register_step_pre_hook(lambda one, args, kwargs: ((one, lambda: 7.0), {}))
    assert optimizer.step() == 7.0


def test_a_scheduler_knows_that_a_step_was_made_and_warns_when_none_was():
    optimizer = trained()
    scheduler = lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    optimizer.step()
    assert optimizer._opt_called
    scheduler.step()  # a warning is an error here
    assert optimizer.param_groups[0]["lr"] == 0.05
    other = trained()
    with pytest.warns(UserWarning, match=r"before `optimizer.step\(\)`"):
        lr_scheduler.StepLR(other, step_size=1).step()


@pytest.mark.parametrize("recording", [True, False])
def test_a_step_leaves_the_recording_of_gradients_as_it_was(recording):
    optimizer = trained()
    with torch.set_grad_enabled(recording):
        optimizer.step()
        assert torch.is_grad_enabled() is recording
        optimizer.param_groups[0]["lr"] = -1.0
        with pytest.raises(ValueError, match="lr"):
            optimizer.step()
        assert torch.is_grad_enabled() is recording


def test_weights_are_averaged_as_with_any_optimizer():
    model = torch.nn.Linear(2, 1)
    averaged = torch.optim.swa_utils.AveragedModel(model)
    optimizer = momentumlab.Momentum(model.parameters(), lr=0.1, momentum=0.9)
    schedule = torch.optim.swa_utils.SWALR(optimizer, swa_lr=0.05, anneal_epochs=2)
    points = []
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.ones(1, 2)).square().sum().backward()
        optimizer.step()
        averaged.update_parameters(model)
        schedule.step()
        points.append(model.weight.detach().clone())
    torch.testing.assert_close(averaged.module.weight.detach(), torch.stack(points).mean(0))


SCRIPT = """
import sys, torch, momentumlab
model = torch.nn.Linear(2, 1)
optimizer = momentumlab.Momentum(model.parameters(), lr=0.1, momentum=0.9)
for _ in range(3):
    optimizer.zero_grad()
    model(torch.ones(4, 2)).square().sum().backward()
    optimizer.step()
optimizer.add_param_group({"params": [torch.ones(1, requires_grad=True)]})
print("torch._dynamo" in sys.modules)
"""


def test_training_never_loads_the_compiler():
    asked = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == "False"


def test_where_the_compiler_is_loaded_or_torch_hides_nothing_its_method_is_unchanged(monkeypatch):
    optimizer = trained()
    monkeypatch.setitem(sys.modules, "torch._dynamo", torch)
    hidden = super(momentumlab.Momentum, optimizer).zero_grad
    assert without_dynamo(hidden) == hidden
    monkeypatch.delitem(sys.modules, "torch._dynamo")
    assert without_dynamo(optimizer.state_dict) != optimizer.state_dict
    assert without_dynamo(optimizer.zero_grad) == optimizer.zero_grad
