"""Every rule, with every option, on every kind of problem: a run is what it is alone, whoever is trained beside it.

A new rule is one row of RUNS; a new problem is one row of PROBLEMS.
"""

import functools
import math
from pathlib import Path

import numpy as np
import pytest

import momentumlab
from momentumlab.engine.plan import groups
from momentumlab.errors import ConfigError
from momentumlab.experiment import expand, load, single
from momentumlab.optimizers.rules import RULES
from momentumlab.optimizers.schedules import as_schedule
from momentumlab.optimizers.updates import setting
from tests.engine.recording import Recording, train_quietly

STEPS = 18
STEP = {"schedule": "step", "value": 0.02, "factor": 0.5, "at": [5, 15]}
CYCLE = {"schedule": "one_cycle", "value": 0.03}
DOWN_AND_UP = {"schedule": "one_cycle", "value": 0.95, "low": 0.6}

# Two runs of each way to compute an update, which differ in everything that runs of a stack can differ in.
RUNS = {
    "sgd": ({"kind": "sgd", "eta": 0.02}, {"eta": STEP}),
    "momentum": ({"gamma": 0.9, "eta": 0.02}, {"gamma": 0.5, "eta": 0.01}),
    "momentum, torch form": ({"form": "torch", "gamma": 0.9, "eta": STEP}, {"gamma": DOWN_AND_UP, "eta": CYCLE}),
    "nesterov": ({"kind": "nesterov", "gamma": 0.9, "eta": STEP}, {"gamma": 0.3, "eta": 0.03}),
    "nesterov, torch form": ({"kind": "nesterov", "form": "torch", "gamma": 0.9, "eta": CYCLE}, {"gamma": 0.3}),
    "ema": ({"kind": "ema", "gamma": 0.9, "eta": 0.05}, {"gamma": DOWN_AND_UP, "eta": STEP}),
    "qhm": ({"kind": "qhm", "gamma": 0.9, "eta": 0.05}, {"gamma": 0.5, "nu": 0.2, "eta": 0.03}),
    "aggmo": ({"kind": "aggmo", "eta": 0.01}, {"gammas": [0.5, 0.0, 0.8], "weights": [1, -0.5, 2], "eta": STEP}),
    "aggmo of two": ({"kind": "aggmo", "gammas": [0.0, 0.9], "eta": 0.01}, {"gammas": [0.2, 0.7]}),
    "signum": ({"kind": "signum", "gamma": 0.9, "eta": 0.1}, {"gamma": 0.5, "eta": STEP}),
    "lion": ({"kind": "lion", "eta": 0.1}, {"gamma": 0.5, "beta1": 0.2, "eta": CYCLE}),
    "momentum with all options": (
        {"eta": STEP, "dampening": 0.2, "momentum_correction": True, "weight_decay": 0.1, "clip": 1.0}
        | {"restart": "function"},
        {"gamma": 0.6, "eta": CYCLE, "dampening": 0.7, "weight_decay": 0.5, "clip": 0.25},
    ),
    "nesterov, decoupled, restarted by the gradient": (
        {"kind": "nesterov", "form": "torch", "gamma": 0.99, "eta": 0.03, "weight_decay": 0.2, "decoupled": True}
        | {"restart": "gradient"},
        {"gamma": 0.95, "eta": CYCLE, "weight_decay": 0.7},
    ),
    "qhm, clipped and decayed": (
        {"kind": "qhm", "gamma": 0.9, "eta": 0.1, "clip": 0.5, "weight_decay": 0.1},
        {"nu": 0.9, "clip": 2.0, "weight_decay": 0.3},
    ),
    "aggmo, clipped and decayed": (
        {"kind": "aggmo", "eta": 0.02, "clip": 0.5, "weight_decay": 0.1, "decoupled": True},
        {"gammas": [0.1, 0.2, 0.3], "clip": 2.0, "weight_decay": 0.3},
    ),
    "lion, decayed": ({"kind": "lion", "eta": 0.1, "weight_decay": 1.0}, {"eta": STEP, "weight_decay": 0.1}),
}
MOONS = {"data": {"kind": "moons", "samples": 30}, "train": {"steps": STEPS, "batch_size": 8}}
PROBLEMS = {
    "quadratic": {"objective": {"kind": "quadratic", "eigenvalues": [1, 25]}, "train": {"steps": STEPS}},
    "rosenbrock": {"objective": {"kind": "rosenbrock", "start": [-0.5, 0.5]}, "train": {"steps": STEPS}},
    "noisy booth": {"objective": {"kind": "booth", "noise": 0.5}, "train": {"steps": STEPS}},
    "linear": {"data": {"kind": "line", "samples": 20}, "model": {"kind": "linear"}, "train": {"steps": STEPS}},
    "softmax": {**MOONS, "model": {"kind": "softmax"}},
    "mlp": {**MOONS, "model": {"kind": "mlp", "hidden": [3]}},
}
FAR = {"eta": 1e30}  # no problem stands it
SHRINK = {"rosenbrock": 1 / 40}  # whose curvature is as many times the quadratic's


