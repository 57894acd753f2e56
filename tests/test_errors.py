"""Errors: one root, exit codes as the commands promise them, and every problem in the message."""

import pickle

import pytest

from momentumlab import errors
from momentumlab.errors import ConfigError, DataError, MomentumLabError, ResultError

ALL = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]


@pytest.mark.parametrize("error", ALL)
def test_every_error_is_caught_by_the_root(error: type[Exception]) -> None:
    assert issubclass(error, MomentumLabError)


@pytest.mark.parametrize(("error", "code"), [(MomentumLabError, 1), (ConfigError, 2), (DataError, 2), (ResultError, 1)])
def test_an_error_has_the_exit_code_of_the_contract(error: type[MomentumLabError], code: int) -> None:
    assert error("why").exit_code == code


@pytest.mark.parametrize("error", ALL)
def test_an_error_says_what_it_was_given(error: type[Exception]) -> None:
    assert str(error("linreg.yaml:3:5: seed: got 'x'.")) == "linreg.yaml:3:5: seed: got 'x'."


@pytest.mark.parametrize("error", [ConfigError, DataError])
def test_a_config_error_tells_every_problem_on_a_line_of_its_own(error: type[ConfigError]) -> None:
    caught = error(["first", "second", "third"])

    assert caught.problems == ("first", "second", "third")
    assert str(caught).splitlines() == ["first", "second", "third"]


def test_one_problem_is_not_taken_for_its_letters() -> None:
    assert ConfigError("one problem").problems == ("one problem",)


def test_problems_may_come_from_a_list_that_changes_later() -> None:
    problems = ["first"]
    caught = ConfigError(problems)
    problems.append("second")

    assert caught.problems == ("first",)


@pytest.mark.parametrize("error", [ConfigError(["first", "second"]), DataError("why"), ResultError("why")])
def test_an_error_survives_the_way_between_processes(error: MomentumLabError) -> None:
    back = pickle.loads(pickle.dumps(error))

    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back) == vars(error)
