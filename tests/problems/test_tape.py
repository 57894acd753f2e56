"""What a tape plays is what the formulas give, to the bit."""

import numpy as np
import pytest

from momentumlab.arrays import NARROW, NumpyArrays
from momentumlab.problems.objectives import Objective, build
from momentumlab.problems.tape import Tape
from tests.problems.test_objectives import CASES, points

NARROW_CASES = [name for name, given in CASES.items() if build(given).dimension <= NARROW]


@pytest.fixture(params=NARROW_CASES)
def objective(request: pytest.FixtureRequest) -> Objective:
    return build(CASES[request.param])


def recorded(objective: Objective, dtype: str) -> Tape:
    return Tape(objective.value, objective.gradient, objective.dimension, dtype)


def wild(objective: Objective, dtype: str) -> np.ndarray:
    """Points of the domain, and rows of what runs are thrown to."""
    theta = points(objective, 37)
    theta[:8] = np.array([0.0, -0.0, 1e30, -1e300, 1e-310, np.inf, -np.inf, np.nan])[:, None]
    with np.errstate(over="ignore"):
        stack: np.ndarray = NumpyArrays(dtype).array(theta)
    return stack


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_play_has_the_bits_of_the_formulas(objective: Objective, dtype: str) -> None:
    theta = wild(objective, dtype)
    player = recorded(objective, dtype).player(theta)

    with np.errstate(all="ignore"):
        for _ in range(4):
            value, gradient = objective.value(theta, np), objective.gradient(theta, np)
            played_value, played_gradient = player.play()
            assert played_value.dtype == played_gradient.dtype == dtype
            # tobytes writes rows one after another, whatever the layout. Nan is nan, whatever its bits.
            assert (played_value + 0.0).tobytes() == (value + 0.0).tobytes()
            assert (played_gradient + 0.0).tobytes() == (gradient + 0.0).tobytes()
            theta *= 0.75


def test_the_loss_before_outlasts_the_next_play(objective: Objective) -> None:
    theta = NumpyArrays("float64").array(points(objective, 5))
    player = recorded(objective, "float64").player(theta)
    before, _ = player.play()
    kept = before.copy()

    theta *= 0.5
    player.play()

    np.testing.assert_array_equal(before, kept)


def test_what_value_and_gradient_share_is_computed_once() -> None:
    residual = np.subtract
    calls: list[object] = []

    def value(theta: object, xp: object) -> object:
        calls.append(xp)
        return (theta[..., 0] - 1) * (theta[..., 0] - 1)  # type: ignore[index]

    def gradient(theta: object, xp: object) -> object:
        return 2 * (theta - 1)  # type: ignore[operator]

    tape = Tape(value, gradient, 1, "float64")
    assert [call.function for call in tape._calls].count(residual) == 2  # of the column, once, and of the block
    assert len(calls) == 1


def test_a_coordinate_of_theta_or_one_given_twice_is_copied_into_the_gradient() -> None:
    def gradient(theta, xp):  # type: ignore[no-untyped-def]
        twice = 2 * theta[..., 1]
        return xp.stack((theta[..., 0], twice, twice), -1)

    theta = NumpyArrays("float64").array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    tape = Tape(lambda theta, xp: theta[..., 0] * 1, gradient, 3, "float64")

    _, played = tape.player(theta).play()

    np.testing.assert_array_equal(played, [[1, 4, 4], [4, 10, 10]])
    np.testing.assert_array_equal(theta, [[1, 2, 3], [4, 5, 6]])
