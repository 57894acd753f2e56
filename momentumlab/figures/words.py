"""What stands above the axes: the title, what was held fixed, and what a reader must know to read the figure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from momentumlab.figures import labels
from momentumlab.figures.traces import Trace

if TYPE_CHECKING:
    from momentumlab.results.reader import Result


def title(results: Sequence["Result"]) -> str:
    """The experiments' names and what they minimise."""
    names = list(dict.fromkeys(result.name for result in results))
    problem = labels.problem(results[0].experiment)
    said = len(names) > 3 or all(name.replace("_", " ").lower() in problem.lower() for name in names)
    if said:
        return problem[:1].upper() + problem[1:]
    return f"{labels.listed([labels.shortened(name, 40) for name in names])}: {problem}"


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


def remarks(all_runs: Sequence[Trace], shown: Sequence[Trace], metric: str, more: Sequence[str] = ()) -> str:
    """How to read the figure, and which runs are not there or not done."""
    notes = list(more)
    missing = len(all_runs) - len(shown)
    if missing:
        notes.append(f"{labels.counted(missing, 'run')} without {labels.metric_name(metric)} left out")
    unfinished = [trace for trace in shown if trace.status not in {"finished", "diverged", "failed"}]
    if unfinished:
        notes.append(f"{labels.counted(len(unfinished), 'run')} not finished yet")
    return " · ".join(notes)


def gathered(notes: Sequence[str]) -> list[str]:
    """Notes on at most two lines: the settings, and all the rest."""
    settings, *rest = notes
    return [note for note in (settings, " · ".join(note for note in rest if note)) if note]
