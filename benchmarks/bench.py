"""What momentumlab costs beside what people use instead: `make bench`.

    python benchmarks/bench.py [WORD …] [--markdown]

One line for each pair, printed as soon as it is known. Words choose the rows whose name contains one of them.
--markdown also writes the table into docs/performance.md.
"""

import sys

from framework import Beside, Contestant, Limit, Row
from tables import bench

LIBRARIES = ["momentumlab", "torch", "numpy", "matplotlib"]

ROUNDING = 1e-4  # the same training in float32, rounded otherwise at every update
FOUR_DECIMALS = 2e-4  # what the article prints
TWO_PROCESSES = "ours in 2 processes of 1 thread"

ARTICLE = Contestant("the article's script, one run, no picture", "commands:article")
SIZES = {"2": (10, 3), "10k": (6, 2.5), "11M": (1.05, 0.95), "100M": (1.0, 0.95)}


def rows() -> list[Row]:
    """The table, from whole commands to single updates."""
    return [*_commands(), *_updates(), *_loops(), *_files()]


def _commands() -> list[Row]:
    rows = [
        Row(
            "default sweep with its picture, whole command",
            Contestant("ours", "commands:default_sweep"),
            (Beside(ARTICLE, 1.0),),
            tolerance=FOUR_DECIMALS,
            rounds=5,
            note="ours four runs",
        ),
        Row(
            "run linreg --no-plot, whole process",
            Contestant("ours", "commands:run_linreg"),
            (Beside(ARTICLE, 1.5),),
            tolerance=FOUR_DECIMALS,
            rounds=5,
        ),
    ]
    for problem, steps, at_least in (("linreg", 100, 20), ("rosenbrock", 1000, 100)):
        given = {"problem": problem, "runs": 16, "steps": steps}
        loop = Contestant("shell loop of a script", "commands:shell_loop", {"problem": problem, "runs": 16, "some": 2})
        ours = Contestant("ours", "commands:ours", given)
        rows.append(Row(f"16 {problem} runs × {steps} steps, to the CSV", ours, (Beside(loop, at_least),), ROUNDING))
    return rows


def _updates() -> list[Row]:
    rows = []
    for size, (engine_asked, _) in SIZES.items():
        threads = 2 if size.endswith("M") else 1
        given = {"size": size}
        beside = [Beside(Contestant("best torch.optim.SGD", "updates:sgd_as_engine", given, threads), engine_asked)]
        if size == "100M":
            five = {"numbers": 100_000_000, "threads": threads}
            beside.append(
                Beside(
                    Contestant("memory's limit, a loop in C", "updates:bandwidth", five, threads), 0.85, compared=False
                )
            )
        ours = Contestant("ours", "updates:engine", given, threads)
        rows.append(_update_row(f"engine's update, n = {size}", ours, beside, threads))
    for size, (_, step_asked) in SIZES.items():
        threads = 2 if size.endswith("M") else 1
        given = {"size": size}
        beside = [Beside(Contestant("best torch.optim.SGD", "updates:sgd", given, threads), step_asked)]
        ours = Contestant("ours", "updates:momentum", given, threads)
        tensors = {"2": 2, "10k": 4, "11M": 62, "100M": 100}[size]
        rows.append(_update_row(f"Momentum.step, n = {size}, {tensors} tensors", ours, beside, threads))
    return rows


def _update_row(work: str, ours: Contestant, beside: list[Beside], threads: int) -> Row:
    note = f"{threads} threads" if threads > 1 else ""
    return Row(work, ours, tuple(beside), tolerance=1e-5, note=note)  # a few roundings of float32


def _loops() -> list[Row]:
    return [
        Row(
            "digits MLP, one run, 20 epochs, all metrics",
            Contestant("ours", "digits:ours", {"epochs": 20}),
            (
                Beside(Contestant("DataLoader loop", "digits:data_loader", {"epochs": 20}), 3),
                Beside(Contestant("loop over X[perm[i:i+64]]", "digits:indexed", {"epochs": 20}), 1.8),
            ),
            tolerance=1e-3,  # as ROUNDING, over 460 updates
        ),
        Row(
            "all per-step metrics of a digits step",
            Contestant("ours", "digits:ours", {"epochs": 20}),
            (Beside(Contestant("ours, the loss alone", "digits:ours", {"epochs": 20, "every": 10**6}), 0.91),),
            tolerance=0,
            rounds=5,
            note="0.91× is a tenth more",
        ),
        _linreg(1024, 100),
        _linreg(4096, 100),
        _rosenbrock(4096, 1000),
        _digits(256, 20),
    ]


