"""Optimizers with torch's face: parameters first, then options; step, param_groups, state_dict."""

import copy
import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from momentumlab.audit.outside import outside
from momentumlab.audit.recurrences import Values
from momentumlab.audit.script import MATRICES, SHAPES, Shapes, Vector, parts, written
from momentumlab.audit.subject import CUSTOMARY_GAMMA, Group, failed, group
from momentumlab.errors import ConfigError
from momentumlab.optimizers.code import FAILURES, in_words
from momentumlab.text import nearest, safe, shown

ETA_NAMES = ("lr", "learning_rate", "eta")
GAMMA_NAMES = ("momentum", "betas", "beta1", "beta", "gamma")  # of betas=(β₁, …) the first
_KNOWN = ("dampening", "weight_decay", "maximize", "nu", "gammas", "weights")


@dataclass(frozen=True)
class TorchSubject:
    """A class of optimizers with the arguments that it is built with beside γ and η."""

    name: str
    build: Any  # the class
    arguments: Mapping[str, Any]
    shapes: Shapes = SHAPES
    notes: tuple[str, ...] = ()
    customary_gamma: float = CUSTOMARY_GAMMA

    @cached_property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """What the constructor takes after the parameters to train, its base classes' included where it passes on."""
        return _signature(self.build)

    @cached_property
    def eta_name(self) -> str:
        return next(name for name in ETA_NAMES if name in self.parameters)

    @cached_property
    def gamma_name(self) -> str | None:
        return next((name for name in GAMMA_NAMES if self._is_gamma(name)), None)

    @property
    def values(self) -> Values:
        beside = {"betas": self._value("betas"), "beta1": (None, self._value("beta2"))}.get(self.gamma_name or "", ())
        further = tuple(float(beta) for beta in beside[1:] if _is_number(beta))
        return Values(self.gamma_name is not None, further, {name: self._value(name) for name in _KNOWN})

    @property
    def file(self) -> str | None:
        """The file whose lines an error names, where it can be told."""
        try:
            return inspect.getsourcefile(self.build)
        except TypeError:
            return None

    def with_arguments(self, **arguments: Any) -> "TorchSubject":
        return replace(self, arguments=dict(self.arguments) | arguments)

    def start(self, groups: Sequence[Group], *, idle: bool = False) -> "TorchTrainer":
        return TorchTrainer(self, groups, idle=np.full(self.shapes[-1], 0.75) if idle else None)

    def shared(self) -> Mapping[str, str]:
        return outside(self.build)

    def fitted(self, gamma: float, eta: float) -> "TorchSubject":
        try:
            self._tried(gamma, eta)
        except ConfigError as refusal:
            matrices = replace(self, shapes=MATRICES, notes=("it takes matrices only, and was examined with those",))
            try:
                matrices._tried(gamma, eta)
            except ConfigError:
                raise refusal from None
            return matrices
        return self

    def options(self, one: Group) -> dict[str, Any]:
        """γ and η of a group by the names that the class gives them."""
        options: dict[str, Any] = {self.eta_name: float(one.script.etas[0])}
        if self.gamma_name == "betas":
            options["betas"] = (one.gamma, *self._value("betas")[1:])
        elif self.gamma_name:
            options[self.gamma_name] = one.gamma
        return options

    def options_in(self, own: Mapping[str, Any], one: Group, built: Group) -> dict[str, Any]:
        """The same by the keys of `own`, a group of an instance that was built for `built`."""
        options = self.options(one)
        for kind, name, value in (
            ("eta", self.eta_name, built.script.etas[0]),
            ("gamma", self.gamma_name, built.gamma),
        ):
            key = self.key_of(kind, own, float(value)) if name else None
            if name and key and key != name:
                given = options.pop(name)
                first = given[0] if name == "betas" else given
                options[key] = (first, *own[key][1:]) if isinstance(own[key], tuple | list) else first
        return options

    def key_of(self, kind: str, own: Mapping[str, Any], value: float) -> str | None:
        """The key of a group that holds γ or η: as the constructor names it, as others do, or the one with `value`."""
        names = (self.eta_name, *ETA_NAMES) if kind == "eta" else (self.gamma_name, *GAMMA_NAMES)
        unknown = [key for key in own if key not in self.parameters and _is_number(own[key]) and own[key] == value]
        return next((name for name in names if name in own), unknown[0] if len(unknown) == 1 else None)

    def _tried(self, gamma: float, eta: float) -> None:
        script = written(self.shapes, eta)
        self.start([group(gamma, script)]).step([script.gradients[0]])

    def _value(self, name: str) -> Any:
        default = self.parameters[name].default if name in self.parameters else None
        return self.arguments.get(name, None if default is inspect.Parameter.empty else default)

    def _is_gamma(self, name: str) -> bool:
        value = self._value(name)
        if name not in self.parameters or isinstance(value, bool):
            return False
        return isinstance(value, tuple | list) and all(map(_is_number, value)) if name == "betas" else True


