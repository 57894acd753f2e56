"""Momentum's update of many tensors by a few calls: what the readable lines of `momentum.py` compute, sooner.

Below a million parameters a step costs what its calls cost, above it the memory that they pass through.
"""

import functools
from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Any, TypeAlias

import torch
from torch import Tensor

from momentumlab.optimizers.momentum_options import Options

# The kernel of torch.optim.SGD(fused=True). Private to torch: where it is missing, the readable lines do its work.
FUSED_SGD: Any = getattr(torch, "_fused_sgd_", None)

# What torch.compile asks of its inputs before every call; it loads no compiler. Private too, so `_are_alike` asks then.
GUARDS: Any = getattr(getattr(getattr(torch._C, "_dynamo", None), "guards", None), "TensorGuards", None)

_ON_CPU = {("cpu", dtype) for dtype in (torch.float32, torch.float64)}
_FUSED = _ON_CPU | {("cuda", dtype) for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16)}
_TYPES = {Tensor, torch.nn.Parameter}  # a subclass may do anything at all in a call
_DTYPE, _LAYOUT = attrgetter("dtype"), attrgetter("layout")
_DENSE = {torch.strided}
_IN_CACHE = 2**17  # elements that the classical form takes through all its lines before it fetches the next

# Parameters, their gradients, and their buffers or velocities (none where the form keeps none), in one order.
Lists: TypeAlias = tuple[list[Tensor], list[Tensor], list[Tensor]]

Known: TypeAlias = dict[tuple[str | None, int], Any]
"""By the name of the memory and the number of tensors: torch's guards of tensors that were found alike."""


def update_together(
    parameters: list[Tensor], state: Mapping[Tensor, dict[str, Any]], options: Options, known: Known
) -> list[Tensor]:
    """Update what can be by few calls; gives the parameters with a gradient that are left to the readable lines.

    `known` is what it remembers between the steps of an optimizer: how tensors look that need no second inspection.

    The torch form gives the bits of torch.optim.SGD(fused=True). Beside the readable lines a buffer may be an ulp off
    where the kernel rounds μ·b + ∇J once and not twice: on x86 in the last elements, which fill no vector. The
    classical form gives the bits of the readable lines.
    """
    compiling = torch.compiler.is_compiling()
    if options.form == "torch" and FUSED_SGD is not None and not compiling:
        batches, others = _sort(parameters, state, "momentum_buffer" if options.momentum else None, _FUSED, known)
        for batch in batches:
            _torch_form(batch, options)
        return others
    # Without these every operation is one rounding, wherever a kernel's vectors begin and end.
    many_roundings = options.dampening or options.weight_decay or options.maximize
    if options.form == "classical" and options.momentum and not many_roundings and not compiling:
        batches, others = _sort(parameters, state, "velocity", _ON_CPU, known)
        for batch in batches:
            _classical_form(batch, options)
        return others
    return [parameter for parameter in parameters if parameter.grad is not None]


def _torch_form(batch: Lists, options: Options) -> None:
    FUSED_SGD(
        *batch,
        weight_decay=options.weight_decay,
        momentum=options.momentum,
        lr=options.lr,
        dampening=options.dampening,
        nesterov=options.nesterov,
        maximize=options.maximize,
        is_first_step=False,
    )


def _classical_form(batch: Lists, options: Options) -> None:
    dtype = batch[0][0].dtype
    lr, momentum = _tensor(options.lr, dtype), _tensor(options.momentum, dtype)
    for parameters, gradients, velocities in _pieces(batch):
        pushes = torch._foreach_mul(gradients, lr)
        torch._foreach_mul_(velocities, momentum)
        torch._foreach_add_(velocities, pushes)
        if options.nesterov:
            steps = torch._foreach_mul(velocities, momentum)
            torch._foreach_add_(steps, pushes)
            torch._foreach_sub_(parameters, steps)
        else:
            torch._foreach_sub_(parameters, velocities)


def _sort(
    parameters: list[Tensor],
    state: Mapping[Tensor, dict[str, Any]],
    memory: str | None,
    kinds: set[tuple[str, torch.dtype]],
    known: Known,
) -> tuple[list[Lists], list[Tensor]]:
    """What can be updated by one call each: all at once, or, where they are not alike, one by one; and the others."""
    gradients: list[Any] = [parameter.grad for parameter in parameters]
    memories: list[Any] = [state.get(parameter, {}).get(memory) for parameter in parameters] if memory else []
    tensors = [*parameters, *gradients, *memories]
    guards = known.get((memory, len(tensors)))
    if guards is not None and guards.check(*tensors):
        return [(parameters, gradients, memories)], []
    if _are_alike(parameters, gradients, memories, kinds):
        if GUARDS is not None:
            known[memory, len(tensors)] = _guards(tensors)
        return [(parameters, gradients, memories)], []
    batches, others = [], []
    for index, parameter in enumerate(parameters):
        if gradients[index] is None:
            continue
        single = ([parameter], [gradients[index]], memories[index : index + 1])
        if _are_alike(*single, kinds):
            batches.append(single)
        else:
            others.append(parameter)
    return batches, others


def _are_alike(
    parameters: list[Tensor], gradients: list[Any], memories: list[Any], kinds: set[tuple[str, torch.dtype]]
) -> bool:
    """Whether all are dense contiguous tensors of one kind, and of one size place by place.

    The fused kernel compares neither sizes nor strides: what is asked here is all that guards memory.
    """
    tensors = [*parameters, *gradients, *memories]
    if not tensors or not set(map(type, tensors)) <= _TYPES:  # None, where there is no gradient or no update yet
        return False
    first = parameters[0]
    sizes = list(map(Tensor.numel, parameters))
    return (
        (first.device.type, first.dtype) in kinds
        and len(set(map(Tensor.get_device, tensors))) == len(set(map(_DTYPE, tensors))) == 1
        and set(map(_LAYOUT, tensors)) == _DENSE
        and all(map(Tensor.is_contiguous, tensors))
        and list(map(Tensor.numel, gradients)) == sizes
        and (not memories or list(map(Tensor.numel, memories)) == sizes)
    )


def _guards(tensors: list[Tensor]) -> Any:
    """What says in one call whether other tensors have the types, dtypes, devices, layouts, sizes and strides of these.

    It keeps none of them alive.
    """
    sizes, strides = [list(tensor.shape) for tensor in tensors], [list(tensor.stride()) for tensor in tensors]
    return GUARDS(*tensors, dynamic_dims_sizes=sizes, dynamic_dims_strides=strides)


def _pieces(batch: Lists) -> Iterator[Lists]:
    """A batch in parts of at most `_IN_CACHE` elements; a larger tensor comes piece by piece, as flat views."""
    part: Lists = ([], [], [])
    size = 0
    for tensors in zip(*batch, strict=True):
        elements = tensors[0].numel()
        if elements > _IN_CACHE:
            flat = [tensor.view(-1) for tensor in tensors]
            for start in range(0, elements, _IN_CACHE):
                first, second, third = ([tensor[start : start + _IN_CACHE]] for tensor in flat)
                yield first, second, third
            continue
        if size + elements > _IN_CACHE:
            yield part
            part, size = ([], [], []), 0
        for names, tensor in zip(part, tensors, strict=True):
            names.append(tensor)
        size += elements
    if part[0]:
        yield part


@functools.lru_cache(maxsize=64)
def _tensor(value: float, dtype: torch.dtype) -> Tensor:
    """A number as a tensor. Torch makes one of every number that it multiplies by, at the price of all the rest."""
    return torch.tensor(value, dtype=dtype, device="cpu")
