"""The noise of very many dimensions is drawn in parts, and is the same noise."""

import numpy as np
import pytest

from momentumlab.problems import formulas


@pytest.mark.parametrize("steps", [range(600), [300, 299, 10, 511, 0, 255, 256]])
def test_noise_drawn_in_parts_is_that_of_whole_blocks(steps: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    seeds, at_rest = [3, 5, 3], np.zeros((3, 4))
    whole = formulas.GradientNoise(0.5, 4, seeds)
    monkeypatch.setattr(formulas, "_NOISE_NUMBERS", 4 * 32)
    parts = formulas.GradientNoise(0.5, 4, seeds)
    for step in steps:
        np.testing.assert_array_equal(parts.added_to(at_rest, step), whole.added_to(at_rest, step))
    assert parts._part.shape[0] == 32
