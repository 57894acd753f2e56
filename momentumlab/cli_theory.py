"""The command `theory`: what mathematics says of an experiment before it is trained."""

from typing import Annotated

import typer

from momentumlab.errors import ConfigError
from momentumlab.terminal import print_json
from momentumlab.text import safe, shown


def theory(
    config: Annotated[str, typer.Argument(help="A YAML file or the name of a shipped experiment.")],
    gamma: Annotated[str | None, typer.Option(metavar="γ", help="γ, in [0, 1).")] = None,
    eta: Annotated[str | None, typer.Option(metavar="η", help="η, above 0.")] = None,
    seed: Annotated[str | None, typer.Option(metavar="N", help="Seed of the start.")] = None,
    settings: Annotated[
        list[str],
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key: --set train.epochs=50. Repeatable."),
    ] = [],  # noqa: B006 - typer reads the default and never changes it
    allow_code: Annotated[
        list[str],
        typer.Option("--allow-code", metavar="FILE", help="Let this file of yours run: a rule, my_rule.py."),
    ] = [],  # noqa: B006
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say before training what γ and η will do.

    Curvature, the largest stable ηλ, whether this run converges and how fast, which γ and η would be best, and how the
    velocity behaves. Lines with ! say where theory does not reach. Nothing is trained or written.
    """
    from momentumlab import lab
    from momentumlab.experiment import load
    from momentumlab.foresight_words import as_object, lines

    for option, given in (("gamma", gamma), ("eta", eta), ("seed", seed)):
        if given is not None and ("," in given or ".." in given) and not given.startswith("{"):  # a schedule is one
            raise ConfigError(f"--{option}: got {shown(given)}, and theory takes one value")
    found = lab.foresee(load(config, gamma=gamma, eta=eta, seed=seed, set=settings), allow_code)
    if as_json:
        print_json(as_object(found))
    else:
        typer.echo("\n".join(safe(line) for line in lines(found)))
