"""From the optimizer section of an experiment to the update that a stack makes."""

import os
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from momentumlab.arrays import Array, Arrays, NumpyArrays
from momentumlab.experiment.schema_optimizer import AggmoOptimizer, FileOptimizer, Optimizer, RuleOptimizer
from momentumlab.optimizers.code import (
    FAILURES,
    FileRule,
    RuleError,
    in_words,
    place_of,
    rule_from_file,
    rule_of,
    try_out,
)
from momentumlab.optimizers.rules import RULES, Memory, Rule
from momentumlab.optimizers.update import Update


def update_of(optimizer: RuleOptimizer) -> Update:
    """The rule of an optimizer, with the options that are used.

    An option that is left out is not computed at all, so it cannot change a bit. The code of a `kind: file` is run
    here: whoever calls has made sure that it may be. Raises ConfigError if it is no rule.
    """
    return Update(
        _rule_of(optimizer),
        restart=getattr(optimizer, "restart", None),
        clip=optimizer.clip is not None,
        weight_decay=("decoupled" if optimizer.decoupled else "coupled") if optimizer.weight_decay else None,
        dampening=bool(getattr(optimizer, "dampening", None)),
        momentum_correction=bool(getattr(optimizer, "momentum_correction", None)),
    )


def try_on(optimizer: Optimizer, arrays: Arrays) -> None:
    """Raise ConfigError where the rule of a `kind: file` fails on a stack's own kind of arrays.

    On numpy's every rule was tried when it was loaded.
    """
    if isinstance(optimizer, FileOptimizer) and not isinstance(arrays, NumpyArrays):
        try_out(_file_rule(optimizer), optimizer.path, arrays)


def setting(optimizer: Optimizer, name: str) -> Any:
    """What an experiment says of one hyperparameter of its update: a number, a schedule or a list of numbers.

    Of a `kind: file` it may be anything else, too, that the function has by default.
    """
    if isinstance(optimizer, FileOptimizer) and name not in type(optimizer).model_fields:
        given = _file_rule(optimizer).arguments[name]
        return list(given) if isinstance(given, tuple) else given
    if isinstance(optimizer, AggmoOptimizer) and name == "weights" and optimizer.weights is None:
        return [1 / len(optimizer.gammas)] * len(optimizer.gammas)
    return getattr(optimizer, name)


def changes_by_run(given: Any) -> bool:
    """Whether a hyperparameter is a number or a schedule: what each run of a stack may have of its own."""
    return hasattr(given, "function") or (isinstance(given, int | float) and not isinstance(given, bool))


def shape_of(given: Any) -> Any:
    """What the runs of a stack must have in common in a hyperparameter: the length of a list, a word entirely."""
    if isinstance(given, list):
        return tuple(shape_of(element) for element in given)
    return None if changes_by_run(given) else repr(given)


def _rule_of(optimizer: RuleOptimizer) -> Rule:
    if isinstance(optimizer, FileOptimizer):
        function = _file_rule(optimizer).update  # the same for all its arguments
        return Rule(_with_its_line(function, optimizer.path), eta_outside=False)
    return RULES[optimizer.rule]


def _file_rule(optimizer: FileOptimizer) -> FileRule:
    arguments = (
        (name, tuple(value) if isinstance(value, list) else value) for name, value in optimizer.arguments.items()
    )
    return _tried(_function(optimizer.path, _state(optimizer.path)), optimizer.path, tuple(arguments))


def _state(path: str) -> tuple[int, int]:
    # A file that was changed is another file.
    try:
        state = os.stat(path)
    except OSError:
        return 0, 0  # loading it says what is wrong
    return state.st_mtime_ns, state.st_size


@cache
def _function(path: str, state: tuple[int, int]) -> Callable[..., Any]:
    del state
    return rule_from_file(path, allow_code=(path,)).update


@cache
def _tried(function: Callable[..., Any], path: str, arguments: tuple[tuple[str, Any], ...]) -> FileRule:
    return rule_of(function, path, dict(arguments))


@cache
def _with_its_line(function: Callable[..., Any], path: str) -> Callable[..., Any]:
    """The function, but what it raises names its file and line, and cannot end the program."""

    @wraps(function)
    def update(theta: Array, gradient: Array, memory: Memory, **hyperparameters: Any) -> Any:
        try:
            # A copy, for the rule to keep if it likes: a model writes its next gradient over this one.
            return function(theta, gradient * 1, memory, **hyperparameters)
        except FAILURES as error:
            place = place_of(error, path, function.__code__.co_filename)
            raise RuleError(f"{place}: {in_words(error)}") from error

    return update
