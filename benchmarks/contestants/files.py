"""Columns of numbers to a CSV file and back: momentumlab.results.table, and Python's csv module."""

import csv
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

_BLOCK = 4096  # rows that a result is written in

Columns = dict[str, np.ndarray]


def table(rows: int, dtype: str) -> Columns:
    """Columns such as metrics.csv has: two of whole numbers, three of computed ones."""
    generator = np.random.default_rng(0)
    numbers = {name: np.exp(generator.normal(size=rows)).astype(dtype) for name in ("loss", "gradient_norm", "cosine")}
    return {"run": np.arange(rows) % 4, "step": np.arange(rows) // 4} | numbers


def ours(rows: int, dtype: str) -> dict[str, Any]:
    """As a result is written, block by block, and read."""
    from momentumlab.results.table import read_numbers, rows_text

    columns = table(rows, dtype)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "metrics.csv"
        begun = time.perf_counter()
        with path.open("wb") as file:
            file.write(f"{','.join(columns)}\n".encode())
            for start in range(0, rows, _BLOCK):
                block = {name: values[start : start + _BLOCK] for name, values in columns.items()}
                file.write(rows_text(block, list(columns)))
        written = time.perf_counter()
        back = read_numbers(path.read_text(encoding="utf-8"), "metrics.csv")
        read = time.perf_counter()
        return _given(columns, back, written - begun, read - written, path)


def csv_module(rows: int, dtype: str) -> dict[str, Any]:
    """csv.writer and csv.reader, with tolist() and float()."""
    columns = table(rows, dtype)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "metrics.csv"
        begun = time.perf_counter()
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))
        written = time.perf_counter()
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file)
            names = next(reader)
            cells = zip(*reader, strict=True)
            back = {name: np.array(list(map(float, column))) for name, column in zip(names, cells, strict=True)}
        read = time.perf_counter()
        return _given(columns, back, written - begun, read - written, path)


def _given(columns: Columns, back: Columns, writing: float, reading: float, path: Path) -> dict[str, Any]:
    for name, values in columns.items():
        if not np.array_equal(values, back[name].astype(values.dtype)):
            raise RuntimeError(f"{name} is not what was written")
    size = path.stat().st_size / 2**20
    note = f"writing {writing:.2f} s, reading {reading:.2f} s, {size:.0f} MiB"
    answer = {name: float(values.astype(np.float64).sum()) for name, values in columns.items()}
    return {"seconds": writing + reading, "answer": answer, "note": note}
