"""What stands above the axes: the title, what was held fixed, and what a reader must know to read the figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from momentumlab.figures import labels
from momentumlab.figures.traces import Trace

if TYPE_CHECKING:
    from momentumlab.results.reader import Result


@dataclass(frozen=True)
class Head:
    """What stands above the axes."""

    title: str
    settings: str  # what was held fixed, after the problem where the title does not say it
    remarks: tuple[str, ...]  # which runs are not there, and which are not done

    def notes(self, *more: str) -> list[str]:
        """The settings, and on a second line how to read the figure."""
        reading = " · ".join(note for note in [*more, *self.remarks] if note)
        return [line for line in (self.settings, reading) if line]


def head(
    results: Sequence["Result"],
    keys: Sequence[str],
    every: Sequence[Trace],
    drawn: Sequence[Trace],
    *,
    missing: str,
    title: str | None = None,
) -> Head:
    """The head of a figure that draws the runs `drawn` of `every`; the others have no `missing`.

    The title is the question of a shipped experiment, otherwise the names of the experiments and what they minimise.
    """
    problem = labels.problem(results[0].experiment)
    asked = title or _question(results)
    held = _held_fixed(drawn, keys)
    settings = " · ".join(part for part in (problem if asked else "", held) if part)
    return Head(asked or _named(results, problem), settings, tuple(_remarks(every, drawn, missing)))


def _named(results: Sequence["Result"], problem: str) -> str:
    names = list(dict.fromkeys(str(result.experiment.get("name", "")) for result in results))
    said = len(names) > 3 or all(name.replace("_", " ").lower() in problem.lower() for name in names)
    if said:
        return problem[:1].upper() + problem[1:]
    return f"{labels.listed([labels.shortened(name, 40) for name in names])}: {problem}"


def _question(results: Sequence["Result"]) -> str:
    """What the shipped experiment of the results' name asks, if they have its problem; else nothing."""
    from momentumlab.experiment import load, shipped

    names = {str(result.experiment.get("name", "")) for result in results}
    name = names.pop()
    if names or name not in shipped.names():
        return ""
    theirs, ours = load(name).resolved(), results[0].experiment
    same = all(ours.get(part) == theirs.get(part) for part in ("data", "model", "loss", "objective"))
    return shipped.question(name) if same else ""


def _held_fixed(runs: Sequence[Trace], keys: Sequence[str]) -> str:
    """The settings that all runs share: the rule, γ, η, the batch and the seed."""
    settings = runs[0].settings
    rule = settings.get("rule")
    parts = []
    if not {"rule", "form"} & set(keys):
        form = "" if rule == "sgd" or not settings.get("form") else f", {settings['form']} form"
        parts.append(labels.setting("rule", rule) + form)
    else:
        parts += [
            labels.setting(key, settings[key]) for key in ("rule", "form") if key not in keys and settings.get(key)
        ]
    shown = [("eta", True), ("gamma", rule != "sgd"), ("gamma schedule", True), ("eta schedule", True)]
    parts += [
        labels.setting(key, settings[key])
        for key, wanted in sorted(shown, reverse=True)
        if key not in keys and wanted and settings.get(key) not in {None, "constant"}
    ]
    batch = settings.get("train.batch_size", "full")
    if "train.batch_size" not in keys and batch != "full":
        parts.append(f"batches of {labels.value_text(batch)}")
    return " · ".join(parts)


def _remarks(every: Sequence[Trace], drawn: Sequence[Trace], missing: str) -> list[str]:
    """Which runs are not there, and which are not done."""
    left_out = len(every) - len(drawn)
    unfinished = sum(trace.status not in {"finished", "diverged", "failed"} for trace in drawn)
    return [
        *([f"{labels.counted(left_out, 'run')} without {missing} left out"] if left_out else []),
        *([f"{labels.counted(unfinished, 'run')} not finished yet"] if unfinished else []),
    ]
