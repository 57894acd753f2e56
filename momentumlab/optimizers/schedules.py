"""γ and η as numbers or as functions of the step, resolved in one place.

A schedule maps `step`, the number of updates already done, to the value that the next update uses: step 0 gives that of
the first update. Those that end take `steps`, the number of updates until then, and stay at their end afterwards.
"""

import bisect
import math
from collections.abc import Callable, Sequence
from typing import Protocol

Schedule = Callable[[int], float]


def constant(value: float) -> Schedule:
    """The same value at every step."""
    return lambda step: value


def step_decay(value: float, factor: float, at: Sequence[int]) -> Schedule:
    """`value`, multiplied by `factor` once each of the updates counted in `at` is done.

        value · factor^(how many of `at` are ≤ step)

    at=[3]: updates 1, 2 and 3 use `value`, the 4th is the first that uses `value * factor`. torch's MultiStepLR.
    """
    return lambda step: value * factor ** sum(step >= done for done in at)


def points(pairs: Sequence[tuple[int, float]]) -> Schedule:
    """Each value from its step on, for (step, value) pairs that ascend from step 0.

    [(0, 0.1), (100, 0.01)]: the first hundred updates use 0.1, the 101st is the first that uses 0.01.
    """
    starts, values = zip(*pairs, strict=True)
    return lambda step: float(values[bisect.bisect_right(starts, step) - 1])


def linear(value: float, end: float, steps: int) -> Schedule:
    """Straight from `value` to `end`.

        value + (end − value)·(step/steps)

    torch's LinearLR. Down to 0, after a warm-up, it is what language models are often trained with: Devlin et al. 2019.
    """
    return lambda step: value + (end - value) * (step / steps) if step < steps else end


def cosine(value: float, end: float, steps: int) -> Schedule:
    """From `value` to `end` along half a cosine wave: slow at both ends, fastest in the middle.

        end + (value − end)·(1 + cos(π·step/steps))/2

    torch's CosineAnnealingLR, without restarts. Loshchilov and Hutter 2017 (SGDR).
    """
    return lambda step: _half_wave(value, end, step / steps) if step < steps else end


def exponential(value: float, factor: float) -> Schedule:
    """`value`, multiplied by `factor` after every update.

        value · factor^step

    torch's ExponentialLR. Raises OverflowError where the power is larger than any float.
    """
    return lambda step: value * factor**step


def one_cycle(start: float, top: float, end: float, steps: int, rise: float = 0.3) -> Schedule:
    """From `start` to `top` during the first share `rise` of the updates, then to `end`, each along half a cosine wave.

        peak = rise·steps − 1,   last = steps − 1
        step ≤ peak    top + (start − top)·(1 + cos(π·step/peak))/2
        step > peak    end + (top − end)·(1 + cos(π·(step − peak)/(last − peak)))/2

    Unlike `cosine` it is at `end` in the last of its updates, not after it. The same shape upside down, with a `top`
    below `start`, is what γ does meanwhile. torch's OneCycleLR for rise·steps > 1; a shorter rise begins at `top`,
    where torch divides by zero or is past the top already. Smith and Topin 2017.
    """
    peak, last = max(rise * steps - 1, 0.0), steps - 1

    def at(step: int) -> float:
        if step <= peak:
            return _half_wave(start, top, step / peak) if peak > 0 else top
        return _half_wave(top, end, (step - peak) / (last - peak)) if step < last else end

    return at


def sutskever(highest: float, every: int = 250) -> Schedule:
    """γ that comes nearer to 1 the longer it trains, up to `highest`.

        min(1 − 2^(−1 − log₂(⌊step/every⌋ + 1)), highest) = min(1 − 1/(2·(⌊step/every⌋ + 1)), highest)

    0.5, 0.75, 0.833 … for `every` updates each. Sutskever et al. 2013, eq. 5.
    """
    return lambda step: min(1 - 1 / (2 * (step // every + 1)), highest)


def demon(value: float, steps: int) -> Schedule:
    """γ that falls to 0 so that γ/(1 − γ), what a gradient adds up to after its own step, falls along a line.

        value·left / ((1 − value) + value·left),   left = 1 − step/steps

    Decaying momentum: Chen, Wolfe, Li and Kyrillidis 2019.
    """

    def at(step: int) -> float:
        left = max(1 - step / steps, 0.0)
        return value * left / ((1 - value) + value * left)

    return at


def warmed_up(schedule: Schedule, updates: int) -> Schedule:
    """`updates` updates that rise in equal parts to the first value of `schedule`, then all of `schedule`.

        step < updates    schedule(0)·(step + 1)/updates
        step ≥ updates    schedule(step − updates)

    None of them uses 0, and the last of them already the full value. Goyal et al. 2017; counted as by Ma and Yarats
    2021.
    """
    if not updates:
        return schedule
    full = schedule(0)
    return lambda step: full * (step + 1) / updates if step < updates else schedule(step - updates)


class Described(Protocol):
    """What describes a schedule, as the sections of an experiment do."""

    @property
    def warmup(self) -> int | None:
        """How many updates warm up to it; None for none."""
        ...

    def function(self, steps: int) -> Schedule:
        """The schedule without its warm-up, for a run that makes `steps` updates after that."""
        ...


def as_schedule(given: float | Described, steps: int) -> Schedule:
    """The function of the step that a number or a described schedule stands for, in a run of `steps` updates."""
    if isinstance(given, int | float):
        return constant(float(given))
    # A run that ends within the warm-up still warms up to the schedule's first value, as a longer one does.
    warmup = given.warmup or 0
    return warmed_up(given.function(max(steps - warmup, 1)), warmup)


def _half_wave(start: float, end: float, share: float) -> float:
    wave = math.cos(math.pi * share)
    return start * (1 + wave) / 2 + end * (1 - wave) / 2  # both ends to the bit
