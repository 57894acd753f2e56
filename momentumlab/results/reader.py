"""Results read back: columns of numpy arrays, wherever the folders lie. Imports no torch."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from momentumlab.errors import ConfigError, MomentumLabError, ResultError
from momentumlab.experiment import parse
from momentumlab.results.files import sha256_of
from momentumlab.results.manifest import SCHEMA
from momentumlab.results.table import has_rows, read_header, read_numbers, read_table
from momentumlab.text import safe, shown

Columns = dict[str, npt.NDArray[Any]]
T = TypeVar("T")

_LARGE = 64 * 2**20

FILES = ("experiment.yaml", "runs.csv", "metrics.csv", "parameters.npz")
"""What a finished result consists of, beside its manifest."""


@dataclass(frozen=True)
class Result:
    """What a run or a sweep left: its experiment, one row a run, and one row a (run, recorded step)."""

    folder: Path
    name: str
    experiment: dict[str, Any]
    manifest: dict[str, Any]
    runs: Columns
    metrics: Columns

    if not TYPE_CHECKING:  # whoever checks types knows all that a result has

        def __getattr__(self, name: str) -> Any:
            # Of a finished result the metrics are read when they are first asked for.
            if name != "metrics" or "folder" not in self.__dict__:
                raise AttributeError(f"a result has no {name}")
            self.__dict__["metrics"] = _numbers(self.folder)
            return self.__dict__["metrics"]

    @property
    def measured(self) -> list[str]:
        """The names of the columns of `metrics`."""
        return list(self.metrics) if "metrics" in self.__dict__ else _of_file(read_header, self.folder / "metrics.csv")

    @property
    def recorded(self) -> bool:
        """Whether any step of any run was recorded."""
        metrics = self.__dict__.get("metrics")
        if metrics is None:
            return _of_file(has_rows, self.folder / "metrics.csv")
        return len(metrics.get("run", ())) > 0

    def some(self, *names: str) -> Columns:
        """These columns of `metrics`, as many of them as there are; of a large result without reading the others."""
        metrics = self.__dict__.get("metrics") or _numbers(self.folder, names)
        return {name: metrics[name] for name in names if name in metrics}

    def held(self) -> Self:
        """This result, its metrics read now: they stay whatever becomes of the folder.

        Those of a very large result, a metrics.csv above 64 MiB, are read when they are first asked for.
        """
        if (self.folder / "metrics.csv").stat().st_size <= _LARGE:
            self.metrics  # noqa: B018 - asking reads them
        return self

    @property
    def finished(self) -> bool:
        """Whether every run has come to its end; an unfinished result holds the whole rows written so far."""
        return bool(self.manifest["state"] == "finished")

    def rows(self, run: int) -> Columns:
        """The recorded rows of one run, by step."""
        if run not in self.runs["run"]:
            raise IndexError(f"there is no run {run}: this result has runs 0 to {len(self.runs['run']) - 1}")
        mine = self.metrics["run"] == run
        return {name: values[mine] for name, values in self.metrics.items()}

    def __repr__(self) -> str:
        statuses, counts = np.unique(self.runs["status"].astype(str), return_counts=True)
        counted = ", ".join(f"{count} {status}" for status, count in zip(statuses, counts, strict=True))
        return f"Result({str(self.folder)!r}: {len(self.runs['run'])} runs, {counted})"


def load(folder: str | Path) -> Result:
    """The result in a folder. Raises ResultError where it is missing, damaged, or of a newer version.

    The files of a finished result must be those that were written, to the byte.
    """
    folder = Path(folder)
    if damage := damages(folder):
        raise ResultError(f"{damage[0]}; the result is damaged. --fresh trains it again beside it.")
    return _read(folder)


def read(folder: Path) -> Result:
    """The result in a folder as it stands there, though its files may have been altered."""
    result = _read(folder)
    result.metrics  # noqa: B018 - what is wrong with them is told now
    return result


def _read(folder: Path) -> Result:
    manifest = _manifest(folder)
    runs = _of_file(read_table, folder / "runs.csv", safe(folder / "runs.csv"))
    result = Result.__new__(Result)
    parts = {"folder": folder, "name": folder.name, "experiment": _experiment(folder), "manifest": manifest}
    result.__dict__.update(parts, runs=runs)
    if not result.finished:
        result.metrics  # noqa: B018 - nobody knows yet whether they are whole
    return result


def _numbers(folder: Path, only: Collection[str] | None = None) -> Columns:
    place = folder / "metrics.csv"
    return _of_file(read_numbers, place, safe(place), only)


def damages(folder: Path) -> list[str]:
    """What is wrong with the files of a finished result, a line each: they must be there as they were written."""
    manifest = _manifest(folder)
    if manifest["state"] != "finished":
        return []
    checksums = manifest.get("files")
    if not isinstance(checksums, dict) or not set(FILES) <= checksums.keys():
        return [f"{safe(folder / 'manifest.json')}: has no checksums of {', '.join(FILES)}, as when it was finished"]
    damaged = {folder / name: _damage(folder / name, checksums[name]) for name in FILES}
    return [f"{safe(path)}: {damage}" for path, damage in damaged.items() if damage]


def _damage(path: Path, checksum: object) -> str | None:
    if not path.is_file():
        return "missing"
    try:
        return None if sha256_of(path) == checksum else "not as it was written (its checksum differs)"
    except OSError as error:
        return (error.strerror or str(error)).lower()


def is_finished(folder: Path) -> bool:
    """Whether there is a result in the folder that is whole."""
    there = _of_file(Path.is_file, folder / "manifest.json")
    return there and bool(_manifest(folder)["state"] == "finished")


def find(paths: Iterable[str | Path]) -> tuple[list[Result], list[str]]:
    """Every result at or below the paths, and one line for each that had to be skipped, with the reason.

    Raises ConfigError for a path that does not exist or below which there is no result.
    """
    results: list[Result] = []
    skipped: list[str] = []
    for folder in folders(paths, skipped):
        try:
            results.append(load(folder))
        except MomentumLabError as error:
            skipped.append(f"skipped {safe(folder)}: {error}")
    return results, skipped


def folders(paths: Iterable[str | Path], skipped: list[str]) -> list[Path]:
    """Every result folder at or below the paths, once; `skipped` gets a line for each that cannot be looked into."""
    return list(dict.fromkeys(folder for path in paths for folder in _folders(Path(path), skipped)))


def _folders(path: Path, skipped: list[str]) -> list[Path]:
    if not path.exists():
        raise ConfigError(f"{shown(str(path))}: there is no such folder. Results lie in runs/ by default.")
    if path.is_file():
        path = path.parent
        if not (path / "manifest.json").is_file():
            raise ConfigError(f"{shown(str(path / 'manifest.json'))}: not there, so the file given is of no result.")
    found = sorted(_below(path, skipped))
    if not found and not skipped:
        raise ConfigError(
            f"{shown(str(path))}: no result here or below. Make one first: momentumlab sweep --gamma 0,0.5,0.9,0.99"
        )
    return found


def _below(path: Path, skipped: list[str]) -> Iterator[Path]:
    # Not through symbolic links: a result is a real folder where it is looked for.
    try:
        if (path / "manifest.json").is_file():
            yield path
            return
        children = [child for child in path.iterdir() if child.is_dir() and not child.is_symlink()]
    except OSError as error:
        skipped.append(f"skipped {safe(path)}: {(error.strerror or str(error)).lower()}")
        return
    for child in children:
        yield from _below(child, skipped)


def _manifest(folder: Path) -> dict[str, Any]:
    place = folder / "manifest.json"
    try:
        manifest = json.loads(_text(place))
    except (ValueError, RecursionError):
        raise ResultError(f"{safe(place)}: this is not JSON; the result is damaged.") from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("schema"), int) or "state" not in manifest:
        raise ResultError(f"{safe(place)}: this is not the manifest of a result.")
    if manifest["schema"] > SCHEMA:
        raise ResultError(
            f"{safe(place)}: written by a newer momentumlab (schema {manifest['schema']}; this one reads up to "
            f"{SCHEMA}). Update momentumlab to read it."
        )
    return manifest


def _experiment(folder: Path) -> dict[str, Any]:
    place = folder / "experiment.yaml"
    data = parse(_text(place), safe(place))
    if not isinstance(data, dict):
        raise ResultError(f"{safe(place)}: this is not an experiment.")
    return data


def _text(path: Path) -> str:
    text: str = _of_file(Path.read_text, path, "utf-8")
    return text


def _of_file(reading: Callable[..., T], path: Path, *more: Any) -> T:
    """What `reading` makes of a file; what the disk answers as a ResultError."""
    try:
        return reading(path, *more)
    except FileNotFoundError:
        raise ResultError(f"{safe(path)}: missing; the result is incomplete.") from None
    except UnicodeDecodeError:
        raise ResultError(f"{safe(path)}: not UTF-8; the file is damaged.") from None
    except OSError as error:
        raise ResultError(f"{safe(path)}: {(error.strerror or str(error)).lower()}.") from error
