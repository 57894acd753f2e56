"""Optional metrics against slow references from the vectors of every step, and the law that they disturb nothing."""

import numpy as np
import pytest

import momentumlab
from momentumlab.engine.plan import groups
from momentumlab.errors import ConfigError
from momentumlab.experiment import expand, load, single
from momentumlab.experiment.optional_metrics import OPTIONAL_METRICS
from momentumlab.problems.build import build
from momentumlab.problems.curvature import eigendirections
from momentumlab.results.naming import identity
from momentumlab.theory.energy import ledger
from tests.engine.recording import Recording, train_quietly
from tests.engine.test_going_on import assert_same_rows, joined
from tests.problems.test_curvature import table, whole_hessian
from tests.reference import case as reference_case

FEW = {"forces": True, "path": True, "energy": True}
VECTORS = {"every": 1, "vectors": True}
STEP = {"schedule": "step", "value": 0.02, "at": [5, 9], "factor": 0.3}
BOOTH = {"objective": {"kind": "booth"}, "train": {"steps": 25}}
WIDE = {"objective": {"kind": "quadratic", "condition": 50.0, "dimension": 12, "start": "random", "noise": 0.1}}
PROBLEMS = {
    "quadratic": {"objective": {"kind": "quadratic", "eigenvalues": [1, 30]}, "train": {"steps": 25}},
    "wide": {**WIDE, "train": {"steps": 25}},
    "booth": BOOTH,
    "rosenbrock": {"objective": {"kind": "rosenbrock"}, "train": {"steps": 25}, "optimizer": {"eta": 0.0005}},
    "line": {
        "data": {"kind": "line", "samples": 20},
        "model": {"kind": "linear"},
        "train": {"epochs": 25, "dtype": "float64"},
    },
    "net": {
        "data": {"kind": "moons", "samples": 30},
        "model": {"kind": "mlp", "hidden": [3]},
        "train": {"epochs": 6, "batch_size": 8, "dtype": "float64"},
    },
}
OPTIMIZERS = {
    "momentum": {"gamma": 0.9},
    "torch form": {"gamma": 0.9, "form": "torch"},
    "sgd": {"kind": "sgd"},
    "torch backend": {"gamma": 0.8, "form": "torch", "backend": "torch"},
}


def rows_of(data, seeds=(0,), **record):
    """Every column of the rows of an experiment, run by run for several seeds."""
    experiment = load({**data, "record": {**VECTORS, **record}})
    blocks = []
    for group in groups(expand(experiment, seed=list(seeds)) if len(seeds) > 1 else single(experiment)):
        for cells in group.chunks:
            recording = Recording()
            train_quietly(group, cells, recording)
            blocks += recording.blocks
    return joined(blocks)


def vectors(rows):
    """θ, ∇J and v of a single run, (step, parameter) each."""
    return (
        np.stack([rows[name] for name in rows if name.startswith(f"{vector}_") and name[-1].isdigit()], axis=1)
        for vector in ("theta", "gradient", "velocity")
    )


def with_optimizer(problem, optimizer):
    data = PROBLEMS[problem]
    return {**data, "optimizer": {"eta": 0.02, **data.get("optimizer", {}), **optimizer}}


# Sums of at most 25 terms in another order: some roundings of float64.
CLOSE = {"rtol": 1e-12, "atol": 1e-14}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_forces_path_and_energy_are_those_of_the_vectors(problem, optimizer):
    data = with_optimizer(problem, OPTIMIZERS[optimizer])
    rows = rows_of(data, **FEW)
    theta, gradient, velocity = vectors(rows)
    gamma, eta = rows["gamma"][0], rows["eta"][0]

    inertia, push = gamma * velocity, eta * gradient
    np.testing.assert_allclose(rows["inertia"], np.linalg.norm(inertia, axis=1), **CLOSE)
    np.testing.assert_allclose(rows["push"], np.linalg.norm(push, axis=1), **CLOSE)
    np.testing.assert_allclose((inertia + push)[:-1], velocity[1:], **CLOSE)  # the two are what v is made of

    steps = np.diff(theta, axis=0)
    path = np.concatenate([[0], np.cumsum(np.linalg.norm(steps, axis=1))])
    displacement = np.linalg.norm(theta - theta[0], axis=1)
    np.testing.assert_allclose(rows["path"], path, **CLOSE)
    np.testing.assert_allclose(rows["displacement"], displacement, **CLOSE)
    np.testing.assert_allclose(rows["tortuosity"][1:], path[1:] / displacement[1:], **CLOSE)
    flips = (velocity[1:-1] * velocity[2:] < 0).mean(axis=1)
    np.testing.assert_allclose(rows["sign_flips"][2:], flips, **CLOSE)
    assert np.isnan(rows["sign_flips"][:2]).all()
    assert np.isnan(rows["tortuosity"][0])

    expected = ledger(rows["loss"], velocity, gamma, eta)
    np.testing.assert_allclose(rows["kinetic"], expected.kinetic, **CLOSE)
    np.testing.assert_allclose(rows["energy"], expected.energy, **CLOSE)
    for name, values in (("friction", expected.friction), ("turning", expected.turning), ("bend", expected.curvature)):
        assert rows[name][0] == 0
        # The bend is what is left of energies that are far larger than it.
        np.testing.assert_allclose(rows[name][1:], values, rtol=1e-12, atol=1e-13 * np.abs(expected.energy).max())


