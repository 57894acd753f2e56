"""A stack that runs ahead is the stack: the loop sees the same, and only the norms are summed in another order."""

import contextlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from momentumlab.arrays import TorchArrays
from momentumlab.engine import ahead as module
from momentumlab.engine.ahead import Ahead
from momentumlab.engine.loop import train
from momentumlab.engine.measure import norms_and_cosine
from momentumlab.engine.plan import groups
from momentumlab.engine.stack import RuleStack
from momentumlab.experiment import expand, load
from momentumlab.optimizers.updates import update_of
from momentumlab.problems.models import Batch, ModelProblem
from tests.engine.recording import Recording
from tests.engine.test_rules_in_stacks import FAR, RUNS

# Three epochs of four batches, the last of them smaller; all data is evaluated after each.
MOONS = {"data": {"kind": "moons", "samples": 30, "test": 0.2}, "train": {"epochs": 3, "batch_size": 7}}
PROBLEMS = {
    "linear": {"data": {"kind": "line", "samples": 20}, "model": {"kind": "linear"}, "train": {"epochs": 7}},
    "softmax": {**MOONS, "model": {"kind": "softmax"}},
    "mlp": {**MOONS, "model": {"kind": "mlp", "hidden": [3]}},
}
# Both are divided by the largest number before they are squared, or not: some roundings of float64 and float32.
TOLERANCE = {"float64": {"rtol": 1e-13, "atol": 1e-13}, "float32": {"rtol": 2e-6, "atol": 2e-6}}
NORMS = ("gradient_norm", "velocity_norm", "cosine")


@pytest.fixture(autouse=True)
def _models_as_on_a_device(monkeypatch):
    """Linear models too, which the processor trains on numpy."""
    monkeypatch.setattr("momentumlab.problems.least_squares.few_parameters", lambda *_: False)


def trained(problem, vary, most=None, stop_at=None, **changes):
    """Every group of a sweep in the plain loop, or ahead of it: its rows, outcomes by run, and how far ticks told."""
    experiment = load({**PROBLEMS[problem], **changes})
    rows, outcomes, ticks = [], {}, []

    def tick(updates):
        ticks.append(updates)
        if len(ticks) == stop_at:
            raise KeyboardInterrupt

    for group in groups(expand(experiment, vary=vary)):
        assert isinstance(group.problem, ModelProblem)
        for cells in group.chunks:
            stack = group.stack(cells)
            stack = stack if most is None else Ahead(stack, group.plan, most)
            with contextlib.suppress(KeyboardInterrupt):
                train(stack, group.problem, group.plan, Recording(rows.append), tick, outcomes)
    return together(rows), outcomes, ticks


def together(blocks):
    names = dict.fromkeys(name for block in blocks for name in block)
    return {
        name: np.concatenate([block.get(name, np.full(len(block["run"]), np.nan)) for block in blocks])
        for name in names
    }


def assert_same(found, expected, dtype):
    (rows, outcomes, ticks), (expected_rows, expected_outcomes, expected_ticks) = found, expected
    assert list(rows) == list(expected_rows)
    for name, values in expected_rows.items():
        assert rows[name].dtype == values.dtype
        tolerance = TOLERANCE[dtype] if name in NORMS else {"rtol": 0}
        np.testing.assert_allclose(rows[name], values, **tolerance, err_msg=name)
    assert ticks == expected_ticks
    assert list(outcomes) == list(expected_outcomes)
    for run, outcome in expected_outcomes.items():
        one, other = vars(outcomes[run]) | {"theta": None}, vars(outcome) | {"theta": None}
        np.testing.assert_equal(one, other)
        np.testing.assert_array_equal(outcomes[run].theta, outcome.theta)


def sections(row):
    one, changes = RUNS[row]
    return [one, one | changes, one | FAR, one | changes | {"eta": 1e3}]


def all_of(problem, dtype, **more):
    """Every rule and option, each with runs that diverge at once and later, every vector recorded."""
    return {
        "vary": {"optimizer": [section for row in RUNS for section in sections(row)]},
        "train": {**PROBLEMS[problem]["train"], "dtype": dtype},
        "record": {"every": 1, "vectors": True},
        **more,
    }


@pytest.mark.parametrize(("problem", "most"), [("linear", 1000), ("softmax", 1), ("mlp", 3), ("mlp", 1000)])
def test_every_rule_and_option_gives_the_rows_and_outcomes_of_the_plain_loop(problem, most):
    dtype = "float32" if most == 3 else "float64"
    given = all_of(problem, dtype)
    expected = trained(problem, **given)
    statuses = {outcome.status for outcome in expected[1].values()}
    assert statuses == {"finished", "diverged"}
    assert_same(trained(problem, most=most, **given), expected, dtype)


