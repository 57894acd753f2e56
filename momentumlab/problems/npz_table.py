"""Reading the arrays x and y from an npz file, every bad number named by its row and column."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from momentumlab.errors import DataError
from momentumlab.foreign import array_size, opened
from momentumlab.problems.files import Problems, Table, check_size, existing_file, first_bytes, listed
from momentumlab.text import safe, shown

_HOW = "Write one with numpy.savez(path, x=x, y=y)."


def read_npz(path: str | Path) -> Table:
    """The arrays x, (sample, feature) or (sample,), and y, (sample,) or (sample, target), of an npz file.

    Raises DataError where an array is missing, is not of numbers, has another shape, or holds nan or inf.
    """
    where = safe(path)
    arrays = _load(existing_file(path))
    problems = [text for name, values in arrays.items() for text in _shape_problems(where, name, values)]
    if not problems and len(arrays["x"]) != len(arrays["y"]):
        lengths = f"x has {len(arrays['x'])} rows and y has {len(arrays['y'])}"
        problems = [f"{where}: {lengths}. There must be one row of each for every sample."]
    if problems:
        raise DataError(problems)
    x, y = (_finite(where, name, arrays[name]) for name in ("x", "y"))
    return Table(x, y, _named("x", x.shape[1]), _named("y", y.shape[1]), lambda row: f"{where}: y[{row}]")


def _load(file: Path) -> dict[str, npt.NDArray[Any]]:
    where = safe(file)
    _check_is_npz(file)
    try:
        # Opened here: numpy leaves a file open that turns out not to be a zip.
        with opened(file, links=True) as stream, np.load(stream, allow_pickle=False) as archive:
            _check_members(where, archive)
            return {name: np.asarray(archive[name]) for name in ("x", "y")}
    except DataError:
        raise
    except MemoryError as problem:
        raise DataError(f"{where}: its arrays do not fit in memory. Take fewer samples.") from problem
    except Exception as problem:  # a damaged file makes zipfile and numpy raise nearly anything
        raise DataError(f"{where}: {_damage(problem)}") from problem


def _damage(problem: Exception) -> str:
    if "allow_pickle" in str(problem):
        return "an array holds Python objects, not numbers. Convert it with .astype(float) before saving."
    return f"is damaged and cannot be read ({safe(problem)[:200]}). Save it again."


def _check_is_npz(file: Path) -> None:
    beginning = first_bytes(file, 6)
    if not beginning:
        raise DataError(f"{safe(file)}: is empty. {_HOW}")
    if beginning == b"\x93NUMPY":
        raise DataError(f"{safe(file)}: holds a single array (.npy); x and y are needed. {_HOW}")
    if not beginning.startswith(b"PK"):
        raise DataError(f"{safe(file)}: is not an npz file. {_HOW}")


def _check_members(where: str, archive: Any) -> None:
    missing = [repr(name) for name in ("x", "y") if name not in archive.files]
    if missing:
        held = f"holds {listed(archive.files)}" if archive.files else "holds no arrays"
        raise DataError(f"{where}: no array is called {' or '.join(missing)}. The file {held}. {_HOW}")
    sizes = [array_size(archive.zip, name, packed=True) for name in ("x", "y")]
    check_size(f"{where}: x and y unpacked are", sum(sizes))


def _shape_problems(where: str, name: str, values: npt.NDArray[Any]) -> Iterator[str]:
    columns = "feature" if name == "x" else "target"
    allowed = f"(sample, {columns}) or (sample,)"
    if values.dtype.kind not in "biuf":
        kind = shown(str(values.dtype))
        yield f"{where}: {name} is of type {kind}. Real numbers are needed: integers or floats."
    if values.ndim not in (1, 2):
        advice = f" Try {name}.reshape(len({name}), -1)." if values.ndim > 2 else ""
        yield f"{where}: {name} has the shape {values.shape}. Allowed is {allowed}.{advice}"
    elif values.size == 0:
        yield f"{where}: {name} has the shape {values.shape}, so it holds no numbers. Allowed is {allowed}."


def _finite(where: str, name: str, values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """`values` as (sample, column) in float64."""
    with np.errstate(over="ignore"):  # a wider float past float64's range becomes inf and is named below
        numbers = np.ascontiguousarray(values, np.float64)
    problems = Problems("bad number", "bad numbers")
    for position in np.argwhere(~np.isfinite(numbers)).tolist():
        axes = ", ".join(f"{axis} {at}" for axis, at in zip(("row", "column"), position, strict=False))
        element = f"{name}{position} ({axes}, counted from 0)"
        problems.add(f"{where}: {element} is {values[tuple(position)]!s}. A finite number is needed.")
    problems.raise_any()
    return numbers.reshape(len(numbers), -1)


def _named(name: str, count: int) -> tuple[str, ...]:
    return (name,) if count == 1 else tuple(f"{name}{number}" for number in range(count))
