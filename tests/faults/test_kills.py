"""Killed at any moment and asked again, a training gives the bytes of one that nothing had stopped."""

import json
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY
from tests.faults.copies import CASES, resumed

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="copies of a process, by fork")
SEED = 20261122


def killed(folder, cases, victims="parents"):
    """What happened to these cases, told by a process of their own."""
    command = [sys.executable, "-m", "tests.faults.copies", str(SEED), str(folder), victims, *cases]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("backend", ["scratch", "torch"])
def test_after_any_kills_the_bytes_are_those_of_an_undisturbed_training(backend, tmp_path):
    names = [name for name in CASES if ("torch" in name) == (backend == "torch")]
    sweeps = [f"{name} / workers" for name in names if "sweep" in name]
    for case, happened in killed(tmp_path, names + sweeps).items():
        assert happened["code"] == 0, (case, happened)
        assert happened["differ"] == [], (case, happened)
        assert happened["kills"] > 0, (case, happened)
        assert resumed(happened["log"]), (case, happened)
        # What cannot be gone on with is trained anew, which would hide that a state was no good.
        assert not any(line.startswith(("alone", "abandoned")) for line in happened["log"]), (case, happened)


def test_where_a_worker_is_killed_all_runs_come_to_the_same_end(tmp_path):
    for case, happened in killed(tmp_path, ["net, sweep / workers", "formula, sweep / workers"], "workers").items():
        assert (happened["code"], happened["differ"]) == (0, []), (case, happened)
        assert happened["kills"] > 0, (case, happened)
