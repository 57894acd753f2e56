"""Denormals are zero inside, and only there."""

import numpy as np
import pytest
import torch

from momentumlab.problems.denormals import denormals_as_zero


def halves_of_the_smallest():
    """Whether half of the smallest normal number is a number: float32 in torch, in numpy, float64 likewise."""
    halves = []
    for dtype in (np.float32, np.float64):
        smallest = np.full(33, np.finfo(dtype).tiny)
        for half in ((torch.from_numpy(smallest) * 0.5).numpy(), smallest * dtype(0.5)):
            assert (half == half[0]).all()
            halves.append(bool(half[0] != 0))
    return halves


def test_they_are_zero_inside_and_numbers_again_afterwards():
    assert halves_of_the_smallest() == [True] * 4
    with denormals_as_zero():
        assert halves_of_the_smallest() == [False] * 4
        with denormals_as_zero():
            pass
        assert halves_of_the_smallest() == [False] * 4
    assert halves_of_the_smallest() == [True] * 4


def test_they_are_numbers_again_after_an_error():
    with pytest.raises(ZeroDivisionError), denormals_as_zero():
        _ = 1 / 0
    assert halves_of_the_smallest() == [True] * 4