def subject_of(build: Any, name: str, arguments: Mapping[str, Any]) -> TorchSubject:
    """The class `build` with these arguments; ConfigError where they do not fit, or it cannot be built."""
    subject = TorchSubject(name, build, dict(arguments))
    problems = _of_the_arguments(subject)
    if problems:
        raise ConfigError([f"{name}: {problem}" for problem in problems])
    return subject


class TorchTrainer:
    """An instance at work. The gradients stay in the same tensors, as they do when zero_grad does not drop them."""

    def __init__(self, subject: TorchSubject, groups: Sequence[Group], *, idle: Vector | None = None) -> None:
        self._subject, self._groups = subject, groups
        self._tensors = [[_parameter(part) for part in parts(one.start, subject.shapes)] for one in groups]
        self._idle = [] if idle is None else [_parameter(idle)]
        self._optimizer = self._built()
        self._done = 0

    def step(self, gradients: Sequence[Vector]) -> Vector:
        self._done += 1
        given = [parts(gradient, self._subject.shapes) for gradient in gradients]
        self._put(given)
        with self._in_words(f"update {self._done}"):
            if self._needs_closure:
                self._optimizer.step(lambda: self._loss(given))
            else:
                self._optimizer.step()
        return np.concatenate([_gradient(tensor) for tensor in self._every])

    def theta(self) -> Vector:
        return np.concatenate([tensor.detach().numpy().ravel() for tensor in self._every])

    def idle(self) -> Vector:
        return np.concatenate([np.empty(0), *(tensor.detach().numpy().ravel() for tensor in self._idle)])

    def set_etas(self, etas: Sequence[float]) -> bool:
        groups = getattr(self._optimizer, "param_groups", [])
        before = [float(one.script.etas[0]) for one in self._groups]
        names = [self._subject.key_of("eta", own, eta) for own, eta in zip(groups, before, strict=False)]
        if not groups or None in names:
            return False
        for one, name, eta in zip(groups, names, etas, strict=True):
            if isinstance(one[name], torch.Tensor):
                one[name].fill_(eta)
            else:
                one[name] = eta
        return True

    def resumed(self) -> "TorchTrainer":
        starts = np.split(self.theta(), len(self._groups))
        groups = [one._replace(start=start) for one, start in zip(self._groups, starts, strict=True)]
        fresh = TorchTrainer(self._subject, groups)
        with self._in_words("loading its own state_dict"):
            fresh._optimizer.load_state_dict(copy.deepcopy(self._optimizer.state_dict()))
        fresh._done = self._done
        return fresh

    @property
    def can_be_saved(self) -> bool:
        return hasattr(self._optimizer, "state_dict") and hasattr(self._optimizer, "load_state_dict")

    @property
    def _every(self) -> list[torch.Tensor]:
        return [tensor for tensors in self._tensors for tensor in tensors]

    @cached_property
    def _needs_closure(self) -> bool:
        closure = inspect.signature(self._optimizer.step).parameters.get("closure")
        return closure is not None and closure.default is closure.empty

    def _built(self) -> Any:
        first, *others = self._groups
        if not others:
            return self._built_with([*self._tensors[0], *self._idle])
        alone = self._built_with([_parameter(part) for part in parts(first.start, self._subject.shapes)])
        own: dict[str, Any] = next(iter(getattr(alone, "param_groups", [])), {})
        options = [self._subject.options_in(own, one, first) for one in self._groups]
        return self._built_with(
            [{"params": members} | given for given, members in zip(options, self._tensors, strict=True)]
        )

    def _built_with(self, tensors: list[Any]) -> Any:
        given = dict(self._subject.arguments) | self._subject.options(self._groups[0])
        with self._in_words(
            safe(f"building it with {', '.join(f'{name}={value!r}' for name, value in given.items())}")
        ):
            return self._subject.build(tensors, **copy.deepcopy(given))

    def _put(self, given: Sequence[Sequence[Vector]]) -> None:
        arrays = [array for one in given for array in one]
        for tensor, array in zip(self._every, arrays, strict=True):
            if tensor.grad is None:
                tensor.grad = torch.empty_like(tensor)
            tensor.grad.copy_(torch.from_numpy(array))

    def _loss(self, given: Sequence[Sequence[Vector]]) -> torch.Tensor:
        self._put(given)
        return torch.zeros((), dtype=torch.float64)

    @contextmanager
    def _in_words(self, doing: str) -> Iterator[None]:
        try:
            yield
        except FAILURES as error:
            raise self._failed(doing, error) from None

    def _failed(self, doing: str, error: BaseException) -> ConfigError:
        words = failed(f"{self._subject.name}: {doing}", error, self._subject.file)
        if "dense gradients" in in_words(error):
            return ConfigError(
                f"{words}. It takes sparse gradients only: it cannot be examined, the script's are dense"
            )
        return words


