"""The commands: read, call, print, exit code. Nothing here that a notebook would miss.

Only typer is loaded with this module, so that `--help` answers at once; each command loads what it needs.
"""

import gc
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from momentumlab import __version__
from momentumlab.cli_check import check
from momentumlab.cli_claims import claims
from momentumlab.cli_theory import theory
from momentumlab.errors import ConfigError, MomentumLabError, SignalError
from momentumlab.terminal import print_json, print_table, progress, say, say_all
from momentumlab.text import nearest, safe, shown

if TYPE_CHECKING:
    from momentumlab.expectations import Judged
    from momentumlab.lab import Carried
    from momentumlab.results.reader import Result

ROWS_ON_A_TERMINAL = 20
WIDE_TERMINAL = 98  # columns that the table of the default sweep takes with all that theory says
MOST_CELLS_ON_A_TERMINAL = 1000
# Torch and Matplotlib bring a million objects that stay: to search them for garbage every 700 new ones, and once more
# at the end, is an eighth of a command.
GARBAGE = (50_000, 20, 20)
OK, FAILED, DIVERGED = 0, 1, 3

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="A laboratory for momentum: v ← γ·v + η·∇J(θ), θ ← θ − v.",
    epilog="Begin with:  momentumlab sweep --gamma 0,0.5,0.9,0.99",
)

