"""From what a user names to something that can be examined; other people's code is loaded only where it is allowed."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from momentumlab.audit.subject import CUSTOMARY_GAMMA, RuleSubject, Subject
from momentumlab.errors import ConfigError
from momentumlab.experiment import shipped
from momentumlab.experiment.schema_torch import NOT_TRAINED, TORCH_CLASSES
from momentumlab.optimizers.code import is_file, load_attribute, rule_from_file, rule_of
from momentumlab.optimizers.hyperparameters import uneven, wrong
from momentumlab.optimizers.quasi_hyperbolic import READ
from momentumlab.optimizers.rules import RULES
from momentumlab.text import nearest, safe, shown

# What a rule takes beside γ and η, where nothing is said: the values of its paper.
_CUSTOMARY: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {"qhm": {"nu": 0.7}, "aggmo": {"gammas": [0.0, 0.9, 0.99]}, "lion": {"beta1": 0.9}}
)

_GAMMAS = {"lion": 0.99}  # the paper's β₂
_FILES = ("metrics.csv", "runs.csv", "manifest.json", "parameters.npz", "experiment.yaml")  # of a result


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
    if source in READ and name in READ:
        raise ConfigError(f"{safe(target)}: names no optimizer. Did you mean --convert {safe(target)}?")
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
    if given.get("weights", 0) is None:
        del given["weights"]
    problems = [f"{name}: {other}: {words}" for other in given if (words := wrong(other, given[other]))]
    problems += [f"{name}: {lengths}"] if (lengths := uneven(given)) else []
    if problems:
        raise ConfigError(problems)
    if "gammas" in given:
        given.setdefault("weights", [1 / len(given["gammas"])] * len(given["gammas"]))
    takes_gamma = "gamma" in rule.hyperparameters and name != "sgd"
    return RuleSubject(name, rule, takes_gamma, given, customary_gamma=_GAMMAS.get(name, CUSTOMARY_GAMMA))


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
    path = Path(target)
    if path.name in _FILES and os.path.isfile(path.parent / "manifest.json"):
        return f"{shown(target)} is a file of a result: check its folder, {safe(path.parent)}"
    if target in shipped.names() or (path.suffix in (".yaml", ".yml") and os.path.isfile(target)):
        return (
            f"{shown(target)} is an experiment: train it first (momentumlab run {safe(target)}), then check the "
            "folder of its result"
        )
    if os.path.exists(target):
        return f"{shown(target)} is neither a result folder nor a file of Python"
    if len(path.parts) > 1:
        return f"{shown(target)} names no optimizer, and there is no such folder or file.{_near_folder(path)}"
    return (
        f"{shown(target)} names no optimizer, and there is no such folder.{_near_optimizer(target)} An optimizer is "
        "torch.optim.NAME, package.module:Class, file.py:Class or rule.py, the last three with --allow-code, or a rule "
        f"of ours: {', '.join(RULES)}"
    )


def _near_folder(path: Path) -> str:
    try:
        guess = nearest(path.name, [other.name for other in path.parent.iterdir() if other.is_dir()])
    except OSError:
        guess = None
    return f" Did you mean {safe(path.parent / guess)}?" if guess else " Results lie in runs/ by default."


def _near_optimizer(word: str) -> str:
    names = {name: name for name in RULES} | {name: f"torch.optim.{name}" for name in (*TORCH_CLASSES, *NOT_TRAINED)}
    same = [name for name in names if name.lower() == word.lower()]
    guess = word if word in names else next(iter(same), None) or nearest(word, names)
    return f" Did you mean {names[guess]}?" if guess else ""
