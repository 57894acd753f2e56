"""The script as an optimizer went through it with several γ, before anything is made of it."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from momentumlab.audit.follow import Seen
from momentumlab.audit.script import Script, parting, written
from momentumlab.audit.subject import Observation, Subject, group, watch
from momentumlab.errors import ConfigError

GAMMAS = (0.9, 0.5, 0.0)


@dataclass(frozen=True)
class Evidence:
    """What was seen of `subject` under `script`, by γ; the γ that was asked for comes first."""

    subject: Subject
    script: Script
    observations: Mapping[float, Observation]
    again: Observation  # the first once more: the same, if nothing is drawn at random
    notes: tuple[str, ...]

    @property
    def gamma(self) -> float:
        """The γ that was asked for."""
        return next(iter(self.observations))

    @property
    def eta(self) -> float:
        """η before its change."""
        return float(self.script.etas[0])

    @property
    def main(self) -> Observation:
        """What was seen with the γ that was asked for."""
        return self.observations[self.gamma]

    @property
    def seen(self) -> list[Seen]:
        """Every path with its γ."""
        return [Seen(gamma, observation.path) for gamma, observation in self.observations.items()]

    @property
    def repeats(self) -> bool:
        """Whether the same script gives the same path: otherwise paths cannot be compared with each other."""
        return parting(self.main.path, self.again.path, self.script.start) is None

    @cached_property
    def repeats_when_seeded(self) -> bool:
        """Whether it gives the same path when everything that is drawn begins anew."""
        one, other = (self._seeded() for _ in range(2))
        return parting(one.path, other.path, self.script.start) is None

    def _seeded(self) -> Observation:
        with _seeds():
            return watch(self.subject, [group(self.gamma, self.script)])

    @cached_property
    def same_for_every_gamma(self) -> bool:
        """Whether γ is taken and changes nothing."""
        paths = [observation.path for observation in self.observations.values()]
        same = all(parting(one, other, self.script.start) is None for one, other in pairwise(paths))
        return self.repeats and len(paths) > 1 and same


@contextmanager
def _seeds() -> Iterator[None]:
    """The generators of python, numpy and torch at a seed, and afterwards where they were."""
    import torch

    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def gather(subject: Subject, gamma: float, eta: float) -> Evidence:
    """Watch `subject` with γ and the usual others; a usual one that it refuses is noted."""
    script = written(subject.shapes, eta)
    observations = {gamma: watch(subject, [group(gamma, script)])}
    notes = []
    for other in GAMMAS if subject.values.takes_gamma else ():
        try:
            observations.setdefault(other, watch(subject, [group(other, script)]))
        except ConfigError as refusal:
            notes.append(f"not watched with γ = {other:g}: {refusal}")
    return Evidence(subject, script, observations, watch(subject, [group(gamma, script)]), tuple(notes))
