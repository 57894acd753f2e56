"""`momentumlab.Momentum`: momentum for anybody's training script, in place of torch.optim.SGD."""

import copy
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, cast, overload

import torch
from torch import Tensor

from momentumlab.optimizers.momentum_options import Form, Options, in_words, number, options_of
from momentumlab.optimizers.surroundings import hooked_while_watched, set_grad_enabled, without_dynamo
from momentumlab.optimizers.together import Known, update_together


class Momentum(torch.optim.Optimizer):
    """SGD with momentum, with torch's arguments, in either form.

        form="torch"        b ← μ·b + ∇J,     θ ← θ − lr·b       what torch.optim.SGD computes
        form="classical"    v ← μ·v + lr·∇J,  θ ← θ − v          what the article and Keras compute

    In torch's form plain dense tensors take the bits of SGD(fused=True), from SGD's default an ulp of b or so a step.
    With a constant `lr` both give the same iterates; after a change of `lr` the classical form coasts on at the old
    speed. `nesterov` steps along ∇J + μ·b instead of b, or lr·∇J + μ·v instead of v. `weight_decay`·θ is added to the
    gradient before all this, `maximize` turns the gradient round before that. `dampening` multiplies ∇J by
    1 − dampening, but as in torch never in the first update, which begins with b = ∇J, nor while μ is 0.

    lr, weight_decay: 0 or more, a number or a tensor of one element. momentum, which is μ or γ: in [0, 1). dampening:
    in [0, 1]. nesterov needs a momentum above 0 and no dampening. Raises ValueError for an option out of range, in
    `step` too: what is put into `param_groups` later is judged there, before anything moves.

    Never changes `p.grad`. A sparse gradient gives what the dense one gives, and is made dense where b, v or
    weight_decay move its untouched rows as well.

    A state_dict of torch.optim.SGD goes on here and back; one without a form, as torch's, leaves this optimizer's own,
    and options that only torch knows are kept for the way back. The classical form reads torch's b as v = lr·b and
    writes b = v/lr beside v: the same iterates for as long as `lr` stays the same. Polyak 1964; Sutskever et al. 2013.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
        weight_decay: float | Tensor = 0.0,
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
        self._known: defaultdict[int, Known] = defaultdict(dict)  # by the group's place
        self.register_state_dict_post_hook(_write_torchs_buffers)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own; those not named are the optimizer's."""
        if isinstance(param_group, dict):  # anything else the base refuses, in its own words
            options = options_of(self.defaults | param_group)
            if options.nesterov and options.momentum == 0:  # asked here only: a schedule may pass through 0
                raise ValueError("nesterov needs a momentum above 0")
        without_dynamo(super().add_param_group)(param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients, or make them zero."""
        without_dynamo(super().zero_grad)(set_to_none)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @hooked_while_watched
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update every parameter that has a gradient; `closure` may compute the loss anew, which is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        every = [options_of(group, index) for index, group in enumerate(self.param_groups)]
        records = torch.is_grad_enabled()
        set_grad_enabled(False)
        try:
            for index, options in enumerate(every):
                parameters = self.param_groups[index]["params"]
                for parameter in update_together(parameters, self.state, options, self._known[index]):
                    self._update(parameter, cast(Tensor, parameter.grad), options)
        finally:
            set_grad_enabled(records)
        return loss

    def _update(self, parameter: Tensor, gradient: Tensor, options: Options) -> None:
        if options.maximize:
            gradient = -gradient
        if gradient.is_sparse and (options.momentum or options.weight_decay or options.form == "classical"):
            gradient = gradient.to_dense()
        if options.weight_decay:
            gradient = gradient.add(parameter, alpha=options.weight_decay)
        if options.form == "classical":
            parameter.sub_(_classical_step(gradient, self.state[parameter], options))
        elif options.momentum:
            parameter.sub_(_torch_step(gradient, self.state[parameter], options), alpha=options.lr)
        else:
            parameter.sub_(gradient, alpha=options.lr)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state_dict of this class or of torch.optim.SGD, and share no tensor with it."""
        super().load_state_dict(copy.deepcopy(state_dict))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """What load_state_dict ends with, and unpickling and deepcopy consist of."""
        own = vars(self).get("param_groups", [])  # none yet in an unpickled optimizer
        self._known = defaultdict(dict)
        super().__setstate__(state)
        for group, before in zip(self.param_groups, own, strict=False):
            for name, value in before.items():
                group.setdefault(name, value)  # what the checkpoint does not say stays
            for parameter in group["params"]:
                _keep_what_is_current(self.state.get(parameter, {}))
        if not self._optimizer_state_dict_post_hooks:
            self.register_state_dict_post_hook(_write_torchs_buffers)

    def __repr__(self) -> str:
        groups = [in_words(group) for group in self.param_groups]
        if len(groups) == 1:
            return f"{type(self).__name__}({groups[0]})"
        return "\n".join([f"{type(self).__name__}(", *(f"    {i}: {words}" for i, words in enumerate(groups)), ")"])


def _torch_step(gradient: Tensor, memory: dict[str, Any], options: Options) -> Tensor:
    if "velocity" in memory:  # the form was changed on the way
        if options.lr == 0:
            raise ValueError("a velocity becomes torch's b = v/lr only while lr is above 0")
        memory["momentum_buffer"] = memory.pop("velocity") / options.lr
    if "momentum_buffer" in memory:
        buffer: Tensor = memory["momentum_buffer"].mul_(options.momentum).add_(gradient, alpha=1 - options.dampening)
    else:
        buffer = memory["momentum_buffer"] = gradient.clone()
    return gradient.add(buffer, alpha=options.momentum) if options.nesterov else buffer


def _classical_step(gradient: Tensor, memory: dict[str, Any], options: Options) -> Tensor:
    push = options.lr * gradient
    if "momentum_buffer" in memory:  # from torch's form
        memory["velocity"] = options.lr * memory.pop("momentum_buffer")
    if "velocity" in memory and options.momentum:
        velocity: Tensor = memory["velocity"].mul_(options.momentum).add_(push, alpha=1 - options.dampening)
    else:
        velocity = memory["velocity"] = push
    return velocity.mul(options.momentum).add_(push) if options.nesterov else velocity


def _write_torchs_buffers(optimizer: torch.optim.Optimizer, state_dict: dict[str, Any]) -> None:
    """Beside every velocity write the b = v/lr that torch's SGD goes on from; with lr 0 there is none."""
    del optimizer
    memories = state_dict["state"]
    for group in state_dict["param_groups"]:
        lr = number(group["lr"])
        for index in group["params"]:
            if lr > 0 and "velocity" in memories.get(index, {}):
                velocity = memories[index]["velocity"]
                memories[index] = memories[index] | {"momentum_buffer": velocity / lr, "lr": lr}


def _keep_what_is_current(memory: dict[str, Any]) -> None:
    """Of a loaded velocity and the buffer written beside it: the exact v, unless torch has gone on with the buffer."""
    buffer, lr = memory.pop("momentum_buffer", None), memory.pop("lr", None)
    if buffer is None or (lr is not None and torch.equal(memory["velocity"] / lr, buffer)):
        return
    memory.pop("velocity", None)
    memory["momentum_buffer"] = buffer.to_dense() if buffer.is_sparse else buffer
