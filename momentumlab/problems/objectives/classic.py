"""The test functions of the literature, sorted from simple to complex."""

import math
from typing import Any

from momentumlab.arrays import Array, total, vector
from momentumlab.problems.objectives.objective import Objective


def three_hump_camel() -> Objective:
    """Three wells in a row; the middle one is the deepest."""

    def value(theta: Array, xp: Any) -> Array:
        x, y = theta[..., 0], theta[..., 1]
        square = x * x
        return square * (2 - square * (1.05 - square / 6)) + x * y + y * y

    def gradient(theta: Array, xp: Any) -> Array:
        x, y = theta[..., 0], theta[..., 1]
        square = x * x
        return vector((x * (4 - square * (4.2 - square)) + y, x + 2 * y), xp)

    return Objective(
        name="three_hump_camel",
        formula=r"$2x^2 - 1.05x^4 + \frac{1}{6}x^6 + xy + y^2$",
        value=value,
        gradient=gradient,
        domain=((-2.5, 2.5), (-2.5, 2.5)),  # the three wells; the literature's ±5 is all cliff
        start=(2.0, -1.0),
        minima=(
            (0.0, 0.0),
            (1.7475523458302888, -0.8737761729151444),
            (-1.7475523458302888, 0.8737761729151444),
        ),
        source="Jamil and Yang 2013",
    )


def styblinski_tang() -> Objective:
    """Four wells of different depths, one in each quadrant."""
    deep, shallow = -2.903534027771177, 2.746802770990837

    def value(theta: Array, xp: Any) -> Array:
        square = theta * theta
        return 0.5 * total(square * (square - 16) + 5 * theta)

    def gradient(theta: Array, xp: Any) -> Array:
        return theta * (2 * theta * theta - 16) + 2.5

    return Objective(
        name="styblinski_tang",
        formula=r"$\frac{1}{2}\sum_i (x_i^4 - 16x_i^2 + 5x_i)$",
        value=value,
        gradient=gradient,
        domain=((-5.0, 5.0), (-5.0, 5.0)),
        start=(1.0, 4.0),
        minima=((deep, deep), (deep, shallow), (shallow, deep), (shallow, shallow)),
        source="Styblinski and Tang 1990",
    )


def himmelblau() -> Objective:
    """Four wells of the same depth: which one a run ends in depends on γ and η."""

    def value(theta: Array, xp: Any) -> Array:
        x, y = theta[..., 0], theta[..., 1]
        a, b = x * x + y - 11, x + y * y - 7
        return a * a + b * b

    def gradient(theta: Array, xp: Any) -> Array:
        x, y = theta[..., 0], theta[..., 1]
        a, b = x * x + y - 11, x + y * y - 7
        return vector((4 * x * a + 2 * b, 2 * a + 4 * y * b), xp)

    return Objective(
        name="himmelblau",
        formula=r"$(x^2+y-11)^2 + (x+y^2-7)^2$",
        value=value,
        gradient=gradient,
        domain=((-5.0, 5.0), (-5.0, 5.0)),
        start=(0.0, 0.0),
        minima=(
            (3.0, 2.0),
            (-2.805118086952745, 3.131312518250573),
            (-3.779310253377747, -3.2831859912861696),
            (3.5844283403304917, -1.8481265269644036),
        ),
        source="Himmelblau 1972",
    )


def rosenbrock() -> Objective:
    """A banana-shaped valley: easy to enter, slow to follow to its end. The start is Rosenbrock's own."""

    def value(theta: Array, xp: Any) -> Array:
        x, y = theta[..., 0], theta[..., 1]
        a, b = 1 - x, y - x * x
        return a * a + 100 * b * b

    def gradient(theta: Array, xp: Any) -> Array:
        x, y = theta[..., 0], theta[..., 1]
        a, b = 1 - x, y - x * x
        return vector((-2 * a - 400 * x * b, 200 * b), xp)

    return Objective(
        name="rosenbrock",
        formula=r"$(1-x)^2 + 100\,(y-x^2)^2$",
        value=value,
        gradient=gradient,
        domain=((-2.0, 2.0), (-1.0, 3.0)),
        start=(-1.2, 1.0),
        minima=((1.0, 1.0),),
        source="Rosenbrock 1960",
    )


