"""Which recurrence a watched optimizer follows, and which one it follows longest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from momentumlab.audit.recurrences import Recurrence, Values, candidates, simulate, started_at_the_weights, turned
from momentumlab.audit.report import Parting
from momentumlab.audit.script import STEPS, Script, Vector, parting, scales

_USUAL = (0.9, 0.5, 0.0)  # the γ of optimizers that do not say theirs


class Seen(NamedTuple):
    """The path of θ, (step, coordinate), and the γ that a recurrence is given to compare with it."""

    gamma: float
    path: Vector


@dataclass(frozen=True)
class Fit:
    """The recurrence, how it was taken, and where the optimizer leaves it; None where it never does."""

    recurrence: Recurrence
    parting: Parting | None
    frozen_eta: bool = False  # taken as if η had not changed
    own_gamma: float | None = None  # taken with this γ, whatever the optimizer was told


def fit(seen: Sequence[Seen], script: Script, values: Values, *, takes_eta: bool, gamma_counts: bool) -> Fit:
    """The simplest recurrence that is followed in all that was seen, or else the nearest.

    Known ones first, then with the change of η left out, then with a memory that begins at the weights, then with every
    step taken the other way. Where γ does not count, what was seen first is compared under the γ that it was seen with
    and the usual ones.
    """

    def search(recurrences: list[Recurrence], *, frozen_eta: bool, own_gamma: float | None = None) -> Fit:
        known = seen if own_gamma is None else [Seen(own_gamma, seen[0].path)]
        return _nearest(recurrences, known, script, values, frozen_eta, own_gamma)

    freezings = (False, True) if takes_eta else (True,)
    gammas = [None] if gamma_counts else list(dict.fromkeys((seen[0].gamma, *_USUAL)))
    nearest = None
    for recurrences in (candidates(values), started_at_the_weights(values), turned(values)):
        for frozen_eta in freezings:
            for gamma in gammas:
                found = search(recurrences, frozen_eta=frozen_eta, own_gamma=gamma)
                if found.parting is None:
                    return found
                nearest = nearest or found
    assert nearest is not None
    return nearest


def _nearest(
    recurrences: Sequence[Recurrence],
    seen: Sequence[Seen],
    script: Script,
    values: Values,
    frozen_eta: bool,
    own_gamma: float | None,
) -> Fit:
    """The one that is followed longest, among equals with the smallest difference, then the simplest."""
    fits = []
    for recurrence in recurrences:
        length, difference, where = _followed(recurrence, seen, script, values, frozen_eta)
        found = Fit(recurrence, where, frozen_eta, own_gamma)
        if where is None:
            return found
        fits.append((-length, difference, found))
    return min(fits, key=lambda ranked: ranked[:2])[2]


def _followed(
    recurrence: Recurrence, seen: Sequence[Seen], script: Script, values: Values, frozen_eta: bool
) -> tuple[int, float, Parting | None]:
    """Updates that are followed, in all that was seen one after the other, and the difference where that ends."""
    for number, (gamma, path) in enumerate(seen):
        expected = simulate(recurrence, script, gamma, values, frozen_eta=frozen_eta)
        place = parting(expected, path, script.start)
        if place:
            step, coordinate = place
            apart = np.abs(expected[step] - path[step]).max() / scales(path, script.start)[step]
            difference = float(apart) if np.isfinite(apart) else np.inf
            numbers = float(expected[place]), float(path[place])
            where = Parting(gamma, step + 1, script.element(coordinate), *numbers)
            return number * STEPS + step, difference, where
    return len(seen) * STEPS, 0.0, None
