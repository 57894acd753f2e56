"""What a rule can stand: the largest η·λ, and the curvature that makes a run diverge.

    sgd                 ηλ < 2
    momentum            ηλ < 2(1 + γ)
    nesterov            ηλ < (2 + 2γ)/(1 + 2γ)          less than plain gradient descent
    ema                 ηλ < 2(1 + γ)/(1 − γ)
    qhm                 ηλ < 2(1 + γ)/(1 + γ − 2νγ)     for ν ≤ 1
    aggmo               found as a number
    signum, lion        none: every step is ±η, whatever the curvature

The limits are found from the matrix of the rule; that they are these formulas is a test. Jury 1964; Cohen et al. 2021
for the same numbers as the edge of stability.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from momentumlab.theory.method import Method, Numbers
from momentumlab.theory.modes import spectral_radius

_ANGLES = 2048  # looked at along the half circle, for more than two states
_HALVINGS = 60
_FARTHEST = 1e12  # of η·λ, and 1 over it: nobody looks for an edge beyond
_CELLS = 2**18  # matrices that are looked at together


def curvature_limit(method: Method) -> Numbers:
    """λ_max, (…): every curvature between 0 and it is stable, and those just beyond are not; inf where none is.

    Its gain over 1/η is the limit of ηλ: `limit`. With coupled weight decay w the decay takes its part, 2(1 + γ)/η − w.
    0 where nothing is stable.
    """
    return _of_two(method) if method.states == 2 else np.vectorize(_of_many, otypes=[np.float64])(_cells(method))


def limit(method: Method) -> Any:
    """The largest stable η·λ, (…): for momentum 2(1 + γ)."""
    return curvature_limit(method) * method.eta


def largest_eta(method: Method, curvature: npt.ArrayLike) -> Numbers:
    """The edge, (…): every η below is stable in a direction of this curvature λ > 0, and those just above are not.

    It is limit/λ but for weight decay, which is part of the limit and grows with η: 2(1 + γ)/(λ + w) with coupled decay
    w. Found by halving; inf where no η is too large, 0 where all are.
    """
    bends = np.asarray(curvature, np.float64)
    shape = np.broadcast_shapes(method.shape, bends.shape)
    low, high = (np.broadcast_to(end / bends, shape) for end in (1 / _FARTHEST, _FARTHEST))
    for _ in range(_HALVINGS):
        middle = np.sqrt(low) * np.sqrt(high)
        stable = curvature_limit(method.at(eta=middle)) >= bends
        low, high = np.where(stable, middle, low), np.where(stable, high, middle)
    far = low * bends
    edge: Numbers = np.where(far > 0.99 * _FARTHEST, np.inf, np.where(far < 1.01 / _FARTHEST, 0, low))
    return edge


def is_stable(method: Method, eigenvalues: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """(…): whether θ converges in every direction that bends; eigenvalues is (eigenvalue,).

    In a flat direction, λ = 0, nothing moves and nothing diverges. λ < 0 is a saddle, which no rule is stable at.
    """
    stable: npt.NDArray[np.bool_] = rate(method, eigenvalues) < 1
    return stable


def rate(method: Method, eigenvalues: npt.ArrayLike) -> Numbers:
    """max |σ| over all directions that bend, (…): the factor of the distance to the minimum in an update, in the end.

    eigenvalues is (eigenvalue,), or (eigenvalue, …) where every method of many has its own; those of 0 are left out,
    and where all are the rate is 0.
    """
    bends = np.asarray(eigenvalues, np.float64)
    bends = bends.reshape(len(bends), *[1] * (len(method.shape) - bends.ndim + 1), *bends.shape[1:])
    reduced: Numbers = np.zeros(np.broadcast_shapes(method.shape, bends.shape[1:]))
    together = max(1, _CELLS // max(1, reduced.size))
    for part in range(0, len(bends), together):
        curvature = bends[part : part + together]
        radius = np.where(curvature == 0, 0, spectral_radius(method, curvature))
        np.maximum(reduced, radius.max(0), out=reduced)
    return reduced


def noisy_curvature_limit(gamma: Any, curvature: Any, variance: Any) -> Any:
    """The largest η, (…), of momentum where the curvature itself is noise, as that of minibatches is.

    With h of mean λ and variance s² in every update E[θ²] converges only where η·s²/λ < (1 − γ)·(2 − ηλ/(1 + γ)). So
    η < 2(1 − γ)/(s²/λ + λ(1 − γ)/(1 + γ)): between 2(1 + γ)/λ without noise and 2(1 − γ)·λ/s² under much of it.
    Andreyev and Beneventano 2026 see the two as plateaus of the sharpness.
    """
    return 2 * (1 - gamma) / (variance / curvature + curvature * (1 - gamma) / (1 + gamma))


def _of_two(method: Method) -> Numbers:
    # The roots of σ² − trace·σ + determinant lie inside the unit circle while (Jury) 1 + trace + determinant > 0 and
    # determinant < 1 and 1 − trace + determinant > 0. All three are straight lines in λ, which changes column x alone.
    free, push = method.matrix(0.0), method.push()
    bent = free.copy()
    bent[..., 0] = push
    (trace, determinant), (faster, larger) = _trace_and_determinant(free), (push[..., 0], _determinant(bent))
    rooms = (
        (1 + trace + determinant, faster + larger),
        (1 - determinant, -larger),
        (1 - trace + determinant, larger - faster),
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = [np.where(slope < 0, -room / slope, np.inf) for room, slope in rooms]
    nearest: Numbers = np.maximum(np.min(ends, axis=0), 0)
    return nearest


def _trace_and_determinant(matrix: Numbers) -> tuple[Numbers, Numbers]:
    return matrix[..., 0, 0] + matrix[..., 1, 1], _determinant(matrix)


def _determinant(matrix: Numbers) -> Numbers:
    (a, b), (c, d) = np.moveaxis(matrix, (-2, -1), (0, 1))
    determinant: Numbers = a * d - b * c
    return determinant


def _cells(method: Method) -> npt.NDArray[np.object_]:
    """The method as one of plain numbers for every cell of its hyperparameters' shape."""
    lists = {name: value for name, value in method.hyperparameters.items() if isinstance(value, list | tuple)}
    names = [name for name in method.hyperparameters if name not in lists]
    flat = [*(method.hyperparameters[name] for name in names), *(one for value in lists.values() for one in value)]
    numbers = np.broadcast_arrays(*flat)
    cells = np.empty(numbers[0].shape, object)
    for place in np.ndindex(cells.shape):
        values = iter([float(one[place]) for one in numbers])
        given = {name: next(values) for name in names}
        cells[place] = method.at(**given, **{name: [next(values) for _ in value] for name, value in lists.items()})
    return cells


