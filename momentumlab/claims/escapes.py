"""Claim 3, it escapes and coasts: two wells, flat ground, a saddle, and landscapes that nothing gets out of."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from momentumlab.claims.finding import Experiment, Finding, Quantity, Trial, Value, gain, word
from momentumlab.claims.quadratics import GAMMAS, momentum, said
from momentumlab.claims.training import Run, trained
from momentumlab.problems.objectives import OBJECTIVES
from momentumlab.theory.energy import barrier_eta
from momentumlab.theory.filter import stopping_distance
from momentumlab.theory.fit import steps_to
from momentumlab.theory.modes import trajectory

_ETA = 0.01
_MATCHED = _ETA / (1 - 0.9)  # the η of gradient descent with the effective learning rate of γ = 0.9
_STEPS = 5000  # updates in which γ = 0.99 comes to rest: √0.99^5000 is 10⁻¹¹
(_DEEP,), (_SHALLOW,) = OBJECTIVES["double_well"]().minima
_RIM = 0.2091488484413166  # where the double well's barrier stands
_BELOW_THE_RIM = 0.5
_STEEPEST = 3 * 1.4**2 - 1  # the largest curvature where J is not above that of this start, |x| < 1.4
_SETTLED = 3000  # updates after which it is in the well where it stays
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
    with_momentum = [(gamma, _ETA) for gamma in GAMMAS]
    without = [(0.0, eta) for eta in (_ETA / (1 - 0.5), _MATCHED, 0.4)]
    paths = _two_wells(2.0, with_momentum + without)
    wells = _wells("two wells, from far above the shallow one", paths[: len(with_momentum)], 2.0)
    larger = _wells("the same without momentum, with larger η", paths[len(with_momentum) :], 2.0, by_eta=True)
    below, starts = _below_the_rim(), _random_starts(64 if quick else 256)
    leaves = _wells("two wells, from above the deep one", _two_wells(-2.1, with_momentum), -2.1)
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
            "wells": {run.gamma: run.columns["theta_0"] for run in paths[: len(with_momentum)]},
            "flat": {run.gamma: run.columns["theta_0"] for run in coasts},
            "rests": dict(zip(GAMMAS, flat.quantities[-1].theory or (), strict=True)),
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
    runs = trained(objective, [(gamma, _ETA) for gamma in GAMMAS], _SETTLED, ["theta_0"], seeds, every=_SETTLED)
    ways = np.array([run.columns["theta_0"] > _RIM for run in runs]).reshape(len(GAMMAS), seeds, 2)
    shallow, ends_shallow = ways[..., 0], ways[..., 1]
    escaped, left = (shallow & ~ends_shallow).sum(1), (~shallow & ends_shallow).sum(1)
    of_shallow, of_deep = int(shallow[0].sum()), int((~shallow[0]).sum())
    quantities = [
        Quantity(("escaped",), f"of {of_shallow} shallow into deep", escaped.tolist()),
        Quantity(("left",), f"of {of_deep} deep into shallow", left.tolist()),
    ]
    setting = {"objective": objective, "gamma": list(GAMMAS), "eta": _ETA, "steps": _SETTLED, "seeds": seeds}
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
        heading = f"updates from y = {word(beside)}"
        quantities.append(Quantity(("steps", word(beside)), heading, measured, theory, 0.0))
    setting = {"objective": {"kind": "saddle", "start": [[1.0, 0.001], [1.0, 0.0]]}, "gamma": list(GAMMAS), "eta": eta}
    return Experiment("a saddle, until |y| ≥ 1", setting | {"steps": steps}, "γ", GAMMAS, quantities)


def _steps_to_one(path: Any) -> int | None:
    return steps_to(-np.abs(path), -1.0)


def _traps() -> Experiment:
    quantities = []
    settings = []
    for objective, start, eta in _TRAPS:
        described = {"kind": objective.name, "start": start}
        runs = trained(described, [(gamma, eta) for gamma in GAMMAS], _SETTLED, ["loss"])
        lowest = min(float(objective.value(np.array(minimum), np)) for minimum in objective.minima)
        above = [float(run.columns["loss"][-1]) - lowest for run in runs]
        quantities.append(Quantity(("above", objective.name), objective.name.replace("_", " "), above))
        settings.append({"objective": described, "eta": eta})
    setting = {"objectives": settings, "gamma": list(GAMMAS), "steps": _SETTLED}
    return Experiment("local minima: how far J ends above the lowest", setting, "γ", GAMMAS, quantities)


def _escape(wells: Experiment, larger: Experiment) -> Trial:
    ends, matched = wells.of("well"), larger.of("well")[_MATCHED]
    out = [gamma for gamma, well in ends.items() if well == "deep"]
    words = (
        f"from x = 2 γ = {_listed(out)} ends in the deep well, γ = 0 in the {ends[0.0]} one, "
        f"and in the {matched} one with the η/(1 − γ) of 0.9"
    )
    return Trial("with enough speed", words, ends[0.9] == "deep" and ends[0.0] == matched == "shallow")


def _coast(flat: Experiment) -> Trial:
    rests = flat.of("rest")
    words = f"γ = 0.9 rests {word(rests[0.9])} behind the edge, γ = 0 {word(rests[0.0])}"
    return Trial.of_gain("on flat ground not wider than vγ/(1 − γ)", words, rests[0.9] / rests[0.0])


def _off_the_ridge(saddle: Experiment) -> Trial:
    counts = saddle.of("steps", "0.001")
    words = f"γ = 0.9 takes {said(counts[0.9])}, γ = 0 {said(counts[0.0])}"
    return Trial.of_gain("at a saddle, a little off its ridge", words, gain(counts[0.0], counts[0.9]))


def _on_the_ridge(saddle: Experiment) -> Trial:
    counts = saddle.of("steps", "0")
    staying = [gamma for gamma, count in counts.items() if count is None]
    return Trial(
        "exactly on the ridge of a saddle", f"y stays 0 with γ = {_listed(staying)}", len(staying) < len(counts)
    )


def _stays(below: Experiment) -> Trial:
    crossings = sum(below.of("crossings").values())
    words = f"with η ≤ 2(1 − γ)/L the barrier is crossed {crossings} times by the four γ"
    return Trial("from rest below the rim", words, crossings > 0)


def _trapped(traps: Experiment) -> Trial:
    names = [objective.name for objective, _, _ in _TRAPS]
    out = [
        f"{name} with γ = {word(gamma)}"
        for name in names
        for gamma, above in traps.of("above", name).items()
        if above < _NEAR
    ]
    words = f"out comes {_listed(out)}" if out else "no γ gets out from these starts"
    return Trial(f"in the local minima of {_listed(names).replace('_', ' ')}", words, bool(out))


def _leaves(leaves: Experiment, starts: Experiment) -> Trial:
    """Holds where what is left is never the deep well, the better one."""
    gone = [gamma for gamma, well in leaves.of("well").items() if well == "shallow"]
    left = starts.of("left")
    words = (
        f"from x = −2.1 γ = {_listed(gone)} leaves the deep well; of the random starts there {left[0.99]} do with 0.99"
    )
    return Trial("where the minimum is the best one", words, not gone and not any(left.values()))


def _listed(values: Sequence[Value]) -> str:
    return ", ".join(map(word, values)) or "none"
