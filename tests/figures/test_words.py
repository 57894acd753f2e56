"""Titles and notes."""

from momentumlab.experiment import load, shipped
from momentumlab.figures import draw
from tests.figures.simulated import cells, line_result, objective_result
from tests.figures.test_curves import head


def test_a_shipped_experiment_is_titled_by_its_question() -> None:
    result = objective_result(load("rosenbrock").resolved()["objective"], cells(etas=(2e-4,)), 20, name="rosenbrock")

    figure = draw([result], "curves")

    assert figure.texts[0].get_text().replace("\n", " ") == shipped.question("rosenbrock")
    assert "Rosenbrock · momentum, classical form · γ = 0.9" in head(figure)


def test_another_problem_under_a_shipped_name_is_titled_by_itself() -> None:
    figure = draw([objective_result({"kind": "booth"}, cells(), 20, name="rosenbrock")], "curves")

    assert figure.texts[0].get_text() == "rosenbrock: Booth"


def test_a_name_that_the_problem_says_is_not_said_twice() -> None:
    assert draw([objective_result({"kind": "booth"}, cells(), 5)], "curves").texts[0].get_text() == "Booth"


def test_several_experiments_are_listed() -> None:
    results = [line_result(cells((gamma,)), 5, name=name) for gamma, name in ((0.0, "plain"), (0.9, "heavy"))]

    assert draw(results, "curves").texts[0].get_text().startswith("plain and heavy: ")


def test_a_given_title_is_used() -> None:
    assert draw([line_result(cells(), 5)], "curves", title="Mine").texts[0].get_text() == "Mine"
