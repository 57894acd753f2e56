"""Other people's code: run only where it was allowed by name, and every failure of it in words.

A rule file holds one function in the shape of ours:

    def update(theta, gradient, memory, gamma, eta, nu=0.7):
        ...
        return theta, memory
"""

import importlib
import inspect
import os
import stat
import sys
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from momentumlab.arrays import Array, Arrays, NumpyArrays
from momentumlab.errors import ConfigError
from momentumlab.optimizers.rules import Rule, Update
from momentumlab.text import nearest, safe, shown

FAILURES = (Exception, SystemExit)  # what other people's code may end with; SystemExit would end the program in silence
_NUMPY = NumpyArrays("float64")
_OURS = ("momentumlab", "torch")  # packages that run here anyway
Numbers = npt.NDArray[Any]
_SHAPE = "def update(theta, gradient, memory, gamma, eta): … return theta, memory"


class RuleError(Exception):
    """A rule of somebody's file that failed in training: the line and what it says. It ends the run, not the sweep."""


@dataclass(frozen=True)
class FileRule(Rule):
    """A rule out of somebody's file. Its memory is zero in θ's shape at first, and is read as the velocity."""

    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Its hyperparameters beside γ and η: what was given, or else the file's own defaults."""


def is_file(source: str) -> bool:
    """Whether `source` names a file of Python, my_rule.py, and not a module to import, package.module."""
    return source.endswith(".py")


def allowed(source: str, allow_code: Collection[str]) -> bool:
    """Whether the code of a file or module may be run: `allow_code` names the same one, or it is ours or torch's."""
    names = _names(allow_code)
    if is_file(source):
        return any(is_file(other) and Path(other).resolve() == Path(source).resolve() for other in names)
    return source in names or source.partition(".")[0] in _OURS


def load_attribute(source: str, name: str | None, allow_code: Collection[str]) -> object:
    """What is called `name` in a file (folder/file.py) or a module (package.module); without a name the module itself.

    Running that code must be allowed: `allow_code` names the same file or module. Raises ConfigError where it is not,
    before anything is run, and where loading fails or nothing has this name.
    """
    refuse_unless_allowed([source], allow_code)
    module = _load_file(source) if is_file(source) else _import(source)
    return module if name is None else _attribute(module, name, source)


def refuse_unless_allowed(sources: Sequence[str], allow_code: Collection[str]) -> None:
    """Raise ConfigError, which names the option to add, for each file or module that `allow_code` does not name."""
    forbidden = [source for source in sources if not allowed(source, allow_code)]
    if forbidden:
        others = _others(_names(allow_code))
        raise ConfigError([f"{safe(source)}: {_leave_to_give(source)}{others}" for source in forbidden])


def rule_from_file(
    path: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    allow_code: Collection[str] = (),
) -> FileRule:
    """The rule that a file holds: its one public function, the one named `update` among several, or `name`.

    `arguments` are hyperparameters beside γ and η. Raises ConfigError, with file and line, for code that is not
    allowed or does not load, another shape, unknown arguments, and an update that fails when it is tried.
    """
    module = load_attribute(path, None, allow_code)
    assert isinstance(module, ModuleType)
    function = _attribute(module, name, path) if name else _the_function(module, path)
    return rule_of(function, path, arguments or {})


def rule_of(function: object, source: str, arguments: Mapping[str, Any]) -> FileRule:
    """A function of `source`, a file or a module, as a rule, once it was tried on small arrays; or ConfigError."""
    if not inspect.isfunction(function):
        raise ConfigError(f"{safe(source)}: {shown(function)} is no function, a rule is: {_SHAPE}")
    where = _where(function, source)
    problems = _of_the_shape(function) + _of_the_arguments(function, arguments)
    if problems:
        raise ConfigError([f"{where}: {problem}" for problem in problems])
    own = {name: parameter.default for name, parameter in _further(function).items()}
    rule = FileRule(function, eta_outside=False, arguments=own | dict(arguments))
    try_out(rule, source)
    return rule


def as_column(value: object, runs: int, arrays: Arrays = _NUMPY) -> object:
    """A hyperparameter as a rule gets it in a stack: a number as (run, 1), so each of a list, a word as it is."""
    if isinstance(value, list | tuple):
        return [as_column(element, runs, arrays) for element in value]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return arrays.column(np.full(runs, value, np.float64)) if is_number else value


def in_words(error: BaseException) -> str:
    """An exception of somebody's code as one line: its class and what it says."""
    words = str(error.msg) if isinstance(error, SyntaxError) else " ".join(str(error).split())
    return safe(f"{type(error).__name__}: {words}" if words else type(error).__name__)


def line_of(error: BaseException, file: str) -> int | None:
    """The line of `file`, an absolute path, in which the exception came up or was passed on; None if in none."""
    if isinstance(error, SyntaxError) and error.filename == file:
        return error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return lines[-1] if lines else None


