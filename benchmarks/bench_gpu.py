"""The same stack on a GPU, beside the plain loop on that GPU and JAX: `make bench-gpu`.

    python benchmarks/bench_gpu.py [WORD …] [--markdown]

Where torch finds no CUDA GPU it says so in one line. JAX is measured if it is installed and finds the GPU too.
"""

import argparse
import importlib.util
import subprocess
import sys

from framework import Beside, Contestant, Row
from tables import bench

LIBRARIES = ["momentumlab", "torch", "numpy"]


def rows(device: str, counts: tuple[int, ...], epochs: int, jax: bool) -> list[Row]:
    """1, 64 and 4096 runs of the two models; `epochs` of the digits MLP, five times as many of the linear one."""
    return [
        row
        for runs in counts
        for row in (
            _row("linreg", runs, 5 * epochs, 1, device, "jax_stacks:linreg" if jax else None),
            _row("digits_mlp", runs, epochs, 23, device, "jax_stacks:digits" if jax else None),
        )
    ]


def _row(config: str, runs: int, epochs: int, batches: int, device: str, jax: str | None) -> Row:
    changes = {"train.epochs": epochs, "train.device": device, "record.evaluate": False}
    given = {"config": config, "runs": runs, "steps": batches * epochs, "some": min(runs, 4), "changes": changes}
    beside = [Beside(Contestant(f"plain loop on {device}", "stacks:sequential", given))]
    if jax:
        beside.append(Beside(Contestant("JAX vmap + scan, warm", jax, given | {"warm": True})))
    work = f"{runs} {config} runs × {epochs} epochs on {device}"
    # The GPU sums in another order than ours on it, and both than the processor: the same training all the same.
    return Row(work, Contestant("ours", "stacks:ours", given), tuple(beside), tolerance=1e-2)


def _gpu() -> str | None:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def _jax_finds_it() -> bool:
    if importlib.util.find_spec("jax") is None or importlib.util.find_spec("optax") is None:
        return False
    asked = [sys.executable, "-c", "import jax, sys; sys.exit(jax.default_backend() != 'gpu')"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def main() -> int:
    """Print the table, or why there is none."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--device", default="cuda", help=argparse.SUPPRESS)  # cpu: to try the code, on tiny sizes
    options, others = parser.parse_known_args()
    if options.device != "cuda":
        return bench("gpu", rows(options.device, (1, 4), epochs=1, jax=False), LIBRARIES, others)
    gpu = _gpu()
    if gpu is None:
        print("bench-gpu: torch finds no CUDA GPU here, so nothing is measured.")
        return 0
    print(gpu)
    return bench("gpu", rows("cuda", (1, 64, 4096), epochs=20, jax=_jax_finds_it()), LIBRARIES, others, about=gpu)


if __name__ == "__main__":
    sys.exit(main())
