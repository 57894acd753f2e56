"""The optional metrics: their columns, and what of `record` and `train.target` an experiment cannot have, and why."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from momentumlab.experiment.ranges import Keys
from momentumlab.experiment.schema_optimizer import Optimizer

if TYPE_CHECKING:
    from momentumlab.experiment.schema import Experiment

OPTIONAL_METRICS: Mapping[str, tuple[str, ...]] = {
    "forces": ("inertia", "push", "reinforced", "cancelled"),
    "path": ("path", "displacement", "tortuosity", "sign_flips"),
    "energy": ("kinetic", "energy", "friction", "turning", "bend"),
    "sharpness": ("sharpness", "stability"),
    "noise_scale": ("noise_scale",),
}
"""By their key in `record`, the columns of each in the order of metrics.csv."""
_OPTIONS = ("weight_decay", "clip", "restart", "dampening", "momentum_correction")
_PUSHED = ("sgd", "momentum", "nesterov")
_CONSERVING = ("sgd", "momentum")


def optional_metrics_apply(experiment: "Experiment") -> Iterator[tuple[Keys, str]]:
    """(keys, whole sentence) for every optional metric that the experiment asks for and cannot have."""
    record, optimizer, objective = experiment.record, experiment.optimizer, experiment.objective
    if record.forces and (why := _not_pushed(optimizer, _PUSHED)):
        yield ("record", "forces"), f"shows the two parts of v ← γ·v + η·∇J, {why}"
    if record.energy:
        if why := _not_pushed(optimizer, _CONSERVING):
            yield ("record", "energy"), f"is balanced by v ← γ·v + η·∇J and θ ← θ − v, {why}"
        if scheduled := [name for name in ("gamma", "eta") if hasattr(getattr(optimizer, name), "schedule")]:
            law = f"is balanced while γ and η stay what they are: give {' and '.join(scheduled)} as numbers"
            yield ("record", "energy"), law
    if record.noise_scale and (objective is not None or experiment.train.batch_size == "full"):
        law = "compares minibatches with all samples: " + (
            "an objective has neither" if objective is not None else "give a train.batch_size"
        )
        yield ("record", "noise_scale"), law
    if objective is not None and objective.kind == "forces":
        for keys, asked in (
            (("record", "energy"), record.energy),
            (("record", "sharpness"), record.sharpness),
            (("train", "target"), experiment.train.target),
        ):
            if asked is not None:
                yield keys, "looks at the loss, and forces have none: leave it out"


def _not_pushed(optimizer: Optimizer, kinds: tuple[str, ...]) -> str:
    """Why v is not made so, as the end of a sentence; empty where it is."""
    if optimizer.kind not in kinds:
        return f"and {optimizer.kind} does otherwise: take {', '.join(kinds[:-1])} or {kinds[-1]}"
    used = [name for name in _OPTIONS if getattr(optimizer, name, None)]
    return f"which {' and '.join(used)} would change: leave {'it' if len(used) == 1 else 'them'} out" if used else ""
