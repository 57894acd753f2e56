"""Killed at any moment and asked again, a training gives the bytes of one that nothing had stopped."""

import json
import subprocess
import sys

import pytest

import momentumlab
from momentumlab.engine import loop
from momentumlab.engine.plan import Group
from momentumlab.engine.stack import RuleStack
from momentumlab.problems import formulas
from momentumlab.results.writer import Pace, ResultWriter
from tests.conftest import REPOSITORY
from tests.faults.copies import FILES, FORMULA, resumed

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="copies of a process, by fork")
SEED = 20261122


def killed(folder, cases, victims="parents"):
    """What happened to these cases, told by a process of their own."""
    command = [sys.executable, "-m", "tests.faults.copies", str(SEED), str(folder), victims, *cases]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "cases",
    [
        ("net, run", "net, sweep", "net, sweep / workers", "formula, run", "formula, sweep / workers"),
        ("net, torch, run", "net, torch, sweep", "formula, torch, run", "formula, torch, sweep / workers"),
    ],
    ids=["scratch", "torch"],
)
def test_after_any_kills_the_bytes_are_those_of_an_undisturbed_training(cases, tmp_path):
    for case, happened in killed(tmp_path, cases).items():
        assert happened["code"] == 0, (case, happened)
        assert happened["differ"] == [], (case, happened)
        assert happened["kills"] > 0, (case, happened)
        assert resumed(happened["log"]), (case, happened)
        # What cannot be gone on with is trained anew, which would hide that a state was no good.
        assert not any(line.startswith(("alone", "abandoned")) for line in happened["log"]), (case, happened)


def test_where_a_worker_is_killed_all_runs_come_to_the_same_end(tmp_path):
    for case, happened in killed(tmp_path, ["formula, sweep / workers"], "workers").items():
        assert (happened["code"], happened["differ"]) == (0, []), (case, happened)
        assert happened["kills"] > 0, (case, happened)


def test_what_was_gone_on_with_is_gone_on_with_again(tmp_path, monkeypatch):
    experiment = FORMULA | {"train": {"steps": 60}}
    monkeypatch.setattr(formulas, "_stack_limit", lambda dimension: 2)
    monkeypatch.setattr(Pace, "SECONDS", 0)
    monkeypatch.setattr(Pace, "TIMES", 0)

    def swept(name):
        return momentumlab.sweep(experiment, seed=list(range(6)), runs=tmp_path / name).folder

    expected = swept("expected")
    stack, advance = Group.stack, RuleStack.advance

    def stopped_at(place):
        made = []

        def happens(kind, function):
            def disturbed(*arguments):
                made.append(kind)
                if (kind, made.count(kind)) == place:
                    raise KeyboardInterrupt
                return function(*arguments)

            return disturbed

        monkeypatch.setattr(Group, "stack", happens("chunk", stack))
        monkeypatch.setattr(RuleStack, "advance", happens("update", advance))
        return swept("disturbed")

    go_on, steps = loop._go_on, []

    def noted(stack, ledger, watch, saved, tick):
        steps.append(int(saved["step"]))
        return go_on(stack, ledger, watch, saved, tick)

    monkeypatch.setattr(loop, "_go_on", noted)
    monkeypatch.setattr(ResultWriter, "abandon_chunk", lambda self: pytest.fail("a state that was no good"))
    for place in (("update", 30), ("update", 50), ("chunk", 2), ("update", 20)):
        with pytest.raises(KeyboardInterrupt):
            stopped_at(place)
    found = stopped_at(None)
    # In the first chunk; in the second; where the third begins there is no state yet; in the third.
    assert steps == [29, 18, 19]
    assert [(found / name).read_bytes() for name in FILES] == [(expected / name).read_bytes() for name in FILES]
