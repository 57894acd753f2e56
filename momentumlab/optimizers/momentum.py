"""`momentumlab.Momentum`: momentum for anybody's training script, in place of torch.optim.SGD."""

from collections.abc import Callable, Iterable
from typing import Any, Literal, overload

import torch
from torch import Tensor

Form = Literal["torch", "classical"]


class Momentum(torch.optim.Optimizer):
    """SGD with momentum, with torch's arguments, in either form.

        form="torch"        b ← μ·b + ∇J,     θ ← θ − lr·b       what torch.optim.SGD computes
        form="classical"    v ← μ·v + lr·∇J,  θ ← θ − v          what the article and Keras compute

    With a constant `lr` both give the same iterates; after a change of `lr` the classical form coasts on at the old
    speed. `weight_decay` is added to the gradient before the velocity; as in torch, the first update ignores
    `dampening`.

    lr: 0 or more. momentum: in [0, 1). nesterov needs a momentum above 0 and no dampening. Never changes `p.grad`.
    Raises ValueError for an argument out of range. Polyak 1964; Sutskever et al. 2013.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        form: Form = "torch",
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "nesterov": nesterov,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "form": form,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            _check(group)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        # A state_dict of torch.optim.SGD has no form; this optimizer keeps its own.
        for group in self.param_groups:
            group.setdefault("form", self.defaults["form"])

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update every parameter that has a gradient; `closure` may compute the loss anew, which is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return loss

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        assert parameter.grad is not None
        gradient = -parameter.grad if group["maximize"] else parameter.grad
        if group["weight_decay"]:
            gradient = gradient.add(parameter, alpha=group["weight_decay"])
        if not group["momentum"]:
            parameter.sub_(gradient, alpha=group["lr"])
        elif group["form"] == "torch":
            parameter.sub_(self._torch_step(gradient, self.state[parameter], group), alpha=group["lr"])
        else:
            parameter.sub_(self._classical_step(gradient, self.state[parameter], group))

    @staticmethod
    def _torch_step(gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        buffer: Tensor | None = state.get("momentum_buffer")
        if buffer is None:
            buffer = state["momentum_buffer"] = gradient.clone()
        else:
            buffer.mul_(group["momentum"]).add_(gradient, alpha=1 - group["dampening"])
        return gradient.add(buffer, alpha=group["momentum"]) if group["nesterov"] else buffer

    @staticmethod
    def _classical_step(gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        velocity: Tensor | None = state.get("velocity")
        if velocity is None and state.get("momentum_buffer") is not None:
            # From a state_dict of torch's form: the velocity that moved θ last was lr·b.
            velocity = state["velocity"] = group["lr"] * state.pop("momentum_buffer")
        if velocity is None:
            velocity = state["velocity"] = group["lr"] * gradient
        else:
            velocity.mul_(group["momentum"]).add_(gradient, alpha=group["lr"] * (1 - group["dampening"]))
        if not group["nesterov"]:
            return velocity
        return velocity.mul(group["momentum"]).add_(gradient, alpha=group["lr"])


def _check(group: dict[str, Any]) -> None:
    if not group["lr"] >= 0:
        raise ValueError(f"lr (η) must be 0 or more, got {group['lr']!r}")
    if not 0 <= group["momentum"] < 1:
        raise ValueError(f"momentum (γ) must be in [0, 1), got {group['momentum']!r}: at 1 the velocity never decays")
    if not group["weight_decay"] >= 0:
        raise ValueError(f"weight_decay must be 0 or more, got {group['weight_decay']!r}")
    if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
        raise ValueError("nesterov needs a momentum above 0 and dampening 0")
    if group["form"] not in ("torch", "classical"):
        raise ValueError(f"form must be 'torch' or 'classical', got {group['form']!r}")
