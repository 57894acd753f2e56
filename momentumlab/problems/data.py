"""Data to train on: drawn, shipped or the user's own, split and standardized. Everything here is numpy.

Made by `data.seed` alone, so that runs with different seeds see the same samples.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from momentumlab.errors import DataError
from momentumlab.memory import refuse_beyond_memory, share_that_fits
from momentumlab.problems.csv_table import read_csv
from momentumlab.problems.files import Floats, Problems, Table, listed
from momentumlab.problems.npz_table import read_npz
from momentumlab.problems.problem import stream

__all__ = ["Dataset", "build", "cast"]

CLASS_LIMIT = 65536
_BYTES_OF_A_SAMPLE = {"line": 100, "moons": 150}  # with all copies that are made of it on its way, as measured
_MOONS, _SPLIT = 10, 11  # streams of data.seed, apart from those that a run draws from its own seed


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples to train on and, where the experiment asks for it, samples that are kept aside."""

    x: Floats  # (sample, feature)
    y: npt.NDArray[Any]  # (sample,) int64 classes, or (sample, target) float
    test_x: Floats | None
    test_y: npt.NDArray[Any] | None
    feature_names: tuple[str, ...]
    target_names: tuple[str, ...]
    classes: int | None  # how many, where y holds classes


def build(data: Any, loss: str) -> Dataset:
    """The dataset that an experiment's `data` section describes; `cross_entropy` makes the target classes.

    In float64, but for `line`, which is drawn in float32; `cast` gives the dtype that a training wants.
    Raises DataError where the data cannot be used.
    """
    if data.kind in _BYTES_OF_A_SAMPLE:
        needed = data.samples * _BYTES_OF_A_SAMPLE[data.kind]
        fit = int(data.samples * share_that_fits(needed))
        refuse_beyond_memory(needed, f"data.samples: {data.samples:,} of them", f"at most {fit:,} samples")
    table = _SOURCES[data.kind](data)
    classes = _classes(table) if loss == "cross_entropy" else None
    y = table.y if classes is None else classes
    train, test = _split(len(table.x), data.test, data.seed)
    x, test_x = table.x[train], table.x[test]
    if data.standardize:
        x, test_x = _standardized(x, test_x, table.feature_names)
    return Dataset(
        x=x,
        y=y[train],
        test_x=test_x if len(test) else None,
        test_y=y[test] if len(test) else None,
        feature_names=table.feature_names,
        target_names=table.target_names,
        classes=None if classes is None else int(classes.max()) + 1,
    )


def cast(dataset: Dataset, dtype: str) -> Dataset:
    """`dataset` in float32 or float64; classes stay whole. Raises DataError for a number too large."""
    return replace(
        dataset,
        x=_cast(dataset.x, dtype),
        y=_cast(dataset.y, dtype),
        test_x=None if dataset.test_x is None else _cast(dataset.test_x, dtype),
        test_y=None if dataset.test_y is None else _cast(dataset.test_y, dtype),
    )


# Where samples come from --------------------------------------------------------------------------


def _line(data: Any) -> Table:
    """y = slope·x + intercept + noise, drawn as the article's script does after torch.manual_seed(seed)."""
    import torch

    generator = torch.Generator().manual_seed(data.seed)
    x = torch.randn(data.samples, 1, generator=generator)
    y = data.slope * x + data.intercept + data.noise * torch.randn(data.samples, 1, generator=generator)
    if not torch.isfinite(y).all():
        raise DataError(
            "data: slope, intercept or noise makes numbers beyond float32, in which a line is drawn: at most 1e37"
        )
    return _drawn(x.numpy(), y.numpy(), ("x",), "y")


def _moons(data: Any) -> Table:
    """Two half circles that reach into each other, one a class."""
    lower = data.samples // 2
    upper = data.samples - lower
    above, below = np.linspace(0, np.pi, upper), np.linspace(0, np.pi, lower)
    circles = np.concatenate(
        (
            np.stack((np.cos(above), np.sin(above)), axis=1),
            np.stack((1 - np.cos(below), 0.5 - np.sin(below)), axis=1),
        )
    )
    with np.errstate(over="ignore"):  # which is named below
        x = circles + data.noise * stream(data.seed, _MOONS).standard_normal(circles.shape)
    if not np.isfinite(x).all():
        raise DataError("data.noise: makes numbers beyond float64: at most 1e307")
    y = np.repeat((0.0, 1.0), (upper, lower)).reshape(-1, 1)
    return _drawn(x, y, ("x", "y"), "moon")


