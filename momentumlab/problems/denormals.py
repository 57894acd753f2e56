"""Numbers so small that they have lost digits are zero where a model trains.

The velocity of a weight that gets no more gradient decays by γ a step until it is such a number, and arithmetic with
those takes ten to two hundred times as long: a run that died would slow down its whole stack.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def denormals_as_zero() -> Iterator[None]:
    """Inside, what is below the smallest normal number of its dtype (1.2e-38, 2.2e-308) counts as zero.

    In torch and in numpy, in this thread alone; afterwards it is as it was before. Not for a computation on several
    threads: which of them a number falls to depends on the size of the stack, and so would its bits.
    """
    before = bool((torch.tensor(1e-38, dtype=torch.float32) * 1e-2 == 0).item())
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
