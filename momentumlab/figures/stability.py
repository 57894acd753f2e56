"""The stability map: over η and γ, how fast a rule converges on a quadratic, and from which η on it diverges.

Colour is what people feel, updates to a millionth of the distance, on a logarithmic scale. γ goes upwards by what it
remembers, 1/(1 − γ) updates, so that 0.9, 0.99 and 0.999 are equal steps. The edge is a line of its own, not
read off the colours.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps, patheffects
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from momentumlab.errors import ConfigError
from momentumlab.figures import labels, legends, style
from momentumlab.optimizers.rules import RULES
from momentumlab.optimizers.update import Update
from momentumlab.theory.method import Method, Numbers
from momentumlab.theory.modes import critical_gamma
from momentumlab.theory.stability import is_stable, largest_eta, rate
from momentumlab.theory.tuning import Tuning, steps_at

_SIDE = 300  # cells of the map in each direction
_MATRICES = 2**20  # a second's worth: of many eigenvalues the cells are fewer
_TOP = 0.9995  # the largest γ that is shown, unless a run has more
_MOST = 1 - 1e-6
_BELOW, _ABOVE = 50.0, 4.0  # how far below and above the edge the map goes
_AROUND = 2.0  # how far beyond all points
_SHOWN = 1e4  # an η farther from the edge than that is left out
_FEW = 100  # runs whose points are large
_SLOWEST = 1000.0  # times the fastest: the palest colour
_NARROW = 1.25  # condition numbers below have both lines of critical damping in one place
_LOST = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 1e-3, 1e-4, 1e-5, 1e-6)  # 1 − γ at the ticks

_UNSTABLE: dict[str, Any] = {"facecolor": "#F2F2F2", "edgecolor": "#C4C4C4", "hatch": "////", "linewidth": 0.0}
_WORD: dict[str, Any] = {
    "rotation": 90,
    "ha": "center",
    "va": "center",
    "fontsize": style.LABEL,
    "zorder": 4,
    "bbox": {"facecolor": "#F2F2F2", "edgecolor": "none", "pad": 3.0},
}
_EDGE: dict[str, Any] = {"color": style.BLACK, "linewidth": 2.0}
_CRITICAL: dict[str, Any] = {
    "color": "white",
    "linewidth": 1.8,
    "path_effects": [patheffects.withStroke(linewidth=3.4, foreground=style.INK)],
}
_BEST: dict[str, Any] = {"marker": "*", "markersize": 19, "color": "white", "markeredgecolor": style.BLACK}
_OWN: dict[str, Any] = {"marker": "D", "markersize": 10, "color": style.VERMILLION, "markeredgecolor": "white"}
_FINISHED: dict[str, Any] = {"marker": "o", "color": "white", "markeredgecolor": style.INK}
_DIVERGED: dict[str, Any] = {"marker": "X", "color": style.VERMILLION, "markeredgecolor": style.INK}
_MOMENTUM = (Update(RULES["momentum"]), Update(RULES["torch_momentum"]))


@dataclass(frozen=True)
class Outcomes:
    """How runs ended, each array (run,)."""

    gamma: Numbers
    eta: Numbers
    diverged: npt.NDArray[np.bool_]


def draw(
    title: str,
    notes: Sequence[str],
    method: Method,
    eigenvalues: Numbers,
    best: Tuning | None,
    runs: Outcomes | None = None,
) -> Figure:
    """The map of a method with one γ, for eigenvalues (eigenvalue,) that are all above 0.

    On it lie the method's own γ and η, or in their place `runs` by their outcome; `best` is a star. ConfigError where
    no γ has an edge.
    """
    own = Outcomes(np.array([method.hyperparameters["gamma"]], float), np.array([method.eta], float), np.zeros(1, bool))
    with style.context(), np.errstate(all="ignore"):  # far from the edge numbers leave the floats, and are not drawn
        gammas, etas = _axes_of(method, eigenvalues, best, runs or own)
        many = method.at(gamma=gammas[:, None], eta=etas)
        reading = [*notes, *([_agreement(method, eigenvalues, runs)] if runs else [])]
        figure = style.canvas(title, reading)
        (axes,) = style.panels(figure, 1)
        mesh = _colours(axes, gammas, etas, rate(many, eigenvalues))
        _scales(axes, gammas, etas)
        entries = _lines(axes, method, eigenvalues, gammas, etas)
        entries += _points(axes, method, runs) + (_star(axes, method, best) if best else [])
        _bar(figure, axes, mesh)
        legends.below(figure, *zip(*entries, strict=True), columns=3)
        return figure


def _axes_of(method: Method, eigenvalues: Numbers, best: Tuning | None, runs: Outcomes) -> tuple[Numbers, Numbers]:
    """(γ,) and (η,) of the cells: all that matters is on the map, and nothing that is too far to be compared."""
    top = min(max(_TOP, float(runs.gamma.max())), _MOST)
    side = min(_SIDE, math.isqrt(_MATRICES // len(eigenvalues)))
    gammas = 1 - np.geomspace(1, 1 - top, side)
    edges = largest_eta(method.at(gamma=gammas), eigenvalues.max())
    edges = edges[np.isfinite(edges) & (edges > 0)]
    if not edges.size:
        raise ConfigError("--draw: there is no edge of stability at any γ, so there is no map")
    low, high = float(edges.min()), float(edges.max())
    near = runs.eta[(runs.eta > low / _SHOWN) & (runs.eta < high * _SHOWN)]
    points = [low, *([best.eta] if best else []), *near.tolist()]
    return gammas, np.geomspace(
        min(low / _BELOW, min(points) / _AROUND), max(high * _ABOVE, max(points) * _AROUND), side
    )


def _colours(axes: Axes, gammas: Numbers, etas: Numbers, rates: Numbers) -> QuadMesh:
    steps = np.ma.masked_invalid(np.vectorize(steps_at, otypes=[float])(rates))
    fastest = float(steps.min())
    norm = LogNorm(fastest, min(float(steps.max()), _SLOWEST * fastest))
    mesh = axes.pcolormesh(etas, gammas, steps, norm=norm, cmap=colormaps["viridis"], shading="nearest")
    mesh.set_rasterized(True)
    return mesh


def _lines(axes: Axes, method: Method, eigenvalues: Numbers, gammas: Numbers, etas: Numbers) -> list[tuple[Any, str]]:
    """The edge, and for momentum where its extreme directions begin to oscillate."""
    steepest, flattest = float(eigenvalues.max()), float(eigenvalues.min())
    edge = largest_eta(method.at(gamma=gammas), steepest)
    axes.fill_betweenx(gammas, np.clip(edge, etas[0], etas[-1]), etas[-1], zorder=2, **_UNSTABLE)
    if edge.max() < etas[-1]:
        axes.text(0.965, 0.5, "diverges", transform=axes.transAxes, **_WORD)
    (line,) = axes.plot(edge, gammas, zorder=3, **_EDGE)
    if method.update not in _MOMENTUM:
        return [(line, "edge of stability")]
    drawn: list[tuple[Any, str]] = [(line, "edge: η = 2(1 + γ)/λ_max")]
    ends = [(steepest, " of λ_max", "solid"), (flattest, " of λ_min", (0, (4, 1.6)))]
    for curvature, of, dash in ends if steepest > _NARROW * flattest else [(steepest, "", "solid")]:
        oscillates = etas[etas * curvature < 4]
        (line,) = axes.plot(oscillates, critical_gamma(oscillates * curvature), zorder=1.5, linestyle=dash, **_CRITICAL)
        drawn.append((line, f"critical damping{of}"))
    return drawn


def _points(axes: Axes, method: Method, runs: Outcomes | None) -> list[tuple[Any, str]]:
    """The runs by their outcome, or what the method itself was told."""
    if runs is None:
        gamma, eta = float(method.hyperparameters["gamma"]), float(method.eta)
        here = f"here: γ = {labels.number(gamma, 3)}, η = {labels.number(eta, 3)}"
        return [(_marked(axes, gamma, eta, _OWN), here)]
    size = {"markersize": 10} if len(runs.eta) <= _FEW else {"markersize": 6.5, "markeredgewidth": 0.3}
    outcomes = ((_FINISHED, ~runs.diverged, "finished"), (_DIVERGED, runs.diverged, "diverged"))
    return [
        (
            _marked(axes, runs.gamma[chosen], runs.eta[chosen], look | size),
            f"{word}: {labels.counted(int(chosen.sum()), 'run')}",
        )
        for look, chosen, word in outcomes
        if chosen.any()
    ]


def _star(axes: Axes, method: Method, best: Tuning) -> list[tuple[Any, str]]:
    eta = f"η* = {labels.number(best.eta, 3)}"
    alone = best.gamma == method.hyperparameters["gamma"]
    words = f"best at this γ: {eta}" if alone else f"best: γ* = {labels.number(best.gamma, 3)}, {eta}"
    return [(_marked(axes, best.gamma, best.eta, _BEST), words)]


def _marked(axes: Axes, gammas: Any, etas: Any, look: dict[str, Any]) -> Any:
    """Points, whole also where they lie on the frame; those off the map are left out."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    on = (left <= etas) & (etas <= right) & (low <= gammas) & (gammas <= high)
    (points,) = axes.plot(np.where(on, etas, np.nan), gammas, linestyle="", zorder=5, clip_on=False, **look)
    return points


