"""From the optimizer section of an experiment to what theory can be asked about, or to why it cannot."""

from typing import Any

from momentumlab.experiment.schema_optimizer import Optimizer, RuleOptimizer
from momentumlab.experiment.schema_torch import TorchGammaOptimizer
from momentumlab.optimizers.rules import RULES
from momentumlab.optimizers.schedules import as_schedule
from momentumlab.optimizers.update import Update
from momentumlab.optimizers.updates import changes_by_run, setting, update_of
from momentumlab.theory.method import Method

_OF_SGD = ("dampening", "nesterov", "weight_decay")  # torch's arguments that theory knows
_WITHOUT_EFFECT = ("foreach", "fused", "differentiable")


def beyond_theory(optimizer: Optimizer) -> str | None:
    """Why theory does not reach this optimizer, as the end of a sentence; None where `method_of` gives its method.

    The code of a `kind: file` is run here, as training would.
    """
    if isinstance(optimizer, RuleOptimizer):
        names = update_of(optimizer).hyperparameters
        words = [name for name in names if not _is_numbers(setting(optimizer, name))]
        return f"its {words[0]} is no number" if words else method_of(optimizer, 1).why_not_linear()
    if optimizer.kind != "SGD":
        return "its step is no linear function of ∇J"
    if optimizer.clip is not None:
        return "clip shortens its long gradients"
    others = {name for name, value in optimizer.arguments.items() if value} - {*_OF_SGD, *_WITHOUT_EFFECT}
    return f"of torch's SGD it does not know {', '.join(sorted(others))}" if others else None


def method_of(optimizer: Optimizer, steps: int, step: int = 0) -> Method:
    """The optimizer's update with the hyperparameters of the update after `step` of `steps` updates.

    With a schedule they are that moment's alone. Only where `beyond_theory` says nothing.
    """
    if isinstance(optimizer, RuleOptimizer):
        update = update_of(optimizer)
        names = {*update.hyperparameters, "eta"}
        return Method(update, {name: _at(setting(optimizer, name), steps, step) for name in names})
    assert isinstance(optimizer, TorchGammaOptimizer)
    decay, dampening = (float(optimizer.arguments.get(name) or 0) for name in ("weight_decay", "dampening"))
    rule = RULES["torch_nesterov" if optimizer.arguments.get("nesterov") else "torch_momentum"]
    update = Update(rule, weight_decay="coupled" if decay else None, dampening=bool(dampening))
    rates = {name: _at(getattr(optimizer, name), steps, step) for name in ("gamma", "eta")}
    return Method(update, rates | {"weight_decay": decay, "dampening": dampening})


def _is_numbers(given: Any) -> bool:
    return all(map(changes_by_run, given)) if isinstance(given, list) else changes_by_run(given)


def _at(given: Any, steps: int, step: int) -> Any:
    return [_at(one, steps, step) for one in given] if isinstance(given, list) else as_schedule(given, steps)(step)