Settings = Annotated[
    list[str],
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key: --set train.epochs=50. Repeatable."),
]
Runs = Annotated[Path, typer.Option("--runs", metavar="DIR", help="Where results lie.")]
NoPlot = Annotated[bool, typer.Option("--no-plot", help="Draw nothing.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Train again, into a new folder beside the old result.")]
AllowCode = Annotated[
    list[str],
    typer.Option("--allow-code", metavar="FILE", help="Let this file of yours run: a rule, my_rule.py. Repeatable."),
]
AllowDrift = Annotated[
    bool,
    typer.Option("--allow-drift", help="Go on with an unfinished result though device, threads or versions changed."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print errors only.")]


def main() -> None:
    """The command `momentumlab`: run the application and turn what goes wrong into words and an exit code."""
    gc.set_threshold(*GARBAGE)
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # γ must not break a terminal that cannot show it
    try:
        app(args=[argument for argument in arguments if argument != "--debug"], prog_name="momentumlab")
    except MomentumLabError as error:
        _fail(str(error), error.exit_code, debug)
    except BrokenPipeError:
        # Whoever read us has enough (`| head`): say nothing more, also not at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        _fail(
            f"this should not have happened: {type(error).__name__}: {safe(error)}. "
            "Please report it; --debug shows where.",
            FAILED,
            debug,
        )
    finally:
        gc.freeze()


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"momentumlab {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version


@app.command(epilog="Example:  momentumlab run linreg --gamma 0.5")
def run(
    config: Annotated[
        str | None, typer.Argument(help="A YAML file or the name of a shipped experiment; without it, lists those.")
    ] = None,
    gamma: Annotated[str | None, typer.Option(metavar="γ", help="γ, in [0, 1).")] = None,
    eta: Annotated[str | None, typer.Option(metavar="η", help="η, above 0.")] = None,
    seed: Annotated[
        str | None, typer.Option(metavar="N", help="Seed of the start, the minibatches and the noise.")
    ] = None,
    settings: Settings = [],  # noqa: B006 - typer reads the default and never changes it
    allow_code: AllowCode = [],  # noqa: B006
    runs: Runs = Path("runs"),
    no_plot: NoPlot = False,
    fresh: Fresh = False,
    allow_drift: AllowDrift = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train one experiment."""
    if config is None:
        _list_shipped(as_json)
        return
    from momentumlab.expectations import judge
    from momentumlab.experiment import load, shipped, single

    for option, given in (("gamma", gamma), ("eta", eta), ("seed", seed)):
        if given is not None and ("," in given or ".." in given) and not given.startswith("{"):  # a schedule is one
            several = f"momentumlab sweep {safe(config)} --{option} {safe(given)}"
            raise ConfigError(f"--{option}: got {shown(given)}, and run takes one value. For several: {several}")
    experiment = load(config, gamma=gamma, eta=eta, seed=seed, set=settings)
    if experiment.expect and shipped.is_one(config) and (gamma or eta or seed or settings):
        experiment = experiment.model_copy(update={"expect": None})
        say_all(() if quiet else ["what this experiment expects holds of it as it is shipped: left aside"])
    ways = {"runs": runs, "fresh": fresh, "allow_code": allow_code, "allow_drift": allow_drift}
    carried = _carry_out(experiment, single(experiment), "run", quiet, **ways)
    result = carried.result
    judged = judge(experiment.expect, result) if experiment.expect else ()
    pictures = [] if no_plot else _pictures(carried)
    if as_json:
        print_json(_as_object(carried, pictures) | {"expected": [one.as_object() for one in judged]})
    elif not quiet:
        from momentumlab import hindsight
        from momentumlab.summary import run_lines

        typer.echo("\n".join([*run_lines(result), *(f"expected: {safe(one)}" for one in judged)]))
        say_all(filter(None, [hindsight.line(result)]))
        _say_where(result, pictures)
    raise typer.Exit(_run_code(result, judged))


@app.command(epilog="Example:  momentumlab sweep linreg --gamma 0,0.5,0.9,0.99")
def sweep(
    config: Annotated[str, typer.Argument(help="A YAML file or the name of a shipped experiment.")] = "linreg",
    gamma: Annotated[str | None, typer.Option(metavar="VALUES", help="0,0.5,0.9 or lin:0:0.99:64.")] = None,
    eta: Annotated[str | None, typer.Option(metavar="VALUES", help="0.01,0.1 or log:1e-3:1:7.")] = None,
    seed: Annotated[str | None, typer.Option(metavar="VALUES", help="0,1,2 or 0..4.")] = None,
    vary: Annotated[
        list[str],
        typer.Option("--vary", metavar="KEY=VALUES", help="A further axis: train.batch_size=16,64. Repeatable."),
    ] = [],  # noqa: B006
    zipped: Annotated[
        bool, typer.Option("--zip", help="Pair all axes but the seed, instead of crossing them.")
    ] = False,
    match: Annotated[
        str | None,
        typer.Option(
            metavar="WHAT",
            help="What is held equal while γ varies: eta (unless said), effective (η/(1−γ)) or critical (the steepest "
            "direction critically damped).",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the runs and write nothing.")] = False,
    settings: Settings = [],  # noqa: B006
    allow_code: AllowCode = [],  # noqa: B006
    runs: Runs = Path("runs"),
    no_plot: NoPlot = False,
    fresh: Fresh = False,
    allow_drift: AllowDrift = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop with the first run that fails.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a grid of runs as one stack: every combination of the values given.

    Values: 0,0.5,0.9 · lin:0:0.99:64 · log:1e-3:1:7 · 1-log:1e-3:0.3:7 (bounds of 1−γ) · 0..4 (both ends).
    """
    from momentumlab.experiment import expand, load
    from momentumlab.lab import critical_etas

    experiment = load(config, set=settings)
    axes: dict[str, Any] = {"gamma": gamma, "eta": eta, "seed": seed, "vary": _pairs(vary, "--vary"), "zip": zipped}
    grid = expand(experiment, **axes, match=match, critical=critical_etas)
    if dry_run:
        say_all(() if quiet else grid.notes)
        _print_cells(grid, as_json)
        return
    ways = {"runs": runs, "fresh": fresh, "allow_code": allow_code, "allow_drift": allow_drift}
    carried = _carry_out(experiment, grid, "sweep", quiet, fail_fast=fail_fast, **ways)
    result = carried.result
    pictures = [] if no_plot else _pictures(carried)
    asked = [config, *(part for one in settings for part in ("--set", one))]
    asked += [part for one in allow_code for part in ("--allow-code", one)]
    elsewhere = [] if runs == Path("runs") else ["--runs", str(runs)]
    if as_json:
        from momentumlab.advice import advice

        print_json(_as_object(carried, pictures) | {"advice": advice(result, asked, elsewhere)})
    elif not quiet:
        from momentumlab.advice import advice
        from momentumlab.summary import sweep_table

        most = ROWS_ON_A_TERMINAL if sys.stdout.isatty() else None
        narrow = most is not None and shutil.get_terminal_size().columns < WIDE_TERMINAL
        print_table(sweep_table(result, most, narrow=narrow))
        if most is not None and len(result.runs["run"]) > most:
            say(f"the best {most} of {_counted(result)}; all of them: momentumlab show {safe(result.folder)}")
        _say_where(result, pictures)
        say_all(advice(result, asked, elsewhere))
    failed = int((result.runs["status"] == "failed").sum())
    if failed:
        raise MomentumLabError(f"{failed} of {len(result.runs['run'])} runs failed; runs.csv says why.")


@app.command(epilog="Example:  momentumlab plot runs/ --metric velocity_norm")
def plot(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Results, or folders that hold some.")],
    metric: Annotated[str, typer.Option(help="The column of metrics.csv to draw.")] = "loss",
    x: Annotated[str, typer.Option("--x", help="step or epoch.")] = "step",
    kind: Annotated[
        str | None,
        typer.Option(help="curves, heatmap, landscape, forces or schedule; all that make sense unless given."),
    ] = None,
    picture_format: Annotated[str, typer.Option("--format", help="png, svg or pdf.")] = "png",
    out: Annotated[Path | None, typer.Option(help="The folder to draw into.")] = None,
    quiet: Quiet = False,
) -> None:
    """Draw results: what belongs to the same problem on the same axes."""
    from momentumlab import lab

    _choose("--format", picture_format, ("png", "svg", "pdf"))
    _choose("--x", x, ("step", "epoch"))
    drawn = lab.plot(paths, kind=kind, metric=metric, x=x, format=picture_format, out=out)
    say_all(() if quiet else drawn.notes)
    for picture in drawn.pictures:
        typer.echo(safe(picture))


@app.command(epilog="Example:  momentumlab show runs/ --best 5")
def show(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH…]", help="Results, or folders that hold some.")
    ] = None,
    best: Annotated[int | None, typer.Option(metavar="N", help="The N runs with the lowest loss.")] = None,
    sort: Annotated[str | None, typer.Option(metavar="COLUMN", help="Sort the runs by a column of runs.csv.")] = None,
    as_json: Json = False,
) -> None:
    """Print results and their runs as a table."""
    from momentumlab.figures import by_problem
    from momentumlab.results.reader import find
    from momentumlab.summary import as_records, results_table, runs_rows, runs_table, telling

    if best is not None and best < 1:
        raise ConfigError(f"--best: got {best}, must be at least 1")
    results, skipped = find(paths or [Path("runs")])
    say_all(skipped)
    if best is not None and len(by_problem(results).groups) > 1:
        say("these results are of different problems: their losses compare only within one")
    rows, columns = runs_rows(results, best, sort)
    if sort is not None:
        _choose("--sort", sort, columns)
    if as_json:
        described = [_result_object(result) for result in results]
        print_json({"results": described, "runs": as_records(rows), "skipped": skipped})
        return
    if sys.stdout.isatty() and len(results) > 1 and best is None and sort is None:
        print_table(results_table(results))
        return
    if sys.stdout.isatty():
        columns = telling(rows, columns)
    print_table(runs_table(rows, columns))


