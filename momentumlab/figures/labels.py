"""Words for figures: what a metric, a setting and a problem is called on an axis, in a legend, in a title.

Everything here is plain text; whatever came from a file goes through `safe`.
"""

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from momentumlab.text import safe

Value = Any
"""A setting as it stands in a result: a number, a word, a tuple, or None where a run has no such setting."""

_METRICS = {
    "loss": "loss J(θₖ)",
    "gradient_norm": "length of the gradient ‖∇J(θₖ)‖",
    "velocity_norm": "speed ‖vₖ‖",
    "cosine": "cosine of the angle between vₖ and ∇J(θₖ)",
    "distance": "distance to the nearest minimum ‖θₖ − θ*‖",
    "gamma": "momentum coefficient γ",
    "eta": "learning rate η",
    "inertia": "inertia ‖γ·vₖ‖",
    "push": "push ‖η·∇J(θₖ)‖",
    "reinforced": "share of the push along the inertia",
    "cancelled": "share of the push against the inertia",
    "path": "length of the path Σ‖θₖ₊₁ − θₖ‖",
    "displacement": "displacement ‖θₖ − θ₀‖",
    "tortuosity": "tortuosity (path / displacement)",
    "sign_flips": "share of the coordinates of v that change sign",
    "kinetic": "kinetic energy (γ/2η)·‖vₖ‖²",
    "energy": "energy E = J(θₖ) + (γ/2η)·‖vₖ‖²",
    "friction": "energy lost by friction ((1−γ)/η)·‖v‖²",
    "turning": "energy lost by turning (γ/2η)·‖Δv‖²",
    "bend": "energy given by the bend of the landscape",
    "sharpness": "sharpness λ_max of ∇²J(θₖ)",
    "stability": "sharpness over the rule's limit (1: the edge)",
    "noise_scale": "gradient noise scale tr Σ/‖∇J‖² (samples)",
    "train_loss": "loss over all training data",
    "train_accuracy": "training accuracy (share right)",
    "test_loss": "loss over the test data",
    "test_accuracy": "test accuracy (share right)",
}
_VECTORS = {
    "theta": "parameter θ{}",
    "gradient": "gradient, component (∇J){}",
    "velocity": "velocity, component v{}",
}
_SHORT = {
    "loss": "loss",
    "gradient_norm": "‖∇J‖",
    "velocity_norm": "‖v‖",
    "distance": "distance",
    "inertia": "‖γv‖",
    "push": "‖η∇J‖",
    "path": "path",
    "displacement": "displacement",
    "tortuosity": "tortuosity",
    "sign_flips": "sign flips",
    "energy": "energy",
    "sharpness": "λ_max",
    "stability": "λ_max over limit",
    "noise_scale": "noise scale",
    "train_loss": "training loss",
    "train_accuracy": "training accuracy",
    "test_loss": "test loss",
    "test_accuracy": "test accuracy",
}
_SIGNED = {"cosine", "gamma", "eta", "reinforced", "cancelled", "sign_flips", "bend", "noise_scale"}
_RULES = {
    "sgd": "SGD",
    "momentum": "momentum",
    "nesterov": "Nesterov",
    "ema": "EMA",
    "qhm": "QHM",
    "aggmo": "AggMo",
    "signum": "Signum",
    "lion": "Lion",
    "file": "own rule",
}
_SYMBOLS = {"gamma": "γ", "eta": "η", "form": "form", "backend": "backend", "rule": "rule"} | {
    f"optimizer.{key}": symbol
    for key, symbol in (("nu", "ν"), ("beta1", "β₁"), ("gammas", "γᵢ"), ("weight_decay", "λ"))
}
_MODELS = {"linear": "linear regression", "softmax": "softmax regression", "mlp": "neural network"}
_DATA = {"line": "a noisy line", "moons": "two moons", "digits": "handwritten digits"}
_SUBSCRIPTS = str.maketrans("0123456789-", "₀₁₂₃₄₅₆₇₈₉₋")
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")

RULE_ORDER = tuple(_RULES)


def metric_label(metric: str) -> str:
    """What stands beside the axis of a metric: words and symbol."""
    vector = re.fullmatch(r"(theta|gradient|velocity)_(\d+)", metric)
    if vector:
        return _VECTORS[vector[1]].format(subscript(int(vector[2])))
    return _METRICS.get(metric, safe(metric).replace("_", " "))


def metric_name(metric: str) -> str:
    """The metric in as few letters as a legend has room for."""
    return _SHORT.get(metric, metric_label(metric))


def higher_is_better(metric: str) -> bool:
    """Whether the best run is the one with the largest value."""
    return metric.endswith("accuracy")


def has_a_best(metric: str) -> bool:
    """Whether one value of a metric is better than another: of speeds and angles none is."""
    return metric in {"loss", "gradient_norm", "distance", "train_loss", "test_loss"} or higher_is_better(metric)


def signed(metric: str) -> bool:
    """Whether a metric is never drawn on a logarithmic axis: it has a sign, or its range is [0, 1]."""
    vector = re.fullmatch(r"(theta|gradient|velocity)_\d+", metric)
    return bool(vector) or metric.endswith("accuracy") or metric in _SIGNED


def subscript(number: int) -> str:
    return str(number).translate(_SUBSCRIPTS)


def power_of_ten(exponent: int) -> str:
    return "10" + str(exponent).translate(_SUPERSCRIPTS)


def number(value: float, digits: int = 4) -> str:
    """A number as short as it can be said with `digits` significant ones: 0.9, 430, 1e−5."""
    rounded = float(f"{value:.{digits}g}")
    if rounded == 0 or 1e-4 <= abs(rounded) < 1e5:
        text = f"{rounded:.{max(0, digits - 1 - math.floor(math.log10(abs(rounded) or 1.0)))}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    else:
        mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
        text = f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(exponent)}"
    return text.replace("-", "−")


