"""Which results belong on the same axes, and which are there twice."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from momentumlab.figures import labels
from momentumlab.figures.labels import Value
from momentumlab.figures.traces import origin, own_settings, shared_settings, varied

if TYPE_CHECKING:
    from momentumlab.results.reader import Result

_PROBLEM = ("data.", "model.", "objective.", "loss", "train.steps", "train.epochs", "train.batch_size")


class Groups(NamedTuple):
    """Results by problem, each group for one set of axes, and a line for whatever was left out."""

    groups: list[list["Result"]]
    notes: list[str]


def by_problem(results: Sequence["Result"]) -> Groups:
    """Put results of the same problem together: the same data, model and loss, or objective, trained as long.

    A training that several results hold is drawn once, from a finished result if there is one. Results that have no
    recorded step yet are left out. Groups and results keep the order in which they were given.
    """
    notes: list[str] = []
    if len(results) == 1 and results[0].recorded:
        return Groups([list(results)], notes)
    seen: dict[frozenset[tuple[str, Value]], str] = {}
    kept: set[int] = set()
    for result in sorted(results, key=lambda result: not result.finished):
        if _adds_something(result, seen, notes):
            kept.add(id(result))
    groups: dict[frozenset[object], list[Result]] = {}
    for result in results:
        if id(result) in kept:
            groups.setdefault(problem_key(result), []).append(result)
    return Groups(list(groups.values()), notes)


def problem_key(result: "Result") -> frozenset[object]:
    """What two results must share to be drawn on the same axes."""
    moving = set(varied(result))
    flat = {key: value for key, value in shared_settings(result).items() if key.startswith(_PROBLEM)}
    return frozenset([*((key, value) for key, value in flat.items() if key not in moving), *(moving & set(flat))])


def _adds_something(result: "Result", seen: dict[frozenset[tuple[str, Value]], str], notes: list[str]) -> bool:
    """Whether a result has runs that no earlier one has; remembers them, and notes what it repeats."""
    name = origin(result)
    if not result.recorded:
        notes.append(f"{name}: no step recorded yet, left out")
        return False
    common = shared_settings(result)
    runs = [frozenset((common | own_settings(result, row)).items()) for row in range(len(result.runs["run"]))]
    there = [seen[run] for run in runs if run in seen]
    for run in runs:
        seen.setdefault(run, name)
    if not there:
        return True
    others = labels.listed(list(dict.fromkeys(there)))
    if len(there) == len(runs):
        notes.append(f"{name}: the same training as {others}, drawn once")
        return False
    notes.append(f"{name}: {labels.counted(len(there), 'run')} of {len(runs)} also in {others}, drawn once")
    return True
