"""What theory says of a rule on a spectrum, in one answer: will it diverge, how fast is it, what would be better?"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from momentumlab.theory.method import Method
from momentumlab.theory.stability import curvature_limit, rate
from momentumlab.theory.tuning import best, settled_steps


@dataclass(frozen=True)
class Prediction:
    """The answer, with the names that `momentumlab theory --json` has. Exact for a quadratic with these curvatures."""

    curvature_max: float
    curvature_min: float  # of those that bend; below 0 at a saddle
    condition: float | None  # None at a saddle
    eta_curvature: float  # η·λ_max, which is compared with the limit
    limit: float  # of η·λ; inf where none is
    stable: bool
    rate: float  # the factor of the distance in an update, in the end
    steps: int | None  # after which the distance stays below the accuracy, from rest; None where it never does
    gamma_best: float | None  # the best of both together, of those rules that have closed forms; otherwise of η alone
    eta_best: float | None
    rate_best: float | None


def predict(method: Method, eigenvalues: npt.ArrayLike, *, accuracy: float = 1e-6) -> Prediction:
    """What is to be expected of one run, from all eigenvalues (eigenvalue,) or from the two ends of the spectrum.

    Directions that do not bend are left out: θ does not move along them. At least one eigenvalue must not be 0, and the
    method must be linear (`Method.why_not_linear`).
    """
    given = np.asarray(eigenvalues, np.float64)
    bending = given[given != 0]
    largest, smallest = float(bending.max()), float(bending.min())
    tuning = best(method, bending)
    shrinks = float(rate(method, bending))
    return Prediction(
        curvature_max=largest,
        curvature_min=smallest,
        condition=largest / smallest if smallest > 0 else None,
        eta_curvature=float(method.eta) * largest,
        limit=float(method.eta * curvature_limit(method)),
        stable=shrinks < 1,
        rate=shrinks,
        steps=settled_steps(method, bending, accuracy),
        gamma_best=tuning.gamma if tuning else None,
        eta_best=tuning.eta if tuning else None,
        rate_best=tuning.rate if tuning else None,
    )
