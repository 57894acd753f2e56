"""The names of everything that an experiment can say, and the other spellings accepted at the door."""

import inspect
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, get_args

from momentumlab.errors import ConfigError
from momentumlab.experiment.problem import Path, dotted
from momentumlab.experiment.schema import Experiment
from momentumlab.experiment.section import Section
from momentumlab.text import nearest, shown

SLIP = 0.85  # the likeness of a word and what a slip of the finger makes of it: gama, kid, etta
_SECTIONS = ", ".join(Experiment.model_fields)
ALIASES = {"γ": "gamma", "momentum": "gamma", "η": "eta", "lr": "eta", "ν": "nu"}


def full_key(key: str) -> str:
    """The dotted key that `key` stands for: γ, gamma and optimizer.momentum are all optimizer.gamma."""
    parts = unicodedata.normalize("NFKC", key.strip()).split(".")
    if ALIASES.get(parts[0], parts[0]) in {"gamma", "eta"}:
        parts = ["optimizer", *parts]
    if parts[0] == "optimizer" and len(parts) > 1:
        parts[1] = ALIASES.get(parts[1], parts[1])
    return ".".join(parts)


def short_key(key: str) -> str:
    """What tables and legends call a full key: gamma and eta stand alone, all others stay dotted."""
    return {"optimizer.gamma": "gamma", "optimizer.eta": "eta"}.get(key, key)


def canonical(path: Path, key: str) -> str:
    """`key`, written in the section at `path`, under the one name that the experiment knows it by."""
    if path == ("sweep",):
        return short_key(full_key(key))
    if path == ("optimizer",) or (path[:2] == ("sweep", "optimizer") and len(path) == 3):
        plain = unicodedata.normalize("NFKC", key)
        return ALIASES.get(plain, plain)
    return key


def plain(value: Any, path: Path = ()) -> Any:
    """A Python value as YAML would have given it: mappings with canonical keys, lists, numbers, text."""
    if isinstance(value, Mapping):
        return _plain_mapping(value, path)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # numpy's arrays and numbers, without importing numpy
        value = value.tolist()
    if isinstance(value, list | tuple | range):
        return [plain(element, (*path, index)) for index, element in enumerate(value)]
    return value


def _plain_mapping(mapping: Mapping[Any, Any], path: Path) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for typed, value in mapping.items():
        key = canonical(path, str(typed))
        if key in result:
            raise ConfigError(f"{dotted((*path, key))}: given twice, once as {shown(typed)}: keep one")
        result[key] = plain(value, (*path, key))
    return result


def models_in(annotation: Any) -> list[type[Section]]:
    """Every kind of section that a field with this annotation can hold."""
    if inspect.isclass(annotation) and issubclass(annotation, Section):
        return [annotation]
    return [model for argument in get_args(annotation) for model in models_in(argument)]


@cache
def every_key() -> tuple[str, ...]:
    """All dotted keys that some experiment can have, in the order of the file."""
    return tuple(dict.fromkeys(_keys(Experiment)))


def _keys(model: type[Section], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        for inner in models_in(field.annotation):
            yield from _keys(inner, f"{prefix}{name}.")


def at_home(word: str, here: str = "") -> str:
    """The question "Did you mean …?" for a word that is a key elsewhere than `here`; otherwise nothing."""
    word = ALIASES.get(word, word)
    homes = [repr(key) for key in every_key() if word in (key, key.rpartition(".")[2]) and key != here]
    return f" Did you mean {' or '.join(homes[:3])}?" if homes else ""


def unknown(key: str) -> str | None:
    """Why `key` cannot be set or varied, or None when some experiment has it."""
    known = every_key()
    if key in known or re.fullmatch(r"(optimizer\.arguments|expect\.final)\.\w+", key):
        return None
    word = key.rpartition(".")[2]
    if re.fullmatch(r"optimizer\.[a-z]\w*", key) and not (at_home(word) or nearest(word, _words(), SLIP)):
        lion = " β₂ of lion is gamma." if word == "beta2" else ""
        argument = f"An argument of a class of torch or of your rule is optimizer.arguments.{word}."
        return f"unknown key {shown(key)}.{lion} {argument}"
    guess = nearest(key, [*known, *_words()])
    return f"unknown key {shown(key)}." + (at_home(word) or at_home(guess or "") or f" Sections: {_SECTIONS}.")


@cache
def _words() -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.rpartition(".")[2] for name in every_key()))