def distinct(values: Sequence[Value], fewest: int = 4) -> list[str]:
    """Each value as text, numbers with as many digits, `fewest` or more, as it takes to tell them apart."""
    texts: list[str] = []
    for digits in range(fewest, 18):
        texts = [value_text(value, digits) for value in values]
        if len(set(texts)) == len(set(values)):
            break
    return texts


def value_text(value: Value, digits: int = 4) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value, digits)
    if isinstance(value, tuple):
        return shortened("[" + ", ".join(value_text(item, digits) for item in value) + "]", 28)
    return shortened(safe(value), 28)


def shortened(text: str, limit: int) -> str:
    """`text`, or as much of it as `limit` columns hold."""
    if len(text) <= limit and columns(text) <= limit:
        return text
    text = text[:limit]  # a letter takes a column or two
    while columns(text) > limit - 1:
        text = text[:-1]
    return text + "…"


def columns(text: str) -> int:
    """How wide a text is in columns of a typewriter: Chinese letters take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def symbol(key: str) -> str:
    """What a setting is called: γ, η, or the last word of its dotted key."""
    return _SYMBOLS.get(key, safe(key.rpartition(".")[2]).replace("_", " "))


def setting(key: str, value: Value, text: str | None = None) -> str:
    """One setting as a legend says it: `γ = 0.9`, `Nesterov`, `torch form`, `hidden = [64]`."""
    text = value_text(value) if text is None else text
    if key == "rule":
        return _RULES.get(str(value), text)
    if key == "form":
        return f"{text} form"
    if key == "backend":
        return f"backend {text}"
    if key == "optimizer.path":
        return safe(Path(str(value)).name)
    if key.endswith(" schedule"):
        return f"{symbol(key.removesuffix(' schedule'))} {text}"
    return f"{symbol(key)} = {text}"


def schedule_words(schedule: Value) -> str:
    """A γ or η as it changes in time, but for its value: `constant`, `cosine to 0`, `×0.1 after update 3, 9`."""
    if not isinstance(schedule, Mapping) or not schedule.get("schedule"):
        return "constant"
    given = {key: value_text(value) for key, value in schedule.items() if value is not None}
    shape = _shape_words(schedule, given)
    length = f" in {given['steps']} updates" if "steps" in given else ""
    warmup = f", warm-up {given['warmup']}" if schedule.get("warmup") else ""
    return shape + length + warmup


def _shape_words(schedule: Mapping[str, Any], given: Mapping[str, str]) -> str:
    kind = str(schedule.get("schedule", "step"))
    if kind == "step" and isinstance(schedule.get("at", ()), list | tuple):
        return f"×{given.get('factor', '1')} after update {', '.join(str(step) for step in schedule.get('at', ()))}"
    if kind == "list" and "points" in schedule:
        return ", ".join(f"{number(value)} after update {step}" for step, value in schedule["points"][1:])
    if kind == "one_cycle":
        way = {"start": "from", "low": "down to", "end": "to"}
        legs = "".join(f" {way[key]} {given[key]}" for key in way if key in given)
        return f"one-cycle{legs}" + (f", rise {given['rise']}" if schedule.get("rise", 0.3) != 0.3 else "")
    said = {
        "linear": f"linear to {given.get('end', '0')}",
        "cosine": f"cosine to {given.get('end', '0')}",
        "exponential": f"×{given.get('factor')} each update",
        "sutskever": f"Sutskever, every {given.get('every', '250')} updates",
        "demon": "Demon",
    }
    return said.get(kind, given["schedule"])


def problem(experiment: Mapping[str, Any]) -> str:
    """What is minimised: `Rosenbrock`, `linear regression on a noisy line, 100 samples`."""
    objective = experiment.get("objective")
    if objective:
        return _objective(objective)
    model, data = experiment.get("model") or {}, experiment.get("data") or {}
    return f"{_model(model)} on {_data(data)}"


def _objective(objective: Mapping[str, Any]) -> str:
    kind = str(objective.get("kind"))
    if kind == "quadratic":
        return "quadratic " + _spectrum(objective)
    if kind == "forces":
        count = len(objective.get("pushes", ()))
        return f"a body under {count} scripted push{'' if count == 1 else 'es'}"
    words = {"rosenbrock": "Rosenbrock", "beale": "Beale", "himmelblau": "Himmelblau", "booth": "Booth"}
    return words.get(kind, safe(kind).replace("_", " "))


def _spectrum(objective: Mapping[str, Any]) -> str:
    if objective.get("eigenvalues"):
        values = [number(value) for value in objective["eigenvalues"]]
        return shortened(f"with eigenvalues {', '.join(values)}", 60)
    return f"with condition {number(objective.get('condition', 1.0))} in {objective.get('dimension')} dimensions"


def _model(model: Mapping[str, Any]) -> str:
    kind = str(model.get("kind"))
    if kind == "mlp":
        layers = "–".join(str(width) for width in model.get("hidden", ()))
        return f"neural network ({shortened(layers, 24)} hidden, {safe(model.get('activation', 'relu'))})"
    return _MODELS.get(kind, safe(kind))


def _data(data: Mapping[str, Any]) -> str:
    kind = str(data.get("kind"))
    if "path" in data:
        return shortened(safe(Path(str(data["path"])).name), 40)
    name = _DATA.get(kind, safe(kind))
    return f"{name}, {data['samples']} samples" if "samples" in data else name


def listed(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([*([", ".join(words[:-1])] if words[1:] else []), *words[-1:]])


def counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
