"""What a sweep of a million runs costs, from the command to the CSV: seconds and peak memory. Takes minutes.

python benchmarks/bench_million.py [--markdown]
"""

import sys

from bench import memory
from framework import Limit
from tables import bench

SIZES = {"1,000": (40, 25), "100,000": (400, 250), "1,000,000": (1000, 1000)}


def limits() -> list[Limit]:
    """One grid over γ and η, ever finer: the memory shall not grow with it."""
    return [
        Limit(f"{runs} rosenbrock runs × 100 steps, whole command", memory(_grid(*sides)), "MiB")
        for runs, sides in SIZES.items()
    ]


def _grid(gammas: int, etas: int) -> list[str]:
    axes = ["--gamma", f"lin:0:0.9:{gammas}", "--eta", f"log:1e-5:5e-4:{etas}"]
    return ["rosenbrock", *axes, "--set", "train.steps=100"]


if __name__ == "__main__":
    sys.exit(bench("million", [], ["momentumlab", "numpy"], limits=limits()))
