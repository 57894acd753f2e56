"""Hyperparameters with which another rule takes the same steps, and where two rules part when there are none.

The names are those of rules.py, with `classical` and `torch` for momentum with η inside and outside, and `nesterov` for
torch's form. What is a special case of quasi-hyperbolic momentum and no rule here can be converted from, not to. signum
and lion step by signs and are none.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

from momentumlab.errors import ConfigError
from momentumlab.optimizers.hyperparameters import SCHEDULED, exact, inexact, refuse
from momentumlab.optimizers.quasi_hyperbolic import (
    READ,
    WRITTEN,
    NoConstantsError,
    QuasiHyperbolic,
    UndefinedError,
    Values,
    hyperparameters,
    rounded,
)
from momentumlab.optimizers.rules import RULES
from momentumlab.text import nearest, shown

SOURCES = tuple(READ)
TARGETS = tuple(WRITTEN)

_NAMES_IN_RULES = {"classical": "momentum", "torch": "torch_momentum", "nesterov": "torch_nesterov"}
_OF_SIGNS = ("signum", "lion")
_APART = Decimal("1e-12")  # of the way gone: in float64 the same steps are hardly closer


@dataclass(frozen=True)
class Conversion:
    """What the target needs to take the source's steps, or why nothing does."""

    hyperparameters: dict[str, float | list[float]]  # by the target's names; under a schedule those of the first update
    formula: str  # how they follow from the source's; empty where there are none
    parts_at: int | None  # the first update, from 1, after which the iterates differ; None: they stay together
    reason: str  # why they part; empty where they stay together


class _Script(NamedTuple):
    """A rule and its hyperparameters in every update."""

    name: str
    updates: Sequence[Values]


def parse_pair(text: str) -> tuple[str, str]:
    """Source and target of a text such as "torch:classical". Raises ConfigError for another shape or unknown names."""
    source, _, target = (part.strip() for part in text.partition(":"))
    if not (source and target):
        raise ConfigError(
            f"--convert: got {shown(text)}, must be SOURCE:TARGET such as torch:classical. "
            f"Sources: {', '.join(SOURCES)}. Targets: {', '.join(TARGETS)}."
        )
    _check_names(source, target)
    return source, target


def convert(source: str, target: str, given: Mapping[str, Any], steps: int = 100) -> Conversion:
    """The target's hyperparameters that give the iterates of the source, whose own are `given`.

    A value of `given` is a number, for gammas and weights a list; gamma and eta of a rule may be schedules, of which
    the first `steps` updates count. Numbers are taken as they are typed: 0.1 is a tenth.

    Where nothing does it, `parts_at` is the first update after which the iterates differ by more than 1e-12 of the way
    they have gone, for scripted gradients and to 50 digits: with the same γ and η where there are no constants; under a
    schedule with γ and η converted anew for every update, and nu, gammas and weights, which know no schedule, as in the
    first.

    Raises ConfigError, every problem at once: unknown names, hyperparameters missing, unknown or out of range, and
    results out of range.
    """
    _check_names(source, target)
    updates = exact(source, given, steps)
    try:
        formula, wanted = _wanted(source, target, updates)
    except NoConstantsError as missing:
        return _without_constants(_Script(source, updates), target, str(missing))
    found = inexact(wanted[0], f"{source}:{target}")
    if not any(callable(value) for value in given.values()):
        return Conversion(found, formula, None, "")
    here, there = _Script(source, updates), _Script(target, _with_fixed(wanted))
    parts_at = _parting(here, there)
    if parts_at is None:
        return Conversion(found, f"{formula}; {_about_schedules(here, there)}", None, "")
    reason = f"{_why(here, there, wanted)}: they part at update {parts_at}{_about_correction(here, there)}"
    return Conversion(found, formula, parts_at, reason)


def _check_names(source: str, target: str) -> None:
    problems = [] if source in SOURCES else [_unknown("source", source, SOURCES)]
    if target not in TARGETS:
        known = f"--convert: {target} can be the source only. Targets: {', '.join(TARGETS)}."
        problems.append(known if target in SOURCES else _unknown("target", target, TARGETS))
    if problems:
        raise ConfigError(problems)


def _unknown(role: str, name: str, allowed: Sequence[str]) -> str:
    ours = {rule: known for known, rule in _NAMES_IN_RULES.items()}
    guess = nearest(name, [*allowed, *ours])
    guess = ours.get(guess or "", guess)
    hint = f" Did you mean {guess!r}?" if guess else ""
    if name in _OF_SIGNS:
        hint = " It steps by signs, which no average follows. lion with beta1 = gamma is signum."
    return f"--convert: got {shown(name)} as the {role}, must be one of {', '.join(allowed)}.{hint}"


def _wanted(source: str, target: str, updates: Sequence[Values]) -> tuple[str, Sequence[Values]]:
    """The formula of the first update, and what the target would need in each."""
    if source == target:
        names = hyperparameters(target)  # in their order
        return "nothing changes", [{name: update[name] for name in names} for update in updates]
    reads = [_read(source, update) for update in updates]
    refuse({"gamma": reads[0][1].beta, "eta": reads[0][1].alpha}, f"{source} as quasi-hyperbolic momentum")
    writes = [WRITTEN[target](hub) for _, hub in reads]
    if {source, target} == {"classical", "torch"}:
        return "γ = momentum, η = lr: v = η·b", [values for _, values in writes]
    return f"{source}: {reads[0][0]}; {target}: {writes[0][0]}", [values for _, values in writes]


