"""runs.csv from columns: what became of each run, in its own digits."""

from types import SimpleNamespace

import numpy as np
import pytest

from momentumlab.experiment import expand, load
from momentumlab.results import outcomes
from momentumlab.results.outcomes import Outcomes


def ended(number, status="finished", reason="", **evaluation):
    return SimpleNamespace(
        status=status, reason=reason, steps=3, loss_first=number, loss_last=number, loss_best=number,
        evaluation=evaluation, theta=None,
    )  # fmt: skip


@pytest.mark.parametrize("rows_at_once", [2, 4096])
def test_each_run_has_its_row_in_the_digits_of_its_dtype(rows_at_once, monkeypatch):
    monkeypatch.setattr(outcomes, "_ROWS_AT_ONCE", rows_at_once)
    grid = expand(load("rosenbrock"), gamma="0,0.5", seed="0..1")
    table = Outcomes(grid, ["test_loss"])
    table.note({2: ended(np.float32(0.1)), 0: ended(np.float64(0.1), test_loss=np.float64(2.0))})
    table.note({3: ended(float("nan"), "failed", 'ValueError: "a", b')})
    assert "".join(table.table()).splitlines() == [
        "run,gamma,eta,seed,status,reason,steps,loss_first,loss_last,loss_best,test_loss",
        "0,0,0.0005,0,finished,,3,0.1,0.1,0.1,2",
        "1,0,0.0005,1,interrupted,not trained yet,0,nan,nan,nan,nan",
        "2,0.5,0.0005,0,finished,,3,0.1,0.1,0.1,nan",
        '3,0.5,0.0005,1,failed,"ValueError: ""a"", b",3,nan,nan,nan,nan',
    ]
