"""From an optimizer section of backend torch to torch.optim's own optimizers, and what torch says against it."""

import inspect
from collections.abc import Iterable, Sequence
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import torch
from torch import Tensor

from momentumlab.arrays import TorchArrays
from momentumlab.errors import ConfigError
from momentumlab.experiment import Cell
from momentumlab.experiment.explain import given
from momentumlab.experiment.schema_optimizer import Optimizer
from momentumlab.experiment.schema_torch import TORCH_CLASSES, TorchGammaOptimizer, TorchPlainOptimizer
from momentumlab.problems.models import ModelProblem
from momentumlab.problems.problem import Problem
from momentumlab.text import nearest, safe, shown

_KINDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    NoneType: "nothing",
    Tensor: "",  # cannot be written in a file
}


class TorchOptimizer:
    """torch.optim's class of an optimizer section, at work on the parameters of one run.

    The kinds sgd, momentum and nesterov are torch.optim.SGD. Muon trains the matrices alone, since orthogonalisation
    exists for them only; all other parameters (biases) are trained by torch.optim.SGD with Muon's η, γ and nesterov,
    without decay. Everything is torch's but where a schedule lets γ be 0: torch.optim.SGD has no buffer then, or an old
    one, and here the buffer is what b ← γ·b + ∇J makes of it, so that a later γ finds the label's inertia.
    """

    def __init__(self, section: Optimizer, parameters: Sequence[Tensor]) -> None:
        name, arguments = _class_and_arguments(section)
        gamma, eta = _number(section.gamma), _number(section.eta)
        everything = _defaults(name) | arguments
        self._nesterov = bool(everything.get("nesterov"))
        self._parameters = parameters
        trained = [parameter for parameter in parameters if name != "Muon" or parameter.ndim == 2]
        others = [parameter for parameter in parameters if name == "Muon" and parameter.ndim != 2]
        argument = TORCH_CLASSES[name].gamma_argument
        if argument:
            arguments[argument] = gamma if argument == "momentum" else (gamma, everything["betas"][1])
        if name == "SGD":
            arguments["nesterov"] = self._nesterov_at(gamma)
        self._parts: list[torch.optim.Optimizer] = [getattr(torch.optim, name)(trained, lr=eta, **arguments)]
        if others:
            self._parts.append(torch.optim.SGD(others, lr=eta, momentum=gamma))  # `set` says whether with Nesterov

    def set(self, gamma: float, eta: float) -> None:
        """Let the next update use these; a class without γ takes no notice of it."""
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = eta
                if "betas" in group:
                    group["betas"] = (gamma, group["betas"][1])
                if "momentum" in group:
                    group["momentum"] = gamma
                if isinstance(part, torch.optim.SGD):
                    group["nesterov"] = self._nesterov_at(gamma)
            if isinstance(part, torch.optim.RMSprop) and gamma:
                _make_buffers(part)

    def step(self) -> Tensor:
        """Make the update from the parameters' gradients and give v, (parameter,), what it took from θ.

        torch.optim.SGD: η·buffer, of Nesterov's step the inertial part. Every other class: the whole step.
        """
        for part in self._parts:
            if isinstance(part, torch.optim.SGD):
                _keep_buffers(part)
        before = flat(self._parameters)
        for part in self._parts:
            part.step()
        [*others, last] = self._parts
        if not others and isinstance(last, torch.optim.SGD):
            [group] = last.param_groups
            velocity: Tensor = group["lr"] * flat(last.state[one]["momentum_buffer"] for one in self._parameters)
            return velocity
        return before - flat(self._parameters)

    def state(self) -> list[dict[str, Any]]:
        """What torch's classes remember, in torch's own form."""
        return [part.state_dict() for part in self._parts]

    def restore(self, state: Sequence[dict[str, Any]]) -> None:
        """Go on from such a state."""
        for part, remembered in zip(self._parts, state, strict=True):
            part.load_state_dict(remembered)

    def _nesterov_at(self, gamma: float) -> bool:
        # γ = 0 turns Nesterov off: torch refuses the pair, and the two are the same update then.
        return self._nesterov and gamma != 0


def flat(tensors: Iterable[Tensor]) -> Tensor:
    """(parameter,): the numbers of the tensors one after another, copied, as torch changes its own in place."""
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


def torch_arrays(problem: Problem) -> TorchArrays:
    """The arrays with which torch.optim trains a problem: its own, or for an objective the same numbers in torch."""
    return problem.arrays if isinstance(problem, ModelProblem) else TorchArrays(problem.arrays.dtype)


def check_torch(together: Iterable[tuple[Sequence[Cell], Problem]]) -> None:
    """Make sure, before anything is trained or written, that torch takes the optimizer of every cell.

    Raises ConfigError with a line for each argument that a class does not have or cannot take, and with torch's own
    words where it refuses the whole: every optimizer is made once and makes one update on parameters of one number,
    of the dtype and on the device of the problem.
    """
    lines = [
        line
        for cells, problem in together
        for section in _different(cell.experiment.optimizer for cell in cells)
        for line in _wrong_arguments(section) or _refusals(section, problem)
    ]
    if lines:
        raise ConfigError(list(dict.fromkeys(lines)))


