"""The shipped experiments: what their first lines claim is what they measure."""

import re
import shutil

import numpy as np
import pytest

import momentumlab
from momentumlab.experiment import load, shipped
from momentumlab.problems.build import build
from momentumlab.problems.curvature import sharpness
from momentumlab.theory.method import Method
from momentumlab.theory.noise import noise_floor
from momentumlab.theory.tuning import distances, losses


def claims(name):
    """The comment lines of a shipped experiment, below the question in English and Chinese."""
    lines = shipped.path(name).read_text(encoding="utf-8").splitlines()
    comments = [line.removeprefix("#").strip() for line in lines if line.startswith("#")]
    return comments[1:3], " ".join(comments[3:])


def settled(rows):
    """After how many updates a thousandth of the first distance is left, for good."""
    return np.flatnonzero(rows["distance"] > 1e-3 * rows["distance"][0])[-1] + 1


def percent(share):
    return f"{100 * share:.1f} %"


def first_beyond_one(rows):
    return np.flatnonzero(abs(rows["theta_1"]) >= 1)[0]


def furthest_apart(result):
    one, other = result.rows(0), result.rows(1)
    gap = np.hypot(one["theta_0"] - other["theta_0"], one["theta_1"] - other["theta_1"])
    return f"{gap.max():.3f}"


def speeds(result):
    rows = result.rows(0)
    return [
        f"{abs(rows[column][step]):.4f}" for column, step in (("velocity_0", 5), ("velocity_0", 6), ("velocity_0", 10))
    ]


def ice(result):
    rows = result.rows(1)
    return [f"({rows['theta_0'][step]:.2f}, −{-rows['theta_1'][step]:.2f})" for step in (20, 40)]


def rules(result):
    updates = [f"{settled(result.rows(run))}" for run in (1, 2, 5, 4, 0)]
    across = [f"−{-result.rows(run)['theta_1'].min():.2f}" for run in (1, 2, 4)]
    return updates + across + [f"{result.rows(run)['distance'][-1]:.3f}" for run in (6, 7)]


def first_within(rows, distance):
    return np.flatnonzero(rows["distance"] <= distance)[0]


def critical(result):
    slow, slower, best, swings = (result.rows(run) for run in (1, 0, 2, 3))
    return [f"{first_within(rows, 1e-3)}" for rows in (slow, slower, best, swings)] + [f"{settled(swings)}"]


def swung(result):
    path = result.rows(2)["theta_0"]
    far = f"{-100 * path.min():.1f} %"
    others = [f"−{-result.rows(run)['theta_0'].min():.3f}" for run in (2, 3)]
    return [far, f"{path.argmin()}", f"{path[46]:.3f}", *others]


def inside(result):
    rows = result.rows(2)
    return [f"{rows['loss'].max():.0f}", f"{first_within(rows, 1e-3)}"]


def sharp(result):
    """The edges of the runs that hover there, and where the last run came to rest below its own."""
    problem = build(load("edge_of_stability"))
    thetas = np.load(result.folder / "parameters.npz")["parameters"]
    found = [sharpness(problem, theta)[0] for theta in thetas]
    edges = 2 * (1 + result.runs["gamma"]) / result.runs["eta"]
    np.testing.assert_allclose(found[:2], edges[:2], rtol=0.1)  # it leaps and falls back: within a tenth at any moment
    assert found[2] < edges[2]
    at_start = sharpness(problem, problem.arrays.numpy(problem.start([0]))[0])[0]
    return [*(f"{edge:.0f}" for edge in edges), f"{found[2]:.0f}", f"{at_start:.0f}"]


def regression(result):
    rows = result.rows(0)
    assert list(result.runs["status"]) == ["diverged", "finished", "finished"]
    return [f"{result.runs['steps'][0]}", f"{rows['loss'][100] / rows['loss'][99]:.2f}"]


def last(result, column):
    return [result.rows(run)[column][-1] for run in result.runs["run"]]


MEASURED = {
    "linreg": lambda result: [f"{w:.4f}" for w in last(result, "theta_0")],
    "optimizers": lambda result: [f"{settled(result.rows(2))}", f"{settled(result.rows(1))}"],
    "east_then_south": speeds,
    "ice_box": ice,
    "two_pushes": lambda result: [f"{theta:.2f}" for theta in last(result, "theta_0")],
    "ravine": lambda result: [f"{settled(result.rows(run))}" for run in (2, 3, 1)],
    "double_well": lambda result: [f"{theta:.3f}".replace("-", "−") for theta in last(result, "theta_0")[1:3]],
    "plateau": lambda result: [f"{theta:.2f}" for theta in last(result, "theta_0")[:2]],
    "rosenbrock": lambda result: [
        text.format(loss)
        for text, loss in zip(("{:.3f}", "{:.3f}", "{:.1e}", "{:.1e}"), last(result, "loss"), strict=True)
    ],
    "schedule": lambda result: [furthest_apart(result)],
    "forms": lambda result: [*(f"{loss:.3f}" for loss in last(result, "loss")[:2]), furthest_apart(result)],
    "rules": rules,
    "restart": lambda result: [f"{loss:.1e}" for loss in last(result, "loss")],
    "noise_floor": lambda result: [
        *(f"{loss:.2f}" for loss in last(result, "loss")),
        f"{result.rows(1)['loss'][300:].max():.1f}",
    ],
    "saddle": lambda result: [f"{first_beyond_one(result.rows(run))}" for run in (1, 2, 3)],
    "critical_damping": critical,
    "overshoot": swung,
    "inside_the_edge": inside,
    "beyond_the_edge": lambda result: [f"{result.runs['steps'][0]}"],
    "coasting": lambda result: [f"{theta:.2f}" for theta in last(result, "theta_0")],
    "edge_of_stability": sharp,
    "lr_001_diverges": regression,
    "digits_softmax": lambda result: [percent(share) for share in result.runs["test_accuracy"]],
    "digits_mlp": lambda result: [percent(share) for share in result.runs["test_accuracy"]],
    "moons": lambda result: [
        f"{100 * result.runs['test_accuracy'][result.runs['gamma'] == gamma].min():.0f} %" for gamma in (0, 0.9)
    ],
}


