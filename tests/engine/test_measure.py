import numpy as np
import pytest

from momentumlab.arrays import NumpyArrays, TorchArrays
from momentumlab.engine.measure import cosine, distance, norm

LIBRARIES = [NumpyArrays("float64"), TorchArrays("float64")]


def angle(one, other, arrays):
    return cosine(one, other, (norm(one, arrays), norm(other, arrays)), arrays)


@pytest.mark.parametrize("arrays", LIBRARIES, ids=["numpy", "torch"])
@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1.0, 1e170, 1e300])
def test_norm_and_cosine_neither_overflow_nor_vanish(arrays, scale):
    one, other = arrays.array([[3.0, 4.0], [1.0, 0.0]]), arrays.array([[4.0, 3.0], [0.0, -2.0]])
    with np.errstate(all="ignore"):  # as in the loop
        lengths, angles = norm(one * scale, arrays), angle(one * scale, other, arrays)
    np.testing.assert_allclose(lengths, [5 * scale, scale], rtol=4e-16)
    np.testing.assert_allclose(angles, [0.96, 0], rtol=4e-16)


@pytest.mark.parametrize("arrays", LIBRARIES, ids=["numpy", "torch"])
def test_the_cosine_with_zero_is_nan_and_a_vector_with_itself_has_one(arrays):
    zero, vector = arrays.array([[0.0, 0.0]]), arrays.array([[0.1, 0.3]])
    with np.errstate(invalid="ignore"):  # as in the loop
        assert np.isnan(angle(zero, vector, arrays)).all()
    assert angle(vector, vector, arrays)[0] == pytest.approx(1, abs=2e-16)
    assert angle(vector, -vector, arrays)[0] >= -1


@pytest.mark.parametrize("arrays", LIBRARIES, ids=["numpy", "torch"])
def test_distance_is_to_the_nearest_of_the_minima(arrays):
    theta = arrays.array([[0.0, 1.0], [5.0, 5.0], [9.0, 5.0]])
    away = distance(theta, [(0.0, 0.0), (5.0, 5.0)], arrays)
    np.testing.assert_array_equal(away, [1, 0, 4])
