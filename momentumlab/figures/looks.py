"""Which colour, dash and marker each family of runs has; and the colour bar when they are too many for a legend."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure

from momentumlab.figures import labels, style
from momentumlab.figures.labels import Value
from momentumlab.figures.style import Colour
from momentumlab.figures.traces import Family, gamma_leads, is_number

MANY = 12
"""Up to here a legend names every family, above it a colour bar speaks for them."""


@dataclass(frozen=True)
class Look:
    """How a family is drawn."""

    colour: Colour
    dash: Any = "solid"
    marker: str = "o"


def looks(keys: Sequence[str], families: Sequence[Family]) -> list[Look]:
    """A look for each family: colour by the leading setting, dash and marker by the others, or one by one."""
    leading = leading_key(keys, families)
    colours = _by_schedule(keys, families) or _colours(leading, families)
    rest = [key for key in keys if key != leading]
    told = len(set(colours)) == len(families)  # by colour alone: then dash and marker tell them once more
    names = [
        index if told else tuple(family.settings.get(key) for key in rest) for index, family in enumerate(families)
    ]
    order = list(dict.fromkeys(names))
    places = [order.index(name) for name in names]
    return [
        Look(colour, style.DASHES[place % len(style.DASHES)], style.MARKERS[place % len(style.MARKERS)])
        for colour, place in zip(colours, places, strict=True)
    ]


def leading_key(keys: Sequence[str], families: Sequence[Family]) -> str | None:
    """The setting that decides the colour: γ where it varies most, else the rule, η, or whatever differs first."""
    if "gamma" in keys and gamma_leads([family.settings for family in families]):
        return "gamma"
    return next((key for key in ("rule", "gamma", "eta", *keys) if key in keys), None)


def _colours(leading: str | None, families: Sequence[Family]) -> list[Colour]:
    if leading is None and families[0].settings.get("rule") == "nesterov":
        return [style.RULE_COLOURS["nesterov"]]
    if leading in {None, "gamma"}:
        return [style.gamma_colour(float(family.settings.get("gamma") or 0.0)) for family in families]
    values = [family.settings.get(leading or "") for family in families]
    if leading == "rule":
        return _rule_colours([str(value) for value in values])
    if all(is_number(value) for value in values):
        scale = Scale(leading or "", values)
        return [scale.colour(float(value or 0.0)) for value in values]
    order = list(dict.fromkeys(values))
    return [style.PALETTE[order.index(value) % len(style.PALETTE)] for value in values]


def _by_schedule(keys: Sequence[str], families: Sequence[Family]) -> list[Colour]:
    """A colour for each family where schedules tell them apart: their γ and η are mostly alike."""
    if not any(key.endswith(" schedule") for key in keys) or len(families) > len(style.PALETTE):
        return []
    return list(style.PALETTE[: len(families)])


def _rule_colours(rules: Sequence[str]) -> list[Colour]:
    """Each rule of ours has its colour; other optimizers take those that are free, in their order."""
    known = style.RULE_COLOURS
    taken = {known.get(rule) for rule in rules}
    free = [colour for colour in (*style.PALETTE, *style.FURTHER) if colour not in taken]
    others = list(dict.fromkeys(rule for rule in rules if rule not in known))
    return [known.get(rule) or free[others.index(rule) % len(free)] for rule in rules]


class Scale:
    """Colours for the values of one numeric setting, in their order: γ on its own scale, others on viridis."""

    def __init__(self, key: str, values: Sequence[Value]) -> None:
        self.key = key
        self._values = sorted({float(value) for value in values})
        low, high = self._values[0], self._values[-1]
        self._logarithmic = low > 0 and high / low > 10
        self._low, self._high = self.position(low), self.position(high)

    def position(self, value: float) -> float:
        """Where a value stands on the bar: equal factors of 1−γ, or of a wide range, else equal differences."""
        if self.key == "gamma":
            return style.gamma_position(value)
        return float(np.log10(value)) if self._logarithmic else value

    def colour(self, value: float) -> tuple[float, float, float]:
        return self._colour_at(self.position(value))

    def _colour_at(self, position: float) -> tuple[float, float, float]:
        if self.key == "gamma":
            return style.colour_at(position)
        return style.sequence_colour((position - self._low) / ((self._high - self._low) or 1.0))

    def bar(self, figure: Figure, axes: Axes | Sequence[Axes]) -> None:
        """A colour bar with true values as its ticks, no two of them touching."""
        shades = [self._colour_at(position) for position in np.linspace(self._low, self._high, 256)]
        mappable = ScalarMappable(Normalize(self._low, self._high), ListedColormap(shades))
        bar = figure.colorbar(mappable, ax=axes, pad=0.02, aspect=28)
        kept = self._apart()
        bar.set_ticks([self.position(value) for value in kept], labels=labels.distinct(kept, 3))
        bar.ax.minorticks_off()
        bar.outline.set_visible(False)
        bar.set_label(labels.symbol(self.key), fontsize=style.LABEL + 2, rotation=0, labelpad=10)

    def _apart(self) -> list[float]:
        gap = (self._high - self._low) / 12
        kept = [self._values[0]]
        for value in self._values[1:]:
            if self.position(value) - self.position(kept[-1]) >= gap:
                kept.append(value)
        last = self._values[-1]
        if kept[-1] != last:
            kept = [*(value for value in kept if self._high - self.position(value) >= gap), last]
        return kept


def bar_key(keys: Sequence[str], families: Sequence[Family]) -> str | None:
    """The numeric setting with the most values, for a colour bar; None where only words differ."""
    counts = {
        key: len({family.settings.get(key) for family in families})
        for key in keys
        if all(is_number(family.settings.get(key)) for family in families)
    }
    return max(counts, key=lambda key: counts[key], default=None)
