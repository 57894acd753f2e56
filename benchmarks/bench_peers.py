"""What momentumlab costs beside Hydra, Optuna, Ray Tune and JAX: `make bench-peers`, in an environment of their own.

    python benchmarks/bench_peers.py [WORD …] [--markdown]

Words choose the rows whose name contains one of them; --markdown also writes the table into docs/performance.md.
"""

import sys

from bench import ROUNDING, TWO_PROCESSES
from framework import Beside, Contestant, Row
from tables import bench

LIBRARIES = ["momentumlab", "torch", "numpy", "jax", "optax", "hydra-core", "optuna", "ray", "benchopt"]
CPUS = "JAX uses both cores"


def rows() -> list[Row]:
    """The table, from whole commands to loops."""
    return [_help(), *_sweeps(), *_loops()]


def _help() -> Row:
    peers = (Contestant(f"{peer} --help", "commands:help_of", {"peer": peer}) for peer in PEERS_WITH_HELP)
    beside = tuple(Beside(peer, 2, compared=False) for peer in peers)
    return Row("the help page, --help", Contestant("ours", "commands:help_of_ours"), beside, rounds=5)


PEERS_WITH_HELP = ("hydra", "optuna", "ray", "benchopt")


def _sweeps() -> list[Row]:
    asked = {"linreg": (2.5, 1.7, 20, 20), "rosenbrock": (10, 7, 100, 100)}
    rows = []
    for problem, steps in (("linreg", 100), ("rosenbrock", 1000)):
        given = {"problem": problem, "runs": 16}
        peers = (
            Contestant("Hydra multirun, basic launcher", "commands:hydra", given),
            Contestant("Optuna, GridSampler", "commands:optuna", given),
            Contestant("Ray Tune, 2 processors", "commands:ray_tune", given, rounds=1),
            Contestant("shell loop of a script", "commands:shell_loop", given | {"some": 2}),
        )
        beside = tuple(Beside(peer, least) for peer, least in zip(peers, asked[problem], strict=True))
        ours = Contestant("ours", "commands:ours", given | {"steps": steps})
        rows.append(Row(f"16 {problem} runs × {steps} steps, to the CSV", ours, beside, ROUNDING))
    return rows


def _loops() -> list[Row]:
    rows = []
    for runs in (1024, 4096):
        given = {"config": "linreg", "runs": runs, "steps": 100, "some": 16, "changes": {}}
        jax = Contestant("JAX vmap + scan, with compiling", "jax_stacks:linreg", given | {"warm": False}, threads=2)
        ours = Contestant("ours", "stacks:ours", given)
        rows.append(Row(f"{runs} linreg runs × 100 steps, the loop", ours, (Beside(jax, 2),), ROUNDING, note=CPUS))
    given = {"runs": 4096, "steps": 1000, "some": 16}
    jax = Contestant("JAX vmap + scan, with compiling", "jax_stacks:rosenbrock", given, threads=2)
    ours = Contestant("ours", "stacks:ours", given | {"config": "rosenbrock", "changes": {"train.steps": 1000}})
    beside = (Beside(jax, 3),)
    rows.append(Row("4096 rosenbrock runs × 1000 steps, the loop", ours, beside, 1e-9, note=CPUS))  # float64
    changes = {"train.epochs": 20, "record.evaluate": False}
    given = {"config": "digits_mlp", "runs": 256, "steps": 460, "some": 4, "changes": changes}
    jax = Contestant("JAX vmap + scan, warm", "jax_stacks:digits", given | {"train": 64}, threads=2)
    ours = Contestant("ours", "stacks:ours", given)
    note = f"{TWO_PROCESSES}; {CPUS}"
    rows.append(Row("256 digits MLP runs × 20 epochs, the loop", ours, (Beside(jax, 1.5),), 1e-3, note=note))
    return rows


if __name__ == "__main__":
    sys.exit(bench("peers", rows(), LIBRARIES))
