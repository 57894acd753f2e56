"""manifest.json: where a result comes from, and whether it is whole."""

import hashlib
import itertools
import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from momentumlab import __version__

if TYPE_CHECKING:
    from momentumlab.experiment import Grid

SCHEMA = 1


def new_manifest(grid: "Grid", command: str, checksums: Mapping[str, str]) -> dict[str, Any]:
    """The manifest of a result that begins now, in state `running`."""
    experiment = grid.cells[0].experiment
    train = experiment.train
    device = "cpu" if experiment.model is None else train.device  # formulas are always computed there
    return {
        "schema": SCHEMA,
        "state": "running",
        "command": command,
        "command_line": sys.argv,
        "version": __version__,
        "libraries": {"python": platform.python_version()} | _libraries("numpy", "torch", "pydantic_core"),
        "machine": {"system": platform.system(), "processor": platform.machine(), "model": _processor_model()}
        | _gpu(device),
        "device": device,
        "threads": train.threads,
        "data": dict(checksums),
        "axes": [[axis.key, list(axis.values)] for axis in grid.axes],
        "zip": grid.zipped,
        "runs": len(grid.cells),
        "git": _git_state(),
        "started": _now(),
    }


def drift(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, list[Any]]:
    """What decides the last bits of numbers and is not now what it was before: [before, now] by name."""
    there, here = _circumstances(before), _circumstances(now)
    return {name: [there.get(name), value] for name, value in here.items() if there.get(name) != value}


def _circumstances(manifest: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: manifest.get(name) for name in ("version", "device", "threads")}
    for section in ("libraries", "machine"):
        part = manifest.get(section)
        found |= part if isinstance(part, dict) else {}
    return found


def ended(manifest: Mapping[str, Any], state: str, checksums: Mapping[str, str]) -> dict[str, Any]:
    """The manifest of a result that ends now in `state`, with the checksums of its files."""
    return {**manifest, "state": state, "files": dict(checksums), "ended": _now()}


def manifest_text(manifest: Mapping[str, Any]) -> str:
    """The manifest as it stands in its file: its own checksum comes last."""
    own = hashlib.sha256(_json(manifest).encode(errors="surrogatepass")).hexdigest()
    return _json({**manifest, "checksum": own})


def is_as_written(text: str) -> bool | None:
    """Whether a manifest's text is what was written, to the byte; None where it holds no checksum of its own.

    Raises ValueError where it is no JSON.
    """
    manifest = json.loads(text)
    last = next(reversed(manifest))
    if last in ("started", "ended"):
        return None
    return text == manifest_text({name: value for name, value in manifest.items() if name != last})


def _json(manifest: Mapping[str, Any]) -> str:
    return json.dumps(manifest, indent=2, ensure_ascii=False, default=str) + "\n"


def _processor_model() -> str:
    # The libraries choose their kernels by it, and kernels differ in the order of their sums.
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            lines = dict(line.partition(":")[::2] for line in itertools.islice(file, 32))
    except OSError:
        return platform.processor()
    return next((value.strip() for name, value in lines.items() if name.strip() == "model name"), "")


def _gpu(device: str) -> dict[str, str]:
    if device == "cpu":
        return {}
    import torch

    return {"gpu": torch.cuda.get_device_name(device)}


def _libraries(*names: str) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _git_state() -> dict[str, Any] | None:
    # Of the folder in which the command was given; None where that is not under git.
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return None
    return {"commit": commit, "changed": bool(_git("status", "--porcelain", "--untracked-files=no"))}


def _git(*arguments: str) -> str | None:
    try:
        asked = subprocess.run(  # without the lock that a status takes, and leaves behind where it is killed
            ["git", "--no-optional-locks", *arguments],
            capture_output=True,
            text=True,
            timeout=2,
            check=True,
            errors="replace",
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return asked.stdout.strip()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
