"""Setting dotted keys in the data of an experiment, as `--set` and the cells of a grid do."""

from collections.abc import Mapping
from typing import Any

from momentumlab.errors import ConfigError
from momentumlab.experiment.explain import given
from momentumlab.experiment.schema_optimizer import backends_of, has_gamma, keys_of

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
        for rival in _rivals(key, value, data):
            section, _, name = rival.partition(".")
            if rival not in changes and isinstance(result.get(section), dict):
                result[section] = {other: kept for other, kept in result[section].items() if other != name}
    for key in sorted(changes, key=lambda key: key.count(".")):  # a whole section first, then keys within it
        result = _put(result, key.split("."), changes[key], key)
    return result


def value_key(key: str, data: Data) -> str:
    """`key` itself, or its `value` where `data` has a schedule there: the schedule keeps its shape.

    A list of points has no such value: it is replaced.
    """
    section, _, name = key.partition(".")
    inner = data.get(section)
    schedule = inner.get(name) if isinstance(inner, dict) else None
    return f"{key}.value" if isinstance(schedule, dict) and schedule.get("schedule") != "list" else key


def flat(changes: Mapping[str, Any]) -> Data:
    """The changes with a mapping for `optimizer` taken apart into its keys, so that it is merged."""
    result: Data = {}
    for key, value in changes.items():
        if key == "optimizer" and isinstance(value, dict):
            result |= {f"optimizer.{inner}": kept for inner, kept in value.items()}
        else:
            result[key] = value
    return result


def _rivals(key: str, value: Any, data: Data) -> tuple[str, ...]:
    if key != "optimizer.kind":
        return _RIVALS.get(key, ())
    # What the file says of the other kind alone was meant for that kind: its γ where one of the two has none.
    section = data.get("optimizer")
    said = section if isinstance(section, dict) else {}
    known, before = keys_of(value), said.get("kind", "momentum")
    strange = [name for name in said if known and name not in known]
    strange += ["backend"] * (said.get("backend") not in (None, *backends_of(value)))
    return tuple(f"optimizer.{name}" for name in strange + ["gamma"] * (has_gamma(value) != has_gamma(before)))


def _put(data: Data, path: list[str], value: Any, key: str) -> Data:
    first, *rest = path
    if not rest:
        return {**data, first: value}
    inner = data.get(first)
    if not isinstance(inner, dict | None):
        raise ConfigError(f"{key}: {first} is {given(inner)}, which has no keys of its own")
    return {**data, first: _put(inner or {}, rest, value, key)}