def _signature(build: Any) -> dict[str, inspect.Parameter]:
    found: dict[str, inspect.Parameter] = {}
    for base in [base for base in inspect.getmro(build) if "__init__" in vars(base)]:
        own = list(inspect.signature(vars(base)["__init__"]).parameters.values())[2:]  # without self and the parameters
        named = {p.name: p for p in own if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        found = named | found
        if not any(p.kind is p.VAR_KEYWORD for p in own):
            break
    return found


def _of_the_arguments(subject: TorchSubject) -> list[str]:
    if not any(name in subject.parameters for name in ETA_NAMES):
        return [f"its constructor has no η by a name known here ({', '.join(ETA_NAMES)})"]
    own = {subject.eta_name: "eta"} | ({subject.gamma_name: "gamma"} if subject.gamma_name else {})
    problems = [
        f"{name} is {'η' if own[name] == 'eta' else 'γ'} here: give it as {own[name]}"
        for name in subject.arguments
        if name in own and name != "betas"
    ]
    for name in subject.arguments:
        if name not in subject.parameters:
            guess = nearest(name, subject.parameters)
            hint = f" Did you mean {guess!r}?" if guess else f" It takes {', '.join(subject.parameters)}."
            problems.append(f"takes no argument {shown(name)}.{safe(hint)}")
    for name, parameter in subject.parameters.items():
        if parameter.default is parameter.empty and name not in own and name not in subject.arguments:
            problems.append(safe(f"needs a value for {name}: add --set {name}=…"))
    return problems


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _parameter(array: Vector) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor(array, dtype=torch.float64))


def _gradient(tensor: torch.Tensor) -> Vector:
    if tensor.grad is None:
        return np.full(tensor.numel(), np.nan)
    return tensor.grad.detach().to_dense().double().numpy().ravel().copy()
