"""One answer for a rule on a spectrum."""

import math

import pytest

from momentumlab.theory.method import Method
from momentumlab.theory.prediction import predict


def test_the_article_on_a_ravine():
    found = predict(Method.of("momentum", gamma=0.9, eta=0.01), [1.0, 100.0])
    assert (found.curvature_max, found.curvature_min, found.condition) == (100, 1, 100)
    assert (found.eta_curvature, found.limit, found.stable) == (1.0, pytest.approx(3.8), True)
    assert found.rate == pytest.approx(math.sqrt(0.9))
    assert found.steps == 263  # the reference's claim1-same-eta
    assert (found.gamma_best, found.rate_best) == (pytest.approx(0.66942149), pytest.approx(9 / 11))


def test_beyond_the_limit_it_diverges():
    found = predict(Method.of("nesterov", gamma=0.9, eta=0.0136), [1.0, 100.0])
    assert found.eta_curvature > found.limit == pytest.approx(3.8 / 2.8)
    assert not found.stable
    assert found.rate > 1
    assert found.steps is None


def test_flat_directions_are_left_out_and_saddles_diverge():
    assert predict(Method.of("sgd", eta=1.0), [0.0, 1.0]).steps == 1
    saddle = predict(Method.of("momentum", gamma=0.9, eta=0.1), [-2.0, 2.0])
    assert not saddle.stable
    assert saddle.condition is None
    assert saddle.rate_best is None
