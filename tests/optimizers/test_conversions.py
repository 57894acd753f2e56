"""What `convert` gives takes the steps of the source: every pair on the problem of the equivalences."""

import functools

import numpy as np
import pytest

from momentumlab.optimizers.convert import SOURCES, TARGETS, convert
from tests.optimizers.recursions import (
    REFERENCE,
    nesterov_1983,
    pid,
    play,
    schedule_free,
    synthesized_nesterov,
    triple_momentum,
)

NAMES = {"classical": "momentum", "torch": "torch_momentum", "nesterov": "torch_nesterov"}
PAPERS = {
    "nesterov_1983": lambda **given: nesterov_1983(**given)[1],
    "synthesized_nesterov": lambda **given: synthesized_nesterov(**given)[1],
    "triple_momentum": triple_momentum,
    "schedule_free": lambda **given: schedule_free(**given)[1],
    "pid": pid,
}


def steps_of(name, hyperparameters):
    if name in PAPERS:
        return PAPERS[name](**hyperparameters)
    return play(NAMES.get(name, name), **({"gamma": 0.0} if name == "sgd" else {}), **hyperparameters)


def drawn(source, seed):
    """Hyperparameters that are stable on the problem, whose curvature is below 20: in the end α ≤ 0.04 ≤ 2/20."""
    random = np.random.default_rng(seed)
    gamma, alpha, nu, share = random.uniform([0.1, 0.005, 0.1, 0.2], [0.95, 0.04, 0.9, 0.8]).tolist()
    nu = [nu, 1.0, gamma, 0.0][seed % 4]
    forms = [
        ([gamma], [1.0]),
        ([0.0, gamma], [share, 1 - share]),
        ([gamma, 0.0, gamma], [0.2, 0.3, 0.5]),
        ([0.0], [1.0]),
    ]
    gammas, weights = forms[seed % 4]
    eta = alpha * (1 - gamma)
    inertial = alpha * nu * gamma / (1 - gamma)
    return {
        "sgd": {"eta": alpha},
        "classical": {"gamma": gamma, "eta": eta},
        "torch": {"gamma": gamma, "eta": eta},
        "nesterov": {"gamma": gamma, "eta": eta},
        "nesterov_1983": {"gamma": gamma, "eta": eta},
        "ema": {"gamma": gamma, "eta": alpha},
        "qhm": {"gamma": gamma, "eta": alpha, "nu": nu},
        "aggmo": {"gammas": gammas, "weights": weights, "eta": eta},
        "synthesized_nesterov": {"eta": eta, "beta1": gamma, "beta2": [share, gamma, 0.0, share][seed % 4]},
        "triple_momentum": {"smoothness": 20 + 30 * share, "convexity": gamma},
        "schedule_free": {"eta": alpha, "beta": nu, "c": 1 - gamma},
        "pid": {  # which knows no ν = 0
            "proportional": -(inertial or alpha),
            "integral": alpha,
            "derivative": (inertial or alpha) * gamma / (1 - gamma),
        },
    }[source]


@functools.cache
def steps_of_source(source, seed):
    return steps_of(source, drawn(source, seed))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("source", SOURCES)
def test_a_conversion_gives_the_steps_of_the_source_or_says_that_none_does(source, target):
    for seed in range(4):
        found = convert(source, target, drawn(source, seed))
        if not found.hyperparameters:
            assert found.parts_at is not None
            assert target not in ("qhm", "aggmo")  # which can be all of these
            continue
        theirs, ours = steps_of_source(source, seed), steps_of(target, found.hyperparameters)
        # The problem contracts, so the rounding of 200 updates stays at a few ulp of 1; a wrong map is far beyond it.
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=REFERENCE["tolerance"]["equal_abs"])