def test_on_a_quadratic_the_bend_is_that_of_the_hessian():
    rows = rows_of(with_optimizer("quadratic", {"gamma": 0.9}), **FEW)
    _, _, velocity = vectors(rows)
    bend = 0.5 * (velocity**2 @ [1.0, 30.0])
    np.testing.assert_allclose(rows["bend"], bend, atol=1e-13 * rows["energy"].max())  # as above


@pytest.mark.parametrize("problem", ["rosenbrock", "net", "wide"])
def test_reinforced_and_cancelled_are_shares_of_the_push_in_coordinates(problem):
    rows = rows_of(with_optimizer(problem, {"gamma": 0.9}), forces=True)
    _, gradient, velocity = vectors(rows)
    same = np.sign(gradient) * np.sign(velocity)
    assert_shares(rows, gradient, same)


@pytest.mark.parametrize("optimizer", ["momentum", "torch backend"])
@pytest.mark.parametrize("problem", ["booth", "line"])
def test_on_a_quadratic_the_shares_are_those_of_eigendirections(problem, optimizer):
    data = with_optimizer(problem, OPTIMIZERS[optimizer])
    rows = rows_of(data, forces=True)
    if problem == "booth":
        hessian = np.array([[10.0, 8.0], [8.0, 10.0]])
    else:
        x = build(load(data)).dataset.x[:, 0]
        hessian = 2 * np.array([[np.mean(x * x), np.mean(x)], [np.mean(x), 1.0]])
    directions = np.linalg.eigh(hessian)[1]
    _, gradient, velocity = vectors(rows)
    gradient, velocity = gradient @ directions, velocity @ directions
    assert_shares(rows, gradient, np.sign(gradient) * np.sign(velocity))
    assert rows["reinforced"][1:] + rows["cancelled"][1:] == pytest.approx(1.0)


def assert_shares(rows, gradient, sides):
    squares = gradient**2 / (gradient**2).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(rows["reinforced"][1:], (squares * (sides > 0)).sum(axis=1)[1:], **CLOSE)
    np.testing.assert_allclose(rows["cancelled"][1:], (squares * (sides < 0)).sum(axis=1)[1:], **CLOSE)
    assert np.isnan(rows["reinforced"][0])  # at rest there is no inertia
    assert np.isnan(rows["cancelled"][0])


@pytest.mark.parametrize(("samples", "outputs"), [(40, 1), (40, 3), (2, 2)])
def test_eigendirections_of_a_linear_model_diagonalise_its_hessian(samples, outputs, tmp_path):
    train = {"dtype": "float64", "batch_size": 1}
    model = build(load({"data": table(tmp_path, samples, 3, outputs), "model": {"kind": "linear"}, "train": train}))
    directions = eigendirections(model)
    hessian = whole_hessian(model, np.zeros(4 * outputs))
    turned = directions.T @ hessian @ directions
    off = turned - np.diag(np.diag(turned))
    np.testing.assert_allclose(off, 0, atol=1e-13 * np.abs(turned).max())  # some roundings
    np.testing.assert_allclose(directions.T @ directions, np.eye(4 * outputs), atol=1e-13)


@pytest.mark.parametrize("form", [{}, {"form": "torch"}, {"form": "torch", "backend": "torch"}])
@pytest.mark.parametrize("kind", ["momentum", "nesterov"])
def test_under_a_schedule_inertia_and_push_still_make_the_next_velocity(kind, form):
    optimizer = {"kind": kind, "gamma": {"schedule": "demon", "value": 0.9}, "eta": STEP, **form}
    # One parameter: the norms are the sizes, and the share says the sides.
    data = {"objective": {"kind": "double_well"}, "train": {"steps": 20}, "optimizer": optimizer}
    rows = rows_of(data, forces=True)
    side = np.where(np.nan_to_num(rows["reinforced"]) > 0, 1, -1)
    made = np.abs(rows["inertia"] + side * rows["push"])
    np.testing.assert_allclose(made[:-1], rows["velocity_norm"][1:], **CLOSE)


