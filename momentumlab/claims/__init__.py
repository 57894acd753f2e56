"""The four advantages that the article claims for momentum, each put to the test by training.

    finding = CLAIMS[1](quick=False)
    finding.verdict, finding.false_when, finding.as_object()

Everything is trained by the engine, in memory and seeded; theory stands beside it and decides nothing. `quick` takes
fewer steps and seeds where noise makes that dear; counts stay exact.
"""

from collections.abc import Callable

from momentumlab.claims.accelerates import accelerates
from momentumlab.claims.damps import damps
from momentumlab.claims.escapes import escapes
from momentumlab.claims.finding import Finding
from momentumlab.claims.smooths import smooths

__all__ = ["CLAIMS", "Finding"]

CLAIMS: dict[int, Callable[..., Finding]] = {1: accelerates, 2: damps, 3: escapes, 4: smooths}
"""What tests each claim, in the article's order."""