def problem_of(name, dtype, **more):
    problem = PROBLEMS[name]
    return {**problem, "train": {**problem["train"], "dtype": dtype}, "record": {"vectors": True}, **more}


def trained(problem, sections):
    """Each optimizer section trained in the stacks of one sweep: its columns of metrics, and its status."""
    grid = expand(load(problem), vary={"optimizer": list(sections)})
    assert len(grid.cells) == len(sections)
    outcomes, blocks = {}, []
    for group in groups(grid):
        for cells in group.chunks:
            train_quietly(group, cells, Recording(blocks.append), outcomes)
    rows = [{} for _ in sections]
    for block in blocks:
        for index, run in enumerate(block["run"]):
            for name, values in block.items():
                rows[run].setdefault(name, []).append(values[index])
    return [
        ({name: np.array(values) for name, values in row.items() if name != "run"}, outcomes[run].status)
        for run, row in enumerate(rows)
    ]


@functools.cache
def everything(problem, dtype, backwards):
    """Both runs of every row and one that diverges, all in one sweep, by row and number."""
    sections = {(row, number): section for row in RUNS for number, section in enumerate(runs_of(row, problem))}
    order = list(sections)[::-1] if backwards else list(sections)
    together = trained(problem_of(problem, dtype), [sections[key] for key in order])
    return dict(zip(order, together, strict=True))


def runs_of(row, problem):
    one, changes = RUNS[row]
    return *(_shrunk(section, SHRINK.get(problem, 1)) for section in (one, one | changes)), one | FAR


def _shrunk(section, factor):
    eta = section["eta"]
    return section | {"eta": eta | {"value": eta["value"] * factor} if isinstance(eta, dict) else eta * factor}


def assert_same_bits(one, other):
    assert one.keys() == other.keys()
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name], err_msg=name)


def test_every_rule_is_in_the_table():
    used = {load(problem_of("quadratic", "float64", optimizer=one)).optimizer.rule for one, _ in RUNS.values()}
    assert used == set(RULES)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("row", RUNS)
def test_a_run_has_the_same_bits_alone_in_a_stack_and_in_another_order(row, problem, dtype):
    forwards, backwards = everything(problem, dtype, False), everything(problem, dtype, True)
    number = int(dtype == "float64")  # of the two runs of a row one for each dtype
    [(alone, status)] = trained(problem_of(problem, dtype), [runs_of(row, problem)[number]])
    assert status == "finished"
    assert len(alone["step"]) == STEPS + 1
    assert_same_bits(forwards[row, number][0], alone)
    assert_same_bits(backwards[row, number][0], alone)
    # Neither of them noticed the one that left the stack in the middle.
    assert forwards[row, 2][1] == backwards[row, 2][1] == "diverged"
    assert len(forwards[row, 2][0]["step"]) < STEPS


