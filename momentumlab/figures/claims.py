"""One picture for each of the article's claims: measured as points or paths, theory as lines, one colour for each γ."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from momentumlab.figures import legends, marks, style
from momentumlab.problems.objectives import OBJECTIVES
from momentumlab.theory.method import Method
from momentumlab.theory.modes import spectral_radius
from momentumlab.theory.noise import noise_floor
from momentumlab.theory.tuning import steps_at

if TYPE_CHECKING:
    from momentumlab.claims.finding import Finding

_POINT: dict[str, Any] = {"linestyle": "", "markersize": 8, "markeredgecolor": "white", "markeredgewidth": 0.8}
_MARKERS = {0.0: "o", 0.5: "s", 0.9: "^", 0.99: "D"}  # of γ, the same in every picture
_THEORY: dict[str, Any] = {"linewidth": 1.6, "zorder": 1.5}
_FIRST = 40  # updates of a path that goes back and forth


def draw(finding: "Finding") -> Figure:
    """The picture of a claim: two panels, where it holds and where it does not."""
    with style.context():
        short = finding.words.partition(":")[0]
        figure = style.canvas(f"Claim {finding.claim}. {short} — {finding.verdict}", [_NOTES[finding.claim]])
        left, right = style.panels(figure, 2, shared=False)
        handles, texts = _DRAWN[finding.claim](left, right, finding)
        legends.below(figure, handles, texts)
        return figure


def _accelerates(left: Axes, right: Axes, finding: "Finding") -> tuple[list[Line2D], list[str]]:
    tried = sorted(finding.series["tried"].items())
    looks = {gamma: _look(gamma) for gamma, _ in tried}
    settled = finding.experiments[0].of("steps")
    for gamma, distance in finding.series["distances"].items():
        steps = settled[gamma] or len(distance)
        left.plot(distance[: steps + 60] / distance[0], color=looks[gamma]["color"], linewidth=1.6)
        left.plot(steps, 1e-6, zorder=3, **(_POINT | looks[gamma]))
    left.axhline(1e-6, color=style.MIST, linewidth=1.0)
    style.log_axis(left, 1e-8, 10)
    left.set(ylim=(1e-8, 10), xlabel="step k", ylabel="distance ‖θₖ − θ*‖/‖θ₀ − θ*‖")
    _headed(left, "the same η = 1/L for every γ")
    for gamma, (etas, counts) in tried:
        right.plot(etas, _numbers(counts), linewidth=1.2, **(_POINT | {"linestyle": "-"} | looks[gamma]))
    _limit(right, 0.02, 56, "2/L, the limit of γ = 0")
    right.set_xscale("log")
    style.log_axis(right, 50, 5000)
    right.set_xticks([0.002, 0.005, 0.01, 0.02, 0.04], ["0.002", "0.005", "0.01", "0.02", "0.04"])
    right.minorticks_off()
    right.set(ylim=(50, 5000), xlim=(0.0025, 0.045), xlabel="learning rate η", ylabel="updates to a millionth")
    _headed(right, "every η, up to the best of each γ")
    return _legend(looks)


def _damps(left: Axes, right: Axes, finding: "Finding") -> tuple[list[Line2D], list[str]]:
    counts, paths = finding.series["counts"], finding.series["paths"]
    looks = {gamma: _look(gamma) for gamma in counts}
    for gamma in sorted(paths)[:-1]:  # the largest γ would hide the others
        look = _POINT | looks[gamma] | {"linestyle": "-", "markersize": 5.5}
        left.plot(paths[gamma][: _FIRST + 1], linewidth=1.4, **look)
    left.axhline(0, color=style.MIST, linewidth=1.0, zorder=0.5)
    left.set(xlabel="step k", ylabel="place xₖ in the steep direction")
    _headed(left, "the first steps at ηλ = 1.99")
    etas = np.linspace(0.02, 3.98, 800)
    for gamma, look in looks.items():
        radius = spectral_radius(Method.of("momentum", gamma=np.full(etas.shape, gamma), eta=etas), 1.0)
        expected = [steps_at(one, 1e-3) if one < 1 else np.nan for one in radius]
        right.plot(etas, expected, color=look["color"], **_THEORY)
        right.plot(list(counts[gamma]), _numbers(counts[gamma].values()), zorder=2.5, **(_POINT | look))
    _limit(right, 2, 1.2, "limit of γ = 0")
    style.log_axis(right, 1, 5000)
    right.set(ylim=(1, 5000), xlim=(0, 4), xlabel="steepness ηλ", ylabel="updates to a thousandth of |x|")
    _headed(right, "sooner only where √γ < |1 − ηλ|")
    return _legend(looks)


def _escapes(left: Axes, right: Axes, finding: "Finding") -> tuple[list[Line2D], list[str]]:
    wells, flat = finding.series["wells"], finding.series["flat"]
    looks = {gamma: _look(gamma) for gamma in wells}
    landscape = OBJECTIVES["double_well"]()
    ground = np.linspace(-2.05, 2.1, 500)
    heights = landscape.value(ground[:, None], np)
    left.fill_between(ground, heights, -1, color="#E4E8EC", linewidth=0, zorder=0)
    left.plot(ground, heights, color=style.INK, linewidth=1.4, zorder=1)
    for place, (gamma, path) in enumerate(wells.items(), 1):
        over = landscape.value(path[:, None], np) + 0.22 * place
        left.plot(path, over, linewidth=1.2, color=looks[gamma]["color"], marker=".", markersize=5, zorder=2)
        marks.start(left, (path[0], over[0]))
        left.plot(path[-1], over[-1], zorder=4, **(_POINT | looks[gamma] | {"markersize": 10}))
    left.set(ylim=(-0.75, 3.6), xlabel="θ₀ = x", ylabel="loss J(θ), each path a little higher")
    _headed(left, "two wells, from x = 2")
    for gamma, path in flat.items():
        right.axhline(finding.series["rests"][gamma], color=looks[gamma]["color"], linestyle=(0, (2, 2)), linewidth=1.2)
        behind = np.where(path > 0, path, np.nan)  # until it comes to the edge there is nothing to see
        right.plot(np.arange(len(path)), behind, color=looks[gamma]["color"], linewidth=2.2)
        right.plot(1000, path[1000], zorder=3, clip_on=False, **(_POINT | looks[gamma]))
    right.set_xscale("log")
    right.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1000"])
    style.log_axis(right, 0.02, 80)
    right.set(xlim=(3, 1000), ylim=(0.02, 80), xlabel="step k", ylabel="place x behind the edge")
    _headed(right, "flat ground: it coasts vγ/(1 − γ)")
    return _legend(looks)


def _smooths(left: Axes, right: Axes, finding: "Finding") -> tuple[list[Line2D], list[str]]:
    shares = np.geomspace(1, 0.005, 200)  # 1 − γ
    looks = (
        (style.VERMILLION, "o", "the same η = 0.1", np.full(shares.shape, 0.1)),
        (style.BLUE, "s", "the same η/(1 − γ) = 0.1", 0.1 * shares),
    )
    handles, texts = [], []
    for (colour, marker, words, etas), experiment in zip(looks, finding.experiments, strict=True):
        floor = noise_floor(Method.of("momentum", gamma=1 - shares, eta=etas), 1.0)
        at = [1 / (1 - gamma) for gamma in experiment.setting["gamma"]]
        for axes, line, key in ((left, floor.theta, "var_theta"), (right, floor.velocity, "var_v")):
            axes.plot(
                1 / shares, line, color=colour, linestyle="solid" if marker == "o" else style.DASHES[1], **_THEORY
            )
            axes.plot(at, list(experiment.of(key).values()), color=colour, marker=marker, zorder=2.5, **_POINT)
        handles.append(Line2D([], [], color=colour, marker=marker, markersize=8))
        texts.append(words)
    for axes, low, high, words, heading in (
        (left, 0.02, 12, "floor Var θ", "how far from the minimum it stays"),
        (right, 2e-5, 1, "jitter Var v", "how much its steps vary"),
    ):
        axes.set_xscale("log")
        style.log_axis(axes, low, high)
        axes.set_xticks([1, 2, 10, 100], ["0", "0.5", "0.9", "0.99"])
        axes.minorticks_off()
        axes.set(ylim=(low, high), xlabel="momentum coefficient γ", ylabel=words)
        _headed(axes, heading)
    return handles, texts


def _headed(axes: Axes, heading: str) -> None:
    axes.set_title(heading, fontsize=style.LABEL, loc="left")
    style.grid(axes)


def _limit(axes: Axes, place: float, height: float, words: str) -> None:
    axes.axvline(place, color=style.MIST, linewidth=1.2, linestyle=(0, (4, 3)))
    right = place > 1  # there is room on the right of it
    beside: dict[str, Any] = {"xytext": (6 if right else -6, 0), "ha": "left" if right else "right"}
    axes.annotate(words, (place, height), textcoords="offset points", color=style.QUIET, fontsize=style.NOTE, **beside)


def _look(gamma: float) -> dict[str, Any]:
    return {"color": style.gamma_colour(gamma), "marker": _MARKERS.get(gamma, "P")}


def _numbers(values: Iterable[Any]) -> list[float]:
    """Numbers for a line, which is broken where there is none."""
    return [np.nan if value is None else float(value) for value in values]


def _legend(looks: Mapping[float, dict[str, Any]]) -> tuple[list[Line2D], list[str]]:
    return [Line2D([], [], markersize=8, **look) for look in looks.values()], [f"γ = {gamma:.4g}" for gamma in looks]


_NOTES = {
    1: "½(x² + 100y²) from (1, 1), κ = 100, by γ. Trained; theory counts the same updates.",
    2: "One direction of curvature λ. Points are measured, lines are theory, ln 10⁻³/ln |σ|.",
    3: "Points and paths are measured, dotted lines are theory. γ = 0 stays where γ = 0.9 gets through.",
    4: "½θ² with noise of variance 1 on its gradient. Points are measured, lines are theory.",
}
_DRAWN: dict[int, Callable[[Axes, Axes, "Finding"], tuple[list[Line2D], list[str]]]] = {
    1: _accelerates,
    2: _damps,
    3: _escapes,
    4: _smooths,
}
