"""The command `check`: of a result, of an optimizer, or from the hyperparameters of one rule to those of another."""

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from momentumlab.errors import ConfigError, MomentumLabError
from momentumlab.terminal import print_json, print_table, say_all
from momentumlab.text import safe, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from momentumlab.audit.report import Report
    from momentumlab.audit.result import ResultReport
    from momentumlab.optimizers.convert import Conversion

_STEPS = 100  # updates in which converted rules are compared, unless --set steps=N
_MOST_STEPS = 100_000


def check(
    target: Annotated[
        str | None,
        typer.Argument(
            help="A result folder, torch.optim.NAME, a rule of ours such as qhm, package.module:Class or file.py:Class."
        ),
    ] = None,
    conversion: Annotated[
        str | None,
        typer.Option(
            "--convert",
            metavar="FROM:TO",
            help="Hyperparameters with the same iterates: torch:classical, nesterov:qhm.",
        ),
    ] = None,
    gamma: Annotated[str | None, typer.Option(metavar="γ", help="γ; 0.9 to check an optimizer.")] = None,
    eta: Annotated[str | None, typer.Option(metavar="η", help="η; 0.1 to check an optimizer.")] = None,
    settings: Annotated[
        list[str],
        typer.Option(
            "--set", metavar="KEY=VALUE", help="A further argument or hyperparameter: --set nesterov=true. Repeatable."
        ),
    ] = [],  # noqa: B006 - typer reads the default and never changes it
    allow_code: Annotated[
        list[str],
        typer.Option("--allow-code", metavar="FILE", help="Let this file or module of yours run. Repeatable."),
    ] = [],  # noqa: B006
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check that a curve is what its label says.

    A result: are its files as they were written, and does every recorded update follow its rule? An optimizer: which
    recurrence does it follow, and what is wrong with it? Exit code 1 where something is.
    """
    given = _given(gamma, eta, settings)
    if conversion is not None:
        _convert(target, conversion, given, as_json)
        return
    if not target:
        raise ConfigError(
            "check what? A result folder, an optimizer (torch.optim.SGD, qhm, my_file.py:MyOptimizer), or --convert "
            "torch:classical --gamma 0.9 --eta 0.1"
        )
    reports = _reports(target, given, allow_code)
    if as_json:
        objects = [report.as_object() for report in reports]
        print_json(objects[0] if len(objects) == 1 else objects)
    else:
        typer.echo("\n\n".join("\n".join(safe(line) for line in report.lines()) for report in reports))
    defects = sum(len(report.defects) for report in reports)
    if defects:
        raise MomentumLabError(f"{defects} defect{'s' if defects > 1 else ''} found in {safe(target)}")


def _given(gamma: str | None, eta: str | None, settings: list[str]) -> dict[str, Any]:
    """γ and η as an experiment would have them, and the further settings, by name."""
    from momentumlab.experiment import load
    from momentumlab.experiment.strict_yaml import parse_value

    optimizer = load({"objective": {"kind": "booth"}}, gamma=gamma, eta=eta).optimizer
    given: dict[str, Any] = {}
    for name, typed in (("gamma", gamma), ("eta", eta)):
        if typed is not None:
            given[name] = getattr(optimizer, name)
    for text in settings:
        name, sign, value = text.partition("=")
        if not sign or not name.isidentifier():
            raise ConfigError(f"--set: got {shown(text)}, must be KEY=VALUE such as nesterov=true")
        if name in ("gamma", "eta") or name in given:
            raise ConfigError(
                f"--set: {name} is given twice" if name in given else f"--set: write --{name} {safe(value)}"
            )
        given[name] = parse_value(value)
    return given


def _reports(target: str, given: dict[str, Any], allow_code: list[str]) -> "Sequence[Report | ResultReport]":
    if not os.path.isdir(target):
        from momentumlab.audit.examine import examine

        numbers = {name: _number(name, given.pop(name)) for name in ("gamma", "eta") if name in given}
        return [examine(target, **numbers, arguments=given, allow_code=allow_code)]
    if given:
        raise ConfigError(f"{', '.join(given)}: a result has its own; leave them out")
    from momentumlab.audit.result import examine_result
    from momentumlab.results.reader import folders

    skipped: list[str] = []
    found = folders([target], skipped)
    say_all(skipped)
    return [examine_result(folder, allow_code) for folder in found]


def _number(name: str, given: Any) -> float:
    if not isinstance(given, float):
        raise ConfigError(f"--{name}: got a schedule, must be a number to check an optimizer")
    return given


def _convert(target: str | None, conversion: str, given: dict[str, Any], as_json: bool) -> None:
    from momentumlab.optimizers.convert import convert, parse_pair
    from momentumlab.optimizers.schedules import as_schedule

    if target is not None:
        raise ConfigError(f"--convert takes no TARGET: leave {shown(target)} out")
    source, to = parse_pair(conversion)
    steps = given.pop("steps", _STEPS)
    if not isinstance(steps, int) or isinstance(steps, bool) or not 1 <= steps <= _MOST_STEPS:
        raise ConfigError(f"--set: steps: got {shown(steps)}, must be a whole number from 1 to {_MOST_STEPS}")
    resolved = {
        name: as_schedule(value, steps) if hasattr(value, "function") else value for name, value in given.items()
    }
    found = convert(source, to, resolved, steps)
    if as_json:
        names = {"gamma": None, "eta": None} | found.hyperparameters
        print_json(names | {"formula": found.formula, "parts_at": found.parts_at, "reason": found.reason})
    elif found.hyperparameters:
        _say_conversion(source, to, found)
    if found.parts_at is not None or not found.hyperparameters:
        raise MomentumLabError(found.reason)


def _say_conversion(source: str, target: str, found: "Conversion") -> None:
    from momentumlab.summary import Table

    rows = [(name, str(value)) for name, value in found.hyperparameters.items()]
    if found.formula:
        rows.append((f"{source} to {target}", safe(found.formula)))
    print_table(Table(("hyperparameter", "value"), tuple(rows)))
