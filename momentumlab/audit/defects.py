"""What can be wrong with an optimizer, each told by two trainings that should agree or should not.

Every function yields its Defect, and a plain sentence where something could not be looked at.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from momentumlab.audit import report
from momentumlab.audit.evidence import Evidence
from momentumlab.audit.follow import Fit, fit
from momentumlab.audit.recurrences import Values, simulate
from momentumlab.audit.report import Defect
from momentumlab.audit.script import CHANGE, RESUME, TOLERANCE, Script, Vector, parting, scales, written
from momentumlab.audit.subject import Group, group, watch
from momentumlab.errors import ConfigError
from momentumlab.text import safe

Findings = Iterator[Defect | str]

_GROWN = 1000.0  # the factor of gradients that an adaptive optimizer does not notice
_AS_BEFORE = 0.01  # of the largest move: ε beside the size of a gradient is not more
_ALTERED = 3  # the first updates, whose gradients are replaced to see whether they are remembered


def findings(evidence: Evidence, found: Fit) -> Findings:
    """Every defect and note, in the order of a report."""
    yield from moves_the_other_way(evidence, found)
    yield from eta_without_effect(evidence, found)
    yield from started_at_the_weights(evidence, found)
    yield from gradient_changed(evidence)
    yield from idle_parameter(evidence)
    if not evidence.repeats:
        yield from another_path(evidence)
        return
    yield from adaptive(evidence, found)
    yield from gamma_without_effect(evidence, found)
    yield from weight_decay_without_effect(evidence)
    yield from state_lost(evidence)
    yield from groups_mixed_up(evidence, found)


def moves_the_other_way(evidence: Evidence, found: Fit) -> Findings:
    """A recurrence that is followed with the sign of every step turned round."""
    if found.recurrence.turned and not found.parting:
        title = found.recurrence.title
        wanted = bool(evidence.subject.values["maximize"])
        name = report.MAXIMIZE_DEAD if wanted else report.UPHILL
        way = "downhill though maximize was set" if wanted else "along the gradient, not against it"
        sentence = f"it would be {title}, but every step goes {way}"
        right = _simulated(evidence, replace(found, recurrence=replace(found.recurrence, turned=False)))
        yield _between(name, sentence, right, evidence.main.path, evidence.script)


def another_path(evidence: Evidence) -> Findings:
    """Two instances under one script that went two ways: by what they share, or by chance."""
    why = "random numbers"
    if not evidence.repeats_when_seeded:
        before = evidence.subject.shared()
        watch(evidence.subject, [group(evidence.gamma, evidence.script)])
        after = evidence.subject.shared()
        changed = [name for name in after if before.get(name) != after[name]]
        why = "random numbers, or state that instances share?"
        if changed:
            why = "its instances share state"
            sentence = f"a fresh instance goes another way than the one before; training changes {', '.join(changed)}"
            paths = evidence.main.path, evidence.again.path
            yield _between(report.SHARED, safe(sentence), *paths, evidence.script)
    yield f"the same script gave another path the second time ({why}): only this much could be looked at"


def adaptive(evidence: Evidence, found: Fit) -> Findings:
    """An unknown formula whose later steps do not notice that all gradients are a thousand times as large."""
    if not found.parting:
        return
    grown = replace(evidence.script, gradients=_GROWN * evidence.script.gradients)
    try:
        path = watch(evidence.subject, [group(evidence.gamma, grown)]).path
    except ConfigError:
        return
    moves, others = (np.diff(one, axis=0)[CHANGE - 1 :] for one in (evidence.main.path, path))
    if np.abs(moves).max() > 0 and (np.abs(moves - others) <= _AS_BEFORE * np.abs(moves).max()).all():
        yield (
            f"its steps stay as they are when all gradients are {_GROWN:g} times as large: it divides by their size "
            "(adaptive) or takes signs, and of such formulas only signum and lion are known here"
        )


def eta_without_effect(evidence: Evidence, found: Fit) -> Findings:
    """A recurrence that is followed as if η had never changed, though there is an η to change."""
    if not evidence.main.takes_eta:
        yield "its param_groups hold no η that could be changed: a scheduler cannot reach it, and its form is not told"
    elif found.frozen_eta and not found.parting:
        sentence = "its param_groups were given another η, and it goes on with the first"
        moving = _simulated(evidence, found)
        yield _between(report.ETA_DEAD, sentence, moving, evidence.main.path, evidence.script)


def started_at_the_weights(evidence: Evidence, found: Fit) -> Findings:
    """A recurrence that is followed only if its memory begins as θ."""
    if found.recurrence.started.startswith("at the weights") and not found.parting:
        sentence = "its memory begins as a copy of the parameters, not at rest: they are pushed by themselves"
        rested = _simulated(evidence, replace(found, recurrence=replace(found.recurrence, started="at rest")))
        yield _between(report.FROM_WEIGHTS, sentence, rested, evidence.main.path, evidence.script)


def gradient_changed(evidence: Evidence) -> Findings:
    """Gradients that are not after an update what they were before."""
    for observation in evidence.observations.values():
        places = np.argwhere(observation.left != evidence.script.gradients)
        if len(places):
            step, coordinate = map(int, places[0])
            given, left = evidence.script.gradients[step, coordinate], observation.left[step, coordinate]
            sentence = (
                f"update {step + 1} leaves another gradient than it was given ({evidence.script.element(coordinate)}): "
                "what is logged or accumulated after it is wrong"
            )
            got = None if np.isnan(left) else float(left)
            yield Defect(report.GRADIENT_CHANGED, sentence, step + 1, float(given), got)
            return


def idle_parameter(evidence: Evidence) -> Findings:
    """A parameter that never gets a gradient, beside the others."""
    try:
        trainer = evidence.subject.start([group(evidence.gamma, evidence.script)], idle=True)
        start = trainer.idle()
        for step, gradient in enumerate(evidence.script.gradients):
            trainer.step([gradient])
            now = trainer.idle()
            if not np.array_equal(start, now):
                place = int(np.argmax(start != now))
                sentence = f"update {step + 1} moves a parameter whose grad is None"
                yield Defect(report.IDLE_MOVED, sentence, step + 1, float(start[place]), float(now[place]))
                return
    except ConfigError as failure:
        yield Defect(report.IDLE_FAILS, f"with one whose grad is None beside the others, {failure}")


def gamma_without_effect(evidence: Evidence, found: Fit) -> Findings:
    """γ that is taken and changes nothing, or under which nothing of the past counts."""
    values = evidence.subject.values
    if not values.takes_gamma:
        yield from _about_its_own_gamma(found, "it takes no γ")
    elif values["nu"] == 0:
        yield "ν = 0 leaves γ out"
    elif evidence.same_for_every_gamma:
        watched = ", ".join(f"{gamma:g}" for gamma in evidence.observations)
        yield _without_memory(evidence, f"the same iterates with γ = {watched}")
        yield from _about_its_own_gamma(found, "whatever γ it is given")
    elif _forgets(evidence):
        yield _without_memory(evidence, "no gradient of the past counts: each update moves by its own gradient alone")


def weight_decay_without_effect(evidence: Evidence) -> Findings:
    """A weight decay that was set and changes nothing."""
    if not evidence.subject.values["weight_decay"]:
        return
    try:
        without = watch(evidence.subject.with_arguments(weight_decay=0.0), [group(evidence.gamma, evidence.script)])
    except ConfigError:
        return  # refuses 0, and so does not ignore it
    if parting(without.path, evidence.main.path, evidence.script.start) is None:
        given = evidence.subject.values["weight_decay"]
        yield Defect(report.DECAY_DEAD, f"the same iterates with weight_decay = {given} and 0")


def state_lost(evidence: Evidence) -> Findings:
    """A training that is taken up again from its state_dict and goes on otherwise than without a break."""
    whole = [group(evidence.gamma, evidence.script)]
    if not evidence.subject.start(whole).can_be_saved:
        yield "it has no state_dict and load_state_dict: a training cannot be taken up again"
        return
    try:
        resumed = watch(evidence.subject, whole, resume=RESUME)
    except ConfigError as failure:
        yield Defect(report.STATE_LOST, str(failure), RESUME + 1)
        return
    if parting(evidence.main.path, resumed.path, evidence.script.start):
        sentence = f"a fresh instance that loads the state_dict of update {RESUME} goes on otherwise"
        yield _between(report.STATE_LOST, sentence, evidence.main.path, resumed.path, evidence.script)


def groups_mixed_up(evidence: Evidence, found: Fit) -> Findings:
    """Two groups with their own γ and η, each against the same parameters trained alone."""
    alike = _second(evidence, evidence.gamma, evidence.eta)
    others = [gamma for gamma in evidence.observations if gamma not in (0, evidence.gamma)]
    other = _second(evidence, others[0] if others else evidence.gamma, 0.4 * evidence.eta)
    try:
        evidence.subject.start([group(evidence.gamma, evidence.script), other])
    except ConfigError as refusal:
        yield f"two groups of parameters were not looked at: {refusal}"
        return
    mixed = _mixed(evidence, alike)
    if mixed and found.parting:
        yield "parameters influence each other, as under one norm over all of them: groups were not compared"
    elif mixed := mixed or _mixed(evidence, other):
        yield mixed


def _second(evidence: Evidence, gamma: float, eta: float) -> Group:
    return group(gamma, written(evidence.script.shapes, eta, seed=1))


def _mixed(evidence: Evidence, second: Group) -> Defect | None:
    first = group(evidence.gamma, evidence.script)
    try:
        alone = np.hstack([evidence.main.path, watch(evidence.subject, [second]).path])
        together = watch(evidence.subject, [first, second]).path
    except ConfigError as failure:
        return Defect(report.GROUPS_MIXED, f"two groups train alone, but together {failure}")
    start = np.concatenate([first.start, second.start])
    place = parting(alone, together, start)
    if place is None:
        return None
    which = "first" if place[1] < len(first.start) else "second"
    settings = " beside ".join(f"(γ = {one.gamma:g}, η = {one.script.etas[0]:g})" for one in (first, second))
    if not evidence.subject.values.takes_gamma:
        settings = f"η = {first.script.etas[0]:g} beside η = {second.script.etas[0]:g}"
    sentence = f"the {which} of two groups, {settings}, goes another way than alone"
    return Defect(report.GROUPS_MIXED, sentence, place[0] + 1, float(alone[place]), float(together[place]))


def _about_its_own_gamma(found: Fit, why: str) -> Iterator[str]:
    if found.own_gamma is not None and not found.parting and found.recurrence.rule not in ("sgd", "aggmo"):
        yield f"{why}, and moves as with γ = {found.own_gamma:g}"


def _without_memory(evidence: Evidence, sentence: str) -> Defect:
    """The defect, with what the nearest recurrence that does remember would have given."""
    remembering = fit(
        evidence.seen[:1],
        evidence.script,
        evidence.subject.values,
        takes_eta=True,
        gamma_counts=True,
    )
    at = remembering.parting
    if at is None:
        return Defect(report.GAMMA_DEAD, sentence)
    return Defect(report.GAMMA_DEAD, sentence, at.step, at.expected, at.got)


def _forgets(evidence: Evidence) -> bool:
    """Whether other gradients in the first updates leave all later moves as they were."""
    gamma, subject = max(evidence.observations), evidence.subject
    if subject.values["weight_decay"]:
        subject = subject.with_arguments(weight_decay=0.0)  # a move that depends on θ would look like a memory
    gradients = evidence.script.gradients.copy()
    gradients[:_ALTERED] *= -10
    scripts = evidence.script, replace(evidence.script, gradients=gradients)
    try:
        paths = [watch(subject, [group(gamma, script)]).path for script in scripts]
    except ConfigError:
        return False
    moves = [np.diff(path, axis=0)[_ALTERED - 1 :] for path in paths]
    size = max(scales(path, evidence.script.start)[-1] for path in paths)
    return bool(gamma > 0 and (np.abs(moves[0] - moves[1]) <= TOLERANCE * size).all())


def _simulated(evidence: Evidence, found: Fit) -> Vector:
    gamma = evidence.gamma if found.own_gamma is None else found.own_gamma
    values: Values = evidence.subject.values
    return simulate(found.recurrence, evidence.script, gamma, values, frozen_eta=False)


def _between(name: str, sentence: str, expected: Vector, got: Vector, script: Script) -> Defect:
    """The defect at the first place where two paths part; without a place where they do not, as with γ = 0."""
    place = parting(expected, got, script.start)
    if place is None:
        return Defect(name, sentence)
    return Defect(name, sentence, place[0] + 1, float(expected[place]), float(got[place]))
