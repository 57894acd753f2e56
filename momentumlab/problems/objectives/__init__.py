"""The objectives: each a formula with its gradient, written out as in the literature, in one short entry.

    objective = build(specification)      # kind, and what the kind can be told: eigenvalues, width …
    objective.value(theta, np)            # theta (run, parameter) -> J (run,)
    objective.gradient(theta, np)         # -> ∇J (run, parameter)

`xp` is numpy or torch; of the module only what both have under one name is used. A run's numbers are the same
bits alone and beside any others: elementwise work and sums along the last axis only, and products in place of
powers.

A domain is where the landscape is worth drawing and where a random start is drawn; it holds the default
start.
"""

from collections.abc import Callable
from typing import Any

from momentumlab.problems.objectives import classic, simple
from momentumlab.problems.objectives.objective import Objective

__all__ = ["OBJECTIVES", "Objective", "build"]

OBJECTIVES: dict[str, Callable[..., Objective]] = {
    make.__name__: make
    for make in (
        simple.quadratic,
        simple.booth,
        simple.saddle,
        simple.monkey_saddle,
        simple.plateau,
        simple.inflection,
        simple.double_well,
        simple.product,
        classic.three_hump_camel,
        classic.styblinski_tang,
        classic.himmelblau,
        classic.rosenbrock,
        classic.beale,
        classic.rastrigin,
        classic.ackley,
    )
}
"""What makes each objective, by the name that an experiment uses."""


def build(specification: Any) -> Objective:
    """The objective that an experiment's `objective` section describes."""
    if specification.kind == "quadratic":
        return simple.quadratic(specification.eigenvalues)
    if specification.kind == "plateau":
        return simple.plateau(specification.width)
    return OBJECTIVES[specification.kind]()
