"""What an audit found: for a program as an object, for a person as lines."""

import math
from dataclasses import dataclass
from typing import Any

from momentumlab.audit.recurrences import UNKNOWN, Recurrence
from momentumlab.audit.script import CHANGE, RESUME, STEPS

GAMMA_DEAD = "γ without effect"
ETA_DEAD = "change of η without effect"
DECAY_DEAD = "weight decay without effect"
STATE_LOST = "state lost on resume"
FROM_WEIGHTS = "buffer started at the weights"
GRADIENT_CHANGED = "p.grad changed"
GROUPS_MIXED = "groups mixed up"
UPHILL = "moves uphill"
MAXIMIZE_DEAD = "maximize without effect"
SHARED = "state shared between instances"
IDLE_MOVED = "parameter without a gradient moved"
IDLE_FAILS = "fails on a parameter without a gradient"


@dataclass(frozen=True)
class Defect:
    """One thing that is wrong, and the first update, from 1, and number of the script where it shows."""

    name: str
    sentence: str
    step: int | None = None
    expected: float | None = None
    got: float | None = None

    def __str__(self) -> str:
        return f"{self.name}: {self.sentence}"


@dataclass(frozen=True)
class Parting:
    """Where an optimizer first leaves a recurrence: the update, from 1, the coordinate, and both values of θ there."""

    gamma: float
    step: int
    coordinate: str
    expected: float
    got: float


@dataclass(frozen=True)
class Report:
    """The findings about `target` with γ (None where it takes none) and η; `nearest` is followed unless `parting`."""

    target: str
    gamma: float | None
    eta: float
    gammas: tuple[float, ...]  # all with which it was watched
    nearest: Recurrence
    form: str | None
    parting: Parting | None
    defects: tuple[Defect, ...]
    notes: tuple[str, ...]

    @property
    def recurrence(self) -> str:
        """The name of the recurrence that it follows, or "none that I know"."""
        return UNKNOWN if self.parting else self.nearest.name

    @property
    def weight_decay(self) -> str | None:
        """How the weights decay: coupled, decoupled, or decoupled, not scaled by η; None where they do not."""
        return None if self.parting else self.nearest.weight_decay

    @property
    def first(self) -> Parting | Defect | None:
        """Where it leaves the nearest recurrence, or else where the first defect shows; None where neither is so."""
        return self.parting or next((defect for defect in self.defects if defect.step is not None), None)

    @property
    def step(self) -> int | None:
        """The update, from 1, of `first`."""
        return self.first.step if self.first else None

    @property
    def expected(self) -> float | None:
        """What should have come there."""
        return self.first.expected if self.first else None

    @property
    def got(self) -> float | None:
        """What came."""
        return self.first.got if self.first else None

    def as_object(self) -> dict[str, Any]:
        """Everything by name, in what JSON can hold: a number that is not finite becomes its name."""
        return {
            "target": self.target,
            "recurrence": self.recurrence,
            "form": self.form,
            "weight_decay": self.weight_decay,
            "defects": [str(defect) for defect in self.defects],
            "step": self.step,
            "expected": plain(self.expected),
            "got": plain(self.got),
            "formula": None if self.parting else self.nearest.formula,
            "nearest": self.nearest.title,
            "gamma": self.gamma,
            "eta": self.eta,
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """The report for reading: what it follows, or where it leaves the nearest, then each defect and note."""
        settings = "" if self.gamma is None else f"γ = {self.gamma}, "
        lines = [f"{self.target}, {settings}η = {self.eta}"]
        lines += self._departure() if self.parting else self._following()
        lines += [line for defect in self.defects for line in _told(defect)] or ["defects       none found"]
        lines += [f"note          {note}" for note in self.notes]
        return [*lines, self._script()]

    def _following(self) -> list[str]:
        title = f"{self.nearest.name}, {self.form} form" if self.form else self.nearest.name
        lines = [f"recurrence    {title}", f"formula       {self.nearest.formula}"]
        return lines + ([f"weight decay  {self.weight_decay}"] if self.weight_decay else [])

    def _departure(self) -> list[str]:
        assert self.parting is not None
        at = self.parting
        decay = f", weight decay {self.nearest.weight_decay}" if self.nearest.weight_decay else ""
        setting = "" if self.nearest.rule in ("sgd", "aggmo") else f" (γ = {at.gamma})"
        return [
            f"recurrence    {UNKNOWN}",
            f"nearest       {self.nearest.title}{decay}: {self.nearest.formula}",
            f"leaves it     at update {at.step}{setting}, {at.coordinate}: expected {at.expected!r}, got {at.got!r}",
        ]

    def _script(self) -> str:
        gammas = f"γ = {', '.join(f'{gamma:g}' for gamma in self.gammas)}; " if self.gamma is not None else ""
        return (
            f"script        {gammas}{STEPS} updates in float64, another η after update {CHANGE}, "
            f"a resume after update {RESUME}"
        )


def _told(defect: Defect) -> list[str]:
    lines = [f"defect        {defect}"]
    if defect.expected is not None:
        lines += [f"              at update {defect.step}: expected {defect.expected!r}, got {defect.got!r}"]
    return lines


def plain(value: float | None) -> float | str | None:
    """A number as JSON can hold it: one that is not finite becomes its name."""
    return value if value is None or math.isfinite(value) else str(value)