def written_out(experiment):
    """θ and v after every update of one run: a loop that takes one option after the other."""
    [group] = groups(single(experiment))
    optimizer, arrays = experiment.optimizer, group.problem.arrays
    rule = RULES[optimizer.rule]
    feed, theta = group.problem.feed([experiment.seed]), arrays.numpy(group.problem.start([experiment.seed])).copy()
    said = {name: getattr(optimizer, name, None) for name in ("clip", "weight_decay", "dampening", "restart")}
    memory, velocity = rule.at_rest(theta, {"gammas": getattr(optimizer, "gammas", ())}), theta * 0
    rested, path, before = True, [(theta.copy(), velocity)], (None, None)
    for step in range(STEPS):
        now = {}
        for name in {*rule.hyperparameters, "eta"}:
            given = setting(optimizer, name)
            now[name] = given if isinstance(given, list) else as_schedule(given, STEPS)(step)
        loss, gradient = feed.loss_and_gradient(arrays.array(theta), step)
        loss, gradient = float(loss[0]), arrays.numpy(gradient).copy()
        if (said["restart"] == "function" and step and loss > before[0]) or (
            said["restart"] == "gradient" and (gradient * velocity).sum() < 0
        ):
            memory, rested = theta * 0, True
        if said["clip"] and np.linalg.norm(gradient) > said["clip"]:
            gradient = gradient * said["clip"] / np.linalg.norm(gradient)
        if said["weight_decay"] and not optimizer.decoupled:
            gradient = gradient + said["weight_decay"] * theta
        if said["dampening"] and not rested:
            gradient = (1 - said["dampening"]) * gradient
        if getattr(optimizer, "momentum_correction", None) and step:
            memory = memory * now["eta"] / before[1]
        if said["weight_decay"] and optimizer.decoupled:
            theta = theta - now["eta"] * said["weight_decay"] * theta
        theta, memory = rule.update(theta, gradient, memory, **{name: now[name] for name in rule.hyperparameters})
        velocity = np.array(rule.velocity(memory, now))
        path.append((theta.copy(), velocity))
        rested, before = False, (loss, now["eta"])
    return [np.concatenate(parts) for parts in zip(*path, strict=True)]


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("row", RUNS)
def test_every_run_of_a_stack_is_the_loop_written_out(row, problem):
    for number, section in enumerate(runs_of(row, problem)[:2]):
        theta, velocity = written_out(load(problem_of(problem, "float64", optimizer=section)))
        metrics, _ = everything(problem, "float64", False)[row, number]
        for name, expected in (("theta", theta), ("velocity", velocity)):
            columns = [metrics[column] for column in metrics if column.startswith(f"{name}_") and column[-1].isdigit()]
            # float64, 18 updates, numbers of size 1: sums in another order, and options in another arithmetic
            np.testing.assert_allclose(np.array(columns).T, expected, rtol=1e-12, atol=1e-12)


WITH_GAMMA = {row: one for row, (one, _) in RUNS.items() if one.get("kind") != "sgd"}


# On a noiseless slope the sign of an average is the sign of the gradient, whatever γ is.
@pytest.mark.parametrize("problem", ["softmax", "mlp"])
@pytest.mark.parametrize("row", WITH_GAMMA)
def test_gamma_makes_a_difference(row, problem):
    section = WITH_GAMMA[row]
    sections = [
        section | ({"gammas": [0.0, gamma]} if section.get("kind") == "aggmo" else {"gamma": gamma})
        for gamma in (0.0, 0.5, 0.9, 0.99)
    ]
    losses = [metrics["loss"].tolist() for metrics, _ in trained(problem_of(problem, "float64"), sections)]
    assert [losses.count(path) for path in losses] == [1, 1, 1, 1]


# ---- sweeps over what an optimizer has -------------------------------------------------------------------------------

