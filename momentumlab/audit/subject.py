"""What an optimizer is to the audit: something that can be put to work on groups of parameters, and watched."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from momentumlab.audit.recurrences import Values
from momentumlab.audit.script import CHANGE, STACKS, STEPS, Script, Shapes, Vector, parts
from momentumlab.errors import ConfigError
from momentumlab.optimizers.code import FAILURES, as_column, in_words, line_of
from momentumlab.optimizers.rules import Rule
from momentumlab.text import safe

CUSTOMARY_GAMMA = 0.9


class Group(NamedTuple):
    """Parameters that are trained with one γ under one script; `start` is θ where it is not the script's."""

    gamma: float
    script: Script
    start: Vector


def group(gamma: float, script: Script) -> Group:
    """A group at the start of its script."""
    return Group(gamma, script, script.start)


class Trainer(Protocol):
    """An optimizer at work. All vectors hold the groups one after the other."""

    def step(self, gradients: Sequence[Vector]) -> Vector:
        """One update with a gradient for each group; returns the gradients as the optimizer left them."""
        ...

    def theta(self) -> Vector:
        """All parameters now."""
        ...

    def set_etas(self, etas: Sequence[float]) -> bool:
        """Another η for each group; False where there is nowhere to say it."""
        ...

    def resumed(self) -> "Trainer":
        """A fresh instance on copies of the parameters, with the saved state of this one."""
        ...

    @property
    def can_be_saved(self) -> bool:
        """Whether it has a state to save and load at all."""
        ...

    def idle(self) -> Vector:
        """The parameter that never gets a gradient, as a vector; empty where there is none."""
        ...


class Subject(Protocol):
    """An optimizer that was named, with its arguments. Everything it raises becomes a ConfigError in words."""

    @property
    def name(self) -> str: ...
    @property
    def shapes(self) -> Shapes: ...
    @property
    def values(self) -> Values: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    @property
    def customary_gamma(self) -> float:
        """γ where none is asked for."""
        ...

    def shared(self) -> Mapping[str, str]:
        """What stands outside its instances and they could share, by name, as text."""
        ...

    def start(self, groups: Sequence[Group], *, idle: bool = False) -> Trainer:
        """A fresh instance on fresh parameters; `idle` puts one without a gradient beside them, where it can."""
        ...

    def fitted(self, gamma: float, eta: float) -> "Subject":
        """The same with shapes that it takes; ConfigError where it cannot be put to work with γ and η."""
        ...

    def with_arguments(self, **arguments: Any) -> "Subject":
        """The same with other arguments."""
        ...


class Observation(NamedTuple):
    """A whole script as it was seen."""

    path: Vector  # (step, coordinate): θ after every update
    left: Vector  # (step, coordinate): the gradients after every update, nan where they were taken away
    takes_eta: bool


def watch(subject: Subject, groups: Sequence[Group], resume: int | None = None) -> Observation:
    """All updates of the groups' scripts; with `resume` taken up again once so many are done."""
    trainer, takes_eta = subject.start(groups), True
    path, left = [], []
    for step in range(STEPS):
        if step == resume:
            trainer = trainer.resumed()
        if step == CHANGE:
            takes_eta = trainer.set_etas([float(one.script.etas[step]) for one in groups])
        left.append(trainer.step([one.script.gradients[step] for one in groups]))
        path.append(trainer.theta())
    return Observation(np.array(path), np.array(left), takes_eta)


def failed(doing: str, error: BaseException, file: str | None = None) -> ConfigError:
    """The error that says which words an optimizer failed with, and where in its own file."""
    line = line_of(error, file) if file else None
    return ConfigError(
        f"{doing} raised {in_words(error)}" + (safe(f" ({Path(file).name}:{line})") if file and line else "")
    )


@dataclass(frozen=True)
class RuleSubject:
    """A rule of ours or of somebody's file, in plain numpy."""

    name: str
    rule: Rule
    takes_gamma: bool
    arguments: Mapping[str, Any]
    file: str | None = None  # whose lines an error names
    shapes: Shapes = STACKS
    notes: tuple[str, ...] = ()
    customary_gamma: float = CUSTOMARY_GAMMA

    @property
    def values(self) -> Values:
        return Values(self.takes_gamma, named=self.arguments)

    def with_arguments(self, **arguments: Any) -> "RuleSubject":
        return replace(self, arguments=dict(self.arguments) | arguments)

    def start(self, groups: Sequence[Group], *, idle: bool = False) -> "RuleTrainer":
        del idle  # a rule is called for gradients alone
        return RuleTrainer(self, groups)

    def shared(self) -> Mapping[str, str]:
        return {}  # a rule that keeps anything outside its memory was refused when it was tried

    def fitted(self, gamma: float, eta: float) -> "RuleSubject":
        del gamma, eta
        return self


class RuleTrainer:
    """A rule at work: γ and η are handed to it at every update."""

    can_be_saved = True

    def __init__(self, subject: RuleSubject, groups: Sequence[Group]) -> None:
        self._subject, self._groups = subject, groups
        self._etas = [float(one.script.etas[0]) for one in groups]
        self._thetas = [parts(one.start, subject.shapes) for one in groups]
        self._memories = [
            [subject.rule.at_rest(theta, self._options(number, len(theta))) for theta in thetas]
            for number, thetas in enumerate(self._thetas)
        ]
        self._done = 0

    def step(self, gradients: Sequence[Vector]) -> Vector:
        self._done += 1
        left = [parts(gradient, self._subject.shapes) for gradient in gradients]
        for number, given in enumerate(left):
            for place, gradient in enumerate(given):
                self._update(number, place, gradient)
        return _joined(left)

    def theta(self) -> Vector:
        return _joined(self._thetas)

    def set_etas(self, etas: Sequence[float]) -> bool:
        self._etas = list(etas)
        return True

    def resumed(self) -> "RuleTrainer":
        return copy.deepcopy(self)

    def idle(self) -> Vector:
        return np.empty(0)

    def _update(self, number: int, place: int, gradient: Vector) -> None:
        theta, memory = self._thetas[number][place], self._memories[number][place]
        try:
            with np.errstate(all="ignore"):
                theta, memory = self._subject.rule.update(theta, gradient, memory, **self._options(number, len(theta)))
        except FAILURES as error:
            raise failed(f"{self._subject.name}: update {self._done}", error, self._subject.file) from None
        self._thetas[number][place], self._memories[number][place] = theta, memory

    def _options(self, number: int, runs: int) -> dict[str, Any]:
        given = {"gamma": self._groups[number].gamma, "eta": self._etas[number]} | dict(self._subject.arguments)
        return {name: as_column(given[name], runs) for name in self._subject.rule.hyperparameters}


def _joined(groups: Sequence[Sequence[Vector]]) -> Vector:
    return np.concatenate([part.ravel() for one in groups for part in one])
