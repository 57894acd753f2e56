"""The optional metrics of a stack: what `record` asks for beside the usual columns, and that costs something.

Each is a meter, which sees every step and says its columns where a row is written. All of them work on each run by
itself and in float64, so that a run has the same numbers alone and in any stack, and touch nothing of the training.
What a meter knows of the steps before is arrays with an axis `run`: they follow the stack, and stand in a checkpoint.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from momentumlab.arrays import Arrays, inner
from momentumlab.engine.measure import Columns, norm
from momentumlab.engine.stack import Look
from momentumlab.experiment.optional_metrics import OPTIONAL_METRICS
from momentumlab.results.checkpoint import State
from momentumlab.theory.energy import friction, kinetic

Numbers = npt.NDArray[Any]


class Seen(NamedTuple):
    """What a stack looks like after `step` updates; loss, γ and η are (run,), vectors (run, parameter)."""

    step: int
    written: bool  # whether every run has a row there
    loss: Numbers | None
    theta: Numbers
    gradient: Numbers
    velocity: Numbers
    gamma: npt.NDArray[np.float64]
    eta: npt.NDArray[np.float64]


class Meter(Protocol):
    """An optional metric at work."""

    known: dict[str, Numbers]
    """What it keeps of the steps before, each (run, …)."""

    def see(self, seen: Seen) -> None:
        """Take notice of a step, and of the update that led there."""
        ...

    def columns(self, seen: Seen) -> Columns:
        """What is to be said at the step seen last, (run,) each. The arrays are never changed afterwards."""
        ...

    def go_on(self, seen: Seen) -> None:
        """Keep what the next step needs of the one seen last, whose row is `written` by now, if it is."""
        ...


@dataclass(frozen=True)
class Watch:
    """The meters of a stack; most often there are none."""

    meters: Sequence[Meter] = ()

    def see(self, look: Look, step: int, arrays: Arrays, *, written: bool, some: bool) -> Columns:
        """(run,) columns where a row is `written` of every run, or of `some` that end here; otherwise none."""
        numpy = arrays.numpy
        seen = Seen(
            step=step,
            written=written,
            loss=None if look.loss is None else numpy(look.loss),
            theta=numpy(look.theta),
            gradient=numpy(look.gradient),
            velocity=numpy(look.velocity),
            gamma=look.gamma,
            eta=look.eta,
        )
        columns: Columns = {}
        for meter in self.meters:
            meter.see(seen)
            if written or some:
                columns |= meter.columns(seen)
            meter.go_on(seen)
        return columns

    def keep(self, rows: npt.NDArray[np.intp]) -> None:
        """Go on with these rows of the stack alone."""
        for meter in self.meters:
            meter.known = {name: values[rows] for name, values in meter.known.items()}

    def state(self) -> State:
        """All that the meters know, for a checkpoint."""
        return {
            f"watch_{number}_{name}": values
            for number, meter in enumerate(self.meters)
            for name, values in meter.known.items()
        }

    def restore(self, state: State) -> None:
        """Go on from such a state."""
        for number, meter in enumerate(self.meters):
            start = f"watch_{number}_"
            meter.known = {name.removeprefix(start): state[name] for name in state if name.startswith(start)}


NO_WATCH = Watch()
"""That of an experiment that asks for no optional metric."""


@dataclass
class Forces:
    """Inertia γ·v and push η·∇J, whose sum is the next v, and how the push stands to the inertia.

    In each direction the push points the way of the inertia or against it: the shares of ‖push‖² that reinforce and
    that cancel. Directions are the columns of `directions`, or the coordinates.
    """

    directions: Numbers | None  # (parameter, direction)
    eta_outside: bool  # v is η·b, which the next update takes with its own η
    known: dict[str, Numbers] = field(default_factory=dict)

    def see(self, seen: Seen) -> None:
        pass

    def columns(self, seen: Seen) -> Columns:
        eta = seen.eta[:, None]
        inertia = seen.gamma[:, None] * seen.velocity.astype(np.float64)
        if self.eta_outside and self.known:
            before = self.known["eta"][:, None]
            # After an η of 0 nothing is left to tell b by, unless the next one is 0 too.
            inertia = np.where(eta == before, inertia, inertia * (eta / np.where(before > 0, before, np.nan)))
        push = eta * seen.gradient.astype(np.float64)
        lengths = norm(inertia), norm(push)
        shares = _shares(self._turned(inertia), self._turned(push), (lengths[0] > 0) & (lengths[1] > 0))
        return dict(zip(OPTIONAL_METRICS["forces"], (*lengths, *shares), strict=True))

    def go_on(self, seen: Seen) -> None:
        self.known = {"eta": seen.eta}

    def _turned(self, vectors: Numbers) -> Numbers:
        # (run, direction), every product for itself: those of BLAS would round by the number of runs.
        if self.directions is None:
            return vectors
        return inner(np.ascontiguousarray(vectors)[:, None, :], np.ascontiguousarray(self.directions.T)[None])


def _shares(inertia: Numbers, push: Numbers, both: npt.NDArray[np.bool_]) -> tuple[Numbers, Numbers]:
    """The shares of ‖push‖², (run,), where the two have the same sign and where they have not; nan but for `both`."""
    largest = np.abs(push).max(-1)
    scaled = push / np.where(largest > 0, largest, 1.0)[:, None]  # its squares can neither overflow nor vanish
    sides = np.sign(inertia) * np.sign(push)
    along, against = (np.where(side, scaled, 0.0) for side in (sides > 0, sides < 0))
    whole = np.where(both, inner(scaled, scaled), np.nan)
    return inner(along, along) / whole, inner(against, against) / whole


@dataclass
class Path:
    """How far θ has come and on how long a way, and how often the coordinates of v change their sign.

    The way is that of all steps; sign flips are a mean over the updates since the last row of every run.
    """

    known: dict[str, Numbers] = field(default_factory=dict)

    def see(self, seen: Seen) -> None:
        sign = (seen.velocity > 0).astype(np.int8) - (seen.velocity < 0)
        if not self.known:
            zeros = np.zeros(len(seen.theta))
            self.known = {"first": seen.theta.copy(), "path": zeros, "flips": zeros, "compared": zeros}
        else:
            known, count = self.known, sign.shape[1]
            known["path"] = known["path"] + norm(seen.theta.astype(np.float64) - known["theta"])
            if seen.step > 1:  # the first v comes from rest, which has no sign
                known["flips"] = known["flips"] + np.count_nonzero(sign * known["sign"] < 0, axis=-1) / count
                known["compared"] = known["compared"] + 1
        self.known |= {"theta": seen.theta.copy(), "sign": sign}

    def columns(self, seen: Seen) -> Columns:
        known = self.known
        displacement = norm(seen.theta.astype(np.float64) - known["first"])
        tortuosity = known["path"] / np.where(displacement > 0, displacement, np.nan)
        flips = known["flips"] / np.where(known["compared"] > 0, known["compared"], np.nan)
        return dict(zip(OPTIONAL_METRICS["path"], (known["path"], displacement, tortuosity, flips), strict=True))

    def go_on(self, seen: Seen) -> None:
        if seen.written:
            self.known |= dict.fromkeys(("flips", "compared"), np.zeros(len(seen.theta)))


@dataclass
class Energy:
    """E = J + (γ/2η)·‖v‖², and its ledger since the last row of every run: change = −friction − turning + bend."""

    known: dict[str, Numbers] = field(default_factory=dict)

    def see(self, seen: Seen) -> None:
        assert seen.loss is not None  # of forces it is refused
        velocity, rates = seen.velocity.astype(np.float64), (seen.gamma, seen.eta)
        square = inner(velocity, velocity)
        moving = kinetic(square, *rates)
        energy = seen.loss.astype(np.float64) + moving
        if not self.known:
            zeros = np.zeros(len(velocity))
            self.known = {"at_the_last_row": energy, "friction": zeros, "turning": zeros}
        else:
            turn = velocity - self.known["velocity"]
            self.known["friction"] = self.known["friction"] + friction(square, *rates)
            self.known["turning"] = self.known["turning"] + kinetic(inner(turn, turn), *rates)
        self.known |= {"velocity": velocity, "kinetic": moving, "energy": energy}

    def columns(self, seen: Seen) -> Columns:
        del seen
        known = self.known
        change = known["energy"] - known["at_the_last_row"]
        columns = {name: known[name] for name in ("kinetic", "energy", "friction", "turning")}
        return columns | {"bend": change + known["friction"] + known["turning"]}

    def go_on(self, seen: Seen) -> None:
        if seen.written:
            zeros = np.zeros(len(seen.theta))
            self.known |= {"at_the_last_row": self.known["energy"], "friction": zeros, "turning": zeros}