QUADRATIC = PROBLEMS["quadratic"]
AXES = [
    ({"kind": "qhm"}, "nu", [0.0, 0.5, 1.0]),
    ({"kind": "lion", "eta": 0.1}, "beta1", [0.0, 0.5, 0.9]),
    ({"kind": "aggmo"}, "gammas", [[0.0, 0.9], [0.0, 0.5], [0.9], [0.0, 0.5, 0.9]]),
    ({"kind": "aggmo", "gammas": [0.5, 0.9]}, "weights", [[1.0, 0.0], [0.0, 1.0], [0.25, 0.75]]),
    ({}, "weight_decay", [0.0, 0.1, 1.0]),
    ({"weight_decay": 0.5}, "decoupled", [False, True]),
    ({}, "clip", [0.1, 1.0, 100.0]),
    ({}, "dampening", [0.0, 0.5, 0.9]),
    ({"kind": "nesterov", "gamma": 0.99, "eta": 0.03}, "restart", ["function", "gradient"]),
    ({"eta": STEP}, "momentum_correction", [False, True]),
    ({"eta": STEP}, "form", ["classical", "torch"]),
    ({"eta": STEP}, "eta", [0.02, 0.01]),
    ({"kind": "signum", "gamma": DOWN_AND_UP, "eta": 0.1}, "gamma", [0.9, 0.8]),
]


def rows_of(result, run):
    return {name: values for name, values in result.rows(run).items() if name != "run"}


@pytest.mark.parametrize(("section", "key", "values"), AXES, ids=lambda given: given if isinstance(given, str) else "")
def test_every_hyperparameter_and_option_can_be_an_axis_and_arrives_in_its_run(section, key, values, runs):
    problem = {**QUADRATIC, "objective": {**QUADRATIC["objective"], "noise": 2.0}, "optimizer": section}
    short = {key: values} if key in ("gamma", "eta") else {"vary": {f"optimizer.{key}": values}}
    result = momentumlab.sweep(problem, **short, runs=runs)
    column = key if key in ("gamma", "eta") else f"optimizer.{key}"
    written = {str(value).lower().replace(".0", "") for value in result.runs[column].tolist()}
    assert written == {str(value).lower().replace(".0", "") for value in values}
    seen = []
    for run, value in enumerate(values):
        alone = momentumlab.run(problem, **({key: value} if key in short else {"set": {column: value}}), runs=runs)
        assert_same_bits(rows_of(result, run), rows_of(alone, 0))
        seen.append(rows_of(alone, 0)["loss"].tolist())
    assert all(seen.count(losses) == 1 for losses in seen)


def test_the_scheduled_values_stand_in_the_metrics_and_the_typed_ones_in_the_table(runs):
    sections = [{"gamma": DOWN_AND_UP, "eta": CYCLE}, {"kind": "ema", "gamma": 0.5, "eta": STEP}, {"kind": "aggmo"}]
    result = momentumlab.sweep({**QUADRATIC, "sweep": {"optimizer": sections}}, runs=runs)
    for run, section in enumerate(sections[:2]):
        optimizer = load({**QUADRATIC, "optimizer": section}).optimizer
        for name in ("gamma", "eta"):
            schedule = as_schedule(getattr(optimizer, name), STEPS)
            np.testing.assert_array_equal(result.rows(run)[name], [schedule(step) for step in range(STEPS + 1)])
    assert np.isnan(result.rows(2)["gamma"]).all()
    np.testing.assert_array_equal(result.runs["gamma"], [0.95, 0.5, math.nan])
    np.testing.assert_array_equal(result.runs["eta"], [0.03, 0.02, 0.01])


BASE = {"form": "torch", "dampening": 0.5, "gamma": 0.5, "eta": 0.02, "weight_decay": 0.1, "restart": "function"}
KINDS = [
    ({"kind": "momentum"}, BASE),
    ({"kind": "nesterov"}, {key: value for key, value in BASE.items() if key != "dampening"}),
    *(({"kind": kind}, {key: BASE[key] for key in ("gamma", "eta", "weight_decay", "restart")})
      for kind in ("ema", "qhm", "signum", "lion")),
    ({"kind": "sgd"}, {key: BASE[key] for key in ("form", "eta", "weight_decay")}),
    ({"kind": "aggmo", "gammas": [0.9]}, {key: BASE[key] for key in ("eta", "weight_decay")}),
]  # fmt: skip


