"""Losses of a stack in closed form: J of every run, and on demand ∂J/∂output.

Samples stand in columns, as `layers` has them. A loss may overwrite the output.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Slope = Callable[[], Tensor]
"""Gives ∂J/∂output, once, of the shape of the output."""


def mean_squared_error(output: Tensor, target: Tensor) -> tuple[Tensor, Slope]:
    """J = mean over outputs and samples of (output − target)²: (run,).

    output, target: (run, output, sample).
    """
    residual = output.sub_(target)
    loss = (residual * residual).flatten(1).mean(1)
    return loss, lambda: residual.mul_(2 / residual[0].numel())


def cross_entropy(output: Tensor, target: Tensor) -> tuple[Tensor, Slope]:
    """J = mean over samples of −log softmax(output)[class]: (run,).

    output: (run, class, sample); target: (run, 1, sample) of class numbers.
    """
    logarithm = torch.log_softmax(output, 1)
    loss = logarithm.gather(1, target).sum((1, 2)).div_(-output.shape[2])  # torch's mean takes twice as long

    def slope() -> Tensor:
        # p − softmax(output)·Σp, as autograd has it, with p = ∂J/∂logarithm, which is −1/samples at the class.
        by_logarithm = output.zero_().scatter_(1, target, -1 / output.shape[2])
        return torch._log_softmax_backward_data(by_logarithm, logarithm, 1, output.dtype)

    return loss, slope


def right_answers(output: Tensor, target: Tensor) -> Tensor:
    """In how many samples the class has the largest output, of equal ones the first: (run,).

    output: (run, class, sample); target: (run, 1, sample).
    """
    # argmax along this axis takes five times as long.
    classes = output.shape[1]
    rank = torch.arange(classes, 0, -1, dtype=output.dtype, device=output.device).unsqueeze(1)
    first = torch.where(output == output.amax(1, keepdim=True), rank, 0).amax(1, keepdim=True)
    return (first == classes - target).sum((1, 2))


LOSSES = {"mse": mean_squared_error, "cross_entropy": cross_entropy}