app.command(epilog="Example:  momentumlab check torch.optim.SGD --set nesterov=true")(check)
app.command(epilog="Example:  momentumlab theory linreg --gamma 0.9 --eta 0.1")(theory)
app.command(epilog="Example:  momentumlab claims 1 --quick")(claims)


def _carry_out(experiment: Any, grid: Any, command: str, quiet: bool, **ways: Any) -> "Carried":
    from momentumlab import lab

    say_all(() if quiet else grid.notes)
    with _stopped_by_signals(ways["fresh"]), progress(quiet) as advance:
        told = ways if quiet else {"tell": say, **ways}
        carried = lab.carry_out(experiment, grid, command, progress=advance, **told)
    if carried.found and not quiet:
        say(f"already finished: {safe(carried.result.folder)} (--fresh trains again)")
    return carried


@contextmanager
def _stopped_by_signals(fresh: bool) -> Iterator[None]:
    # SIGTERM leaves as Ctrl-C does: the result is marked as interrupted, and the words say how to go on.
    def stop(number: int, _: object) -> None:
        how = "What was trained stays; --fresh begins anew." if fresh else "The same command goes on from here."
        raise SignalError(f"stopped by a signal. {how}", number)

    heeded = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _pictures(carried: "Carried") -> list[Path]:
    # A finished result that is asked for again keeps the pictures it has; missing ones are drawn.
    from momentumlab import lab

    result = carried.result
    if carried.found and not lab.missing_pictures(result):
        return sorted((result.folder / "figures").glob("*.png"))
    try:
        drawn = lab.plot([result.folder])
    except ConfigError as error:
        # The numbers are there and are what was asked for; a picture of nothing is no reason to fail.
        say_all(str(error).splitlines())
        return []
    say_all(drawn.notes)
    return list(drawn.pictures)