def test_after_an_eta_of_zero_inertia_is_unknown_unless_eta_stays_zero():
    eta = {"schedule": "list", "points": [[0, 0.1], [3, 0.0], [5, 0.1]]}
    data = {**PROBLEMS["quadratic"], "optimizer": {"form": "torch", "eta": eta}, "train": {"steps": 8}}
    inertia = rows_of(data, forces=True)["inertia"]
    assert list(np.isnan(inertia)) == [False] * 5 + [True] + [False] * 3
    assert inertia[3] == inertia[4] == 0


def test_between_two_rows_flips_are_a_mean_and_the_ledger_a_sum():
    data = with_optimizer("net", {"gamma": 0.9})
    every = rows_of(data, **FEW)
    some = rows_of(data, **FEW, **{"every": 5})
    kept = np.isin(every["step"], some["step"])
    for name in ("path", "displacement", "tortuosity", "kinetic", "energy", "inertia", "push", "reinforced"):
        np.testing.assert_array_equal(some[name], every[name][kept], err_msg=name)
    blocks = np.searchsorted(some["step"], every["step"])  # the row that each update is told in
    for name in ("friction", "turning", "bend"):
        summed = np.bincount(blocks, every[name])
        np.testing.assert_allclose(some[name], summed, rtol=1e-12, atol=1e-13 * np.abs(every["energy"]).max())
    means = np.bincount(blocks[2:], every["sign_flips"][2:])[1:] / np.bincount(blocks[2:])[1:]
    np.testing.assert_allclose(some["sign_flips"][1:], means, **CLOSE)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("problem", ["rosenbrock", "line", "net"])
@pytest.mark.parametrize("every", [1, 7])
def test_the_balance_of_the_energy_closes_in_the_file(problem, dtype, every, tmp_path):
    data = with_optimizer(problem, {"gamma": 0.9})
    data = {**data, "train": {**data["train"], "dtype": dtype}, "record": {"every": every, "energy": True}}
    rows = momentumlab.run(data, runs=tmp_path).metrics
    change = np.diff(rows["energy"])
    balance = rows["bend"] - rows["friction"] - rows["turning"]
    # In float64 whatever the dtype of the training.
    np.testing.assert_allclose(change, balance[1:], rtol=0, atol=1e-12 * np.abs(rows["energy"]).max())


# ---- probes ----------------------------------------------------------------------------------------------------


def test_sharpness_of_the_toy_of_the_edge_is_the_reference():
    case = reference_case("eos-toy")
    setting = case["setting"]
    for row in case["expected"]["rows"]:
        data = {
            "objective": {"kind": "product", "start": [row["x"], row["y"]]},
            "optimizer": {"gamma": row["gamma"], "eta": setting["eta"]},
            "train": {"steps": 1},
        }
        rows = rows_of(data, sharpness=1)
        assert rows["sharpness"][0] == pytest.approx(row["sharpness"], rel=0, abs=case["tolerance"]["abs"])
        assert rows["stability"][0] == pytest.approx(rows["sharpness"][0] / row["threshold"], rel=1e-12)


@pytest.mark.parametrize(
    ("optimizer", "limit"),
    [
        ({"gamma": 0.9, "eta": 0.02}, 2 * 1.9 / 0.02),
        ({"kind": "sgd", "eta": 0.02}, 2 / 0.02),
        ({"kind": "nesterov", "gamma": 0.9, "eta": 0.02}, 3.8 / 2.8 / 0.02),
        ({"kind": "aggmo", "gammas": [0.0, 0.9], "eta": 0.02}, None),
        ({"kind": "lion", "gamma": 0.9, "eta": 0.02}, np.nan),
        ({"gamma": 0.9, "eta": 0.02, "form": "torch", "backend": "torch"}, 2 * 1.9 / 0.02),
        ({"kind": "Adam", "eta": 0.02}, np.nan),
    ],
)
def test_sharpness_of_a_quadratic_stands_against_the_limit_of_the_rule(optimizer, limit):
    rows = rows_of({**PROBLEMS["quadratic"], "optimizer": optimizer}, sharpness=10)
    taken = np.isin(rows["step"], [0, 10, 20, 25])
    assert np.isnan(rows["sharpness"][~taken]).all()
    assert np.isnan(rows["stability"][~taken]).all()
    assert (rows["sharpness"][taken] == 30).all()
    if limit is not None:
        np.testing.assert_allclose(rows["stability"][taken], 30 / limit, rtol=1e-12)
    else:
        assert (rows["stability"][taken] < 1).all()


