"""What became of the runs of a grid, in columns: runs.csv and parameters.npz are written from them."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from momentumlab.experiment import Grid, column, examples
from momentumlab.results.checkpoint import State
from momentumlab.results.table import Column, table_text

_ROWS_AT_ONCE = 4096
_LOSSES = ("loss_first", "loss_last", "loss_best")
_COLUMNS = ("status", "reason", "steps", "float32")


class Outcomes:
    """How each run of a grid ended; one that nothing was noted of is `interrupted`."""

    def __init__(self, grid: Grid, evaluations: Sequence[str] = ()) -> None:
        count = len(grid.cells)
        self._grid = grid
        self.evaluations = evaluations
        self._words = {"interrupted": 0, "not trained yet": 1}  # each once: many runs end alike
        self._status = np.zeros(count, np.int32)
        self._reason = np.ones(count, np.int32)
        self._steps = np.zeros(count, np.int64)
        self._measured = {name: np.full(count, np.nan) for name in (*_LOSSES, *evaluations)}
        self._float32 = np.zeros(count, np.bool_)  # of which dtype the measured numbers are
        self._thetas: list[tuple[list[int], Column]] = []
        targets = [cell.experiment.train.target for cell in examples(grid.cells)]
        self._reached = np.full(count if any(target is not None for target in targets) else 0, np.nan)
        self.further: dict[str, npt.NDArray[np.float64]] = {}  # last columns of runs.csv, that no run's end decides

    def note(self, outcomes: Mapping[int, Any]) -> None:
        """Write down the outcomes of these runs, by their number."""
        runs, ends = list(outcomes), list(outcomes.values())
        self._status[runs] = [self._word(end.status) for end in ends]
        self._reason[runs] = [self._word(end.reason) for end in ends]
        self._steps[runs] = [end.steps for end in ends]
        for name in _LOSSES:
            self._measured[name][runs] = [getattr(end, name) for end in ends]
        for name in self.evaluations:
            self._measured[name][runs] = [end.evaluation.get(name, np.nan) for end in ends]
        if len(self._reached):
            self._reached[runs] = [end.steps_to_target for end in ends]
        numbers = ((end.loss_first, *end.evaluation.values()) for end in ends)
        self._float32[runs] = [any(isinstance(number, np.float32) for number in those) for those in numbers]
        whole = {run: end.theta for run, end in outcomes.items() if end.theta is not None}
        if whole:
            self._thetas.append((list(whole), np.stack(list(whole.values()))))

    def state(self) -> State:
        """All that was noted, to be kept in a checkpoint."""
        state: State = {f"measured_{name}": values for name, values in self._measured.items()}
        for number, (runs, thetas) in enumerate(_joined(self._thetas)):
            state |= {f"theta_runs_{number}": runs, f"theta_{number}": thetas}
        words = np.array(list(self._words))
        state |= {"reached": self._reached} if len(self._reached) else {}
        return state | {"words": words, **{name: getattr(self, f"_{name}") for name in _COLUMNS}}

    def restore(self, state: State) -> None:
        """Go on from what was noted up to a checkpoint. Raises KeyError where it is none of such a grid."""
        columns = [state[name] for name in (*_COLUMNS, *(f"measured_{name}" for name in self._measured))]
        if any(column.shape != self._status.shape for column in columns):
            raise ValueError("of another number of runs")
        self._words = {word: number for number, word in enumerate(state["words"].tolist())}
        self._measured = {name: state[f"measured_{name}"] for name in self._measured}
        for name in _COLUMNS:
            setattr(self, f"_{name}", state[name])
        self._reached = state["reached"] if len(self._reached) else self._reached
        numbers = itertools.takewhile(lambda number: f"theta_{number}" in state, itertools.count())
        self._thetas = [(state[f"theta_runs_{number}"].tolist(), state[f"theta_{number}"]) for number in numbers]

    def table(self) -> Iterator[str]:
        """runs.csv, some rows at a time: what varies in each run, and what became of it.

        γ and η as typed; a schedule's `value`.
        """
        for start in range(0, len(self._grid.cells), _ROWS_AT_ONCE):
            text = table_text(self._rows(slice(start, start + _ROWS_AT_ONCE)))
            yield text if start == 0 else text.partition("\n")[2]

    @property
    def columns(self) -> list[str]:
        """The names of the columns of runs.csv."""
        return list(self._rows(slice(0)))

    def _rows(self, rows: slice) -> dict[str, Sequence[Any] | Column]:
        cells, words = self._grid.cells[rows], list(self._words)
        names = ("run", "gamma", "eta", "seed", *self._grid.columns)
        columns: dict[str, Sequence[Any] | Column] = {name: column(cells, name) for name in names}
        columns["status"] = [words[number] for number in self._status[rows]]
        columns["reason"] = [words[number] for number in self._reason[rows]]
        columns["steps"] = self._steps[rows]
        short = self._float32[rows]
        for name, measured in self._measured.items():
            values = measured[rows]
            if short.all():
                columns[name] = values.astype(np.float32)
            elif not short.any():
                columns[name] = values
            else:
                pairs = zip(values, short, strict=True)
                columns[name] = [np.float32(value) if is_short else value for value, is_short in pairs]
        if len(self._reached):
            columns["steps_to_target"] = self._reached[rows]
        return columns | {name: values[rows] for name, values in self.further.items()}

    def write_parameters(self, file: IO[bytes], layouts: Sequence[tuple[Sequence[int], Sequence[Any]]]) -> None:
        """Write parameters.npz: (run, parameter), nan behind the end of a shorter run, and where nothing is known.

        `layouts` holds runs and their parameters. Names and shapes are those of each run's own tensors: runs of one
        model share one layout, and `layout` says which each run has.
        """
        kinds = list(dict.fromkeys(tuple(parameters) for _, parameters in layouts))
        width = max(sum(parameter.size for parameter in kind) for kind in kinds)
        dtype = np.result_type(*{thetas.dtype for _, thetas in self._thetas} or {np.dtype("f8")})
        parameters = np.full((len(self._status), width), np.nan, dtype)
        for runs, thetas in self._thetas:
            parameters[runs, : thetas.shape[1]] = thetas
        arrays: dict[str, Any] = {"parameters": parameters}
        if len(kinds) > 1:
            arrays["layout"] = np.zeros(len(parameters), np.int64)
            for theirs, kind in layouts:
                arrays["layout"][theirs] = kinds.index(tuple(kind))
        for number, kind in enumerate(kinds):
            suffix = f"_{number}" if len(kinds) > 1 else ""
            arrays[f"names{suffix}"] = np.array([parameter.name for parameter in kind])
            arrays[f"shapes{suffix}"] = np.array(["x".join(map(str, parameter.shape)) for parameter in kind])
        np.savez(file, **arrays)

    def failed(self) -> int:
        """How many runs have failed."""
        return int((self._status == self._words.get("failed", -1)).sum())

    def ended(self) -> int:
        """How many runs have come to their end."""
        return int((self._status != self._words["interrupted"]).sum())

    def _word(self, text: str) -> int:
        return self._words.setdefault(text, len(self._words))


def _joined(parts: Iterable[tuple[list[int], Column]]) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[Any]]]:
    # Those of one kind below each other: a sweep of a million runs has noted hundreds of parts.
    kinds: dict[tuple[int, str], list[tuple[list[int], Column]]] = {}
    for runs, thetas in parts:
        kinds.setdefault((thetas.shape[1], str(thetas.dtype)), []).append((runs, thetas))
    return [
        (np.concatenate([np.array(runs) for runs, _ in alike]), np.concatenate([thetas for _, thetas in alike]))
        for alike in kinds.values()
    ]
