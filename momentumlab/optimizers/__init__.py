"""Rules, schedules, and the class that stands in for torch's.

`import momentumlab.optimizers as optim` takes the place of `import torch.optim as optim` in a script that uses
`optim.SGD`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from momentumlab.optimizers.momentum import Momentum
    from momentumlab.optimizers.momentum import Momentum as SGD

__all__ = ["SGD", "Momentum"]


def __getattr__(name: str) -> Any:
    # The rules and schedules below need no torch, so it is loaded only for the class.
    if name not in __all__:
        raise AttributeError(f"module 'momentumlab.optimizers' has no attribute {name!r}")
    from momentumlab.optimizers.momentum import Momentum

    return Momentum
