"""Losses at their edges; beside autograd they stand in test_models."""

import pytest
import torch

from momentumlab.problems.losses import cross_entropy, right_answers


def test_cross_entropy_of_huge_outputs_is_a_number():
    output = torch.tensor([[[1e30, -1e30], [-1e30, 1e30]]])
    loss, slope = cross_entropy(output, torch.tensor([[[0, 0]]]))
    assert loss.tolist() == pytest.approx([1e30])  # nothing for the first sample, 2e30 for the second
    assert slope().tolist() == [[[0, -0.5], [0, 0.5]]]


def test_right_is_the_first_of_the_largest_outputs():
    output = torch.randint(0, 3, (4, 5, 200), generator=torch.Generator().manual_seed(0)).float()  # many are equal
    target = torch.randint(0, 5, (4, 1, 200), generator=torch.Generator().manual_seed(1))
    expected = (output.numpy().argmax(1) == target[:, 0].numpy()).sum(1)
    assert right_answers(output, target).tolist() == expected.tolist()


def test_an_output_that_is_no_number_is_no_right_answer():
    output = torch.tensor([[[torch.nan, torch.nan], [0, torch.nan]]])
    assert right_answers(output, torch.tensor([[[0, 1]]])).tolist() == [0]