def _digits(data: Any) -> Table:
    """1797 handwritten digits, 8×8 pixels from 0 to 1. Source and licence: digits.md beside the file."""
    del data
    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as archive:
        x, y = archive["x"] / 16.0, archive["y"].astype(np.float64).reshape(-1, 1)
    names = tuple(f"pixel_{row}_{column}" for row in range(8) for column in range(8))
    return _drawn(x, y, names, "digit")


def _drawn(x: Floats, y: Floats, features: tuple[str, ...], target: str) -> Table:
    return Table(x, y, features, (target,), lambda row: f"data: sample {row}")


_SOURCES: dict[str, Callable[[Any], Table]] = {
    "line": _line,
    "moons": _moons,
    "digits": _digits,
    "csv": lambda data: read_csv(data.path, data.features, data.target),
    "npz": lambda data: read_npz(data.path),
}


# What becomes of them -----------------------------------------------------------------------------


def _classes(table: Table) -> npt.NDArray[np.int64]:
    """The target as classes 0, 1, 2 …, (sample,)."""
    if table.y.shape[1] != 1:
        advice = "cross_entropy needs one a sample, its class. Of one-hot rows that is y.argmax(1)"
        raise DataError(f"{table.place(0)}: got {table.y.shape[1]} numbers. {advice}.")
    labels = table.y[:, 0]
    problems = Problems("bad class", "bad classes")
    for row in np.flatnonzero((labels != np.floor(labels)) | (labels < 0) | (labels >= CLASS_LIMIT)):
        allowed = f"cross_entropy needs classes, whole numbers 0, 1, 2 … up to {CLASS_LIMIT - 1}"
        problems.add(f"{table.place(int(row))}: got {labels[row]:g}. {allowed}. To predict a quantity take loss: mse.")
    problems.raise_any()
    if (labels == labels[0]).all():
        raise DataError(f"{table.place(0)}: every sample is of class {labels[0]:g}. Two classes or more are needed.")
    return labels.astype(np.int64)


def _split(samples: int, fraction: float, seed: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Which samples train and which test, both in the order of the data."""
    count = round(fraction * samples)
    if fraction > 0 and not 0 < count < samples:
        lack = "to test on" if count == 0 else "to train on"
        share = f"the share {fraction:g} of {samples} sample{'s' * (samples != 1)} leaves none {lack}"
        raise DataError(f"data.test: {share}. Take another share, or 0 for no test.")
    order = stream(seed, _SPLIT).permutation(samples)
    return np.sort(order[count:]), np.sort(order[:count])


def _standardized(x: Floats, test_x: Floats, names: tuple[str, ...]) -> tuple[Floats, Floats]:
    """Every feature with mean 0 and standard deviation 1 over the training samples.

    One that is constant there is only shifted to 0.
    """
    wide = x.astype(np.float64)
    # Compared exactly: the rounding of a constant's mean must not be blown up to ±1.
    constant = wide.min(axis=0) == wide.max(axis=0)
    with np.errstate(all="ignore"):  # what overflows is named below
        mean = np.where(constant, wide[0], wide.mean(axis=0))
        deviation = np.where(constant, 1.0, wide.std(axis=0))
        scaled = [(part - mean) / deviation for part in (wide, test_x)]
    usable = np.isfinite(deviation) & (deviation > 0)
    usable &= np.isfinite(scaled[0]).all(axis=0) & np.isfinite(scaled[1]).all(axis=0)
    if not usable.all():
        bad = listed(name for name, fine in zip(names, usable, strict=True) if not fine)
        raise DataError(f"data.standardize: {bad}: too large or too small to standardize. Rescale first.")
    return scaled[0], scaled[1]


def _cast(values: npt.NDArray[Any], dtype: str) -> npt.NDArray[Any]:
    if values.dtype.kind != "f":  # classes
        return values
    largest = float(np.abs(values).max(initial=0.0))
    if largest > float(np.finfo(dtype).max):
        advice = "Take train.dtype: float64, or rescale the data"
        raise DataError(f"data: {largest:g} is too large for train.dtype: {dtype}. {advice}.")
    return values.astype(dtype)
