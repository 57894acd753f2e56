"""Claim 3, it escapes and coasts: two wells, flat ground, a saddle, and landscapes that nothing gets out of."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from momentumlab.claims.finding import Experiment, Finding, Quantity, Trial, Value
from momentumlab.claims.quadratics import GAMMAS, momentum, said
from momentumlab.claims.training import Run, trained
from momentumlab.foresight import number
from momentumlab.problems.objectives import OBJECTIVES
from momentumlab.theory.energy import barrier_eta
from momentumlab.theory.filter import stopping_distance
from momentumlab.theory.fit import steps_to
from momentumlab.theory.modes import trajectory

_ETA = 0.01
_STEPS = 6000  # updates in which γ = 0.99 comes to rest: √0.99^6000 is 10⁻¹³
(_DEEP,), (_SHALLOW,) = OBJECTIVES["double_well"]().minima
_RIM = 0.2091488484413166  # where the double well's barrier stands
_BELOW_THE_RIM = 0.5
_STEEPEST = 3 * 1.4**2 - 1  # the largest curvature where J is not above that of this start, |x| < 1.4
_SADDLE = -2.0  # the curvature of x² − y² along y
_NEAR = 1e-6
_REST = 1e-9
_WIDE = 100.0  # of flat ground, more than any run here coasts

# Nobody gets out from here: the objective, where it starts, η.
_TRAPS = (
    (OBJECTIVES["three_hump_camel"](), [2.0, -1.0], 0.02),
    (OBJECTIVES["rastrigin"](), [4.2, 3.3], 0.001),
    (OBJECTIVES["styblinski_tang"](), [1.0, 4.0], 0.005),
)


def escapes(*, quick: bool) -> Finding:
    """Where runs come to rest in two wells, how far they coast on flat ground, and how soon they leave a saddle."""
    paths = _two_wells(2.0, [(gamma, _ETA) for gamma in GAMMAS])
    wells = _wells("two wells, from far above the shallow one", paths, 2.0)
    plain = [(0.0, _ETA / (1 - gamma)) for gamma in (0.5, 0.9)] + [(0.0, 0.4)]
    larger = _wells("the same without momentum, with larger η", _two_wells(2.0, plain), 2.0, by_eta=True)
    below, starts = _below_the_rim(), _random_starts(64 if quick else 256)
    leaves = _wells("two wells, from above the deep one", _two_wells(-2.1, [(gamma, _ETA) for gamma in GAMMAS]), -2.1)
    coasts = _flat_runs()
    flat, saddle, traps = _flat(coasts), _saddle(), _traps()
    return Finding(
        3,
        "逃离局部最优:惯性帮助冲过平坦区域",
        "It escapes local minima: inertia carries it across flat ground.",
        (wells, larger, below, leaves, starts, flat, saddle, traps),
        [
            _escape(wells, larger),
            _coast(flat),
            _off_the_ridge(saddle),
            _stays(below),
            _on_the_ridge(saddle),
            _trapped(traps),
            _leaves(leaves, starts),
        ],
        {
            "wells": {run.gamma: run.columns["theta_0"] for run in paths},
            "flat": {run.gamma: run.columns["theta_0"] for run in coasts},
        },
    )


def _two_wells(start: float, pairs: Sequence[tuple[float, float]]) -> list[Run]:
    return trained({"kind": "double_well", "start": [start]}, pairs, _STEPS, ["theta_0", "distance"])


def _wells(name: str, runs: Sequence[Run], start: float, *, by_eta: bool = False) -> Experiment:
    rests = [float(run.columns["theta_0"][-1]) for run in runs]
    minima = [_DEEP if rest < _RIM else _SHALLOW for rest in rests]
    quantities = [
        Quantity(("rest",), "rests at", rests, minima, _REST),
        Quantity(("well",), "well", [_well(rest) for rest in rests]),
        Quantity(("crossings",), "crossings", [_crossings(run.columns["theta_0"]) for run in runs]),
    ]
    objective = {"kind": "double_well", "start": [start]}
    gammas, etas = [run.gamma for run in runs], [run.eta for run in runs]
    setting: dict[str, Any] = {"objective": objective, "gamma": gammas, "eta": etas, "steps": _STEPS}
    return Experiment(name, setting, "η" if by_eta else "γ", etas if by_eta else gammas, quantities)


def _well(place: float) -> str:
    return "deep" if place < _RIM else "shallow"


def _crossings(path: Any) -> int:
    return int((np.diff(path > _RIM)).sum())


def _below_the_rim() -> Experiment:
    """From rest with J below that of the barrier, and η so small that energy cannot grow: nobody crosses."""
    pairs = [(gamma, 0.999 * float(barrier_eta(gamma, _STEEPEST))) for gamma in GAMMAS]
    runs = _two_wells(_BELOW_THE_RIM, pairs)
    quantities = [
        Quantity(("eta",), "η", [eta for _, eta in pairs]),
        Quantity(("lowest",), "least x", [float(run.columns["theta_0"].min()) for run in runs]),
        Quantity(("highest",), "largest x", [float(run.columns["theta_0"].max()) for run in runs]),
        Quantity(("crossings",), "crossings", [_crossings(run.columns["theta_0"]) for run in runs], [0] * len(runs)),
    ]
    objective = {"kind": "double_well", "start": [_BELOW_THE_RIM]}
    setting = {"objective": objective, "gamma": list(GAMMAS), "eta": [eta for _, eta in pairs], "steps": _STEPS}
    return Experiment("two wells, from rest below the rim, η just below 2(1 − γ)/L", setting, "γ", GAMMAS, quantities)


def _random_starts(seeds: int) -> Experiment:
    """Of random starts on each side of the barrier, how many end on the other."""
    objective = {"kind": "double_well", "start": "random"}
    runs = trained(objective, [(gamma, _ETA) for gamma in GAMMAS], _STEPS, ["theta_0"], seeds, every=_STEPS)
    ways = np.array([run.columns["theta_0"] > _RIM for run in runs]).reshape(len(GAMMAS), seeds, 2)
    shallow, ends_shallow = ways[..., 0], ways[..., 1]
    escaped, left = (shallow & ~ends_shallow).sum(1), (~shallow & ends_shallow).sum(1)
    of_shallow, of_deep = int(shallow[0].sum()), int((~shallow[0]).sum())
    quantities = [
        Quantity(("escaped",), f"of {of_shallow} shallow into deep", escaped.tolist()),
        Quantity(("left",), f"of {of_deep} deep into shallow", left.tolist()),
    ]
    setting = {"objective": objective, "gamma": list(GAMMAS), "eta": _ETA, "steps": _STEPS, "seeds": seeds}
    return Experiment(f"two wells, {seeds} random starts from rest", setting, "γ", GAMMAS, quantities)


def _flat_runs() -> list[Run]:
    objective = {"kind": "plateau", "width": _WIDE, "start": [-0.95]}
    return trained(objective, [(gamma, 0.1) for gamma in GAMMAS], _STEPS, ["theta_0", "velocity_0"])


def _flat(runs: Sequence[Run]) -> Experiment:
    entries = [int(np.argmax(run.columns["theta_0"] >= 0)) for run in runs]
    paths = [run.columns["theta_0"] for run in runs]
    speeds = [abs(float(run.columns["velocity_0"][entry])) for run, entry in zip(runs, entries, strict=True)]
    coasted = [float(path[-1] - path[entry]) for path, entry in zip(paths, entries, strict=True)]
    # Each of the pushes of the slope has moved θ by η/(1 − γ) in the end.
    rests = [-0.95 + entry * run.eta / (1 - run.gamma) for run, entry in zip(runs, entries, strict=True)]
    distances = [float(stopping_distance(run.gamma, speed)) for run, speed in zip(runs, speeds, strict=True)]
    quantities = [
        Quantity(("speed",), "v at its edge", speeds),
        Quantity(("coast",), "coasts", coasted, distances, _REST),
        Quantity(("rest",), "rests at", [float(path[-1]) for path in paths], rests, _REST),
    ]
    setting = {"objective": {"kind": "plateau", "width": _WIDE, "start": [-0.95]}, "gamma": list(GAMMAS), "eta": 0.1}
    return Experiment("exactly flat ground behind a slope", setting | {"steps": _STEPS}, "γ", GAMMAS, quantities)


def _saddle() -> Experiment:
    eta, steps = 0.05, 100
    quantities = []
    for beside in (0.001, 0.0):
        objective = {"kind": "saddle", "start": [1.0, beside]}
        runs = trained(objective, [(gamma, eta) for gamma in GAMMAS], steps, ["theta_1"])
        measured = [_steps_to_one(run.columns["theta_1"]) for run in runs]
        theory = [_steps_to_one(beside * trajectory(momentum(gamma, eta), _SADDLE, steps)) for gamma in GAMMAS]
        heading = f"updates from y = {number(beside)}"
        quantities.append(Quantity(("steps", number(beside)), heading, measured, theory, 0.0))
    setting = {"objective": {"kind": "saddle", "start": [[1.0, 0.001], [1.0, 0.0]]}, "gamma": list(GAMMAS), "eta": eta}
    return Experiment("a saddle, until |y| ≥ 1", setting | {"steps": steps}, "γ", GAMMAS, quantities)


def _steps_to_one(path: Any) -> int | None:
    return steps_to(-np.abs(path), -1.0)


def _traps() -> Experiment:
    quantities = []
    settings = []
    for objective, start, eta in _TRAPS:
        described = {"kind": objective.name, "start": start}
        runs = trained(described, [(gamma, eta) for gamma in GAMMAS], _STEPS, ["loss"])
        lowest = min(float(objective.value(np.array(minimum), np)) for minimum in objective.minima)
        above: list[Value] = [float(run.columns["loss"][-1]) - lowest for run in runs]
        quantities.append(Quantity(("above", objective.name), objective.name.replace("_", " "), above))
        settings.append({"objective": described, "eta": eta})
    setting = {"objectives": settings, "gamma": list(GAMMAS), "steps": _STEPS}
    return Experiment("local minima: how far J ends above the lowest", setting, "γ", GAMMAS, quantities)


def _escape(wells: Experiment, larger: Experiment) -> Trial:
    ends = dict(zip(wells.rows, wells.quantities[1].measured, strict=True))
    out = [gamma for gamma, well in ends.items() if well == "deep"]
    matched = larger.quantities[1].measured[larger.rows.index(_ETA / (1 - 0.9))]
    words = (
        f"from x = 2 γ = {_listed(out) or 'none'} ends in the deep well, γ = 0 in the {ends[0.0]} one, "
        f"and in the {matched} one with the η/(1 − γ) of 0.9"
    )
    return Trial("with enough speed", words, ends[0.9] == "deep" and ends[0.0] == matched == "shallow")


def _coast(flat: Experiment) -> Trial:
    rests = dict(zip(flat.rows, flat.quantities[2].measured, strict=True))
    with_, without = float(rests[0.9] or 0), float(rests[0.0] or 0)
    words = f"γ = 0.9 rests {number(with_)} behind the edge, γ = 0 {number(without)}"
    return Trial.of_gain("on flat ground not wider than vγ/(1 − γ)", words, with_ / without)


def _off_the_ridge(saddle: Experiment) -> Trial:
    counts = dict(zip(saddle.rows, saddle.quantities[0].measured, strict=True))
    alone, together = (float(counts[gamma] or 0) for gamma in (0.0, 0.9))
    words = f"γ = 0.9 takes {said(counts[0.9])}, γ = 0 {said(counts[0.0])}"
    return Trial.of_gain("at a saddle, a little off its ridge", words, alone / together)


def _on_the_ridge(saddle: Experiment) -> Trial:
    counts = saddle.quantities[1].measured
    staying = [gamma for gamma, count in zip(GAMMAS, counts, strict=True) if count is None]
    words = f"y stays 0 with γ = {_listed(staying) or 'none'}"
    return Trial("exactly on the ridge of a saddle", words, any(count is not None for count in counts))


def _stays(below: Experiment) -> Trial:
    crossings = [int(count or 0) for count in below.quantities[3].measured]
    words = f"with η ≤ 2(1 − γ)/L the four γ cross the barrier {sum(crossings)} times"
    return Trial("from rest below the rim", words, any(crossings))


def _trapped(traps: Experiment) -> Trial:
    out = [
        f"{quantity.heading} with γ = {label}"
        for quantity in traps.quantities
        for label, above in zip(traps.labels, quantity.measured, strict=True)
        if float(above or 0) < _NEAR
    ]
    words = f"from the starts and η above, out come {_listed(out)}" if out else "from these starts and η no γ gets out"
    names = _listed([quantity.heading for quantity in traps.quantities])
    return Trial(f"in the local minima of {names}", words, bool(out))


def _leaves(leaves: Experiment, starts: Experiment) -> Trial:
    """The claim is that minima that are left are bad ones: what leaves the deep well speaks against it."""
    gone = [label for label, well in zip(leaves.labels, leaves.quantities[1].measured, strict=True) if well != "deep"]
    left = [int(count or 0) for count in starts.quantities[1].measured]
    words = f"from x = −2.1 γ = {_listed(gone) or 'none'} leaves the deep well, of random starts {max(left)} do"
    return Trial("where the minimum is a good one", words, not gone and not any(left))


def _listed(words: Sequence[Any]) -> str:
    return ", ".join(word if isinstance(word, str) else number(word) for word in words)