# ---- the section as torch's arguments ----------------------------------------------------------------------


def _class_and_arguments(section: Optimizer) -> tuple[str, dict[str, Any]]:
    if isinstance(section, TorchGammaOptimizer | TorchPlainOptimizer):
        lists = {name: tuple(value) for name, value in section.arguments.items() if isinstance(value, list)}
        return section.kind, section.arguments | lists
    said = {name: getattr(section, name, None) for name in ("dampening", "weight_decay")}
    numbers = {name: number for name, number in said.items() if number is not None}
    return "SGD", {"nesterov": section.kind == "nesterov", **numbers}


def _defaults(name: str) -> dict[str, Any]:
    """Every argument of a class beside the parameters, with its default."""
    signature = inspect.signature(getattr(torch.optim, name)).parameters
    return {argument: parameter.default for argument, parameter in signature.items() if argument != "params"}


def _number(setting: Any) -> float:
    # The number that a schedule is named after is in range as any other; `set` writes what each step really uses.
    return float(getattr(setting, "value", setting))


# ---- one update ------------------------------------------------------------------------------------------------


def _keep_buffers(optimizer: torch.optim.SGD) -> None:
    [group] = optimizer.param_groups
    if not group["momentum"]:  # torch neither makes nor changes them then
        for parameter in group["params"]:
            optimizer.state[parameter]["momentum_buffer"] = _push(parameter, group)


def _push(parameter: Tensor, group: dict[str, Any]) -> Tensor:
    assert parameter.grad is not None
    gradient = -parameter.grad if group["maximize"] else parameter.grad.clone()
    return gradient.add(parameter.detach(), alpha=group["weight_decay"]) if group["weight_decay"] else gradient


def _make_buffers(optimizer: torch.optim.RMSprop) -> None:
    # RMSprop makes its buffers with the first update or never: where γ was 0 until now it would not find them.
    for parameter, state in optimizer.state.items():
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)


# ---- what torch would not take -----------------------------------------------------------------------------


def _different(sections: Iterable[Optimizer]) -> Iterable[Optimizer]:
    # One section of each making: η is in range for every class, so it decides nothing.
    made = {section.model_dump_json(exclude={"eta"}): section for section in sections if section.backend == "torch"}
    return made.values()


def _wrong_arguments(section: Optimizer) -> list[str]:
    if not isinstance(section, TorchGammaOptimizer | TorchPlainOptimizer):
        return []
    known = [argument for argument in _defaults(section.kind) if argument not in {"lr", "momentum"}]
    hints = get_type_hints(getattr(torch.optim, section.kind).__init__)
    lines = []
    for argument, value in section.arguments.items():
        if argument not in known:
            lines.append(f"optimizer.arguments: torch.optim.{section.kind} {_has_not(argument, known)}")
        elif not _fits(_with_beta1(value) if argument == "betas" else value, hints[argument]):
            wanted = _wanted(hints[argument])
            lines.append(f"optimizer.arguments.{argument}: got {given(value)}, must be {wanted}")
    return lines


def _with_beta1(betas: Any) -> Any:
    # [null, 0.99] leaves β₁ to gamma, which was checked
    return [0.0, *betas[1:]] if isinstance(betas, list) and betas[:1] == [None] else betas


def _has_not(argument: str, known: Sequence[str]) -> str:
    guess = nearest(argument, known)
    hint = f" Did you mean {guess!r}?" if guess else ""
    return f"has no argument {shown(argument)}.{hint} It takes {', '.join(known)}."


def _fits(value: Any, hint: Any) -> bool:
    """Whether torch's annotation allows a value: torch itself takes the text 'no' for true."""
    if get_origin(hint) is tuple:
        return isinstance(value, list) and len(value) == len(get_args(hint)) and all(map(_fits, value, get_args(hint)))
    kinds = get_args(hint) or (hint,)
    return type(value) in kinds or (type(value) is int and float in kinds) or not _KINDS.keys() >= set(kinds)


def _wanted(hint: Any) -> str:
    if get_origin(hint) is tuple:
        return f"a list of {len(get_args(hint))} numbers"
    return " or ".join(_KINDS[kind] for kind in get_args(hint) or (hint,) if _KINDS.get(kind))


def _refusals(section: Optimizer, problem: Problem) -> list[str]:
    arrays = torch_arrays(problem)
    parameters = [
        torch.nn.Parameter(torch.zeros([1] * len(part.shape), dtype=arrays.torch_dtype, device=arrays.device))
        for part in problem.parameters
    ]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    try:
        TorchOptimizer(section, parameters).step()
    except Exception as error:  # whatever torch raises, it is about what was written
        name, _ = _class_and_arguments(section)
        return [f"optimizer: torch.optim.{name} refuses this: {safe(str(error) or type(error).__name__)}"]
    return []