@pytest.mark.parametrize("way", ["sections", "kinds"])
def test_another_kind_keeps_of_the_base_what_it_knows(way):
    base = load({**QUADRATIC, "optimizer": BASE})
    grid = (
        expand(base, vary={"optimizer": [section for section, _ in KINDS]})
        if way == "sections"
        else expand(base, vary={"optimizer.kind": [section["kind"] for section, _ in KINDS]})
    )
    for cell, (section, kept) in zip(grid.cells, KINDS, strict=True):
        own = section if way == "sections" else {"kind": section["kind"]}
        assert cell.experiment.optimizer == load({**QUADRATIC, "optimizer": kept | own}).optimizer


@pytest.mark.parametrize(
    "axes",
    [
        {"optimizer": [section for section, _ in KINDS]},
        {"optimizer.kind": ["momentum", "qhm", "lion", "aggmo"]},
        {"optimizer": [one for one, _ in RUNS.values()], "seed": [0, 1]},
        {"optimizer": [{"kind": "aggmo"}, {"kind": "Adam"}, {"kind": "momentum", "backend": "torch"}]},
    ],
    ids=["sections", "kinds", "options and schedules", "torch beside ours"],
)
def test_the_experiment_of_a_sweep_over_kinds_repeats_it_to_the_byte(axes, runs):
    base = {"objective": {"kind": "quadratic", "noise": 0.1}, "optimizer": {"eta": 0.02}, "train": {"steps": 5}}
    first = momentumlab.sweep({**base, "sweep": axes}, runs=runs)
    again = momentumlab.sweep(first.folder / "experiment.yaml", runs=runs.with_name("others"))
    assert again.name == first.name
    assert set(first.runs["status"]) == {"finished"}
    for file in ("experiment.yaml", "runs.csv", "metrics.csv", "parameters.npz"):
        assert (again.folder / file).read_bytes() == (first.folder / file).read_bytes()


# ---- a rule of the user's own ----------------------------------------------------------------------------------------

OWN = """\
def update(theta, gradient, memory, gamma, eta{more}):
    memory = gamma * memory + eta * {push}
    return theta - memory, memory
"""


@pytest.fixture
def write(empty_folder):
    def written(more="", push="gradient", name="my_rule.py", before=""):
        (empty_folder / name).write_text(before + OWN.format(more=more, push=push))
        return name

    return written


def own(problem="quadratic", **section):
    return problem_of(problem, "float64", optimizer={"kind": "file", "path": "my_rule.py", **section})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_rule_from_a_file_is_the_built_in_of_the_same_formula_to_the_bit(write, problem, dtype):
    path = write()
    options = {"eta": CYCLE, "weight_decay": 0.1, "clip": 1.0, "restart": "gradient"}
    sections = [options, options | {"gamma": 0.5, "eta": 0.01}]
    files = [{"kind": "file", "path": path, **section} for section in sections]
    [group] = groups(expand(load(problem_of(problem, dtype)), vary={"optimizer": files}))
    assert len(group.cells) == 2  # one stack
    own_runs = trained(problem_of(problem, dtype), files)
    for (metrics, status), (expected, _) in zip(own_runs, trained(problem_of(problem, dtype), sections), strict=True):
        assert status == "finished"
        assert_same_bits(metrics, expected)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_rule_may_keep_the_gradient_that_it_was_given(empty_folder, problem):
    code = "def update(theta, gradient, memory, gamma, eta):\n    return theta - eta * (gradient + memory), gradient\n"
    (empty_folder / "my_rule.py").write_text(code)
    [(metrics, _)] = trained(problem_of(problem, "float64"), [{"kind": "file", "path": "my_rule.py", "eta": 1e-3}])
    kept, shown = (metrics[name] for name in ("velocity_0", "gradient_0"))
    np.testing.assert_array_equal(kept[1:], shown[:-1])  # the last gradient, and not the one that came after it
    assert kept[1:].any()