def _run_code(result: "Result", judged: "Sequence[Judged]") -> int:
    status = result.runs["status"][0]
    if status == "failed":
        raise MomentumLabError(f"the run failed: {safe(result.runs['reason'][0])}")
    if broken := [f"expected: {one}" for one in judged if not one.held]:
        raise MomentumLabError("\n".join(broken))
    expected = any(one.given == status for one in judged)
    return DIVERGED if status == "diverged" and not expected else OK


def _list_shipped(as_json: bool) -> None:
    from momentumlab.experiment import shipped
    from momentumlab.summary import Table

    questions = {name: shipped.question(name) for name in shipped.names()}
    if as_json:
        print_json(questions)
        return
    print_table(Table(("experiment", "question"), tuple(questions.items())))
    say("run one: momentumlab run linreg    sweep one: momentumlab sweep linreg --gamma 0,0.5,0.9,0.99")


def _print_cells(grid: Any, as_json: bool) -> None:
    from momentumlab.summary import SYMBOLS, Table, setting

    keys = list(grid.cells[0].values)
    if as_json:
        print_json([{"run": cell.run, **cell.values} for cell in grid.cells])
        return
    many = sys.stdout.isatty() and len(grid.cells) > MOST_CELLS_ON_A_TERMINAL
    cells = grid.cells[:ROWS_ON_A_TERMINAL] if many else grid.cells
    rows = ((str(cell.run), *(setting(cell.values[key]) for key in keys)) for cell in cells)
    print_table(Table(("run", *(SYMBOLS.get(key, key) for key in keys)), rows))
    if many:
        say(f"the first {len(cells)} of {len(grid.cells)} runs; in a pipe all of them are printed")


def _as_object(carried: "Carried", pictures: list[Path]) -> dict[str, Any]:
    from momentumlab.summary import as_records, runs_rows

    rows, _ = runs_rows([carried.result])
    return _result_object(carried.result) | {
        "runs": as_records(rows),
        "found": carried.found,
        "figures": [str(picture) for picture in pictures],
    }


def _result_object(result: "Result") -> dict[str, Any]:
    return {"folder": str(result.folder), "name": result.name, "state": result.manifest["state"]}


def _counted(result: "Result") -> str:
    statuses = result.runs["status"].tolist()
    ended = ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(sorted(statuses, reverse=True)))
    return f"{len(statuses)} runs ({ended})"


def _say_where(result: "Result", pictures: list[Path]) -> None:
    *others, last = [f"picture {safe(picture)}" for picture in pictures] or [""]
    say_all(others)
    numbers = f"numbers {safe(result.folder / 'metrics.csv')}"
    everything = f"all results: momentumlab plot {safe(result.folder.parent)}/"
    say("    ".join(filter(None, (last, numbers, everything))))


def _pairs(settings: list[str], option: str) -> dict[str, str]:
    pairs = {}
    for text in settings:
        key, equals, values = text.partition("=")
        if not equals or not key:
            raise ConfigError(f"{option}: got {shown(text)}, expected KEY=VALUES such as train.batch_size=16,64")
        if key in pairs:
            raise ConfigError(f"{option}: {shown(key)} is given twice; put all its values into one")
        pairs[key] = values
    return pairs


def _choose(option: str, given: str, allowed: "tuple[str, ...] | list[str]") -> None:
    if given in allowed:
        return
    near = nearest(given, allowed)
    hint = f" Did you mean {near}?" if near else ""
    raise ConfigError(f"{option}: got {shown(given)}, must be one of {', '.join(allowed)}.{hint}")


def _fail(text: str, code: int, debug: bool) -> None:
    if debug:
        import traceback

        traceback.print_exc()
    for line in text.splitlines():
        say(f"momentumlab: {line}")
    sys.exit(code)
