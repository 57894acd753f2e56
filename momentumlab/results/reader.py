"""Results read back: columns of numpy arrays, wherever the folders lie. Imports no torch."""

import hashlib
import json
import math
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from momentumlab.errors import ConfigError, MomentumLabError, ResultError
from momentumlab.experiment import load as load_experiment
from momentumlab.foreign import opened
from momentumlab.results.manifest import SCHEMA
from momentumlab.results.table import has_rows, is_number, read_header, read_numbers, read_table
from momentumlab.text import safe, shown

Columns = dict[str, npt.NDArray[Any]]
T = TypeVar("T")

_LARGE = 64 * 2**20
_LARGEST_TEXT = 64 * 2**20  # bytes; the manifest of a million runs has half of them
_STATES = ("running", "finished", "interrupted", "failed")
_STATUSES = ("finished", "diverged", "failed", "interrupted")
_NUMBERS = ("run", "seed", "steps", "loss_first", "loss_last", "loss_best")
_MEASURED = ("train_loss", "train_accuracy", "test_loss", "test_accuracy", "rate_predicted", "rate_measured")

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
        return list(self.metrics) if "metrics" in self.__dict__ else self._asked(read_header)

    @property
    def recorded(self) -> bool:
        """Whether any step of any run was recorded."""
        metrics = self.__dict__.get("metrics")
        if metrics is None:
            return self._asked(has_rows)
        return len(metrics.get("run", ())) > 0

    def _asked(self, question: Callable[[Path, str], T]) -> T:
        place = self.folder / "metrics.csv"
        return _of_file(question, place, safe(place))

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
    experiment, runs = _experiment(folder), _runs(folder)
    result = Result.__new__(Result)
    parts = {"folder": folder, "name": folder.name, "experiment": experiment, "manifest": manifest, "runs": runs}
    result.__dict__.update(parts)
    if not result.finished:
        result.metrics  # noqa: B018 - nobody knows yet whether they are whole
    return result


def _runs(folder: Path) -> Columns:
    place = folder / "runs.csv"
    runs = _of_file(read_table, place, safe(place))
    if missing := [name for name in (*_NUMBERS, "gamma", "eta", "status", "reason") if name not in runs]:
        raise ResultError(f"{safe(place)}:1: the columns {', '.join(missing)} are missing.")
    for name in (*_NUMBERS, *_MEASURED):
        if name in runs and runs[name].dtype == object:
            row, cell = next((row, cell) for row, cell in enumerate(runs[name]) if not is_number(cell, name))
            raise ResultError(f"{safe(place)}:{row + 2}: {name}: {shown(cell)} is not a number.")
    for row, status in enumerate(runs["status"]):
        if status not in _STATUSES:
            allowed = ", ".join(_STATUSES)
            raise ResultError(f"{safe(place)}:{row + 2}: status: got {shown(status)}, must be one of {allowed}.")
    for name in ("gamma", "eta"):
        for row, cell in enumerate(runs[name].tolist()):
            if cell in (math.inf, -math.inf) or (isinstance(cell, str) and cell and not is_number(cell, name)):
                raise ResultError(f"{safe(place)}:{row + 2}: {name}: {shown(cell)} is not a number.")
    if not len(runs["run"]) or runs["run"].min() < 0:
        raise ResultError(f"{safe(place)}: each run has a row with its number, from 0 on, and there must be one.")
    return runs


def _numbers(folder: Path, only: Collection[str] | None = None) -> Columns:
    place = folder / "metrics.csv"
    metrics = _of_file(read_numbers, place, safe(place), only)
    if missing := [name for name in ("run", "step") if name not in metrics and (only is None or name in only)]:
        raise ResultError(f"{safe(place)}:1: the columns {', '.join(missing)} are missing.")
    return metrics


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
    try:
        with opened(path) as file:
            same = hashlib.file_digest(file, "sha256").hexdigest() == checksum
        return None if same else "not as it was written (its checksum differs)"
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return (error.strerror or str(error)).lower()


def is_finished(folder: Path) -> bool:
    """Whether there is a result in the folder that is whole. Raises ResultError where it or what is in it is a link."""
    _refuse_links(folder)
    there = _of_file(Path.is_file, folder / "manifest.json")
    return there and bool(_manifest(folder)["state"] == "finished")


def find(paths: Iterable[str | Path], *, whole: bool = False) -> tuple[list[Result], list[str]]:
    """Every result at or below the paths, and one line for each that had to be skipped, with the reason.

    `whole` reads the metrics too, so that what is wrong in them is a reason. Raises ConfigError for a path that does
    not exist or below which there is no result.
    """
    results: list[Result] = []
    skipped: list[str] = []
    for folder in folders(paths, skipped):
        try:
            result = load(folder)
            if whole:
                result.metrics  # noqa: B018 - asking reads them
            results.append(result)
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
        children = [child for child in path.iterdir() if child.is_dir()]
    except OSError as error:
        skipped.append(f"skipped {safe(path)}: {(error.strerror or str(error)).lower()}")
        return
    for child in children:
        if child.is_symlink():
            skipped.append(f"skipped {safe(child)}: is a symbolic link, and those are not followed here")
        else:
            yield from _below(child, skipped)


def _refuse_links(folder: Path) -> None:
    """Raise ResultError where a result's folder, or anything in it, is a symbolic link: it may lead anywhere."""
    try:
        inside = [Path(entry) for entry in os.scandir(folder)] if folder.is_dir() else []
    except OSError as error:
        raise ResultError(f"{safe(folder)}: {(error.strerror or str(error)).lower()}.") from error
    for path in (folder, *inside):
        if path.is_symlink():
            raise ResultError(f"{safe(path)}: is a symbolic link, and in results those are not followed.")


def _manifest(folder: Path) -> dict[str, Any]:
    _refuse_links(folder)
    place = folder / "manifest.json"
    try:
        found = json.loads(text_of(place), parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise ResultError(
            f"{safe(place)}: this is not JSON; the result is damaged. --fresh trains it again beside it."
        ) from None
    manifest: dict[str, Any] = found if isinstance(found, dict) else {}
    schema = manifest.get("schema")
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise ResultError(f"{safe(place)}: this is not the manifest of a result.")
    if schema > SCHEMA:
        raise ResultError(
            f"{safe(place)}: written by a newer momentumlab (schema {shown(schema)}; this one reads up to "
            f"{SCHEMA}). Update momentumlab to read it."
        )
    if manifest.get("state") not in _STATES or not _are_words(manifest.get("data", {})):
        raise ResultError(f"{safe(place)}: this is not the manifest of a result.")
    return manifest


def _experiment(folder: Path) -> dict[str, Any]:
    """What the experiment says, every key of it known to be what it must be."""
    place = folder / "experiment.yaml"
    _of_file(opened, place).close()
    try:
        return load_experiment(place).resolved()
    except ConfigError as error:
        raise ResultError(error.problems[0]) from None


def text_of(path: Path) -> str:
    """The text of a result's file that is read as a whole. Raises ResultError where it cannot be, or is too large."""
    with _of_file(opened, path) as file:
        content = file.read(_LARGEST_TEXT + 1)
    if len(content) > _LARGEST_TEXT:
        raise ResultError(f"{safe(path)}: larger than {_LARGEST_TEXT // 2**20} MiB; the file is damaged.")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise ResultError(f"{safe(path)}: not UTF-8; the file is damaged.") from None


def _no_number(word: str) -> float:
    raise ValueError(word)


def _are_words(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(word, str) for word in value.values())


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