@pytest.mark.parametrize("verb", [momentumlab.run, functools.partial(momentumlab.sweep, gamma=[0, 0.9])])
@pytest.mark.parametrize("allow", [[], ["other.py"], "my_rule.py.py"])
def test_without_leave_no_code_is_run_and_nothing_is_written(write, verb, allow):
    write(before="open('ran', 'w').close()\n")
    with pytest.raises(ConfigError, match=r"my_rule.py: its code would be run .* add --allow-code .*my_rule.py"):
        verb(own(), allow_code=allow)
    assert [found.name for found in Path().iterdir()] == ["my_rule.py"]
    verb(own(), allow_code=["my_rule.py"])
    assert Path("ran").exists()


def test_its_arguments_are_axes_like_any_hyperparameter(write):
    path = write(more=", nu=0.5, shares=(0.5, 0.5)", push="(nu * shares[0] + (1 - nu) * shares[1]) * gradient")
    result = momentumlab.sweep(own(), vary={"optimizer.arguments.nu": [0.25, 0.5, 1]}, allow_code=[path])
    assert result.runs["optimizer.arguments.nu"].tolist() == [0.25, 0.5, 1]
    # with equal shares ν is without effect, and a half of every push is taken; all are powers of two
    halved = trained(problem_of("quadratic", "float64"), [{"eta": 0.005}])[0][0]
    for run in range(3):
        np.testing.assert_array_equal(result.rows(run)["theta_1"], halved["theta_1"])
    lists = [[1.0, 0.0], [0.0, 1.0], [1.0]]
    other = momentumlab.sweep(
        own(arguments={"nu": 0.25}), vary={"optimizer.arguments.shares": lists[:2]}, allow_code=[path]
    )
    for run, eta in enumerate([0.0025, 0.0075]):
        expected = trained(problem_of("quadratic", "float64"), [{"eta": eta}])[0][0]
        # η and the share multiplied in another order: a rounding an update
        np.testing.assert_allclose(other.rows(run)["theta_1"], expected["theta_1"], rtol=1e-13, atol=1e-15)


def test_what_is_no_number_among_its_defaults_is_passed_on_as_it_is(write):
    path = write(more=", *, way='plain', flag=True, nothing=None", push="gradient if way == 'plain' and flag else None")
    result = momentumlab.sweep(own(), gamma=[0.5, 0.9], allow_code=[path])
    assert result.runs["status"].tolist() == ["finished", "finished"]


def test_lists_of_different_lengths_are_different_stacks(write):
    path = write(more=", shares=(1.0,)", push="sum(shares[1:], start=shares[0]) * gradient")
    vary = {"optimizer.arguments.shares": [[1.0], [0.5, 0.5], [0.25, 0.5, 0.25]]}
    assert len(groups(expand(load(own()), vary=vary))) == 3
    result = momentumlab.sweep(own(), vary=vary, allow_code=[path])
    for run in range(3):
        assert_same_bits(rows_of(result, run), rows_of(result, 0))


@pytest.mark.parametrize(
    ("given", "arguments", "says"),
    [
        ({"push": "gradiant"}, {}, r"my_rule.py:2: update: .*NameError: name 'gradiant' is not defined"),
        ({"more": ", nu"}, {}, "my_rule.py:1: update: the hyperparameter nu needs a default"),
        ({"more": ", nu=0.5"}, {"mu": 1}, "unknown argument 'mu'. Allowed: nu."),
        ({"before": "import nothing_like_it\n"}, {}, "my_rule.py:1: ModuleNotFoundError: .*nothing_like_it"),
        ({"push": "gradient / gradient.sum()"}, {}, "a run gets other numbers beside another run than alone"),
        ({"before": "def\n"}, {}, "my_rule.py:1: SyntaxError"),
    ],
)
def test_what_is_wrong_with_it_is_said_in_words_before_anything_is_written(write, given, arguments, says):
    path = write(**given)
    with pytest.raises(ConfigError, match=says):
        momentumlab.run(own(arguments=arguments), allow_code=[path])
    assert not Path("runs").exists()


