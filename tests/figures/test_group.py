"""Which results share the axes."""

import dataclasses

from momentumlab.figures import by_problem
from tests.figures.simulated import cells, line_result, objective_result


def test_results_of_one_problem_are_one_group_whatever_the_optimizer() -> None:
    mine = line_result(cells(), folder="a")
    other = line_result(
        cells((0.5,), (0.1,)), folder="b", optimizer={"kind": "nesterov", "form": "torch"}, name="other"
    )

    assert by_problem([mine, other]).groups == [[mine, other]]


def test_other_data_another_objective_or_other_lengths_make_groups_of_their_own() -> None:
    short, long = line_result(cells(), 5, folder="a"), line_result(cells(), 6, folder="b")
    one = objective_result({"kind": "booth"}, cells(), 5)
    two = objective_result({"kind": "himmelblau"}, cells(), 5)

    assert by_problem([short, long, one, two]).groups == [[short], [long], [one], [two]]


def test_the_same_training_is_drawn_once_and_said() -> None:
    first, again = line_result(cells(), folder="a"), line_result(cells(), folder="a-2")

    groups, notes = by_problem([first, again])

    assert groups == [[first]]
    assert notes == ["a-2: the same training as a, drawn once"]


def test_of_the_same_training_the_finished_one_stays() -> None:
    begun, done = line_result(cells(), folder="a", state="running"), line_result(cells(), folder="b")

    assert by_problem([begun, done]).groups == [[done]]


def test_runs_that_are_also_elsewhere_are_counted() -> None:
    one, many = line_result(cells((0.9,)), folder="a"), line_result(cells((0.0, 0.9)), folder="b")

    groups, notes = by_problem([one, many])

    assert groups == [[one, many]]
    assert notes == ["b: 1 run of 2 also in a, drawn once"]


def test_another_version_is_another_training() -> None:
    first, second = line_result(cells(), folder="a"), line_result(cells(), folder="b")
    first.manifest["version"], second.manifest["version"] = "0.1", "0.2"

    assert by_problem([first, second]).groups == [[first, second]]


def test_a_data_file_counts_by_what_stands_in_it() -> None:
    def with_file(folder: str, path: str, checksum: str):  # type: ignore[no-untyped-def]
        result = line_result(cells(), 5, folder=folder)
        result.experiment["data"] = {"kind": "csv", "path": path}
        return dataclasses.replace(result, manifest={"state": "finished", "data": {path: checksum}})

    here, moved, edited = with_file("a", "/x.csv", "1"), with_file("b", "/y.csv", "1"), with_file("c", "/x.csv", "2")

    groups, notes = by_problem([here, moved, edited])

    assert groups == [[here], [edited]]
    assert notes == ["b: the same training as a, drawn once"]


def test_a_result_without_rows_is_left_out_and_said() -> None:
    result = line_result(cells(), folder="a", state="running")
    empty = dataclasses.replace(result, metrics={key: values[:0] for key, values in result.metrics.items()})

    assert by_problem([empty]) == ([], ["a: no step recorded yet, left out"])


def test_a_swept_batch_size_does_not_part_a_result_from_itself() -> None:
    swept = line_result(cells(train__batch_size=(8, 16)), 5, folder="a")
    full = line_result(cells(), 5, folder="b")

    assert by_problem([swept, full]).groups == [[swept], [full]]
