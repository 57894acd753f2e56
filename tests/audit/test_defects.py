"""One deliberately broken optimizer per defect: each is found, and nothing else is."""

import json
import re

import pytest

from momentumlab.audit import examine

BROKEN = "tests.audit.broken"


def of_tests(name, **settings):
    return examine(f"{BROKEN}:{name}", allow_code=[BROKEN], **settings)


@pytest.mark.parametrize(
    ("name", "defect", "recurrence", "form"),
    [
        ("GammaIgnored", "γ without effect", "momentum", "classical"),
        ("BufferZeroed", "γ without effect", "sgd", None),
        ("SignumZeroed", "γ without effect", "signum", None),
        ("EmaZeroed", "γ without effect", "none that I know", None),
        ("StateOutside", "state lost on resume", "momentum", "classical"),
        ("CounterOutside", "state lost on resume", "ema, bias-corrected", None),
        ("LoadingFails", "state lost on resume", "momentum", "classical"),
        ("FromTheWeights", "buffer started at the weights", "momentum", "classical"),
        ("BufferIsFirstTheWeights", "buffer started at the weights", "momentum", "torch"),
        ("GradientScaled", "p.grad changed", "momentum", "classical"),
        ("GradientDropped", "p.grad changed", "momentum", "classical"),
        ("FirstGroupsEta", "groups mixed up", "momentum", "classical"),
        ("LastGroupsGamma", "groups mixed up", "momentum", "classical"),
        ("LastGroupOnly", "groups mixed up", "momentum", "classical"),
        ("SignError", "moves uphill", "momentum", "torch"),
        ("ExitsWhenSaved", "state lost on resume", "momentum", "classical"),
        ("EtaFrozen", "change of η without effect", "momentum", None),
        ("DecaysWithoutGradient", "parameter without a gradient moved", "momentum", "classical"),
        ("NeedsEveryGradient", "fails on a parameter without a gradient", "momentum", "classical"),
    ],
)
def test_the_defect_is_found_and_no_other(name, defect, recurrence, form):
    report = of_tests(name)
    assert [one.name for one in report.defects] == [defect]
    assert (report.recurrence, report.form) == (recurrence, form)
    listed = json.loads(json.dumps(report.as_object(), allow_nan=False))["defects"]
    assert [text.partition(": ")[0] for text in listed] == [defect]
    assert f"defect        {report.defects[0]}" in report.lines()


def test_an_ignored_weight_decay_is_found():
    report = of_tests("Plain", arguments={"weight_decay": 0.1})
    assert [defect.name for defect in report.defects] == ["weight decay without effect"]
    assert (report.recurrence, report.weight_decay) == ("momentum", None)


def test_a_gradient_kept_as_the_buffer_is_found_in_update_2():
    # zero_grad(set_to_none=False) and a resume break the tie between the two, so more than this one is wrong
    report = of_tests("GradientKept")
    assert report.defects[0].name == "p.grad changed"
    assert report.defects[0].step == 2


def test_buffers_shared_between_groups_are_found_beside_what_else_they_do():
    # they are not saved under their parameter either, so a resume may break as well
    assert "groups mixed up" in [defect.name for defect in of_tests("BuffersByPlace").defects]


@pytest.mark.parametrize(
    ("name", "step"),
    [("StateOutside", 9), ("FromTheWeights", 1), ("GradientScaled", 1), ("FirstGroupsEta", 1), ("EtaFrozen", 7)],
)
def test_the_first_update_where_it_shows_is_named_with_both_numbers(name, step):
    report = of_tests(name)
    assert report.step == step
    assert report.expected != report.got
    assert f"              at update {step}: expected {report.expected!r}, got {report.got!r}" in report.lines()


def test_a_lost_velocity_is_missing_from_the_update_after_the_resume():
    whole, defect = of_tests("StateOutside", gamma=0.5), of_tests("StateOutside", gamma=0.9)
    assert whole.step == defect.step == 9
    # got is the same: a step from rest does not depend on γ, but θ before it does
    assert abs(defect.got - defect.expected) > abs(whole.got - whole.expected)


def test_a_gradient_that_was_dropped_has_no_number():
    defect = of_tests("GradientDropped").defects[0]
    assert (defect.step, defect.got) == (1, None)


def test_a_sign_error_names_the_recurrence_that_it_would_be():
    report = of_tests("SignError")
    assert "it would be momentum, torch form" in report.defects[0].sentence
    assert report.nearest.formula == "b ← γ·b + ∇J, θ ← θ + η·b"
    assert report.step == 1


def test_maximize_without_effect_is_a_defect_only_where_it_was_asked_for():
    assert of_tests("MaximizeIgnored").defects == ()
    report = of_tests("MaximizeIgnored", arguments={"maximize": True})
    assert [defect.name for defect in report.defects] == ["maximize without effect"]
    assert report.nearest.formula == "v ← γ·v + η·∇J, θ ← θ − v"


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("SharedByTheClass", "SharedByTheClass.velocities"),
        ("SharedByDefault", "the defaults of SharedByDefault.__init__"),
    ],
)
def test_state_that_instances_share_is_a_defect_that_names_it(name, where):
    [defect] = of_tests(name).defects
    assert defect.name == "state shared between instances"
    assert defect.sentence.endswith(f"training changes {where}")
    assert defect.expected != defect.got


@pytest.mark.parametrize(
    ("name", "why"),
    [("Noisy", "(random numbers)"), ("NoisyByItself", "(random numbers, or state that instances share?)")],
)
def test_random_numbers_are_not_taken_for_shared_state(name, why):
    report = of_tests(name)
    assert report.defects == ()
    assert any(why in note for note in report.notes)


def test_gamma_of_its_own_is_named():
    assert "whatever γ it is given, and moves as with γ = 0.9" in of_tests("GammaIgnored", gamma=0.3).notes


def test_a_rule_file_that_forgets_is_found(tmp_path):
    path = tmp_path / "rule.py"
    path.write_text(
        "def update(theta, gradient, memory, gamma, eta):\n    step = gradient * eta\n    return theta - step, step\n"
    )
    report = examine(str(path), allow_code=[str(path)])
    assert [defect.name for defect in report.defects] == ["γ without effect"]
    assert report.recurrence == "sgd"
    assert re.search(r"γ = 0\.9, 0\.5, 0", str(report.defects[0]))
