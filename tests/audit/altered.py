"""Results to be audited, and ways to alter them."""

import csv
import hashlib
import io
import json

import momentumlab
from momentumlab.results.manifest import manifest_text

QUADRATIC = {"objective": {"kind": "quadratic", "eigenvalues": [1, 25]}, "train": {"steps": 12}}
PROBLEMS = {
    "quadratic": QUADRATIC,
    "noisy booth": {"objective": {"kind": "booth", "noise": 0.5}, "train": {"steps": 12}},
    "linear": {"data": {"kind": "line", "samples": 12}, "model": {"kind": "linear"},
               "train": {"epochs": 4, "batch_size": 4}},
    "mlp": {"data": {"kind": "moons", "samples": 12}, "model": {"kind": "mlp", "hidden": [2]}, "train": {"epochs": 12}},
}  # fmt: skip
STEP = {"schedule": "step", "value": 0.02, "factor": 0.5, "at": [5]}
CYCLE = {"schedule": "one_cycle", "value": 0.03}
CORRECTED = {"momentum_correction": True}
SECTIONS = [
    {"kind": "sgd"},
    {"eta": STEP},
    {"form": "torch", "eta": CYCLE, "gamma": {"schedule": "demon"}},
    {"kind": "nesterov", "eta": STEP} | CORRECTED,
    {"kind": "nesterov", "form": "torch", "eta": STEP, "restart": "gradient", "gamma": 0.99},
    {"kind": "ema", "eta": CYCLE, "clip": 0.5},
    {"kind": "qhm", "restart": "function", "gamma": 0.99, "nu": 0.9, "eta": 1.0},
    {"kind": "aggmo", "eta": STEP, "weight_decay": 0.3, "decoupled": True},
    {"kind": "signum", "weight_decay": 0.5},
    {"kind": "lion", "weight_decay": 0.5, "eta": CYCLE},
    {"dampening": 0.3, "weight_decay": 0.1, "clip": 1.0, "restart": "function", "eta": STEP} | CORRECTED,
    {"form": "torch", "dampening": 0.3, "weight_decay": 0.1, "decoupled": True, "restart": "gradient"},
    *({"kind": kind, "form": "torch", "backend": "torch"} for kind in ("sgd", "momentum", "nesterov")),
    {"backend": "torch", "weight_decay": 0.1, "dampening": 0.5, "clip": 1.0},
]  # fmt: skip
TAKEN = "taken as they were recorded: losses, gradients and the start of each run"
TAKEN_OF_A_MODEL = "taken as they were recorded: losses, gradients, evaluations and the start of each run"


def trained(runs, problem=QUADRATIC, optimizer=None, record=None, dtype="float64", **axes):
    """The folder of a result; with `axes` that of a sweep."""
    verb = momentumlab.sweep if axes else momentumlab.run
    train = problem["train"] | {"dtype": dtype}
    experiment = {**problem, "optimizer": optimizer or {}, "record": record or {}, "train": train}
    return verb(experiment, **axes, runs=runs).folder


def repaired(folder):
    """Write the manifest anew, as somebody would who wants an altered result to pass."""
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["checksum"]
    manifest["files"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in manifest["files"]}
    (folder / "manifest.json").write_text(manifest_text(manifest))


def alter(folder, row, column, change):
    """Change one cell of metrics.csv, by its row from 0, and repair the checksums."""
    table = list(csv.reader(io.StringIO((folder / "metrics.csv").read_text())))
    cells, index = table[row + 1], table[0].index(column)
    cells[index] = change(cells[index])
    (folder / "metrics.csv").write_text("".join(",".join(line) + "\n" for line in table))
    repaired(folder)


def another_digit(text):
    """The fourth digit of a number changed, or its last one, if it has fewer."""
    head, *exponent = text.split("e")
    digits = [place for place, sign in enumerate(head) if sign.isdigit()]
    place = digits[min(3, len(digits) - 1)]
    return "e".join([head[:place] + str((int(head[place]) + 5) % 10) + head[place + 1 :], *exponent])
