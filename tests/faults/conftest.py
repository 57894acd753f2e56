"""What the tests of faults share."""

import functools
import gc
import os

import pytest

from momentumlab.problems.formulas import ObjectiveProblem
from momentumlab.problems.models import ModelProblem
from momentumlab.results import manifest, writer
from tests.faults.training import Pace


@pytest.fixture
def small_steps(monkeypatch):
    """Two runs a chunk, a checkpoint at every other chance, and a manifest that is written quickly."""
    monkeypatch.setattr(writer, "Pace", Pace)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # a process that dies loses nothing that was written
    monkeypatch.setattr(manifest, "_git_state", lambda: None)
    monkeypatch.setattr(manifest, "_libraries", functools.cache(manifest._libraries))
    for problem in (ModelProblem, ObjectiveProblem):
        made = problem.__init__

        def begun(self, *arguments, made=made):
            made(self, *arguments)
            self.stack_limit = 2

        monkeypatch.setattr(problem, "__init__", begun)
    gc.freeze()  # what is there is not searched for garbage in thousands of trials, and in copies not copied for it
    yield
    gc.unfreeze()
