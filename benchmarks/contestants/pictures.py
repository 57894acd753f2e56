"""Four curves of many points as a PNG: momentumlab.figures, and plain matplotlib in the same size.

Both draw a picture of a hundred points first, which loads what they need, and are timed from there.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

RUNS = 4
_SPIKE = 50.0
_FEW = 100


def losses(points: int) -> np.ndarray:
    """(run, point): falling noisy curves, each with one spike of a single point."""
    generator = np.random.default_rng(0)
    time_ = np.arange(points) / points
    curves = np.exp(-5 * time_ + 0.3 * generator.normal(size=(RUNS, points)))
    curves[np.arange(RUNS), points // 5 * (1 + np.arange(RUNS))] = _SPIKE + np.arange(RUNS)
    return curves


def ours(points: int) -> dict[str, Any]:
    """The curves of a result, drawn and saved."""
    _ours(_FEW)
    return _ours(points)


def _ours(points: int) -> dict[str, Any]:
    from momentumlab.figures import draw, save
    from momentumlab.results.reader import Result

    curves = losses(points)
    gammas = np.array([0, 0.5, 0.9, 0.99])
    order = {"run": np.tile(np.arange(RUNS), points), "step": np.repeat(np.arange(points), RUNS)}
    runs = {"run": np.arange(RUNS), "gamma": gammas, "eta": np.full(RUNS, 0.01), "seed": np.zeros(RUNS, int)}
    runs |= {"status": np.full(RUNS, "finished", object), "reason": np.full(RUNS, "", object)}
    runs |= {"steps": np.full(RUNS, points - 1), "loss_first": curves[:, 0], "loss_last": curves[:, -1]}
    result = Result(
        folder=Path("result"),
        name="result",
        experiment={
            "name": "curves",
            "seed": 0,
            "data": {"kind": "line", "seed": 0, "samples": 100},
            "model": {"kind": "linear"},
            "loss": "mse",
            "optimizer": {"kind": "momentum", "form": "classical", "backend": "scratch"},
            "train": {"epochs": points - 1, "batch_size": "full"},
        },
        manifest={"state": "finished"},
        runs=runs | {"loss_best": curves.min(1)},
        metrics=order | {"loss": curves.T.ravel(), "gamma": gammas[order["run"]], "eta": np.full(RUNS * points, 0.01)},
    )
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        figure = draw([result], "curves")
        path = save(figure, Path(folder) / "loss.png")
        seconds = time.perf_counter() - begun
        assert path.stat().st_size
    return {"seconds": seconds, "answer": _spikes(figure)}


def matplotlib(points: int) -> dict[str, Any]:
    """pyplot: plot, log axis, labels, legend, savefig; the runs lie ready, one array each."""
    import matplotlib as library

    library.use("agg")
    _matplotlib(_FEW)
    return _matplotlib(points)


def _matplotlib(points: int) -> dict[str, Any]:
    from matplotlib import pyplot

    from momentumlab.figures import style

    curves, steps = losses(points), np.arange(points)
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        figure, axes = pyplot.subplots(figsize=(style.WIDTH, style.HEIGHT), layout="constrained")
        for run, gamma in enumerate((0, 0.5, 0.9, 0.99)):
            axes.plot(steps, curves[run], label=f"γ = {gamma}")
        axes.set_yscale("log")
        axes.set_xlabel("step")
        axes.set_ylabel("loss")
        axes.set_title("Loss for each γ")
        axes.legend()
        figure.savefig(Path(folder) / "loss.png", dpi=style.DPI)
        seconds = time.perf_counter() - begun
    return {"seconds": seconds, "answer": _spikes(figure)}


def _spikes(figure: Any) -> dict[str, float]:
    """The highest points of the curves that are drawn, the highest first: a spike that is lost is not among them."""
    # A curve may be drawn twice, with a pale edge below it.
    lines = [line for axes in figure.axes for line in axes.get_lines() if line.get_linestyle() not in ("None", "")]
    drawn = [np.asarray(line.get_ydata(), float) for line in lines]
    areas = [area for axes in figure.axes for area in axes.collections]  # of strokes too close to be told apart
    drawn += [path.vertices[:, 1] for area in areas for path in area.get_paths()]
    highest = sorted({float(np.nanmax(curve)) for curve in drawn if len(curve) > 100}, reverse=True)[:RUNS]
    return {f"spike {place}": height for place, height in enumerate(highest)}
