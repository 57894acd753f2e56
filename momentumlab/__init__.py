"""A laboratory for momentum: v ← γ·v + η·∇J(θ), θ ← θ − v.

import momentumlab

result = momentumlab.sweep("linreg", gamma=[0, 0.5, 0.9, 0.99])
result.runs["loss_last"]                        # one number a run
momentumlab.load(result.folder).metrics         # columns of numpy arrays
momentumlab.Momentum(model.parameters(), lr=0.01, momentum=0.9)    # in place of torch.optim.SGD
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Momentum", "__version__", "load", "run", "sweep"]

if TYPE_CHECKING:
    from momentumlab.lab import load, run, sweep
    from momentumlab.optimizers.momentum import Momentum

_HOMES = {"Momentum": "momentumlab.optimizers.momentum"} | dict.fromkeys(("load", "run", "sweep"), "momentumlab.lab")


def __getattr__(name: str) -> Any:
    # Loaded on first use: torch takes a second, and `momentumlab --help` needs none of it.
    if name not in _HOMES:
        raise AttributeError(f"module 'momentumlab' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