def _read(source: str, update: Values) -> tuple[str, QuasiHyperbolic]:
    try:
        return READ[source](**update)
    except UndefinedError as error:
        raise ConfigError(f"{source}: {error}") from None


def _with_fixed(wanted: Sequence[Values]) -> list[Values]:
    """What can be typed: γ and η of every update, the rest of the first."""
    return [wanted[0] | {name: update[name] for name in SCHEDULED if name in update} for update in wanted]


def _without_constants(script: _Script, target: str, missing: str) -> Conversion:
    source = script.name
    if source not in TARGETS:  # a special case of qhm: it takes qhm's steps
        script = _Script("qhm", [WRITTEN["qhm"](_read(source, update)[1])[1] for update in script.updates])
    parts_at = _parting(script, _Script(target, [_same(target, update) for update in script.updates]))
    shared = {"sgd": "η"}.get(target, "η and the largest γ" if source == "aggmo" else "γ and η")
    when = f"they part at update {parts_at}" if parts_at else f"they do not part in {len(script.updates)} updates"
    reason = f"no constants make {target} follow {source}: {missing}; with the same {shared} {when}"
    return Conversion({}, "", parts_at, reason)


def _same(target: str, update: Values) -> Values:
    """The target's hyperparameters that have the source's names; ν = 1 for an average without a push of its own."""
    several = update.get("gammas")
    values = {"nu": Fraction(1), "gamma": max(several)} if several else update
    values = values | {"eta": update["eta"]}
    return {name: values[name] for name in hyperparameters(target)}


def _parting(one: _Script, other: _Script) -> int | None:
    """The first update, from 1, after which two rules are apart under the same gradients."""
    with localcontext(prec=50):
        way = Decimal(0)
        for update, (here, there) in enumerate(zip(_iterates(one), _iterates(other), strict=True), start=1):
            way = max(way, abs(here), abs(there))
            if abs(here - there) > _APART * way:
                return update
    return None


def _iterates(script: _Script) -> Iterator[Decimal]:
    """θ after each update, from 0. Decimals: in floats 1 − γ alone would make the rules differ where γ is near 1."""
    rule = RULES[_NAMES_IN_RULES.get(script.name, script.name)]
    theta = Decimal(0)
    memory = rule.at_rest(theta, script.updates[0])
    for step, update in enumerate(script.updates):
        numbers = {"gamma": Decimal(0)} | {name: _decimal(value) for name, value in update.items()}
        own = {name: numbers[name] for name in rule.hyperparameters}
        theta, memory = rule.update(theta, _gradient(step), memory, **own)
        yield theta


def _gradient(step: int) -> Decimal:
    """Without a pattern that two different rules could answer alike."""
    return Decimal(repr(math.cos(step * step)))


def _decimal(value: Any) -> Any:
    if isinstance(value, list):
        return [_decimal(one) for one in value]
    return Decimal(value.numerator) / value.denominator


def _about_schedules(here: _Script, there: _Script) -> str:
    pairs = zip(here.updates, there.updates, strict=True)
    factors = {theirs["eta"] / ours["eta"] for ours, theirs in pairs if ours["eta"]}
    together = f"the same iterates in all {len(here.updates)} updates"
    if len(factors) > 1:
        return f"{together} if η follows this formula in each"
    factor = rounded(factors.pop())
    ours, theirs = ([update.get("gamma") for update in script.updates] for script in (here, there))
    if factor == 1 and ours == theirs:
        return f"{together}, with the same schedules"
    falling = len({update["eta"] for update in here.updates}) > 1
    eta = f"every η times {factor:.6g}" if factor != 1 else f"the same {'schedule of η' if falling else 'η'}"
    # A γ of its own is one number then: where nothing is remembered 0, whatever schedule the source has.
    gamma = "" if theirs[0] is None or ours == theirs else f" and γ = {rounded(theirs[0]):.6g}"
    return f"{together}, with {eta}{gamma}"


def _why(here: _Script, there: _Script, wanted: Sequence[Values]) -> str:
    following = [name for name in wanted[0] if any(update[name] != wanted[0][name] for update in wanted)]
    unable = [name for name in following if name not in SCHEDULED]
    if unable:
        return f"{' and '.join(unable)} of {there.name} would have to change with γ, and only γ and η have schedules"
    if "classical" in (here.name, there.name):
        other = there.name if here.name == "classical" else here.name
        return f"classical keeps the η of its day in v, {other} rescales the past"
    changing = [name for name in SCHEDULED if len({update.get(name) for update in here.updates}) > 1]
    symbols = " and ".join({"gamma": "γ", "eta": "η"}[name] for name in changing)
    return f"{here.name} and {there.name} weigh the past differently once {symbols} changes"


def _about_correction(here: _Script, there: _Script) -> str:
    """That the classical form follows with γ·η_t/η_{t−1} in place of γ, where it does. Goyal et al. 2017."""
    if here.name == "classical":
        here, there = there, here
    if there.name != "classical":
        return ""
    corrected = [
        now | {"gamma": now["gamma"] * now["eta"] / before["eta"] if before["eta"] else now["gamma"]}
        for before, now in pairwise([there.updates[0], *there.updates])
    ]
    follows = _parting(here, _Script("classical", corrected)) is None
    return f"; with momentum_correction: true classical follows {here.name}" if follows else ""