def beale() -> Objective:
    """Flat ground with steep walls at the corners."""

    def value(theta: Array, xp: Any) -> Array:
        a, b, c = residuals(theta)
        return a * a + b * b + c * c

    def gradient(theta: Array, xp: Any) -> Array:
        x, y = theta[..., 0], theta[..., 1]
        a, b, c = residuals(theta)
        by_x = 2 * a * (y - 1) + 2 * b * (y * y - 1) + 2 * c * (y * y * y - 1)
        by_y = 2 * x * (a + 2 * b * y + 3 * c * y * y)
        return vector((by_x, by_y), xp)

    def residuals(theta: Array) -> tuple[Array, Array, Array]:
        x, y = theta[..., 0], theta[..., 1]
        return 1.5 - x + x * y, 2.25 - x + x * y * y, 2.625 - x + x * y * y * y

    return Objective(
        name="beale",
        formula=r"$(1.5-x+xy)^2 + (2.25-x+xy^2)^2 + (2.625-x+xy^3)^2$",
        value=value,
        gradient=gradient,
        domain=((-4.5, 4.5), (-4.5, 4.5)),
        start=(1.0, 1.0),
        minima=((3.0, 0.5),),
        source="Beale 1958",
    )


def rastrigin() -> Objective:
    """An egg box in a bowl: a well at nearly every whole number, the deepest at 0."""
    turn = 2 * math.pi

    def value(theta: Array, xp: Any) -> Array:
        return 20 + total(theta * theta - 10 * xp.cos(turn * theta))

    def gradient(theta: Array, xp: Any) -> Array:
        return 2 * theta + 10 * turn * xp.sin(turn * theta)

    return Objective(
        name="rastrigin",
        formula=r"$20 + \sum_i (x_i^2 - 10\cos 2\pi x_i)$",
        value=value,
        gradient=gradient,
        domain=((-5.12, 5.12), (-5.12, 5.12)),
        start=(4.2, 3.3),
        # Of the 120 others, the one in whose well the default start lies.
        minima=((0.0, 0.0), (3.9797838603007536, 2.984855701039481)),
        source="Rastrigin 1974",
    )


def ackley() -> Objective:
    """A funnel with ripples that ends in a cone, where no constant η can settle.

    At the very tip there is no gradient; it is taken as 0.
    """
    turn = 2 * math.pi

    def value(theta: Array, xp: Any) -> Array:
        bowl = xp.exp(-0.2 * radius(theta, xp))
        ripples = xp.exp(0.5 * total(xp.cos(turn * theta)))
        return 20 - 20 * bowl + math.e - ripples

    def gradient(theta: Array, xp: Any) -> Array:
        r = radius(theta, xp)[..., None]
        bowl = 2 * xp.exp(-0.2 * r) * theta / xp.where(r > 0, r, 1)
        ripples = xp.exp(0.5 * total(xp.cos(turn * theta)))[..., None]
        return bowl + 0.5 * turn * ripples * xp.sin(turn * theta)

    def radius(theta: Array, xp: Any) -> Array:
        # √0 has no slope, and autograd would make nan of it: there the root is taken of 1 and left out.
        square = 0.5 * total(theta * theta)
        return xp.where(square > 0, xp.sqrt(xp.where(square > 0, square, 1)), 0 * square)

    return Objective(
        name="ackley",
        formula=r"$20 + e - 20\,e^{-0.2\sqrt{(x^2+y^2)/2}} - e^{(\cos 2\pi x + \cos 2\pi y)/2}$",
        value=value,
        gradient=gradient,
        domain=((-5.0, 5.0), (-5.0, 5.0)),
        start=(2.5, 1.5),
        minima=((0.0, 0.0),),
        source="Ackley 1987",
    )
