"""The options of `momentumlab.Momentum`: judged in every step, so that nothing put into a group later goes unseen."""

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any, Literal, NamedTuple

from torch import Tensor

Form = Literal["torch", "classical"]

_LAWS = {  # what each option must be, and why where a refusal would surprise
    "lr": ("(η) must be one number, 0 or more", ""),
    "momentum": ("(γ) must be a number in [0, 1)", ": at 1 the velocity never decays"),
    "dampening": ("must be a number in [0, 1]", ""),
    "nesterov": ("must be True or False", ": by position it stands before weight_decay"),
    "weight_decay": ("must be one number, 0 or more", ""),
    "maximize": ("must be True or False", ""),
    "form": ("must be 'torch' or 'classical'", ""),
}


class Options(NamedTuple):
    """A parameter group's options as plain numbers, each within its range."""

    lr: float
    momentum: float
    dampening: float
    nesterov: bool
    weight_decay: float
    maximize: bool
    form: Form


def options_of(group: Mapping[str, Any], index: int | None = None) -> Options:
    """The options of a group, `index` of the optimizer's. Raises ValueError for one out of range."""
    lr, momentum, dampening = number(group["lr"]), number(group["momentum"]), number(group["dampening"])
    nesterov, weight_decay = group["nesterov"], number(group["weight_decay"])
    maximize, form = group["maximize"], group["form"]
    held = (  # in the order of _LAWS
        0 <= lr < math.inf,
        0 <= momentum < 1,
        0 <= dampening <= 1,
        isinstance(nesterov, bool),
        0 <= weight_decay < math.inf,
        isinstance(maximize, bool),
        form in ("torch", "classical"),
    )
    if not all(held) or (nesterov and dampening):
        where = "" if index is None else f"param_groups[{index}]: "
        for (name, (law, why)), holds in zip(_LAWS.items(), held, strict=True):
            if not holds:
                raise ValueError(f"{where}{name} {law}, got {group[name]!r}{why}")
        raise ValueError(f"{where}nesterov needs dampening 0, got {dampening}")
    return Options(lr, momentum, dampening, nesterov, weight_decay, maximize, form)


def number(value: Any) -> float:
    """A number, or a tensor of one, as a float; anything else as nan, which is in no range."""
    if type(value) is float:
        return value
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan


def in_words(group: dict[str, Any]) -> str:
    words = [f"form={group['form']}", f"η={group['lr']}", f"γ={group['momentum']}"]
    words += [f"{name}={group[name]}" for name in ("dampening", "weight_decay") if group[name]]
    words += [name for name in ("nesterov", "maximize") if group[name]]
    return ", ".join([*words, f"tensors={len(group['params'])}"])