# Runs of a growing η diverge one after another; of those alone no θ is recorded.
ETAS = [0.1, 10.0, 0.2, 40.0, 0.3, 300.0, 0.4, 1e4, 1e12]


@pytest.mark.parametrize("evaluate", [True, False])
@pytest.mark.parametrize("every", [1, 5])
@pytest.mark.parametrize("most", [4, 1000])
def test_runs_that_diverge_leave_with_their_theta_and_the_others_do_not_notice(most, every, evaluate):
    given = {
        "vary": {"optimizer.eta": ETAS, "seed": [0, 1, 2]},
        "model": {"kind": "linear"},
        "data": {"kind": "line", "samples": 30},
        "train": {"epochs": 8, "batch_size": 7, "dtype": "float64"},
        "record": {"every": every, "vectors": False, "evaluate": 3 if evaluate else False},
    }
    expected = trained("mlp", **given)
    ended = {outcome.steps for outcome in expected[1].values()}
    assert len(ended) > 5
    assert any(0 < step % 4 < 3 for step in ended)  # in the middle of a block
    assert_same(trained("mlp", most=most, **given), expected, "float64")


@pytest.mark.parametrize("most", [5, 1000])
def test_training_that_is_stopped_has_come_as_far(most):
    given = {"vary": {"optimizer.eta": [0.1, 1e4]}, "record": {"every": 1, "vectors": False, "evaluate": False}}
    expected = trained("mlp", stop_at=7, **given)
    assert {outcome.status for outcome in expected[1].values()} >= {"interrupted"}
    assert_same(trained("mlp", most=most, stop_at=7, **given), expected, "float32")


def test_no_step_is_run_ahead_that_the_loop_will_not_ask_for(monkeypatch):
    asked = []
    run = module.Steps.run
    monkeypatch.setattr(module.Steps, "run", lambda steps, block: [asked.extend(block), run(steps, block)])
    trained("mlp", vary={"optimizer.eta": [0.1]}, most=5, record={"evaluate": 2})
    # 4 batches an epoch: evaluated at 0, 8 and 12, where the stack itself is looked at
    assert asked == [1, 2, 3, 4, 5, 6, 7, 9, 10, 11]


