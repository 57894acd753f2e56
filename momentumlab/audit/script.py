"""The scripted training that an optimizer is watched in: gradients that depend on the step alone, and a change of η.

All parameters of a group stand one after the other in one vector; `coordinate` is a place in it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
Shapes = tuple[tuple[int, ...], ...]

STEPS = 12
CHANGE = 6  # updates done when η changes
RESUME = 8  # updates done when the training is taken up again: after the change, which the state must hold too
SHAPES: Shapes = ((1,), (3,), (2, 3))
STACKS: Shapes = ((1, 1), (1, 3), (2, 3))  # (run, parameter), as a rule gets them in a stack
MATRICES: Shapes = ((2, 3), (3, 2), (1, 2))  # for optimizers that take nothing else

# Float64 rounds each of a dozen updates by some 1e-16 of θ, which adds up to 1e-14 at most; formulas that differ
# do so by far more. Relative to the largest θ so far, as rounding is.
TOLERANCE = 1e-12


@dataclass(frozen=True)
class Script:
    """What happens to one group of parameters."""

    shapes: Shapes
    start: Vector  # (coordinate,)
    gradients: Vector  # (step, coordinate)
    etas: Vector  # (step,)

    def element(self, coordinate: int) -> str:
        """A coordinate in words."""
        for number, shape in enumerate(self.shapes):
            size = int(np.prod(shape))
            if coordinate < size:
                index = ", ".join(str(int(place)) for place in np.unravel_index(coordinate, shape))
                return f"parameter {number} of shape {shape}, element [{index}]"
            coordinate -= size
        raise IndexError(coordinate)


def written(shapes: Shapes, eta: float, seed: int = 0) -> Script:
    """A script with both signs, zeros and no symmetry; η falls to 0.3 of itself once CHANGE updates are done."""
    generator = np.random.default_rng(seed)
    size = sum(int(np.prod(shape)) for shape in shapes)
    gradients = generator.normal(0.3, 1.0, (STEPS, size))
    gradients[0, 1] = 0.0
    gradients[4, ::2] = 0.0
    return Script(shapes, generator.normal(0.5, 1.0, size), gradients, _falling(eta))


def parts(vector: Vector, shapes: Shapes) -> list[Vector]:
    """A group's vector as one array a parameter."""
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    return [part.reshape(shape).copy() for part, shape in zip(np.split(vector, ends[:-1]), shapes, strict=True)]


def scales(path: Vector, start: Vector) -> Vector:
    """(step,): the largest |θ| until then, against which a difference is judged; finite wherever θ was once."""
    sizes = np.abs(np.vstack([start, path])).max(axis=1)
    return np.maximum.accumulate(np.where(np.isfinite(sizes), sizes, 0.0))[1:]


def parting(expected: Vector, got: Vector, start: Vector) -> tuple[int, int] | None:
    """Step and coordinate, 0-based, of the first difference beyond rounding between two paths; None without one."""
    with np.errstate(invalid="ignore"):
        close = np.abs(expected - got) <= TOLERANCE * scales(expected, start)[:, None]
    same = close | (expected == got) | (np.isnan(expected) & np.isnan(got))
    places = np.argwhere(~same)
    return (int(places[0][0]), int(places[0][1])) if len(places) else None


def _falling(eta: float) -> Vector:
    return np.where(np.arange(STEPS) < CHANGE, eta, 0.3 * eta)
