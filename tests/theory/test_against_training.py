"""Theory against training: a thousand random cases by the engine, each with its verdict and its rate."""

import math

import numpy as np
import pytest

from momentumlab.engine.plan import groups
from momentumlab.experiment import expand, load
from momentumlab.optimizers.methods import method_of
from momentumlab.theory.fit import rate_of
from momentumlab.theory.modes import period
from momentumlab.theory.noise import noise_floor
from momentumlab.theory.stability import curvature_limit, largest_eta, rate
from tests.engine.recording import Recording, train_quietly

STEPS = 1500
# The least that a distance can be: λ·x² below is 0. Nothing rounds before, since the minimum is at 0.
SMALLEST = 1e-140
NEAR_THE_EDGE = 0.01
DIMENSIONS = range(1, 7)


def _keeps(generator):
    return float(1 - 10 ** generator.uniform(-2, 0))  # γ from 0 to 0.99, as evenly in what it remembers


def _decays(generator):
    return float(10 ** generator.uniform(-2, 0))


# The rules with their options: how each draws what it needs besides η.
RULES = {
    "sgd": lambda g: {"kind": "sgd"},
    "momentum": lambda g: {"gamma": _keeps(g)},
    "momentum, torch form": lambda g: {"form": "torch", "gamma": _keeps(g)},
    "nesterov": lambda g: {"kind": "nesterov", "gamma": _keeps(g)},
    "nesterov, torch form": lambda g: {"kind": "nesterov", "form": "torch", "gamma": _keeps(g)},
    "ema": lambda g: {"kind": "ema", "gamma": _keeps(g)},
    "qhm": lambda g: {"kind": "qhm", "gamma": _keeps(g), "nu": float(g.uniform(0, 1))},
    "aggmo of two": lambda g: {"kind": "aggmo", "gammas": [_keeps(g) for _ in range(2)]},
    "aggmo of three": lambda g: {"kind": "aggmo", "gammas": [_keeps(g) for _ in range(3)]},
    "dampening": lambda g: {"gamma": _keeps(g), "dampening": float(g.uniform(0.1, 0.9))},
    "coupled decay": lambda g: {"gamma": _keeps(g), "weight_decay": _decays(g)},
    "decoupled decay": lambda g: {"gamma": _keeps(g), "weight_decay": _decays(g), "decoupled": True},
    "nesterov, coupled decay": lambda g: {"kind": "nesterov", "gamma": _keeps(g), "weight_decay": _decays(g)},
}


def method(section):
    return method_of(load({"objective": {"kind": "quadratic", "eigenvalues": [1]}, "optimizer": section}).optimizer, 1)


def edge(section, curvature):
    """The largest stable η. Of several memories that is the limit over λ: their cases have no decay."""
    rule = method({**section, "eta": 1.0})
    return float(largest_eta(rule, curvature) if rule.states == 2 else curvature_limit(rule) / curvature)


def draw(rule, dimension, count, generator):
    """Eigenvalues, and optimizers with η from a fiftieth of the edge to twice it, none of them within 1 % of it."""
    largest = 10 ** generator.uniform(-2, 2)
    eigenvalues = np.sort(largest * 10 ** -generator.uniform(0, 2.5, dimension))
    eigenvalues[-1] = largest
    sections = []
    while len(sections) < count:
        section = RULES[rule](generator)
        end = 1.0 if generator.random() < 0.7 else math.log(2) / math.log(50)
        share = 50 ** (generator.uniform(-1, 0) if end == 1.0 else generator.uniform(0, end))
        if abs(share - 1) > NEAR_THE_EDGE and np.isfinite(found := edge(section, largest)):
            sections.append(section | {"eta": share * found})
    return eigenvalues.tolist(), sections


def distances(eigenvalues, sections, steps):
    """Each optimizer trained beside the others: its distance at every step, and whether it diverged."""
    problem = {"objective": {"kind": "quadratic", "eigenvalues": eigenvalues}, "train": {"steps": steps}}
    grid = expand(load(problem | {"record": {"every": 1, "vectors": False}}), vary={"optimizer": sections})
    assert len(grid.cells) == len(sections)
    outcomes, blocks = {}, []
    for group in groups(grid):
        for cells in group.chunks:
            train_quietly(group, cells, Recording(blocks.append), outcomes)
    runs, found = (np.concatenate([block[name] for block in blocks]) for name in ("run", "distance"))
    order = np.argsort(runs, kind="stable")
    paths = np.split(found[order], np.cumsum(np.bincount(runs))[:-1])
    return [(path, outcomes[run].status == "diverged") for run, path in enumerate(paths)]


def campaign(seed, count):
    """For `count` cases of each rule and dimension: the case, theory's rate, the measured one, and whether it diverged."""
    generator = np.random.default_rng(seed)
    found = []
    for rule in RULES:
        for dimension in DIMENSIONS:
            eigenvalues, sections = draw(rule, dimension, count, generator)
            for section, (path, diverged) in zip(sections, distances(eigenvalues, sections, STEPS), strict=True):
                told = method(section)
                measured = rate_of(path, period(told, eigenvalues), floor=SMALLEST / path[0])
                found.append((rule, eigenvalues, section, float(rate(told, eigenvalues)), measured, diverged))
    return found
