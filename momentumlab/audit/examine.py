"""An optimizer put to work under a script: which recurrence it follows, and what is wrong with it."""

import math
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from momentumlab.audit.defects import findings
from momentumlab.audit.evidence import Evidence, gather
from momentumlab.audit.follow import Fit, fit
from momentumlab.audit.report import Defect, Report
from momentumlab.audit.target import find
from momentumlab.errors import ConfigError
from momentumlab.text import shown

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_ETAS = (1e-6, 1e6)


def examine(
    target: str,
    *,
    gamma: float | None = None,
    eta: float = 0.1,
    arguments: Mapping[str, Any] = _NOTHING,
    allow_code: Collection[str] = (),
) -> Report:
    """What the optimizer `target` computes, and its defects.

    target: torch.optim.NAME, a rule of ours, package.module:Class, file.py:Class, or a file with a rule; code that is
    neither torch's nor ours is run only if `allow_code` names its module or file. γ in [0, 1), 0.9 unless given (0.99
    for lion), and η in [1e-6, 1e6] are what it is watched with, beside other γ; `arguments` go to its constructor, or
    are hyperparameters of the rule.
    Raises ConfigError for what cannot be examined, with the words of whatever it raised itself.
    """
    _check(gamma, eta)
    subject = find(target, arguments, allow_code)
    if gamma is not None and not subject.values.takes_gamma:
        raise ConfigError(f"{subject.name}: got γ = {gamma:g}, but it takes none: leave gamma out")
    gamma = subject.customary_gamma if gamma is None else gamma
    with np.errstate(all="ignore"):  # numbers beyond all bounds are a finding, not a warning
        evidence = gather(subject.fitted(gamma, eta), gamma, eta)
        found = _followed(evidence)
        every = list(findings(evidence, found))
    subject = evidence.subject
    undecided = found.parting is not None or found.frozen_eta
    return Report(
        target=subject.name,
        gamma=gamma if subject.values.takes_gamma else None,
        eta=eta,
        gammas=tuple(evidence.observations),
        nearest=found.recurrence,
        form=None if undecided else found.recurrence.form,
        parting=found.parting,
        defects=tuple(finding for finding in every if isinstance(finding, Defect)),
        notes=(
            *subject.notes,
            *evidence.notes,
            *_ignored(evidence, found),
            *(finding for finding in every if isinstance(finding, str)),
        ),
    )


def _followed(evidence: Evidence) -> Fit:
    values = evidence.subject.values
    return fit(
        evidence.seen,
        evidence.script,
        values,
        takes_eta=evidence.main.takes_eta,
        gamma_counts=values.takes_gamma and not evidence.same_for_every_gamma,
    )


def _ignored(evidence: Evidence, found: Fit) -> list[str]:
    dampening = evidence.subject.values["dampening"]
    ignored = dampening and not found.parting and found.recurrence.dampening is None
    return [f"dampening = {dampening} has no effect"] if ignored else []


def _check(gamma: float | None, eta: float) -> None:
    low, high = _ETAS
    problems = []
    if gamma is not None and not 0 <= gamma < 1:
        problems.append(f"gamma: got {shown(gamma)}, must be in [0, 1): at 1 the velocity never decays")
    if not (math.isfinite(eta) and low <= eta <= high):
        why = "smaller or larger steps drown in the rounding of θ"
        problems.append(f"eta: got {shown(eta)}, must be in [{low:g}, {high:g}] to be examined: {why}")
    if problems:
        raise ConfigError(problems)
