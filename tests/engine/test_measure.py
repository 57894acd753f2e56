import numpy as np
import pytest

from momentumlab.engine.measure import Norms, distance, norm, norms_and_cosine


def angle(one, other):
    return norms_and_cosine(one, other)[2]


@pytest.mark.parametrize("dimension", [2, 20])
@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1.0, 1e170, 1e300])
def test_norm_and_cosine_neither_overflow_nor_vanish(scale, dimension):
    rest = np.zeros((2, dimension - 2))
    one = np.hstack([[[3.0, 4.0], [1.0, 0.0]], rest]) * scale
    other = np.hstack([[[4.0, 3.0], [0.0, -2.0]], rest]) * scale
    with np.errstate(all="ignore"):  # as in the loop
        lengths, others, angles = norms_and_cosine(one, other)
        np.testing.assert_array_equal(norm(one), lengths)
    np.testing.assert_allclose(lengths, [5 * scale, scale], rtol=4e-16)
    np.testing.assert_allclose(others, [5 * scale, 2 * scale], rtol=4e-16)
    np.testing.assert_allclose(angles, [0.96, 0], rtol=4e-16)


def test_the_cosine_with_zero_is_nan_and_a_vector_with_itself_has_one():
    zero, vector = np.array([[0.0, 0.0]]), np.array([[0.1, 0.3]])
    with np.errstate(invalid="ignore"):  # as in the loop
        assert np.isnan(angle(zero, vector)).all()
        assert norms_and_cosine(zero, vector)[0] == 0
    assert angle(vector, vector)[0] == pytest.approx(1, abs=2e-16)
    assert angle(vector, -vector)[0] >= -1


@pytest.mark.parametrize("width", [2, 8, 9, 9_610, 25_000])
def test_a_run_is_measured_the_same_alone_among_others_and_in_any_layout(width):
    one, other = np.random.default_rng(0).standard_normal((2, 5, width)).astype(np.float32)
    one[3] *= np.float32(1e-30)  # whose squares vanish
    layouts = (one, other), (np.asfortranarray(one), np.asfortranarray(other))
    with np.errstate(all="ignore"):  # as in the loop
        together, by_parameter = (norms_and_cosine(*vectors) for vectors in layouts)
        every = [norms_and_cosine(one[row : row + 1], other[row : row + 1]) for row in range(5)]
    for row, alone in enumerate(every):
        for numbers, again, single in zip(together, by_parameter, alone, strict=True):
            assert numbers[row] == again[row] == single[0]
            assert numbers.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_norms_of_many_steps_are_those_of_each_step(dtype):
    steps = np.random.default_rng(0).standard_normal((10, 2, 3, 700)).astype(dtype)  # (step, vector, run, parameter)
    limits = np.finfo(dtype)
    odd = [0, limits.tiny, limits.tiny**0.5 / limits.eps, limits.max, limits.max**0.5, np.inf, np.nan]
    norms = Norms(np.dtype(dtype).name)
    with np.errstate(all="ignore"):  # as in the loop
        for step, factor in enumerate(odd):
            steps[step, step % 2, step % 3] *= dtype(factor)
        expected = [norms_and_cosine(*vectors) for vectors in steps]
        for vectors in (steps[::-1], steps):
            norms.begin_anew()
            for one, other in vectors:
                norms.add(one, other)
        found = norms.all()
    for numbers, each in zip(found, zip(*expected, strict=True), strict=True):
        np.testing.assert_array_equal(numbers, np.concatenate(each))
        assert numbers.dtype == dtype


def test_distance_is_to_the_nearest_of_the_minima():
    theta = np.array([[0.0, 1.0], [5.0, 5.0], [9.0, 5.0]])
    np.testing.assert_array_equal(distance(theta, [(0.0, 0.0), (5.0, 5.0)]), [1, 0, 4])