def place_of(error: BaseException, source: str, file: str) -> str:
    """`source` with the line in which the exception came up, where that is in `file`: my_rule.py:3."""
    line = line_of(error, file)
    return safe(f"{source}:{line}" if line else source)


class _Source(SourceFileLoader):
    """Compiles what the file says now: __pycache__ is told apart by whole seconds, and stays unwritten."""

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = self.source_to_code(self.get_data(self.path), self.path)
        return code


def _names(allow_code: Collection[str]) -> Collection[str]:
    return [allow_code] if isinstance(allow_code, str) else allow_code  # its letters are no names


def _leave_to_give(source: str) -> str:
    if is_file(source) and not os.path.exists(source):
        return "there is no such file"
    in_python = f"in Python allow_code=[{shown(source, 1000)}]"
    return f"its code would be run on this machine: if you trust it, add --allow-code {safe(source)}, {in_python}"


def _others(names: Collection[str]) -> str:
    """What was allowed instead, and which of it is nowhere."""
    missing = [safe(name) for name in names if is_file(name) and not os.path.exists(name)]
    nowhere = f", and there is no {', '.join(missing)}" if missing else ""
    return f"; --allow-code names {', '.join(map(safe, names))}{nowhere}" if names else ""


def _refuse_what_never_ends(path: str) -> None:
    """ConfigError for a pipe or a device, which would be read for ever."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return  # reading it says why
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise ConfigError(f"{safe(path)}: is a device or a pipe. Name an ordinary file.")


def _load_file(path: str) -> ModuleType:
    _refuse_what_never_ends(path)
    file = str(Path(path).resolve())
    name = f"code of {file}"  # no module that anything imports has such a name
    spec = spec_from_loader(name, _Source(name, file))
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module = module_from_spec(spec)  # dataclasses look their module up there
    try:
        spec.loader.exec_module(module)
    except FAILURES as error:  # whatever the file does when it is run
        del sys.modules[name]
        if isinstance(error, OSError) and error.filename == file:
            raise ConfigError(f"{safe(path)}: cannot be read: {error.strerror}") from None
        raise ConfigError(f"{place_of(error, path, file)}: {in_words(error)}") from None
    return module


def _attribute(module: ModuleType, name: str, source: str) -> object:
    if not hasattr(module, name):
        public = [other for other in dir(module) if not other.startswith("_")]
        has = f" It has {', '.join(public[:20])}." if public else " It is empty."
        raise ConfigError(safe(f"{source}: there is no {name!r} in it.{_did_you_mean(name, public) or has}"))
    return getattr(module, name)


def _import(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise ConfigError(f"{shown(name)} is neither a module (package.module) nor a file of Python (folder/file.py)")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise ConfigError(f"{safe(name)}: {in_words(error)}") from None
        raise ConfigError(
            f"{safe(name)}: there is no module {shown(error.name)} to import here. A file is named with its ending: "
            f"{safe(name.rpartition('.')[2])}.py"
        ) from None
    except FAILURES as error:
        raise ConfigError(f"{safe(name)}: {in_words(error)}") from None


def _the_function(module: ModuleType, path: str) -> object:
    functions = {
        name: value
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    }
    if len(functions) != 1 and "update" not in functions:
        found = f"the functions {', '.join(functions)}, none of them named update" if functions else "no function"
        raise ConfigError(f"{safe(path)}: holds {safe(found)}. A rule is one: {_SHAPE}")
    return functions.get("update") or next(iter(functions.values()))


def _further(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters beside θ, ∇J, the memory, γ and η."""
    every = list(inspect.signature(function).parameters.items())
    return {name: parameter for name, parameter in every[3:] if name not in ("gamma", "eta")}


