"""Runs with their settings, and families of runs."""

import numpy as np

from momentumlab.figures.looks import Scale, bar_key, leading_key, looks
from momentumlab.figures.traces import Trace, differing, families, gamma_leads, settings, traces
from tests.figures.simulated import cells, line_result

SCHEDULE = {"schedule": "step", "value": 0.01, "factor": 0.1, "at": [3, 9]}


def test_a_run_is_told_its_own_settings_over_those_of_the_experiment() -> None:
    first, second = traces([line_result(cells((0.0, 0.9), (0.02,), train__batch_size=("32",)), 5)])

    assert (first.settings["gamma"], second.settings["gamma"]) == (0.0, 0.9)
    assert first.settings["eta"] == 0.02
    assert first.settings["train.batch_size"] == 32  # a number, though a table of words held it


def test_rows_of_runs_that_are_interleaved_are_taken_apart() -> None:
    result = line_result(cells((0.0, 0.9)), 5)

    for trace in traces([result]):
        assert np.array_equal(trace.column("loss"), result.rows(trace.run)["loss"])
        assert trace.last_step == 5


def test_the_same_training_comes_once() -> None:
    one, two = line_result(cells((0.0, 0.9)), 5, folder="a"), line_result(cells((0.9,)), 5, folder="b")

    assert [trace.origin for trace in traces([two, one])] == ["b", "a"]


def test_name_recording_device_and_threads_do_not_make_another_training() -> None:
    result = line_result(cells(), 5)
    plain = settings(result.experiment)

    experiment = result.experiment | {"name": "x", "record": {"every": 7}, "sweep": {"gamma": [0]}}
    experiment["train"] = experiment["train"] | {"device": "cuda", "threads": 8}

    assert settings(experiment) == plain


def test_a_schedule_is_a_setting_in_words() -> None:
    constant = line_result(cells(), 5, folder="a")
    scheduled = line_result(cells(), 5, folder="b", optimizer={"gamma": 0.9, "eta": SCHEDULE})

    keys, groups = families(traces([constant, scheduled]))

    assert keys == ["eta schedule"]
    assert [family.label for family in groups] == ["η constant", "η ×0.1 after update 3, 9"]


def test_what_differs_comes_in_the_order_of_rule_gamma_eta() -> None:
    made = [
        {"eta": 0.1, "gamma": 0.9, "seed": 0, "optimizer.kind": "nesterov", "train.batch_size": 8},
        {"eta": 0.2, "gamma": 0.5, "seed": 1, "optimizer.kind": "momentum", "train.batch_size": 4},
    ]

    assert differing(traces([line_result(made, 5)])) == ["rule", "gamma", "eta", "train.batch_size"]


def test_families_hold_the_seeds_and_are_ordered() -> None:
    keys, groups = families(traces([line_result(cells((0.9, 0.0), seeds=(0, 1, 2)), 5)]))

    assert keys == ["gamma"]
    assert [(family.label, len(family.traces)) for family in groups] == [("γ = 0", 3), ("γ = 0.9", 3)]


def test_seeds_are_named_where_they_tell_single_runs_apart() -> None:
    made = [{"gamma": 0.0, "eta": 0.1, "seed": 1}, {"gamma": 0.9, "eta": 0.1, "seed": 2}]

    _, groups = families(traces([line_result(made, 5)]))

    assert [family.label for family in groups] == ["γ = 0, seed = 1", "γ = 0.9, seed = 2"]


def test_labels_have_as_many_digits_as_it_takes() -> None:
    _, groups = families(traces([line_result(cells((0.99991, 0.99992)), 2)]))

    assert [family.label for family in groups] == ["γ = 0.99991", "γ = 0.99992"]


def test_two_settings_share_colour_and_dash_between_them() -> None:
    keys, groups = families(traces([line_result(cells((0.0, 0.9), (0.01, 0.02)), 2)]))

    drawn = looks(keys, groups)

    assert leading_key(keys, groups) == "gamma"
    assert drawn[0].colour == drawn[1].colour != drawn[2].colour
    assert drawn[0].dash == drawn[2].dash != drawn[1].dash


def test_a_colour_bar_speaks_for_the_setting_with_most_values() -> None:
    keys, groups = families(traces([line_result(cells((0.0, 0.9), (0.01, 0.02, 0.03)), 2)]))

    assert bar_key(keys, groups) == "eta"


def test_the_values_of_a_colour_bar_do_not_touch() -> None:
    scale = Scale("gamma", (1 - np.geomspace(1, 1e-3, 200)).tolist())

    kept = scale._apart()

    gaps = np.diff([scale.position(value) for value in kept])
    assert gaps.min() >= 1 / 12 - 1e-9
    assert kept[0] == 0.0


def minibatches(losses, steps_per_epoch, status="finished"):
    """A run that recorded every minibatch."""
    steps = np.arange(len(losses))
    columns = {"step": steps, "epoch": steps / steps_per_epoch, "loss": np.array(losses, float)}
    return Trace("made up", 0, {"train.batch_size": 10}, status, columns, steps)


def test_of_the_losses_of_minibatches_the_mean_of_each_epoch_is_drawn():
    # Two epochs of five, and the batch that would come next.
    x, y = minibatches([5, 4, 3, 2, 1, 3, 3, 3, 3, 8, 100], 5).course("step", "loss")
    assert (x.tolist(), y.tolist()) == ([2, 7], [3, 4])


def test_where_a_run_broke_off_its_last_loss_is_drawn_too():
    x, y = minibatches([5, 4, 3, 2, 1, 30, 1e9], 5, "diverged").course("step", "loss")
    assert (x[-1], y[-1]) == (6, 1e9)
    assert (x[0], y[0]) == (2, 3)


def test_with_few_rows_in_an_epoch_every_loss_is_drawn():
    x, y = minibatches([5, 4, 3, 2, 1, 0], 2).course("step", "loss")
    assert y.tolist() == [5, 4, 3, 2, 1, 0]
    assert x.tolist() == [0, 1, 2, 3, 4, 5]


def test_rules_lead_a_legend_where_each_has_its_own_gamma_and_gamma_where_it_varies_more():
    rules = [{"rule": "sgd", "gamma": 0.0}, {"rule": "momentum", "gamma": 0.9}, {"rule": "lion", "gamma": 0.99}]
    assert not gamma_leads(rules)
    assert not gamma_leads([*rules, {"rule": "aggmo", "gamma": None}])
    assert gamma_leads([{"rule": rule, "gamma": gamma} for rule in ("momentum", "nesterov") for gamma in (0.5, 0.9)])