def _of_many(method: Method) -> float:
    # det(z − M(λ)) is a(z) − λ·b(z). A root sits on the circle, z = e^{iω}, where a/b is real, and there λ is a/b.
    candidates = [float(_crossing(method, np.pi).real)]
    angles = np.linspace(0, np.pi, _ANGLES + 1)[1:-1]
    turned = np.sign(_crossing(method, angles).imag)
    for index in np.flatnonzero(turned[:-1] != turned[1:]):
        low, high = angles[index], angles[index + 1]
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            same = np.sign(_crossing(method, middle).imag) == turned[index]
            low, high = (middle, high) if same else (low, middle)
        candidates.append(float(_crossing(method, (low + high) / 2).real))
    ends = [0.0, *sorted(one for one in candidates if 0 < one < np.inf)]
    for end, after in zip(ends, [*ends[1:], np.inf], strict=True):
        beyond = (end + after) / 2 if after < np.inf else 2 * end + 1
        if spectral_radius(method, beyond) >= 1:
            return end
    return float("inf")


def _crossing(method: Method, angles: npt.ArrayLike) -> npt.NDArray[np.complex128]:
    """a/b, (…), at the points of the unit circle with these angles."""
    matrices = np.exp(1j * np.asarray(angles))[..., None, None] * np.eye(method.states) - method.matrix(0.0)
    bent = matrices.copy()
    bent[..., 0] = method.push()
    with np.errstate(divide="ignore", invalid="ignore"):
        found: npt.NDArray[np.complex128] = np.linalg.det(matrices) / np.linalg.det(bent)
    return found
