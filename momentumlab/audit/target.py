"""From what a user names to something that can be examined; other people's code is loaded only where it is allowed."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from momentumlab.audit.subject import RuleSubject, Subject
from momentumlab.errors import ConfigError
from momentumlab.optimizers.code import is_file, load_attribute, rule_from_file, rule_of
from momentumlab.optimizers.rules import RULES
from momentumlab.text import nearest, safe, shown

# What a rule takes beside γ and η, where nothing is said: the values of its paper.
_CUSTOMARY: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {"qhm": {"nu": 0.7}, "aggmo": {"gammas": [0.0, 0.9, 0.99], "weights": None}, "lion": {"beta1": 0.9}}
)


def find(target: str, arguments: Mapping[str, Any], allow_code: Collection[str]) -> Subject:
    """The optimizer that `target` names; ConfigError where there is none, its code is not allowed or it takes other
    arguments."""
    if target in RULES:
        return _our_rule(target, arguments)
    if target.startswith("torch.optim."):
        return _of_torch(target, arguments)
    source, _, name = target.rpartition(":")
    if is_file(target):
        return _rule(target, None, target, arguments, allow_code)
    if source and name:
        return _loaded(source, name, target, arguments, allow_code)
    raise ConfigError(_no_such(target))


def _our_rule(name: str, arguments: Mapping[str, Any]) -> RuleSubject:
    rule, customary = RULES[name], _CUSTOMARY.get(name, {})
    further = [other for other in rule.hyperparameters if other not in ("gamma", "eta")]
    unknown = [other for other in arguments if other not in further]
    if unknown:
        allowed = f"It takes {', '.join(further)} beside γ and η" if further else "It takes γ and η alone"
        raise ConfigError([f"{name}: takes no argument {shown(other)}. {allowed}" for other in unknown])
    given = dict(customary) | dict(arguments)
    for other in ("gammas", "weights"):
        if given.get(other) is not None and not isinstance(given[other], list | tuple):
            raise ConfigError(f"{name}: {other}: got {shown(given[other])}, must be a list such as [0, 0.9]")
    if "gammas" in given and not given["weights"]:
        given["weights"] = [1 / len(given["gammas"])] * len(given["gammas"])
    return RuleSubject(name, rule, "gamma" in rule.hyperparameters and name != "sgd", given)


def _of_torch(target: str, arguments: Mapping[str, Any]) -> Subject:
    import torch

    from momentumlab.audit.torch_subject import subject_of

    name = target.removeprefix("torch.optim.")
    classes = [
        other
        for other, value in vars(torch.optim).items()
        if isinstance(value, type) and issubclass(value, torch.optim.Optimizer) and value is not torch.optim.Optimizer
    ]
    if name not in classes:
        folded = {other.lower(): other for other in classes}
        guess = folded.get(nearest(name.lower(), folded) or "")
        hint = f" Did you mean torch.optim.{guess}?" if guess else f" It has {', '.join(sorted(classes))}."
        raise ConfigError(f"{safe(target)}: torch.optim has no such optimizer.{hint}")
    return subject_of(getattr(torch.optim, name), target, arguments)


def _loaded(source: str, name: str, target: str, arguments: Mapping[str, Any], allow_code: Collection[str]) -> Subject:
    found = load_attribute(source, name, allow_code)
    if not isinstance(found, type):
        return _rule(source, found, target, arguments, allow_code)
    if not callable(getattr(found, "step", None)):
        raise ConfigError(f"{safe(target)}: the class has no method step, an optimizer has")
    from momentumlab.audit.torch_subject import subject_of

    return subject_of(found, safe(target), arguments)


def _rule(
    source: str, function: object, target: str, arguments: Mapping[str, Any], allow_code: Collection[str]
) -> RuleSubject:
    if function is None:
        rule = rule_from_file(source, arguments, allow_code=allow_code)
    else:
        rule = rule_of(function, source, arguments)
    return RuleSubject(safe(target), rule, True, rule.arguments, rule.update.__code__.co_filename)


def _no_such(target: str) -> str:
    guess = nearest(target.lower(), RULES)
    return (
        f"{shown(target)} names no optimizer.{f' Did you mean {guess}?' if guess else ''} One is torch.optim.NAME, "
        f"package.module:Class, file.py:Class or rule.py, the last three with --allow-code, or a rule of ours: "
        f"{', '.join(RULES)}"
    )
