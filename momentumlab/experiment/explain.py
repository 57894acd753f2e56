"""What is wrong, in the words of a student: pydantic's errors as lines `where: key: got VALUE, must be …`."""

import re
from collections.abc import Iterable
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from momentumlab.experiment.keys import ALIASES, SLIP, at_home, models_in
from momentumlab.experiment.problem import Path, Problem, dotted
from momentumlab.experiment.schema import Experiment
from momentumlab.experiment.schema_torch import NOT_TRAINED, TORCH_CLASSES
from momentumlab.experiment.section import Section
from momentumlab.experiment.strict_yaml import MOST_PROBLEMS
from momentumlab.text import nearest, shown

_MUST_BE = {
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "string_unicode": "must be text without broken characters",
    "list_type": "must be a list such as [1, 2]",
    "dict_type": "must be a section with keys of its own",
    "finite_number": "must be finite",
    "too_short": "must not be empty",
}
_CHOOSING = ("kind", "schedule")  # the keys that say which section it is
_OTHER_NAMES = {  # what papers call a key
    **{(kind, "beta"): " β is gamma here." for kind in ("momentum", "nesterov", "ema", "qhm", "signum")},
    ("lion", "beta2"): " β₂ is gamma here.",
    ("lion", "betas"): " β₁ is beta1 here, and β₂ is gamma.",
}
_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")


def problems(error: ValidationError, data: Any) -> list[Problem]:
    """One problem or several for each of pydantic's errors in `data`, of very many for the first ones."""
    return [problem for detail in error.errors()[:MOST_PROBLEMS] for problem in _problems(detail, data)]


def law(error: ValidationError) -> str:
    """What a single value must be, by the first error of its own check."""
    return _sentence(error.errors()[0])


def given(value: Any) -> str:
    """A value as a message quotes it: nothing, true and false in place of Python's words for them."""
    if value is None or isinstance(value, bool):
        return "nothing" if value is None else str(value).lower()
    return shown(value)


def _problems(detail: ErrorDetails, data: Any) -> list[Problem]:
    kind, path = detail["type"], _path(detail, data)
    if kind == "problems":
        return [Problem((*path, *keys), sentence) for keys, sentence in detail["ctx"]["problems"]]
    if kind in {"extra_forbidden", "missing"}:
        return [Problem(path, "missing" if kind == "missing" else _unknown_key(detail, path), at_key=True)]
    if kind in {"union_tag_not_found", "union_tag_invalid"}:
        return [_wrong_kind(detail, path)]
    return [Problem(path, f"got {given(detail['input'])}, {_sentence(detail)}")]


def _sentence(detail: ErrorDetails) -> str:
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "law":
        return str(context["law"])
    if kind == "literal_error":
        return _one_of(value, re.findall(r"'([^']*)'", context["expected"]))
    if kind == "too_long":
        return f"must have at most {context['max_length']} elements"
    if kind in {"model_type", "model_attributes_type"}:
        return f"must be a section such as {_example(detail)}"
    return _MUST_BE.get(kind, detail["msg"]) + (_about_quotes(kind, value) or _or_a_schedule(detail))


def _about_quotes(kind: str, value: Any) -> str:
    if kind in {"float_type", "int_type"} and isinstance(value, str) and _NUMBER.fullmatch(value):
        return ": take the quotes away"
    return ": put it in quotes" if kind == "string_type" and isinstance(value, int | float) else ""


def _or_a_schedule(detail: ErrorDetails) -> str:
    """For the name of a schedule that stands where its mapping should."""
    *setting, shape = detail["loc"] or ("",)
    if shape != "a number" or not isinstance(detail["input"], str):
        return ""
    shapes = {kind: model for model in _models_at(tuple(setting)) for kind in _kinds(model)}
    name = nearest(detail["input"], shapes)
    if name is None:
        return ""
    needed = [key for key, field in shapes[name].model_fields.items() if field.is_required() and key != "schedule"]
    values = {"value": 0.9 if "gamma" in setting else 0.1}
    keys = [f"schedule: {name}", *(f"{key}: {values.get(key, '…')}" for key in needed)]
    return f", or a schedule: {{{', '.join(keys)}}}"


