"""One picture for each of the article's claims: measured as points or paths, theory as lines, one colour for each γ."""

from collections.abc import Callable, Sequence
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
_THEORY: dict[str, Any] = {"linewidth": 1.6, "zorder": 1.5}
_FIRST = 40  # updates of a path that goes back and forth


def draw(finding: "Finding") -> Figure:
    """The picture of a claim: two panels, where it holds and where it does not."""
    with style.context():
        figure = style.canvas(f"Claim {finding.claim}. {finding.words}", [_NOTES[finding.claim]])
        left, right = style.panels(figure, 2, shared=False)
        handles, texts = _DRAWN[finding.claim](left, right, finding)
        legends.below(figure, handles, texts)
        return figure


def _accelerates(left: Axes, right: Axes, finding: "Finding") -> tuple[list[Line2D], list[str]]:
    gammas = []
    for place, (gamma, distance) in enumerate(finding.series["distances"].items()):
        shown = distance[: _settled(finding, place) + 60] / distance[0]
        left.plot(shown, color=style.gamma_colour(gamma), linestyle=style.DASHES[place], linewidth=2.0)
        left.plot(
            len(shown) - 60, 1e-6, color=style.gamma_colour(gamma), marker=style.MARKERS[place], zorder=3, **_POINT
        )
    left.axhline(1e-6, color=style.MIST, linewidth=1.0)
    style.log_axis(left, 1e-8, 10)
    left.set(ylim=(1e-8, 10), xlabel="step k", ylabel="distance to the minimum ‖θₖ − θ*‖/‖θ₀ − θ*‖")
    _headed(left, "the same η = 1/L for every γ")
    for place, (gamma, (etas, counts)) in enumerate(sorted(finding.series["tried"].items())):
        look = {"color": style.gamma_colour(gamma), "marker": style.MARKERS[place]}
        right.plot(etas, [count or np.nan for count in counts], linewidth=1.2, **(_POINT | {"linestyle": "-"} | look))
        gammas.append((gamma, look))
    right.axvline(0.02, color=style.MIST, linewidth=1.2, linestyle=(0, (4, 3)))
    right.annotate(
        "2/L: limit\nof γ = 0",
        (0.02, 4000),
        xytext=(-6, 0),
        textcoords="offset points",
        ha="right",
        va="top",
        color=style.QUIET,
        fontsize=style.NOTE,
    )
    right.set_xscale("log")
    style.log_axis(right, 50, 5000)
    right.set_xticks([0.002, 0.005, 0.01, 0.02, 0.04], ["0.002", "0.005", "0.01", "0.02", "0.04"])
    right.minorticks_off()
    right.set(ylim=(50, 5000), xlabel="learning rate η", ylabel="updates to a millionth of the distance")
    _headed(right, "every η, up to the best of each γ")
    return _legend(gammas)


def _settled(finding: "Finding", place: int) -> int:
    count = finding.experiments[0].quantities[0].measured[place]
    return int(count or 0)


def _damps(left: Axes, right: Axes, finding: "Finding") -> tuple[list[Line2D], list[str]]:
    gammas = []
    etas = finding.series["etas"]
    dense = np.linspace(0.02, 3.98, 800)
    for place, (gamma, counts) in enumerate(finding.series["counts"].items()):
        look = {"color": style.gamma_colour(gamma), "marker": style.MARKERS[place]}
        radius = spectral_radius(Method.of("momentum", gamma=np.full(dense.shape, gamma), eta=dense), 1.0)
        right.plot(
            dense, [steps_at(one, 1e-3) if one < 1 else np.nan for one in radius], color=look["color"], **_THEORY
        )
        right.plot(etas, [count or np.nan for count in counts], zorder=2.5, **(_POINT | look))
        path = finding.series["paths"][gamma][: _FIRST + 1]
        if gamma < 0.99:
            left.plot(
                path,
                color=look["color"],
                linewidth=1.4,
                **(_POINT | {"linestyle": "-", "markersize": 5.5, "marker": look["marker"]}),
            )
        gammas.append((gamma, look))
    left.axhline(0, color=style.MIST, linewidth=1.0, zorder=0.5)
    left.set(xlabel="step k", ylabel="place xₖ in the steep direction")
    _headed(left, "ηλ = 1.99: momentum settles sooner")
    right.axvline(2, color=style.MIST, linewidth=1.2, linestyle=(0, (4, 3)))
    right.annotate(
        "limit of γ = 0", (2, 1.3), xytext=(6, 0), textcoords="offset points", color=style.QUIET, fontsize=style.NOTE
    )
    style.log_axis(right, 1, 5000)
    right.set(ylim=(1, 5000), xlim=(0, 4), xlabel="steepness ηλ", ylabel="updates until |x| stays below a thousandth")
    _headed(right, "below ηλ = 1.7 it only takes longer")
    return _legend(gammas)


