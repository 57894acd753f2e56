"""What the tests of faults share."""

import functools

import pytest

from momentumlab.problems.formulas import ObjectiveProblem
from momentumlab.problems.models import ModelProblem
from momentumlab.results import manifest, writer
from tests.faults.training import Pace


@pytest.fixture
def small_steps(monkeypatch):
    """Two runs a chunk, a checkpoint every third step, and a manifest that is written quickly."""
    monkeypatch.setattr(writer, "Pace", Pace)
    monkeypatch.setattr(manifest, "_git_state", lambda: None)
    monkeypatch.setattr(manifest, "_libraries", functools.cache(manifest._libraries))
    for problem in (ModelProblem, ObjectiveProblem):
        made = problem.__init__

        def begun(self, *arguments, made=made):
            made(self, *arguments)
            self.stack_limit = 2

        monkeypatch.setattr(problem, "__init__", begun)
