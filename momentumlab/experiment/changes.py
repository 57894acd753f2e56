"""Setting dotted keys in the data of an experiment, as `--set` and the cells of a grid do."""

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from momentumlab.errors import ConfigError
from momentumlab.experiment.explain import given
from momentumlab.experiment.keys import models_in
from momentumlab.experiment.schema_optimizer import MomentumOptimizer, backends_of, has_gamma, keys_of
from momentumlab.experiment.schema_torch import TORCH_CLASSES

Data = dict[str, Any]

# Two ways to say one thing: the one that is set takes the place of the one in the file.
_RIVALS = {
    "train.epochs": ("train.steps",),
    "train.steps": ("train.epochs",),
    "objective.eigenvalues": ("objective.condition", "objective.dimension"),
    "objective.condition": ("objective.eigenvalues",),
    "objective.dimension": ("objective.eigenvalues",),
}


def changed(data: Data, changes: Mapping[str, Any]) -> Data:
    """A copy of `data` in which every dotted key of `changes` is set; a mapping for `optimizer` is merged in.

    Raises ConfigError where a key leads through something that is no section.
    """
    changes = flat(changes)
    result = dict(data)
    for key, value in changes.items():
        for rival in _rivals(key, value, data, changes):
            if rival not in changes:
                result = _without(result, rival.split("."))
    for key in sorted(changes, key=lambda key: key.count(".")):  # a whole section first, then keys within it
        result = _put(result, key.split("."), changes[key], key)
    return result


def value_key(key: str, data: Data) -> str:
    """`key` itself, or its `value` where `data` has a schedule there: the schedule keeps its shape.

    A list of points has no such value: it is replaced.
    """
    if key not in {"optimizer.gamma", "optimizer.eta"}:
        return key
    section = data.get("optimizer")
    setting = section.get(key.removeprefix("optimizer.")) if isinstance(section, dict) else None
    return f"{key}.value" if isinstance(setting, dict) and setting.get("schedule") != "list" else key


def flat(changes: Mapping[str, Any]) -> Data:
    """The changes with a mapping for `optimizer` taken apart into its keys, so that it is merged."""
    result: Data = {}
    for key, value in changes.items():
        if key == "optimizer" and isinstance(value, dict):
            result |= {f"optimizer.{inner}": kept for inner, kept in value.items()}
        else:
            result[key] = value
    return result


def _rivals(key: str, value: Any, data: Data, changes: Data) -> Iterable[str]:
    said = data.get("optimizer")
    section: Data = said if isinstance(said, dict) else {}
    if key == "optimizer.kind":
        return _strange_to(value, section)
    if key in {"optimizer.gamma.schedule", "optimizer.eta.schedule"}:
        setting = key.removesuffix(".schedule")
        return (f"{setting}.{name}" for name in _of_another_shape(value, setting.partition(".")[2], section))
    if _says_beta1(key, value, changes.get("optimizer.kind", section.get("kind"))):
        return ("optimizer.gamma",)
    return _RIVALS.get(key, ())


def _of_another_shape(shape: Any, setting: str, section: Data) -> Iterable[str]:
    # What stands beside a schedule's name and is a key of the old shape alone.
    shapes = models_in(MomentumOptimizer.model_fields[setting].annotation)
    known = [one.model_fields for one in shapes if shape in get_args(one.model_fields["schedule"].annotation)]
    before = section.get(setting)
    return [name for name in before if known and name not in known[0]] if isinstance(before, dict) else []


def _strange_to(kind: Any, section: Data) -> Iterable[str]:
    # What the file says of the other kind alone was meant for that kind: its γ where one of the two has none.
    known, before = keys_of(kind), section.get("kind", "momentum")
    strange = [name for name in section if known and name not in known]
    strange += ["backend"] * (section.get("backend") not in (None, *backends_of(kind)))
    return (f"optimizer.{name}" for name in strange + ["gamma"] * (has_gamma(kind) != has_gamma(before)))


def _says_beta1(key: str, value: Any, kind: Any) -> bool:
    # Of Adam and its kin the first of betas is γ.
    known = TORCH_CLASSES.get(str(kind))
    if known is None or known.gamma_argument != "betas":
        return False
    if key == "optimizer.arguments":
        value = value.get("betas") if isinstance(value, dict) else None
    elif key != "optimizer.arguments.betas":
        return False
    return isinstance(value, list) and value[:1] not in ([], [None])


def _without(data: Data, path: list[str]) -> Data:
    first, *rest = path
    if not rest:
        return {name: kept for name, kept in data.items() if name != first}
    inner = data.get(first)
    return {**data, first: _without(inner, rest)} if isinstance(inner, dict) else data


def _put(data: Data, path: list[str], value: Any, key: str) -> Data:
    first, *rest = path
    if not rest:
        return {**data, first: value}
    inner = data.get(first)
    if not isinstance(inner, dict | None):
        raise ConfigError(f"{key}: {first} is {given(inner)}, which has no keys of its own")
    return {**data, first: _put(inner or {}, rest, value, key)}
