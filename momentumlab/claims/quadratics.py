"""Counts on quadratics, trained and by theory's exact recursion: what claims 1 and 2 are measured in."""

from collections.abc import Sequence

from momentumlab.claims.finding import Quantity, Value
from momentumlab.claims.training import Pair, Run
from momentumlab.theory.fit import settled
from momentumlab.theory.method import Method
from momentumlab.theory.tuning import settled_steps

GAMMAS = (0.0, 0.5, 0.9, 0.99)
MOST = 4000
"""Updates of a run that is counted; more than any stable one here needs."""
_ROUNDING = 1.0  # a distance that is the accuracy to the last digit may fall on either side


def momentum(gamma: float, eta: float) -> Method:
    """The method of the article, as theory sees it."""
    return Method.of("momentum", gamma=gamma, eta=eta)


def counted(
    key: tuple[str, ...], heading: str, runs: Sequence[Run], eigenvalues: Sequence[float], accuracy: float
) -> Quantity:
    """The updates after which each run stays within `accuracy` of its first distance, beside those of theory."""
    measured = [updates(run, accuracy) for run in runs]
    theory = [expected((run.gamma, run.eta), eigenvalues, accuracy) for run in runs]
    return Quantity(key, heading, measured, theory, _ROUNDING)


def updates(run: Run, accuracy: float) -> int | None:
    """The updates after which the distance stays within `accuracy` of the first one; None where it does not."""
    distance = run.columns["distance"]
    return settled(distance, accuracy * float(distance[0])) if run.status == "finished" else None


def expected(pair: Pair, eigenvalues: Sequence[float], accuracy: float) -> int | None:
    """The same by theory; None where it is more than the runs have."""
    count = settled_steps(momentum(*pair), eigenvalues, accuracy)
    return count if count is not None and count <= MOST else None


def said(count: Value) -> str:
    """A count in words."""
    return "for ever" if count is None else f"{count} update{'' if count == 1 else 's'}"