def test_stability_follows_the_schedule_of_each_run():
    eta = {"schedule": "linear", "value": 0.1, "end": 0.01}
    experiment = load({**PROBLEMS["quadratic"], "optimizer": {"eta": eta}, "record": {**VECTORS, "sharpness": 5}})
    for group in groups(expand(experiment, gamma=[0, 0.5], eta=[0.1, 0.05])):
        for cells in group.chunks:
            recording = Recording()
            train_quietly(group, cells, recording)
            rows = joined(recording.blocks)
            taken = ~np.isnan(rows["sharpness"])
            assert taken.any()
            expected = 30 * rows["eta"] / (2 * (1 + rows["gamma"]))
            np.testing.assert_allclose(rows["stability"][taken], expected[taken], rtol=1e-12)


def test_sharpness_of_a_net_is_the_largest_eigenvalue_of_its_hessian():
    data = with_optimizer("net", {"gamma": 0.9})
    rows = rows_of(data, sharpness=6)
    model = build(load(data))
    theta, _, _ = vectors(rows)
    taken = np.flatnonzero(~np.isnan(rows["sharpness"]))
    assert rows["step"][taken].tolist() == [0, 6, 12, 18, 24]
    for row in taken:
        largest = np.linalg.eigvalsh(whole_hessian(model, theta[row]))[-1]
        assert rows["sharpness"][row] == pytest.approx(largest, rel=1e-3)  # to which Lanczos goes


def test_probes_are_taken_in_the_next_row_where_their_step_has_none():
    rows = rows_of(PROBLEMS["rosenbrock"], every=4, sharpness=6)
    assert rows["step"][~np.isnan(rows["sharpness"])].tolist() == [0, 8, 12, 20, 24, 25]


def test_where_a_run_ends_on_its_way_its_probes_and_those_of_others_stay_apart():
    data = {**PROBLEMS["rosenbrock"], "record": {**VECTORS, **FEW, "every": 3, "sharpness": 3}}
    experiment = load({**data, "train": {"steps": 30}})
    alone = rows_of({**data, "optimizer": {"gamma": 0.5, "eta": 0.0005}, "train": {"steps": 30}}, **data["record"])
    for group in groups(expand(experiment, gamma=[0.5], eta=[1.0, 0.0005])):
        for cells in group.chunks:
            recording = Recording()
            train_quietly(group, cells, recording)
            rows = joined(recording.blocks)
    ended, other = rows["run"] == 0, rows["run"] == 1
    assert rows["step"][ended].max() < 12
    assert_same_rows({name: values[other] for name, values in rows.items() if name != "run"}, without(alone, "run"))


def without(rows, *names):
    return {name: values for name, values in rows.items() if name not in names}


def test_the_noise_scale_is_on_average_that_of_the_samples():
    data = {
        "data": {"kind": "line", "samples": 40, "noise": 1.0},
        "model": {"kind": "linear", "start": [1.5, 0.5]},
        "train": {"steps": 1, "batch_size": 8, "dtype": "float64"},
    }
    seeds = 1000
    rows = rows_of(data, seeds=range(seeds), noise_scale=1)
    found = rows["noise_scale"][rows["step"] == 0]
    assert len(found) == seeds
    dataset = build(load(data)).dataset
    x, y = dataset.x[:, 0], dataset.y[:, 0]
    gradients = 2 * (1.5 * x + 0.5 - y)[:, None] * np.column_stack([x, np.ones(len(x))])
    whole = (gradients.mean(axis=0) ** 2).sum()
    trace = gradients.var(axis=0, ddof=1).sum()
    # The share is that of a noisy trace; the trace itself, which it gives back, is right on average.
    traces = found * whole / (1 + found / len(x))
    # Four standard errors of the mean of so many batches.
    assert traces.mean() == pytest.approx(trace, abs=4 * traces.std() / seeds**0.5)
    assert 4 * traces.std() / seeds**0.5 < 0.3 * trace  # so that the line above says something


def test_the_last_smaller_batch_counts_as_what_it_is():
    data = {
        "data": {"kind": "line", "samples": 10, "noise": 1.0},
        "model": {"kind": "linear", "start": [0.5, -0.5]},
        "train": {"steps": 3, "batch_size": 4, "dtype": "float64"},
        "optimizer": {"eta": 1e-12},
    }
    rows = rows_of(data, noise_scale=1)
    dataset = build(load(data)).dataset
    inputs = np.column_stack([dataset.x[:, 0], np.ones(10)])
    whole = 2 * ((inputs @ [0.5, -0.5] - dataset.y[:, 0])[:, None] * inputs).mean(axis=0)
    for row, batch in ((0, 4), (2, 2)):
        trace = (rows["gradient_norm"][row] ** 2 - whole @ whole) / (1 / batch - 1 / 10)
        assert rows["noise_scale"][row] == pytest.approx(trace / (whole @ whole - trace / 10), rel=1e-9)  # θ has moved