def test_blocks_of_wide_notes_are_shorter(monkeypatch):
    monkeypatch.setattr(module, "_NOTES_BYTES", 1000)
    lengths = []
    run = module.Steps.run
    monkeypatch.setattr(module.Steps, "run", lambda steps, block: [lengths.append(len(block)), run(steps, block)])
    given = {"vary": {"optimizer.eta": [0.1, 0.2]}, "record": {"vectors": True, "evaluate": False}}
    expected = trained("softmax", **given)
    # 5 + 3·6 notes of two runs in float32
    assert_same(trained("softmax", most=1000, **given), expected, "float32")
    assert lengths == [1000 // (23 * 2 * 4)] * 2 + [1]


class Recorder(TorchDispatchMode):
    """What a CUDA graph does, on the processor: every kernel is repeated on the memory it had, without Python."""

    def __init__(self):
        super().__init__()
        self.kernels = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        returned = function(*args, **(kwargs or {}))
        self.kernels.append((function, args, kwargs or {}, returned))
        return returned

    def replay(self):
        for function, args, kwargs, returned in self.kernels:
            kinds = [one.alias_info for one in function._schema.returns]
            if any(kind is not None and not kind.is_write for kind in kinds):
                continue  # a view
            again = function(*args, **kwargs)
            for kept, now in zip(*([one] if torch.is_tensor(one) else one for one in (returned, again)), strict=True):
                if kept is not now:
                    kept.copy_(now)


@pytest.fixture
def record(monkeypatch):
    """Every step is launched as a recording of the first of its batch size; gives the recordings."""
    recorders = []

    def recorded(launch):
        with Recorder() as launch._graph:  # which on the processor makes the step, too
            launch._step(launch._shown)
        recorders.append(launch._graph)

    monkeypatch.setattr(module._Launch, "_launch_beside", recorded)
    monkeypatch.setattr(module._Launch, "_recordable", property(lambda launch: True, lambda *_: None), raising=False)
    # numpy is no kernel of a graph
    monkeypatch.setattr(TorchArrays, "dot", lambda arrays, one, other: torch.linalg.vecdot(one, other))
    return recorders


def test_a_recorded_step_can_be_repeated_without_python(record):
    given = all_of("mlp", "float64")
    expected = trained("mlp", **given)
    assert_same(trained("mlp", most=1000, **given), expected, "float64")
    assert len(record) < len(expected[0]["run"]) / 5


def test_where_nothing_can_be_recorded_steps_are_launched_one_by_one(monkeypatch):
    monkeypatch.setattr(module, "_WARM_UP", 0)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", fails)
    launched = []
    x = torch.zeros(2, 3, 1)
    launch = module._Launch(lambda shown: launched.append(shown.x), Batch.of(x, x), recordable=True)
    for number in range(3):
        launch(Batch.of(x + number, x))
    assert [shown.sum().item() for shown in launched] == [12, 12, 12]  # the same place


def fails():
    raise RuntimeError("operation not permitted when stream is capturing")


@pytest.mark.parametrize("row", RUNS)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_no_number_of_the_device_is_asked_for(problem, row):
    # The device `meta` has none, and refuses tensors of the processor as a GPU does.
    experiment = load(PROBLEMS[problem])
    plan = groups(expand(experiment, vary={"optimizer": sections(row), "seed": [0, 1]}))
    settings = SimpleNamespace(**experiment.train.model_dump() | {"device": "meta"})
    for group in plan:
        model = ModelProblem(experiment.model, experiment.loss, group.problem.dataset, settings)
        assert isinstance(replace(group, problem=model).stack(group.cells), Ahead)
        assert model.stack_limit == 4096  # a small model's memory is not the limit
        stack = RuleStack(model, group.cells, update_of(group.experiment.optimizer), group.plan.steps)
        model.evaluate(stack.look(0).theta)
        stack.advance()
        for first in (1, 9):
            module.Steps(stack, np.ones(len(stack.runs)), True, 64).run(range(first, first + 7))
            stack.look(first + 7)
            stack.advance()
            stack.keep(np.arange(2))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_norms_and_cosine_neither_overflow_nor_vanish(dtype):
    limits = np.finfo(dtype)
    arrays = TorchArrays(dtype)
    sizes = [limits.tiny, limits.tiny**0.5, 1.0, limits.max**0.5, limits.max / 8, 0.0, np.inf, np.nan]
    one = arrays.array([[3 * size, 4 * size, 0] for size in sizes for _ in sizes])
    other = arrays.array([[4 * size, 3 * size, -size] for _ in sizes for size in sizes])
    with np.errstate(all="ignore"):
        expected = norms_and_cosine(one.numpy(), other.numpy())
    for found, numbers in zip(module._norms_and_cosine(one, other), expected, strict=True):
        np.testing.assert_allclose(found, numbers, rtol=4 * limits.eps, atol=4 * limits.eps)


# ---- on a GPU --------------------------------------------------------------------------------------------------------


def stable(problem, **train):
    """Every rule and option in runs that do not diverge, in float64, long enough for graphs of both batch sizes."""
    sweep = {"optimizer": [section for row in RUNS for section in sections(row)[:2]]}
    given = all_of(problem, "float64", vary=sweep, record={"every": 1, "vectors": True, "evaluate": 6})
    return given | {"train": given["train"] | {"epochs": 8, **train}}


def assert_close(found, expected):
    (rows, outcomes, _), (expected_rows, expected_outcomes, _) = found, expected
    assert [one.status for one in outcomes.values()] == [one.status for one in expected_outcomes.values()]
    for name, values in expected_rows.items():
        # float64, some dozen updates, products and sums in another order
        np.testing.assert_allclose(rows[name], values, rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.gpu
@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_gpu_gives_the_numbers_of_the_processor(problem):
    assert_close(trained(problem, **stable(problem, device="cuda")), trained(problem, **stable(problem)))


@pytest.mark.gpu
def test_a_graph_gives_the_numbers_of_single_launches(monkeypatch):
    given = stable("mlp", device="cuda")
    graphs = []
    record = module._Launch._record
    monkeypatch.setattr(module._Launch, "_record", lambda launch: [record(launch), graphs.append(launch._graph)])
    recorded = trained("mlp", **given)
    assert graphs
    assert all(graph is not None for graph in graphs)
    monkeypatch.setattr(module, "_WARM_UP", -1)
    assert_close(trained("mlp", **given), recorded)


@pytest.mark.gpu
@pytest.mark.parametrize("eta", [0.1, {"schedule": "cosine", "value": 0.1}])
def test_nothing_waits_for_the_gpu_but_the_notes_of_a_block(eta):
    experiment = load({
        **PROBLEMS["mlp"],
        "train": {"epochs": 20, "batch_size": 7, "device": "cuda"},
        "record": {"evaluate": False},
    })  # fmt: skip
    [group] = groups(expand(experiment, vary={"optimizer": [{"eta": eta}], "seed": [0, 1]}))
    stack = group.stack(group.cells)
    stack.look(0)
    stack.advance()
    stack.look(1)  # everything is recorded in the first block
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        stack._steps.run(range(65, 79))
    finally:
        torch.cuda.set_sync_debug_mode(before)
    assert np.isfinite(stack._steps.notes(14)).all()
