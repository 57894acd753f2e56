"""What stands above the axes: the title, what was held fixed, and what a reader must know to read the figure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from momentumlab.figures import labels
from momentumlab.figures.traces import Trace

if TYPE_CHECKING:
    from momentumlab.results.reader import Result


def title(results: Sequence["Result"]) -> str:
    """The question of a shipped experiment; otherwise the names of the experiments and what they minimise."""
    names = list(dict.fromkeys(str(result.experiment.get("name", "")) for result in results))
    asked = _question(results[0]) if len(names) == 1 else ""
    if asked:
        return asked
    problem = labels.problem(results[0].experiment)
    said = len(names) > 3 or all(name.replace("_", " ").lower() in problem.lower() for name in names)
    if said:
        return problem[:1].upper() + problem[1:]
    return f"{labels.listed([labels.shortened(name, 40) for name in names])}: {problem}"


def _question(result: "Result") -> str:
    """What the shipped experiment of this name asks, if the result has its problem; else nothing."""
    from momentumlab.experiment import load, shipped

    name = str(result.experiment.get("name", ""))
    if name not in shipped.names():
        return ""
    theirs = load(name).resolved()
    same = all(result.experiment.get(part) == theirs.get(part) for part in ("data", "model", "loss", "objective"))
    return shipped.question(name) if same else ""


def notes(
    results: Sequence["Result"],
    keys: Sequence[str],
    every: Sequence[Trace],
    drawn: Sequence[Trace],
    *,
    missing: str,
    more: Sequence[str] = (),
) -> list[str]:
    """Up to two lines: what was held fixed, after the problem where the title does not say it; then how to read it."""
    held = fixed(drawn, keys)
    problem = labels.problem(results[0].experiment)
    first = " · ".join(part for part in (problem if _question(results[0]) else "", held) if part)
    second = " · ".join(note for note in [*more, *remarks(every, drawn, missing)] if note)
    return [line for line in (first, second) if line]


def fixed(runs: Sequence[Trace], keys: Sequence[str]) -> str:
    """The settings that all runs share: the rule, γ, η, the batch and the seed."""
    settings = runs[0].settings
    rule = settings.get("rule")
    parts = []
    if not {"rule", "form"} & set(keys):
        form = "" if rule == "sgd" else f", {settings.get('form', 'classical')} form"
        parts.append(labels.setting("rule", rule) + form)
    else:
        parts += [labels.setting(key, settings.get(key)) for key in ("rule", "form") if key not in keys]
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


def remarks(every: Sequence[Trace], drawn: Sequence[Trace], missing: str) -> list[str]:
    """Which runs are not there, and which are not done."""
    left_out = len(every) - len(drawn)
    unfinished = sum(trace.status not in {"finished", "diverged", "failed"} for trace in drawn)
    return [
        *([f"{labels.counted(left_out, 'run')} without {missing} left out"] if left_out else []),
        *([f"{labels.counted(unfinished, 'run')} not finished yet"] if unfinished else []),
    ]