def test_every_shipped_experiment_has_its_measured_claims():
    assert sorted(MEASURED) == sorted(shipped.names())


@pytest.mark.parametrize("name", sorted(MEASURED))
def test_a_shipped_experiment_answers_its_question_with_what_it_measures(name, tmp_path):
    (english, chinese), answer = claims(name)
    assert english.endswith("?")
    assert re.search("[一-鿿].*[?？]$", chinese)
    assert shipped.question(name) == english
    experiment = load(name)
    result = momentumlab.sweep(name, runs=tmp_path) if experiment.sweep else momentumlab.run(name, runs=tmp_path)
    for number in MEASURED[name](result):
        assert answer.count(number) >= 2, f"{number} is not in both languages"


@pytest.mark.parametrize(("name", "run", "other"), [("rules", 1, 3), ("forms", 1, 2)])
def test_two_rules_that_are_one_take_the_same_way_up_to_rounding(name, run, other, tmp_path):
    result = momentumlab.sweep(name, runs=tmp_path)
    for column in ("theta_0", "theta_1"):
        # Each update rounds a handful of times by 1e-16 of θ, which is about 1.
        np.testing.assert_allclose(result.rows(run)[column], result.rows(other)[column], rtol=0, atol=1e-13)


# ---- what is expected ------------------------------------------------------------------------------------------------

EXPECTING = [name for name in shipped.names() if load(name).expect]


def test_the_gallery_is_there():
    gallery = {"critical_damping", "overshoot", "inside_the_edge", "beyond_the_edge", "coasting", "saddle"}
    assert gallery | {"noise_floor", "edge_of_stability", "lr_001_diverges"} <= set(EXPECTING)


@pytest.mark.parametrize("name", EXPECTING)
def test_what_a_shipped_experiment_expects_holds(name, type_in):
    code, out, _ = type_in("run", name, "--no-plot")
    judged = [line for line in out.splitlines() if line.startswith("expected: ")]
    assert code == 0
    assert judged
    assert all(line.endswith(": held") for line in judged)


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("critical_damping", "--gamma", 0.65),
        ("overshoot", "--eta", 0.0205),
        ("inside_the_edge", "--eta", 0.3838),
        ("beyond_the_edge", "--eta", 0.3762),
        ("coasting", "--gamma", 0.901),
        ("ravine", "--gamma", 0.89),
        ("lr_001_diverges", "--eta", 0.0095),
    ],
)
def test_a_little_beside_it_what_is_expected_does_not_hold(name, option, value, type_in, tmp_path):
    shutil.copytree(shipped.folder(), tmp_path / "mine")
    code, out, err = type_in("run", tmp_path / "mine" / f"{name}.yaml", option, value, "--no-plot")
    assert code == 1
    assert "did not hold" in out
    assert "momentumlab: expected: " in err


@pytest.mark.parametrize("source", ["coasting", shipped.path("coasting")], ids=["name", "path"])
def test_a_shipped_experiment_that_was_changed_is_held_to_nothing(source, type_in):
    """Whoever tries another γ has not failed."""
    code, out, err = type_in("run", source, "--gamma", 0.5, "--no-plot")
    assert (code, "expected" in out, "as it is shipped: left aside" in err) == (0, False, True)


@pytest.mark.parametrize("name", ["critical_damping", "inside_the_edge", "beyond_the_edge", "ravine", "optimizers"])
def test_the_steps_that_are_expected_are_those_of_theory(name):
    experiment = load(name)
    gamma, eta, eigenvalues = experiment.optimizer.gamma, experiment.optimizer.eta, experiment.objective.eigenvalues
    method = Method.of("momentum", gamma=gamma, eta=eta)
    if experiment.expect.steps_to:
        found = np.flatnonzero(distances(method, eigenvalues, 300) <= experiment.expect.steps_to.goal)[0]
        assert experiment.expect.steps_to.between == (found, found)
    else:
        path = losses(method, eigenvalues, 300)
        found = np.flatnonzero(path > 1e12 * max(1, path[0]))[0]
        assert experiment.expect.final["steps"] == (found, found)


def test_the_floor_that_is_expected_is_three_deviations_about_theorys():
    experiment = load("noise_floor")
    method = Method.of("momentum", gamma=experiment.optimizer.gamma, eta=experiment.optimizer.eta)
    floor = noise_floor(method, experiment.objective.eigenvalues, experiment.objective.noise**2).loss
    spread = np.sqrt(2 * (floor**2).sum())  # each direction's loss is its mean times the square of a normal number
    # written with two digits
    np.testing.assert_allclose(experiment.expect.final["loss"], floor.sum() + np.array([-3, 3]) * spread, atol=0.07)