def _escapes(left: Axes, right: Axes, finding: "Finding") -> tuple[list[Line2D], list[str]]:
    gammas = []
    landscape = OBJECTIVES["double_well"]()
    ground = np.linspace(-2.05, 2.1, 500)
    heights = landscape.value(ground[:, None], np)
    left.fill_between(ground, heights, -1, color="#E4E8EC", linewidth=0, zorder=0)
    left.plot(ground, heights, color=style.INK, linewidth=1.4, zorder=1)
    for place, (gamma, path) in enumerate(finding.series["wells"].items()):
        look = {"color": style.gamma_colour(gamma), "marker": style.MARKERS[place]}
        over = landscape.value(path[:, None], np) + 0.22 * (place + 1)
        left.plot(path, over, linewidth=1.2, color=look["color"], marker=".", markersize=5, zorder=2)
        marks.start(left, (path[0], over[0]))
        left.plot(path[-1], over[-1], zorder=4, **(_POINT | look | {"markersize": 10}))
        gammas.append((gamma, look))
    left.set(ylim=(-0.75, 3.6), xlabel="θ₀ = x", ylabel="J(θ), each path a little above the last")
    _headed(left, "two wells, from x = 2")
    for (gamma, path), (_, look), rest in zip(finding.series["flat"].items(), gammas, _flat(finding), strict=True):
        right.axhline(rest, color=look["color"], linestyle=(0, (2, 2)), linewidth=1.2)
        behind = np.where(path > 0, path, np.nan)
        right.plot(np.arange(len(path)), behind, color=look["color"], linewidth=2.2)
        right.plot(1000, path[1000], zorder=3, clip_on=False, **(_POINT | look))
    right.set_xscale("log")
    right.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1000"])
    style.log_axis(right, 0.02, 80)
    right.set(xlim=(3, 1000), ylim=(0.02, 80), xlabel="step k", ylabel="place x behind the edge of the flat ground")
    _headed(right, "flat ground: it coasts vγ/(1 − γ)")
    return _legend(gammas)


def _flat(finding: "Finding") -> Sequence[Any]:
    (quantity,) = (
        quantity
        for experiment in finding.experiments
        for quantity in experiment.quantities
        if quantity.key == ("coast",)
    )
    (experiment,) = (experiment for experiment in finding.experiments if quantity in experiment.quantities)
    return experiment.quantities[-1].theory or ()


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
        for axes, line, place in ((left, floor.theta, 0), (right, floor.velocity, 1)):
            axes.plot(
                1 / shares, line, color=colour, linestyle="solid" if marker == "o" else style.DASHES[1], **_THEORY
            )
            axes.plot(at, experiment.quantities[place].measured, color=colour, marker=marker, zorder=2.5, **_POINT)
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


def _legend(gammas: Sequence[tuple[float, dict[str, Any]]]) -> tuple[list[Line2D], list[str]]:
    return [Line2D([], [], markersize=8, **look) for _, look in gammas], [f"γ = {gamma:.4g}" for gamma, _ in gammas]


_NOTES = {
    1: "½(x² + 100y²) from (1, 1), κ = 100. Measured counts; theory's are the same to the update.",
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