def _example(detail: ErrorDetails) -> str:
    models = _models_at(detail["loc"])
    kinds = [kind for model in models for kind in _kinds(model)]
    key = next(iter(models[0].model_fields))
    return f"{{{key}: {detail['input'] if detail['input'] in kinds else (*kinds, '…')[0]}}}"


def _one_of(value: Any, allowed: list[str]) -> str:
    ours = [word for word in allowed if word not in TORCH_CLASSES]
    *others, last = ours if len(ours) == len(allowed) else [*ours, "a class of torch.optim such as Adam"]
    choices = f"{', '.join(others)} or {last}" if others else last
    guess = _did_you_mean(value.removeprefix("torch.optim."), allowed) if isinstance(value, str) else ""
    return f"must be {choices}" + (f".{guess}" if guess else "")


def _did_you_mean(word: str, choices: Iterable[str], likeness: float = 0.6) -> str:
    guess = nearest(word, choices, likeness)
    return f" Did you mean {guess!r}?" if guess else ""


def _wrong_kind(detail: ErrorDetails, path: Path) -> Problem:
    section, key = detail["input"], detail["ctx"]["discriminator"].strip("'")
    kinds = [kind for model in _models_at(detail["loc"]) for kind in _kinds(model)]
    if key not in section:
        shape = nearest(str(section.get("kind", "")), kinds)
        hint = f". In place of kind write {key}: {shape}" if shape else ""
        return Problem((*path, key), f"missing, {_one_of(None, kinds)}{hint}", at_key=True)
    why = NOT_TRAINED.get(str(section[key]), "")
    law = _one_of(section[key], kinds) + (f". {why}" if why else "")
    return Problem((*path, key), f"got {given(section[key])}, {law}")


def _unknown_key(detail: ErrorDetails, path: Path) -> str:
    *section, last = detail["loc"]
    word, model = str(last), _models_at(tuple(section))[0]
    allowed = list(model.model_fields)
    kind = str(section[-1]) if section and section[-1] in _kinds(model) else ""
    spellings = [*allowed, *(alias for alias, key in ALIASES.items() if key in allowed)]
    hint = _OTHER_NAMES.get((kind, word)) or _did_you_mean(word, spellings, SLIP)
    if kind in TORCH_CLASSES:
        hint = hint or f" An argument of torch.optim.{kind} is optimizer.arguments.{word}."
    hint = hint or _kin(detail) or _did_you_mean(word, spellings) or at_home(word, here=dotted(path))
    return f"unknown key{f' for {kind}' if kind else ''}. Allowed: {', '.join(allowed)}.{hint}"


def _kin(detail: ErrorDetails) -> str:
    """Which other kinds of the section know the key."""
    *section, _, word = ("", *detail["loc"])
    models = _models_at(tuple(section[1:])) if len(section) > 1 else []
    kin = [kind for model in models if word in model.model_fields for kind in _kinds(model)]
    return f" It is a key of {', '.join(kin[:3])}{' …' if len(kin) > 3 else ''}." if kin else ""


def _models_at(loc: tuple[str | int, ...]) -> list[type[Section]]:
    """The sections that can stand at pydantic's `loc`, in which a kind follows the key of its section."""
    models: list[type[Section]] = [Experiment]
    for part in loc:
        owners = [model for model in models if part in model.model_fields]
        if owners:
            models = models_in(owners[0].model_fields[str(part)].annotation)
        else:
            models = [model for model in models if part in _kinds(model)] or models
    return models


def _kinds(model: type[Section]) -> tuple[str, ...]:
    """The words that choose this section among others, as the kind of an optimizer and the name of a schedule do."""
    return next((get_args(model.model_fields[key].annotation) for key in _CHOOSING if key in model.model_fields), ())


def _path(detail: ErrorDetails, data: Any) -> Path:
    """pydantic's `loc` without the kinds in it: what is found in the data, and the key that is missing."""
    path: list[str | int] = []
    for part in detail["loc"]:
        if isinstance(part, int) if isinstance(data, list) else isinstance(data, dict) and part in data:
            data = data[part]
            path.append(part)
    if detail["type"] == "missing":
        path.append(detail["loc"][-1])
    return tuple(path)
