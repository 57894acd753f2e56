"""The command `claims`: the article's four advantages of momentum, each put to the test."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from momentumlab.errors import ConfigError, MomentumLabError
from momentumlab.terminal import print_json, print_table, say
from momentumlab.text import safe, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from momentumlab.claims.finding import Experiment, Finding, Quantity, Trial, Value
    from momentumlab.summary import Table

_NUMBERS = ("1", "2", "3", "4")


def claims(
    number: Annotated[
        str | None,
        typer.Argument(
            metavar="[1-4]", help="1 accelerates, 2 damps oscillation, 3 escapes, 4 smooths. All unless given."
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer steps and seeds where there is noise.")] = False,
    runs: Annotated[
        Path, typer.Option("--runs", metavar="DIR", help="Where results lie; pictures go to DIR/claims.")
    ] = Path("runs"),
    no_plot: Annotated[bool, typer.Option("--no-plot", help="Draw nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """Put the four advantages of momentum to the test.

    Each is trained, in memory and seeded, where it holds and where it does not: effect size, theory beside it, verdict,
    and the condition under which it is false. Exit code 1 where a measurement contradicts theory.
    """
    if number is not None and number not in _NUMBERS:
        raise ConfigError(f"claims: got {shown(number)}, must be one of {', '.join(_NUMBERS)}, or nothing for all four")
    from momentumlab.claims import CLAIMS

    objects: list[dict[str, Any]] = []
    contradicted: list[str] = []
    for claim in [int(number)] if number else CLAIMS:
        finding = CLAIMS[claim](quick=quick)
        contradicted += [f"claim {claim}, {line}" for line in finding.disagreements]
        if not as_json:
            typer.echo("\n" * bool(objects), nl=False)
            _print(finding)
        picture = None if no_plot else _draw(finding, runs)
        if picture and not as_json:
            say(f"picture {safe(picture)}")
        objects.append(finding.as_object() | {"figure": None if picture is None else str(picture)})
    if as_json:
        print_json(objects)
    if contradicted:
        raise MomentumLabError("\n".join(["measured and theory contradict each other:", *contradicted]))


def _draw(finding: "Finding", runs: Path) -> Path:
    from momentumlab.figures import claims as pictures
    from momentumlab.figures import save

    return save(pictures.draw(finding), runs / "claims" / f"claim-{finding.claim}.png")


def _print(finding: "Finding") -> None:
    typer.echo(f"{finding.claim}. {finding.article}\n   {finding.words}")
    for experiment in finding.experiments:
        typer.echo(f"\n{experiment.name}")
        print_table(_table(experiment))
        for line in experiment.disagreements:
            typer.echo(f"! {line}")
    held = sum(trial.holds for trial in finding.trials)
    agree = finding.compared - len(finding.disagreements)
    typer.echo(f"\ntheory: right in {agree} of the {finding.compared} numbers that it was asked for")
    typer.echo(f"verdict: {finding.verdict}, it held in {held} of {len(finding.trials)} trials")
    for holds, heading in ((True, "true when"), (False, "false when")):
        lines = [_line(trial) for trial in finding.trials if trial.holds == holds]
        typer.echo("\n".join([heading, *lines]) if lines else f"{heading}: in no trial")


def _line(trial: "Trial") -> str:
    return f"  {trial.when}: {trial.words}" + (f" ({trial.size})" if trial.size else "")


def _table(experiment: "Experiment") -> "Table":
    from momentumlab.claims.finding import word
    from momentumlab.summary import Table

    columns = [column for quantity in experiment.quantities for column in _columns(quantity)]
    header = (experiment.varied, *(heading for heading, _ in columns))
    rows = zip(experiment.labels, *(map(word, values) for _, values in columns), strict=True)
    return Table(header, tuple(rows))


def _columns(quantity: "Quantity") -> "list[tuple[str, Sequence[Value]]]":
    measured = (quantity.heading, quantity.measured)
    return [measured] if quantity.theory is None else [measured, ("theory", quantity.theory)]
