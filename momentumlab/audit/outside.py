"""What instances of a class could share: attributes of the class, defaults of its methods, names of its module."""

import inspect
import sys
from collections.abc import Iterator
from contextlib import suppress
from types import ModuleType
from typing import Any

from momentumlab.optimizers.code import FAILURES

_NOT_OURS = ("builtins", "torch", "typing", "abc")  # bases that are known to share nothing


def outside(build: type) -> dict[str, str]:
    """By name, as text that changes when the thing does; what cannot be written is left out."""
    found = {}
    for name, value in _places(build):
        with suppress(*FAILURES):
            found[name] = repr(value)
    return found


def _places(build: type) -> Iterator[tuple[str, Any]]:
    own = [base for base in inspect.getmro(build) if base.__module__.partition(".")[0] not in _NOT_OURS]
    for base in own:
        for name, value in vars(base).items():
            if inspect.isfunction(value):
                yield f"the defaults of {base.__name__}.{name}", (value.__defaults__, value.__kwdefaults__)
            elif not name.startswith("__"):
                yield f"{base.__name__}.{name}", value
    for module in {base.__module__: sys.modules.get(base.__module__) for base in own}.values():
        for name, value in vars(module).items() if module else ():
            if not (name.startswith("__") or callable(value) or isinstance(value, ModuleType)):
                yield name, value