def test_a_rule_that_fails_later_on_is_a_failed_run(write):
    path = write(before="import numpy as np\n", push="(gradient if (abs(theta) < 5).all() else theta.fly())")
    result = momentumlab.sweep(own(), eta=[0.01, 0.5], allow_code=[path])
    assert result.runs["status"].tolist() == ["finished", "failed"]
    assert "AttributeError" in result.runs["reason"][1]


def test_words_and_truth_values_reach_it_as_they_are(write):
    path = write(
        more=', mode="plain", fast=False', push='{("plain", False): 1, ("turbo", True): 3}[mode, fast] * gradient'
    )
    pairs = {"optimizer.arguments.mode": ["plain", "turbo"], "optimizer.arguments.fast": [False, True]}
    result = momentumlab.sweep(own(), vary=pairs, zip=True, allow_code=[path])
    plain, turbo = (1 - result.metrics["theta_0"][result.metrics["step"] == 1]).tolist()
    assert turbo == pytest.approx(3 * plain, rel=1e-14)  # roundings of a number near 1


def test_a_result_is_named_after_what_stands_in_the_file_and_not_after_its_place(write):
    first = momentumlab.run(own(), allow_code=[write()])
    Path("elsewhere").mkdir()
    elsewhere = write(name="elsewhere/renamed.py")
    assert momentumlab.run(own(path=elsewhere), allow_code=[elsewhere]).folder == first.folder
    write(push="2 * gradient")
    changed = momentumlab.run(own(), allow_code=["my_rule.py"])
    assert changed.name != first.name
    np.testing.assert_allclose(changed.metrics["theta_0"][1], 1 - 2 * (1 - first.metrics["theta_0"][1]), rtol=1e-15)


@pytest.mark.parametrize(
    "sweep",
    [
        {"optimizer": [{"kind": "file", "path": "my_rule.py"}, {"kind": "momentum"}]},
        {"optimizer.path": ["my_rule.py", "other.py"]},
        {"gamma": [0.5, 0.9]},
    ],
    ids=lambda sweep: next(iter(sweep)),
)
def test_its_sweep_is_repeated_from_anywhere(write, sweep, monkeypatch, tmp_path):
    files = [write(), write(name="other.py", push="2 * gradient")]
    allow = [str(Path(file).resolve()) for file in files]
    section = {} if "optimizer" in sweep else {"optimizer": {"kind": "file", "path": "my_rule.py"}}
    given = momentumlab.sweep({**QUADRATIC, **section}, vary=sweep, runs="runs", allow_code=allow)
    written = momentumlab.sweep({**QUADRATIC, **section, "sweep": sweep}, runs="runs", allow_code=allow)
    assert written.folder == given.folder
    folder = given.folder.resolve()
    monkeypatch.chdir(tmp_path)
    again = momentumlab.sweep(folder / "experiment.yaml", runs=tmp_path / "others", allow_code=allow)
    assert again.name == given.name
    assert (again.folder / "experiment.yaml").read_bytes() == (folder / "experiment.yaml").read_bytes()


def test_looking_at_a_result_never_runs_its_code(write, type_in, tmp_path):
    path = tmp_path / "my_rule.py"
    path.write_text(OWN.format(more="", push="gradient"))
    result = momentumlab.run(own(path=str(path)), runs=tmp_path / "runs", allow_code=[str(path)])
    path.write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    for command in (["show", result.folder], ["plot", result.folder, "--kind", "curves"], ["check", result.folder]):
        assert type_in(*command)[0] == 0
    path.unlink()
    assert type_in("show", result.folder)[0] == 0
    assert momentumlab.load(result.folder).runs["status"].tolist() == ["finished"]
    assert not (tmp_path / "ran").exists()
