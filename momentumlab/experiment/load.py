"""From a file, a shipped name or a mapping to an experiment, with every problem of it in one error."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from momentumlab.errors import ConfigError
from momentumlab.experiment import explain
from momentumlab.experiment.axes import axis
from momentumlab.experiment.changes import changed, flat, value_key
from momentumlab.experiment.explain import given
from momentumlab.experiment.keys import full_key, plain, unknown
from momentumlab.experiment.matching import check_match
from momentumlab.experiment.problem import Path, Place, Problem, at, dotted
from momentumlab.experiment.schema import Experiment
from momentumlab.experiment.source import Source, read
from momentumlab.experiment.strict_yaml import MOST_PROBLEMS, Document, parse_value
from momentumlab.text import safe, shown

Changes = Mapping[str, object] | Sequence[str]

_AFTER_THE_FILE = (2**31, 0)  # where the problems of options are listed


def load(
    source: Source,
    *,
    set: Changes = (),
    gamma: object = None,
    eta: object = None,
    seed: object = None,
) -> Experiment:
    """The experiment that `source` describes: a YAML file, the name of a shipped one, or a mapping.

    `set` holds texts "key=value", or a mapping of dotted keys to values; `gamma` and `eta` set the `value` of
    a schedule. They win over the source. Raises ConfigError with every problem, each with its place.
    """
    loading = _Loading(read(source))
    loading.change("--set", _pairs(set, loading))
    for key, value in (("gamma", gamma), ("eta", eta), ("seed", seed)):
        if value is not None:
            loading.change(f"--{key}", {value_key(full_key(key), loading.data): _typed(value)})
    return loading.finish()


def _pairs(changes: Changes, loading: "_Loading") -> Mapping[str, object]:
    if isinstance(changes, Mapping):
        return changes
    values: dict[str, object] = {}
    for text in changes:
        key, sign, value = text.partition("=")
        if not sign:
            loading.note(f"--set: got {shown(text)}, must be key=value such as train.epochs=10")
            continue
        try:
            values[key] = parse_value(value)
        except ConfigError as error:
            loading.note(*(f"--set: {safe(key)}: {problem}" for problem in error.problems))
    return values


def _some(problems: list[str]) -> list[str]:
    more = len(problems) - MOST_PROBLEMS
    return [*problems[:MOST_PROBLEMS], f"… and {more} more."] if more > 0 else problems


def _typed(value: object) -> object:
    return parse_value(value) if isinstance(value, str) else value


class _Loading:
    """The data on its way to an experiment, who said what, and every problem so far with its place."""

    def __init__(self, document: Document) -> None:
        self.data: dict[str, Any] = document.data
        self._document = document
        self._labels: dict[str, str] = {}  # full key: the option that set it
        self._found = [(place, problem.line(at(document.name, place))) for place, problem in document.problems]

    def note(self, *problems: str, place: Place = _AFTER_THE_FILE) -> None:
        """Remember problems whose lines are complete."""
        self._found += [(place, problem) for problem in problems]

    def change(self, label: str, values: Mapping[str, object]) -> None:
        """Set what an option says; `label` is what messages call it."""
        known: dict[str, Any] = {}
        for key, value in values.items():
            full = full_key(key)
            if problem := unknown(full):
                self.note(f"{label}: {problem}")
            else:
                known[full] = plain(value, tuple(full.split(".")))
        self._labels |= dict.fromkeys(flat(known), label)
        try:
            self.data = changed(self.data, known)
        except ConfigError as error:
            self.note(*(f"{label}: {problem}" for problem in error.problems))

    def finish(self) -> Experiment:
        """The experiment, if nothing is wrong with it; otherwise one error with everything that is."""
        problems = [*itertools.islice(self._sweep_problems(), MOST_PROBLEMS)]
        try:
            experiment = Experiment.model_validate(self.data)
        except ValidationError as error:
            problems += explain.problems(error, self.data)
        for problem in problems:
            self._locate(problem)
        if self._found:
            raise ConfigError(_some(list(dict.fromkeys(line for _, line in sorted(self._found)))))
        return experiment

    def _sweep_problems(self) -> Iterator[Problem]:
        sweep = self.data.get("sweep")
        for key, values in sweep.items() if isinstance(sweep, dict) else ():
            if key == "zip":
                if not isinstance(values, bool):
                    yield Problem(("sweep", key), f"got {given(values)}, must be true or false")
                continue
            try:
                if key == "match":
                    check_match(values)
                else:
                    axis(key, values)
            except ConfigError as error:
                for line in error.problems:
                    yield Problem(("sweep", key), line)

    def _locate(self, problem: Problem) -> None:
        """Note the problem with its place, unless what stands there was refused already."""
        if any(problem.path[: len(path)] == path for _, (path, _, _) in self._document.problems):
            return
        above = [problem.path[:length] for length in range(len(problem.path), 0, -1)]
        if option := next((path for path in above if dotted(path) in self._labels), None):
            label = self._labels[dotted(option)]
            # --gamma says by itself which key it sets; --set does not.
            named = option != problem.path or label == "--set"
            self.note(problem.line(label) if named else f"{label}: {problem.sentence}")
        elif place := self._place(problem, above):
            self.note(problem.line(at(self._document.name, place)), place=place)
        else:
            self.note(problem.line(self._document.name), place=(0, 0))

    def _place(self, problem: Problem, above: list[Path]) -> Place | None:
        keys, values = self._document.keys, self._document.values
        if problem.at_key and problem.path in keys:
            return keys[problem.path]
        return next((values[path] for path in above if path in values), None)