def _linreg(runs: int, steps: int) -> Row:
    given = {"config": "linreg", "runs": runs, "steps": steps, "some": 16, "changes": {}}
    return Row(
        f"{runs} linreg runs × {steps} steps, the loop",
        Contestant("ours", "stacks:ours", given),
        (
            Beside(Contestant("sequential PyTorch", "stacks:sequential", given), 500),
            Beside(Contestant("torch.func.vmap(grad)", "stacks:vmap", given), 3),
        ),
        tolerance=ROUNDING,
    )


def _rosenbrock(runs: int, steps: int) -> Row:
    given = {"runs": runs, "steps": steps, "some": 2}
    return Row(
        f"{runs} rosenbrock runs × {steps} steps, the loop",
        Contestant("ours", "stacks:ours", given | {"config": "rosenbrock", "changes": {"train.steps": steps}}),
        (
            Beside(Contestant("sequential PyTorch", "stacks:sequential_rosenbrock", given), 10_000),
            Beside(Contestant("torch.func.vmap(grad)", "stacks:vmap_rosenbrock", given), 10),
        ),
        tolerance=1e-9,  # float64
    )


def _digits(runs: int, epochs: int) -> Row:
    steps = 23 * epochs
    given = {
        "config": "digits_mlp",
        "runs": runs,
        "steps": steps,
        "some": 4,
        "changes": {"train.epochs": epochs, "record.evaluate": False},
    }
    peak = Contestant("two-core GEMM peak", "stacks:gemm_peak", {"runs": runs, "epochs": epochs}, threads=2)
    return Row(
        f"{runs} digits MLP runs × {epochs} epochs, the loop",
        Contestant("ours", "stacks:ours", given),
        (
            Beside(Contestant("sequential PyTorch", "stacks:sequential", given), 10),
            Beside(Contestant("torch.func.vmap(grad), 2 threads", "stacks:vmap", given | {"train": 32}, 2), 2.5),
            Beside(peak, 0.30, compared=False),
        ),
        tolerance=1e-3,  # as ROUNDING, over 460 updates
        note=TWO_PROCESSES,
    )


def _files() -> list[Row]:
    rows = []
    for dtype, at_least in (("float64", 1.4), ("float32", 2.5)):
        given = {"rows": 1_000_000, "dtype": dtype}
        beside = Beside(Contestant("Python's csv module", "files:csv_module", given), at_least)
        ours = Contestant("ours", "files:ours", given)
        rows.append(Row(f"1e6 rows to CSV and back, {dtype}", ours, (beside,), tolerance=0, rounds=2))
    points = {"points": 1_000_000}
    plain = Beside(Contestant("plain matplotlib", "pictures:matplotlib", points), 8)
    ours = Contestant("ours", "pictures:ours", points)
    return [*rows, Row("PNG of 4 curves × 1e6 points", ours, (plain,), tolerance=0)]


def limits() -> list[Limit]:
    """What has an upper bound of its own."""
    starts = [
        Limit(
            f"modules of torch that {verb} loads", Contestant(verb, "commands:modules_of_torch", {"verb": verb}), "", 0
        )
        for verb in ("show", "plot")
    ]
    grids = {
        "4096 linreg": ["linreg", "--gamma", "lin:0:0.9:4096"],
        "256 digits": ["digits_mlp", "--gamma", "lin:0:0.9:256"],
    }
    return starts + [
        Limit(f"memory of {runs} runs, whole command", memory(grid), "MiB", 600) for runs, grid in grids.items()
    ]


def memory(arguments: list[str]) -> Contestant:
    """A sweep whose peak memory is looked at."""
    return Contestant("ours", "commands:peak_memory", {"arguments": arguments})


if __name__ == "__main__":
    sys.exit(bench("bench", rows(), LIBRARIES, limits=limits()))
