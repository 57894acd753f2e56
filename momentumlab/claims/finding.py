"""What a claim's experiments found: measured beside theory, where the claim holds, and the verdict that follows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Value = float | int | str | None
"""A number or a word; None is never: a run that does not come to rest, or what does not happen."""

LEAST_GAIN = 1.2
"""From this factor on something is better than without momentum; what is nearer to 1 counts as equal."""


@dataclass(frozen=True)
class Quantity:
    """One thing that was measured in every row of an experiment, and what theory says of it."""

    key: tuple[str, ...]  # where it stands in JSON, from the outside in
    heading: str
    measured: Sequence[Value]
    theory: Sequence[Value] | None = None  # None where theory says nothing
    margin: float | Sequence[float] = 0.0  # how far apart the two may be, of each row

    @property
    def agrees(self) -> Sequence[bool]:
        """Whether measured and theory are within the margin, of each row."""
        if self.theory is None:
            return [True] * len(self.measured)
        margins = [self.margin] * len(self.measured) if isinstance(self.margin, float) else self.margin
        return [_near(*pair) for pair in zip(self.measured, self.theory, margins, strict=True)]


@dataclass(frozen=True)
class Experiment:
    """Runs of one setting: a table with a row for each γ, or whatever else is varied."""

    name: str
    setting: Mapping[str, Any]  # what was trained, as an experiment file says it
    varied: str  # the symbol of what differs between rows
    rows: Sequence[Value]
    quantities: Sequence[Quantity]

    @property
    def labels(self) -> list[str]:
        """What each row is called, in the table and in JSON."""
        return [word(row) for row in self.rows]

    @property
    def disagreements(self) -> list[str]:
        """Where measured and theory are further apart than they may be, each as a sentence."""
        return [
            f"{quantity.heading} at {self.varied} = {label}: measured {word(measured)}, theory {word(theory)}"
            for quantity in self.quantities
            for label, measured, theory, agrees in zip(
                self.labels, quantity.measured, quantity.theory or quantity.measured, quantity.agrees, strict=True
            )
            if not agrees
        ]

    def of(self, *key: str) -> dict[Any, Any]:
        """What was measured of one quantity, by row."""
        (found,) = (quantity for quantity in self.quantities if quantity.key == key)
        return dict(zip(self.rows, found.measured, strict=True))

    def as_object(self) -> dict[str, Any]:
        """For JSON: `measured` and `theory` by quantity, then by row."""
        measured: dict[str, Any] = {}
        theory: dict[str, Any] = {}
        for quantity in self.quantities:
            _put(measured, quantity.key, dict(zip(self.labels, map(_plain, quantity.measured), strict=True)))
            if quantity.theory is not None:
                _put(theory, quantity.key, dict(zip(self.labels, map(_plain, quantity.theory), strict=True)))
        return {
            "name": self.name,
            "setting": dict(self.setting),
            "measured": measured,
            "theory": theory,
            "agrees": not self.disagreements,
        }


@dataclass(frozen=True)
class Trial:
    """One condition under which the claim was put to the test, and what came of it."""

    when: str
    words: str  # what was measured there
    holds: bool
    effect: float | None = None  # how many times as good as without momentum, where that is a number

    @property
    def size(self) -> str:
        """The effect in words; empty where it is no number, or infinite."""
        if self.effect is None or not 0 < self.effect < math.inf:
            return ""
        if 1 / LEAST_GAIN < self.effect < LEAST_GAIN:
            return "about equal"
        times = max(self.effect, 1 / self.effect)
        said = f"{times:.3g}" if times < 1000 else f"{times:,.0f}"  # not in powers of ten
        return f"{said} times {'better' if self.effect > 1 else 'worse'}"

    @classmethod
    def of_gain(cls, when: str, words: str, effect: float) -> "Trial":
        """A trial that is decided by how many times as good momentum is."""
        return cls(when, words, effect >= LEAST_GAIN, effect)


@dataclass(frozen=True)
class Finding:
    """A claim of the article with all that was measured of it."""

    claim: int
    article: str  # its words in the article
    words: str
    experiments: Sequence[Experiment]
    trials: Sequence[Trial]
    series: Mapping[str, Any] = field(default_factory=dict)  # further numbers that its picture shows

    @property
    def verdict(self) -> str:
        """true where the claim held in every trial, false where in none, otherwise conditional."""
        held = [trial.holds for trial in self.trials]
        return "true" if all(held) else "conditional" if any(held) else "false"

    @property
    def true_when(self) -> str:
        """The conditions under which it held, with what was measured; empty where there are none."""
        return _conditions(trial for trial in self.trials if trial.holds)

    @property
    def false_when(self) -> str:
        """The conditions under which it did not hold, with what was measured."""
        return _conditions(trial for trial in self.trials if not trial.holds)

    @property
    def compared(self) -> int:
        """How many numbers were measured that theory knows too."""
        return sum(len(one.theory) for experiment in self.experiments for one in experiment.quantities if one.theory)

    @property
    def disagreements(self) -> list[str]:
        """Where measured and theory contradict each other."""
        return [f"{one.name}: {line}" for one in self.experiments for line in one.disagreements]

    def as_object(self) -> dict[str, Any]:
        """For JSON, which has no infinity: an effect that is infinite is null."""
        return {
            "claim": self.claim,
            "says": self.words,
            "article": self.article,
            "experiments": [experiment.as_object() for experiment in self.experiments],
            "effects": [
                {"when": one.when, "measured": one.words, "holds": one.holds, "effect": _plain(one.effect)}
                for one in self.trials
            ],
            "verdict": self.verdict,
            "true_when": self.true_when,
            "false_when": self.false_when,
            "agrees": not self.disagreements,
        }


def word(value: Value) -> str:
    """A value as tables and JSON keys say it: a number with four digits."""
    if value is None:
        return "never"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def gain(without: float | None, with_momentum: float | None) -> float:
    """How many times fewer updates it took with momentum; None is never."""
    if with_momentum is None:
        return 1.0 if without is None else 0.0
    return math.inf if without is None else without / with_momentum


def _conditions(trials: Any) -> str:
    return "; ".join(f"{trial.when}: {trial.words}" for trial in trials)


def _near(measured: Value, theory: Value, margin: float) -> bool:
    if measured is None or theory is None or isinstance(measured, str) or isinstance(theory, str):
        return measured == theory
    return abs(measured - theory) <= margin


def _put(tree: dict[str, Any], key: tuple[str, ...], value: Any) -> None:
    for name in key[:-1]:
        tree = tree.setdefault(name, {})
    tree[key[-1]] = value


def _plain(value: Value) -> Value:
    return None if isinstance(value, float) and not math.isfinite(value) else value