# ---- what they must not do -------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", [{}, {"backend": "torch", "form": "torch"}])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_no_other_column_changes_and_a_stack_is_its_runs(problem, backend):
    probes = {"sharpness": 9} | ({"noise_scale": 4} if problem == "net" else {})
    data = with_optimizer(problem, {"gamma": 0.9, **backend})
    data = {**data, "train": {**data["train"], "dtype": "float32"}}
    plain = rows_of(data, seeds=(0, 1, 2), every=3)
    watched = rows_of(data, seeds=(0, 1, 2), every=3, **FEW, **probes)
    assert_same_rows({name: watched[name] for name in plain}, plain)
    for seed in range(3):
        alone = rows_of({**data, "seed": seed}, every=3, **FEW, **probes)
        own = watched["run"] == seed
        assert_same_rows({name: values[own] for name, values in without(watched, "run").items()}, without(alone, "run"))


def test_what_is_off_leaves_no_trace():
    given = {**PROBLEMS["line"], "record": {"forces": False, "path": False, "energy": False}}
    assert load(given).resolved() == load(PROBLEMS["line"]).resolved()
    assert identity(single(load(given)), {}) == identity(single(load(PROBLEMS["line"])), {})
    assert identity(single(load({**given, "record": {"path": True}})), {}) != identity(single(load(given)), {})


def test_the_columns_stand_behind_eta_in_the_order_of_the_pages(tmp_path):
    data = {**PROBLEMS["net"], "record": {"vectors": True, "noise_scale": 1, **FEW, "sharpness": 5}}
    result = momentumlab.run(data, runs=tmp_path)
    header = (result.folder / "metrics.csv").read_text(encoding="utf-8").partition("\n")[0]
    assert header.partition("eta,")[2].startswith(
        "inertia,push,reinforced,cancelled,path,displacement,tortuosity,sign_flips,"
        "kinetic,energy,friction,turning,bend,sharpness,stability,noise_scale,train_loss,train_accuracy,theta_0,"
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {**BOOTH, "optimizer": {"kind": "ema"}, "record": {"forces": True}},
            "ema does otherwise: take sgd, momentum or",
        ),
        ({**BOOTH, "optimizer": {"kind": "nesterov"}, "record": {"energy": True}}, "nesterov does otherwise"),
        ({**BOOTH, "optimizer": {"clip": 1.0}, "record": {"energy": True}}, "which clip would change: leave it out"),
        ({**BOOTH, "optimizer": {"eta": STEP}, "record": {"energy": True}}, "give eta as numbers"),
        ({**BOOTH, "record": {"noise_scale": 1}}, "an objective has neither"),
        ({**PROBLEMS["line"], "record": {"noise_scale": 1}}, "give a train.batch_size"),
        ({**BOOTH, "record": {"sharpness": 0}}, "record.sharpness: got 0"),
        ({**BOOTH, "record": {"path": 1}}, "must be true or false"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_words(data, message):
    with pytest.raises(ConfigError, match=message):
        load(data)


def test_a_batch_of_all_samples_has_no_noise_scale():
    with pytest.raises(ConfigError, match="here a batch has them all"):
        rows_of({**PROBLEMS["line"], "train": {"epochs": 3, "batch_size": 20}}, noise_scale=1)


def test_forces_have_no_loss_to_look_at():
    pushes = {"objective": {"kind": "forces", "pushes": [[1.0], [-1.0]]}}
    for more in ({"record": {"energy": True}}, {"record": {"sharpness": 1}}, {"train": {"target": 1}}):
        with pytest.raises(ConfigError, match="forces have none"):
            load(pushes | more)
    assert rows_of(pushes | {"train": {"steps": 3}}, forces=True)["cancelled"][1] == 1


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ({}, "Ahead"),
        *(({name: 5 if name in ("sharpness", "noise_scale") else True}, "RuleStack") for name in OPTIONAL_METRICS),
    ],
)
def test_on_an_accelerator_only_stacks_that_nobody_watches_run_ahead(asked, kind, monkeypatch):
    monkeypatch.setattr("momentumlab.engine.plan.on_accelerator", lambda arrays: True)
    (group,) = groups(single(load({**PROBLEMS["net"], "record": asked})))
    assert type(group.stack(group.cells)).__name__ == kind
