"""Objectives that show one thing each: a bowl, a saddle, flat ground, two wells, a curve of minima."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from momentumlab.arrays import Array, total, vector
from momentumlab.problems.objectives.objective import Objective


def quadratic(eigenvalues: Sequence[float] = (1.0, 100.0)) -> Objective:
    """A bowl, or a ravine when the eigenvalues differ: what every smooth minimum looks like from close by."""
    curvatures = np.array(eigenvalues, np.float64)

    def value(theta: Array, xp: Any) -> Array:
        return 0.5 * total(gradient(theta, xp) * theta)

    def gradient(theta: Array, xp: Any) -> Array:
        return xp.asarray(curvatures, dtype=theta.dtype, device=theta.device) * theta

    dimension = len(curvatures)
    return Objective(
        name="quadratic",
        formula=r"$\frac{1}{2}\sum_i \lambda_i x_i^2$",
        value=value,
        gradient=gradient,
        domain=((-1.5, 1.5),) * dimension,
        start=(1.0,) * dimension,
        # Along a zero eigenvalue the minima fill a line, along a negative one there is no bottom.
        minima=((0.0,) * dimension,) if (curvatures > 0).all() else (),
        source="Polyak 1964",
    )


def booth() -> Objective:
    """A quadratic bowl whose axes are turned by 45°, eigenvalues 2 and 18."""

    def value(theta: Array, xp: Any) -> Array:
        x, y = theta[..., 0], theta[..., 1]
        a, b = x + 2 * y - 7, 2 * x + y - 5
        return a * a + b * b

    def gradient(theta: Array, xp: Any) -> Array:
        x, y = theta[..., 0], theta[..., 1]
        return vector((10 * x + 8 * y - 34, 8 * x + 10 * y - 38), xp)

    return Objective(
        name="booth",
        formula=r"$(x+2y-7)^2 + (2x+y-5)^2$",
        value=value,
        gradient=gradient,
        domain=((-10.0, 10.0), (-10.0, 10.0)),
        start=(0.0, 0.0),
        minima=((1.0, 3.0),),
        source="Jamil and Yang 2013",
    )


def saddle() -> Objective:
    """Up in x, down in y: a run that starts with y = 0 never leaves, so the default start is just beside."""

    def value(theta: Array, xp: Any) -> Array:
        x, y = theta[..., 0], theta[..., 1]
        return x * x - y * y

    def gradient(theta: Array, xp: Any) -> Array:
        x, y = theta[..., 0], theta[..., 1]
        return vector((2 * x, -2 * y), xp)

    return Objective(
        name="saddle",
        formula=r"$x^2 - y^2$",
        value=value,
        gradient=gradient,
        domain=((-1.5, 1.5), (-1.5, 1.5)),
        start=(1.0, 0.001),
        minima=(),
        source="O'Neill and Wright 2019",
    )


def monkey_saddle() -> Objective:
    """Three valleys, two for the legs and one for the tail; the Hessian at the saddle is zero."""

    def value(theta: Array, xp: Any) -> Array:
        x, y = theta[..., 0], theta[..., 1]
        return x * x * x - 3 * x * y * y

    def gradient(theta: Array, xp: Any) -> Array:
        x, y = theta[..., 0], theta[..., 1]
        return vector((3 * x * x - 3 * y * y, -6 * x * y), xp)

    return Objective(
        name="monkey_saddle",
        formula=r"$x^3 - 3xy^2$",
        value=value,
        gradient=gradient,
        domain=((-1.5, 1.5), (-1.5, 1.5)),
        start=(1.0, 0.001),
        minima=(),
        source="Hilbert and Cohn-Vossen 1932",
    )


def plateau(width: float = 1.0) -> Objective:
    """A slope, then exactly flat ground as wide as `width`, then a valley: only inertia crosses it.

    Constructed: after entering at speed v a run coasts v·γ/(1−γ) further.
    """

    def value(theta: Array, xp: Any) -> Array:
        x = theta[..., 0]
        from_minimum = x - width - 1
        valley = 0.5 * from_minimum * from_minimum - 0.5
        return xp.where(x < 0, -x, xp.where(x > width, valley, 0 * x))

    def gradient(theta: Array, xp: Any) -> Array:
        flat = 0 * theta
        return xp.where(theta < 0, flat - 1, xp.where(theta > width, theta - width - 1, flat))

    valley = rf"$\frac{{1}}{{2}}(x-{width + 1:g})^2 - \frac{{1}}{{2}}$"
    return Objective(
        name="plateau",
        formula=rf"$-x$ below 0, then 0 up to {width:g}, then {valley}",
        value=value,
        gradient=gradient,
        domain=((-1.0, width + 2.0),),
        start=(-0.5,),
        minima=((width + 1.0,),),
        source="constructed",
    )


def inflection() -> Objective:
    """A slope that is flat to second order at 0, on the way from the start to the minimum."""

    def value(theta: Array, xp: Any) -> Array:
        x = theta[..., 0]
        return x * x * x * (x / 4 + 1 / 3)

    def gradient(theta: Array, xp: Any) -> Array:
        return theta * theta * (theta + 1)

    return Objective(
        name="inflection",
        formula=r"$\frac{1}{4}x^4 + \frac{1}{3}x^3$",
        value=value,
        gradient=gradient,
        domain=((-1.6, 1.2),),
        start=(1.0,),
        minima=((-1.0,),),
        source="constructed",
    )


def double_well() -> Objective:
    """Two wells, tilted: from the start γ = 0 stops in the shallow one, γ = 0.9 reaches the deep one."""

    def value(theta: Array, xp: Any) -> Array:
        x = theta[..., 0]
        return x * x * (x * x / 4 - 0.5) + 0.2 * x

    def gradient(theta: Array, xp: Any) -> Array:
        return theta * theta * theta - theta + 0.2

    return Objective(
        name="double_well",
        formula=r"$\frac{1}{4}x^4 - \frac{1}{2}x^2 + 0.2x$",
        value=value,
        gradient=gradient,
        domain=((-2.2, 2.2),),
        start=(2.0,),
        minima=((-1.0880339146912894,), (0.8788850662499729,)),
        source="Duffing 1918, with a tilt",
    )


def product() -> Objective:
    """Minima along the hyperbola xy = 1, as flat or as sharp as one likes: their sharpness is x² + y².

    The smallest model of the edge of stability: the start sits near sharpness 25.
    """

    def value(theta: Array, xp: Any) -> Array:
        residual = theta[..., 0] * theta[..., 1] - 1
        return 0.5 * residual * residual

    def gradient(theta: Array, xp: Any) -> Array:
        x, y = theta[..., 0], theta[..., 1]
        residual = x * y - 1
        return vector((residual * y, residual * x), xp)

    return Objective(
        name="product",
        formula=r"$\frac{1}{2}(xy - 1)^2$",
        value=value,
        gradient=gradient,
        domain=((-1.0, 6.0), (-1.0, 6.0)),
        start=(5.0, 0.21),
        minima=(),
        source="after Cohen et al. 2021",
    )
