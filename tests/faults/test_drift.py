"""What decides the last bits has changed since a result was begun: it is gone on with only if that is allowed."""

import json
import signal

import numpy as np
import pytest

from momentumlab.engine.stack import RuleStack
from momentumlab.problems.least_squares import LeastSquares
from momentumlab.results import manifest
from momentumlab.results.checkpoint import read_checkpoint, write_checkpoint
from tests.faults.copies import FILES

COMMAND = ("sweep", "linreg", "--set", "train.epochs=20", "--seed", "0..3", "--no-plot")


@pytest.fixture
def unfinished(type_in, tmp_path, monkeypatch):
    """A result that was stopped in its second chunk; its folder."""
    advance, updates = RuleStack.advance, []

    def stopped(self):
        updates.append(0)
        if len(updates) == 30:
            signal.raise_signal(signal.SIGTERM)
        advance(self)

    monkeypatch.setattr(LeastSquares, "stack_limit", 2)
    with monkeypatch.context() as patch:
        patch.setattr(RuleStack, "advance", stopped)
        assert type_in(*COMMAND)[0] == 143
    [folder] = (tmp_path / "runs").iterdir()
    return folder


def contents(folder):
    return {
        path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir() if path.name != ".lock"
    }


def version_of(name, number):
    return lambda patch: patch.setattr(manifest, "version", lambda asked: number if asked == name else version(asked))


version = manifest.version
CHANGES = {
    "threads": (lambda patch: None, ("--set", "train.threads=2"), [1, 2]),
    "torch": (version_of("torch", "9.9"), (), [version("torch"), "9.9"]),
    "numpy": (version_of("numpy", "9.9"), (), [version("numpy"), "9.9"]),
    "model": (
        lambda patch: patch.setattr(manifest, "_processor_model", lambda: "Abacus 2"),
        (),
        [manifest._processor_model(), "Abacus 2"],
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_other_circumstances_are_refused_unless_they_are_allowed(name, type_in, unfinished, monkeypatch):
    change, options, [before, now] = CHANGES[name]
    was = contents(unfinished)
    change(monkeypatch)
    code, _, words = type_in(*COMMAND, *options)
    assert code == 2
    assert "--allow-drift" in words
    assert "--fresh" in words
    assert name in words
    assert str(now) in words
    assert contents(unfinished) == was
    code, _, words = type_in(*COMMAND, *options, "--allow-drift")
    assert code == 0, words
    assert "going on with" in words
    said = json.loads((unfinished / "manifest.json").read_text())
    assert said["drift"] == [{name: [before, now]}]
    assert said["state"] == "finished"


def test_the_same_circumstances_leave_no_trace(type_in, unfinished):
    assert type_in(*COMMAND, "--allow-drift")[0] == 0
    assert "drift" not in json.loads((unfinished / "manifest.json").read_text())


def test_a_state_of_another_device_is_not_gone_on_with(type_in, unfinished):
    # Its chunks may be others: how many of them were done says nothing.
    state = read_checkpoint(unfinished / "checkpoint")
    state["identity"] = np.array(str(state["identity"]).replace("cpu", "cuda"))
    for _ in range(2):  # the predecessor too
        write_checkpoint(unfinished / "checkpoint", state)
    said = json.loads((unfinished / "manifest.json").read_text())
    (unfinished / "manifest.json").write_text(json.dumps(said | {"device": "cuda"}))
    code, _, words = type_in(*COMMAND)
    assert (code, "device 'cuda', now 'cpu'" in words) == (2, True), words
    code, _, words = type_in(*COMMAND, "--allow-drift")
    assert code == 0
    assert "the training begins anew" in words
    assert "going on with" not in words


@pytest.mark.parametrize("name", CHANGES)
def test_a_finished_result_is_found_whatever_has_changed(name, type_in, unfinished, monkeypatch):
    assert type_in(*COMMAND)[0] == 0
    was = [(unfinished / file).read_bytes() for file in FILES]
    change, options, _ = CHANGES[name]
    change(monkeypatch)
    code, _, words = type_in(*COMMAND, *options)
    assert (code, "already finished" in words) == (0, True)
    assert [(unfinished / file).read_bytes() for file in FILES] == was
