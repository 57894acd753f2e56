"""The command `theory`: what mathematics says of an experiment before it is trained."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from momentumlab.errors import ConfigError
from momentumlab.terminal import print_json
from momentumlab.text import safe, shown

if TYPE_CHECKING:
    from momentumlab.foresight import Foresight
    from momentumlab.results.reader import Result


def theory(
    config: Annotated[str, typer.Argument(help="A YAML file, the name of a shipped experiment, or a result.")],
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
    drawn: Annotated[
        bool, typer.Option("--draw", help="Draw where the rule is stable and how fast; of a result with its runs.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="PATH", help="The picture of --draw: a png, svg or pdf file, or a folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say before training what γ and η will do.

    Curvature, the largest stable ηλ, whether this run converges and how fast, which γ and η would be best, and how the
    velocity behaves. Lines with ! say where theory does not reach. Nothing is trained, and only --draw writes.
    """
    from momentumlab import lab
    from momentumlab.experiment import load
    from momentumlab.foresight_words import as_object, lines
    from momentumlab.results import reader

    for option, given in (("gamma", gamma), ("eta", eta), ("seed", seed)):
        if given is not None and ("," in given or ".." in given) and not given.startswith("{"):  # a schedule is one
            raise ConfigError(f"--{option}: got {shown(given)}, and theory takes one value")
    if out is not None and not drawn:
        raise ConfigError("--out: names the picture of --draw, which was not asked for")
    folder = _result_folder(config)
    overrides = settings or any(given is not None for given in (gamma, eta, seed))
    if drawn and folder and overrides:
        raise ConfigError(
            "--draw: the runs of a result lie on the map of what they were trained with: leave out the rest"
        )
    result = reader.load(folder) if drawn and folder else None
    source = folder / "experiment.yaml" if folder else config
    found = lab.foresee(load(source, gamma=gamma, eta=eta, seed=seed, set=settings), allow_code)
    picture = _draw(found, result, out) if drawn else None
    if as_json:
        print_json(as_object(found) | ({"figure": str(picture)} if picture else {}))
        return
    typer.echo("\n".join(safe(line) for line in lines(found)))
    if picture:
        typer.echo(safe(picture))


def _result_folder(config: str) -> Path | None:
    """The folder of the result that CONFIG names, if it names one; shipped names go first, as everywhere."""
    from momentumlab.experiment import shipped

    folder = Path(config)
    return folder if config not in shipped.names() and (folder / "manifest.json").is_file() else None


def _draw(found: "Foresight", result: "Result | None", out: Path | None) -> Path:
    from momentumlab import foresight_picture
    from momentumlab.figures import save

    path = foresight_picture.place(found, result, out)
    return save(foresight_picture.draw(found, result), path)
