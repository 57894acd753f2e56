"""The optional metrics that look at all training data, now and then: sharpness and the gradient noise scale."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from momentumlab.arrays import inner
from momentumlab.engine.measure import Columns
from momentumlab.engine.watch import Seen
from momentumlab.experiment.schema_optimizer import Optimizer
from momentumlab.optimizers.methods import beyond_theory, method_of
from momentumlab.problems.curvature import everywhere, gradient_of_all, sharpness
from momentumlab.problems.problem import Problem
from momentumlab.theory.method import Method
from momentumlab.theory.noise import gradient_noise_scale
from momentumlab.theory.stability import curvature_limit

if TYPE_CHECKING:
    from momentumlab.problems.models import ModelProblem

Numbers = npt.NDArray[Any]


@dataclass
class Probe:
    """A meter that looks at single steps, where it is due; its columns are nan in other rows."""

    names: tuple[str, ...]
    due: Callable[[int], bool]  # whether at the row of a step
    take: Callable[[Seen, npt.NDArray[np.intp]], tuple[Numbers, ...]]  # also gets which cell of the stack each run is
    known: dict[str, Numbers] = field(default_factory=dict)

    def see(self, seen: Seen) -> None:
        if not self.known:
            self.known = {"cell": np.arange(len(seen.theta))}

    def columns(self, seen: Seen) -> Columns:
        if seen.written and self.due(seen.step):
            return dict(zip(self.names, self.take(seen, self.known["cell"]), strict=True))
        return {name: np.full(len(seen.theta), np.nan) for name in self.names}

    def go_on(self, seen: Seen) -> None:
        pass


class Sharpness:
    """λ_max of ∇²J over all training data, and its share of what the rule can stand: 2(1 + γ)/η for momentum.

    The share is nan for rules of which theory knows no limit. Cohen et al. 2021.
    """

    def __init__(self, problem: Problem, optimizers: Sequence[Optimizer], steps: int) -> None:
        self._problem = problem
        self._optimizers = optimizers
        self._steps = steps
        self._everywhere = everywhere(problem)
        self._has_a_limit = beyond_theory(optimizers[0]) is None

    def __call__(self, seen: Seen, cells: npt.NDArray[np.intp]) -> tuple[Numbers, Numbers]:
        largest = np.array([self._at(theta) for theta in seen.theta])
        if not self._has_a_limit:
            return largest, np.full(len(largest), np.nan)
        methods = [method_of(self._optimizers[cell], self._steps, seen.step) for cell in cells]
        return largest, largest / curvature_limit(_together(methods))

    def _at(self, theta: Numbers) -> float:
        if self._everywhere is not None:
            return self._everywhere.largest
        try:
            return sharpness(self._problem, theta)[0] if np.isfinite(theta).all() else np.nan
        except np.linalg.LinAlgError:  # beyond all floats, though θ is not yet
            return np.nan


class NoiseScale:
    """The gradient noise scale, from the batch of the step and all training data."""

    def __init__(self, problem: "ModelProblem") -> None:
        self._problem = problem

    def __call__(self, seen: Seen, cells: npt.NDArray[np.intp]) -> tuple[Numbers]:
        del cells
        problem, samples = self._problem, len(self._problem.x)
        start = seen.step % problem.steps_per_epoch * problem.batch_size
        batch = min(problem.batch_size, samples - start)  # the last one of an epoch is smaller
        whole = np.array([gradient_of_all(problem, theta) for theta in seen.theta])
        part = seen.gradient.astype(np.float64)
        return (gradient_noise_scale(inner(part, part), inner(whole, whole), batch, samples),)


def _together(methods: Sequence[Method]) -> Method:
    """Methods of one update as one, whose hyperparameters are (method,)."""

    def column(values: Sequence[Any]) -> Any:
        lists = isinstance(values[0], list)
        return [np.array(part) for part in zip(*values, strict=True)] if lists else np.array(values)

    names = methods[0].hyperparameters
    return Method(methods[0].update, {name: column([one.hyperparameters[name] for one in methods]) for name in names})
