"""What torch puts round an optimizer's methods, left out while nobody has asked for it."""

import functools
import sys
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import torch
from torch.optim import Optimizer, optimizer

P = ParamSpec("P")
R = TypeVar("R")
Step = TypeVar("Step", bound=Callable[..., Any])

# Private to torch: where they are missing, somebody may be watching.
_GLOBAL_HOOKS = [
    getattr(optimizer, name, {"missing": True})
    for name in ("_global_optimizer_pre_hooks", "_global_optimizer_post_hooks")
]
_profiling: Callable[[], bool] = getattr(torch.autograd, "_profiler_enabled", lambda: True)

# The switch behind torch.no_grad, which costs as much as the update of a small model.
set_grad_enabled: Callable[[bool], object] = getattr(torch._C, "_set_grad_enabled", torch.set_grad_enabled)


def hooked_while_watched(step: Step) -> Step:
    """`step` inside torch's own wrapper while there is a hook or a profiler to serve, and bare while there is none.

    The wrapper, which torch otherwise puts there itself, costs more than the update of a small model.
    """
    hooked = Optimizer.profile_hook_step(step)
    pre_hooks, post_hooks = _GLOBAL_HOOKS

    @functools.wraps(step)
    def either(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        if pre_hooks or post_hooks or self._optimizer_step_pre_hooks or self._optimizer_step_post_hooks or _profiling():
            return hooked(self, *args, **kwargs)
        return step(self, *args, **kwargs)

    either.hooked = True  # type: ignore[attr-defined]  # what torch looks for before it wraps
    return cast(Step, either)


def without_dynamo(method: Callable[P, R]) -> Callable[P, R]:
    """A bound method of torch's that hides from torch.compile, without loading the compiler for it: a second's work.

    Once somebody has loaded the compiler, it is torch's method unchanged.
    """
    bare = getattr(method, "__wrapped__", None)
    if bare is None or "torch._dynamo" in sys.modules:
        return method
    return functools.partial(bare, method.__self__)  # type: ignore[attr-defined]