def _agreement(method: Method, eigenvalues: Numbers, runs: Outcomes) -> str:
    """In how many runs the outcome was as predicted, and which way the others went."""
    stable = is_stable(method.at(gamma=runs.gamma, eta=runs.eta), eigenvalues)
    finished, diverged = int((~stable & ~runs.diverged).sum()), int((stable & runs.diverged).sum())
    right, count = len(runs.eta) - finished - diverged, labels.counted(len(runs.eta), "run")
    said = f"prediction and outcome agree in {right} of {count}"
    said += f"; {finished} finished beyond the edge" if finished else ""
    return said + (f"; {diverged} diverged before it" if diverged else "")


def _scales(axes: Axes, gammas: Numbers, etas: Numbers) -> None:
    axes.set_xscale("log")
    axes.set_yscale("function", functions=(lambda gamma: -np.log10(np.maximum(1 - gamma, 1e-12)), _remembered))
    axes.set(xlim=(etas[0], etas[-1]), ylim=(gammas[0], gammas[-1]), xlabel="learning rate η", ylabel="γ")
    axes.xaxis.set_major_locator(LogLocator(numticks=9))
    axes.xaxis.set_major_formatter(style.Decades(float(etas[0]), float(etas[-1])))
    axes.yaxis.set_major_locator(FixedLocator([1 - lost for lost in _LOST if 1 - lost <= gammas[-1]]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda gamma, _: labels.number(gamma, 7)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.label.set(rotation=0, fontsize=style.LABEL + 2)


def _remembered(place: Any) -> Any:
    return 1 - 10.0**-place


def _bar(figure: Figure, axes: Axes, mesh: QuadMesh) -> None:
    bar = figure.colorbar(mesh, ax=axes, pad=0.02, aspect=28, extend="max")
    bar.locator = LogLocator(subs=(1.0, 3.0), numticks=10)
    bar.formatter = style.Decades(*mesh.get_clim())
    bar.minorlocator = NullLocator()
    bar.update_ticks()
    bar.outline.set_visible(False)
    bar.set_label("updates to a millionth (dark is faster)", fontsize=style.LABEL)