def _of_the_shape(function: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(function).parameters
    several = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    problems = [
        f"takes {several[parameter.kind]}{name}, name every hyperparameter instead"
        for name, parameter in parameters.items()
        if parameter.kind in several
    ]
    kinds = [parameter.kind for parameter in parameters.values()]
    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    own, names = kinds[:3], list(parameters)[3:]
    if len(own) < 3 or any(kind not in by_position for kind in own) or not {"gamma", "eta"} <= set(names):
        problems.append(f"must take θ, ∇J and the memory, then gamma and eta: {_SHAPE}")
    if inspect.Parameter.POSITIONAL_ONLY in kinds[3:]:
        problems.append("takes hyperparameters by position only, they are given by name: move the / before gamma")
    return problems


def _of_the_arguments(function: Callable[..., Any], arguments: Mapping[str, Any]) -> list[str]:
    further = _further(function)
    allowed = f" Allowed: {', '.join(further)}." if further else " It has none beside gamma and eta."
    problems = [
        f"{name} is no argument here, it has a key and an option of its own"
        if name in ("gamma", "eta")
        else f"unknown argument {shown(name)}.{allowed}{_did_you_mean(name, further)}"
        for name in arguments
        if name not in further
    ]
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return problems + [
        f"the hyperparameter {name} needs a default: {name}=…"
        for name, parameter in further.items()
        if parameter.default is parameter.empty and parameter.kind not in several
    ]


def try_out(rule: FileRule, source: str, arrays: Arrays = _NUMPY) -> None:
    """Three updates of two runs, together and alone, as the engine will ask for them; ConfigError says what failed.

    `arrays` are the kind that the engine will hand over: numpy's for an objective, torch's for a model.
    """
    kind = "" if arrays.module is np else ", on torch tensors"
    where = f"{_where(rule.update, source)}{kind}"
    starts = np.array([[1.0, -2.0, 0.5], [4.0, 0.25, -3.0]])
    gradients = np.array([[[0.5, -1.0, 2.0], [-3.0, 0.0, 0.125]], [[1.5, 0.75, -0.5], [0.25, 2.0, -1.0]]])
    gradients = np.concatenate([gradients, -0.5 * gradients[:1]])  # (step, run, parameter)
    try:
        with np.errstate(all="ignore"):
            together = _updates(rule, starts, gradients, arrays)
            alone = [_updates(rule, starts[[run]], gradients[:, [run]], arrays) for run in range(2)]
            _refuse_swapped(rule, starts, gradients[0], arrays)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    except FAILURES as error:
        place = place_of(error, source, rule.update.__code__.co_filename)
        tried = f"{rule.update.__name__}{kind}: the update was tried"
        raise ConfigError(f"{place}: {tried} and raised {in_words(error)}") from None
    # Another order of a sum is forgiven, an ingredient from the neighbour is not.
    rounding = 1e-9 if arrays.dtype == "float64" else 1e-4
    if not np.allclose(together, np.concatenate(alone), rtol=rounding, atol=rounding, equal_nan=True):
        raise ConfigError(
            f"{where}: a run gets other numbers beside another run than alone. θ and ∇J are (run, parameter): sum and "
            "take norms along the last axis only (axis=-1, keepdims=True), and keep nothing outside the memory"
        )


def _where(function: Callable[..., Any], source: str) -> str:
    return f"{safe(source)}:{function.__code__.co_firstlineno}: {function.__name__}"


def _updates(rule: FileRule, starts: Numbers, gradients: Numbers, arrays: Arrays) -> Numbers:
    columns = _columns(rule, len(starts), arrays)
    theta = arrays.array(starts)
    memory, kind, like = theta - theta, type(theta), (theta.shape, theta.dtype)
    for gradient in map(arrays.array, gradients):
        given = arrays.array(arrays.numpy(gradient))
        theta, memory = _pair(rule.update, theta, given, memory, columns)
        for name, array in (("θ", theta), ("the memory", memory)):
            if not isinstance(array, kind) or (array.shape, array.dtype) != like:
                raise ConfigError(f"must return {name} in the shape and dtype of θ, returned {_described(array)}")
        if not np.array_equal(arrays.numpy(given), arrays.numpy(gradient)):
            raise ConfigError("changes ∇J, which is read after the update too: work on a copy")
    return arrays.numpy(theta)


def _refuse_swapped(rule: FileRule, starts: Numbers, gradient: Numbers, arrays: Arrays) -> None:
    """ConfigError where θ comes back in the memory's place: with η = 0 it is θ that must stay."""
    columns = _columns(rule, len(starts), arrays) | {"eta": as_column(0.0, len(starts), arrays)}
    theta = arrays.array(starts)
    try:
        pair = rule.update(theta, arrays.array(gradient), theta - theta, **columns)
    except FAILURES:
        return  # it may refuse η = 0
    moved, memory = (arrays.numpy(array) for array in pair)
    if np.array_equal(memory, starts) and not np.array_equal(moved, starts):
        raise ConfigError("returns the memory and θ in the wrong order: return theta, memory")


def _columns(rule: FileRule, runs: int, arrays: Arrays) -> dict[str, object]:
    given = {"gamma": 0.9, "eta": 0.1} | dict(rule.arguments)
    return {name: as_column(value, runs, arrays) for name, value in given.items()}


def _pair(
    update: Update, theta: Array, gradient: Array, memory: Array, hyperparameters: Mapping[str, Any]
) -> tuple[Any, Any]:
    returned = update(theta, gradient, memory, **hyperparameters)
    if not isinstance(returned, Sequence) or len(returned) != 2:
        raise ConfigError(f"must return θ and the memory, returned {_described(returned)}")
    return returned[0], returned[1]


def _described(value: Any) -> str:
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        kind = "an array" if isinstance(value, np.ndarray | np.generic) else "a tensor"
        return f"{kind} of shape {tuple(value.shape)} and dtype {value.dtype}"
    return shown(value)


def _did_you_mean(word: str, choices: Collection[str]) -> str:
    guess = nearest(word, choices)
    return f" Did you mean {guess!r}?" if guess else ""
