"""`momentumlab claims` as it is typed."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from momentumlab import claims
from momentumlab.figures import claims as pictures
from tests.claims.found import found

KEYS = {"claim", "experiments", "verdict", "false_when"}


@pytest.fixture(autouse=True)
def trained_once(monkeypatch):
    """The findings that all tests share; `--quick` makes the same."""
    asked = []

    def find(claim):
        return lambda *, quick: asked.append((claim, quick)) or found(claim)

    monkeypatch.setattr(claims, "CLAIMS", {claim: find(claim) for claim in claims.CLAIMS})
    return asked


def test_json_is_a_list_of_four_objects(type_in, repository):
    code, out, err = type_in("claims", "--quick", "--json", "--no-plot")
    assert (code, err) == (0, "")
    objects = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert [one["claim"] for one in objects] == [1, 2, 3, 4]
    page = (repository / "docs" / "claims.md").read_text(encoding="utf-8")
    for one in objects:
        assert set(one) >= KEYS
        assert not [key for key in one if f"`{key}`" not in page]
        assert one["verdict"] in {"true", "false", "conditional"}
        assert one["false_when"]
        assert one["figure"] is None
        for experiment in one["experiments"]:
            assert {"setting", "measured", "theory"} <= set(experiment)
            assert not [key for key in experiment if f"`experiments[].{key}`" not in page]
            assert set(experiment["theory"]) <= set(experiment["measured"])


def test_the_first_experiment_is_the_ravine_at_one_over_l(type_in):
    _, out, _ = type_in("claims", "1", "--quick", "--json", "--no-plot")
    (one,) = json.loads(out)
    first = one["experiments"][0]
    assert first["setting"]["objective"] == {"kind": "quadratic", "eigenvalues": [1, 100], "start": [1, 1]}
    assert first["setting"]["eta"] == 0.01
    steps = {"0": 1341, "0.5": 654, "0.9": 263, "0.99": 2762}
    assert first["measured"]["steps"] == first["theory"]["steps"] == steps


def test_one_claim_is_told_with_its_words_its_tables_and_its_picture(type_in, trained_once):
    code, out, err = type_in("claims", "4", "--quick")
    assert (code, trained_once) == (0, [(4, True)])
    assert "更平滑的更新:减少随机梯度带来的噪声" in out
    assert "γ\tVar θ\ttheory\tVar v\ttheory\tturns of v\ttheory" in out.splitlines()
    assert "verdict: conditional, it held in 2 of 5 trials" in out.splitlines()
    assert err.splitlines() == ["picture runs/claims/claim-4.png"]
    assert Path("runs/claims/claim-4.png").read_bytes().startswith(b"\x89PNG")


def test_pictures_go_where_results_lie_and_disturb_none_of_them(type_in, monkeypatch):
    monkeypatch.setattr(pictures, "draw", lambda finding: Figure())
    _, out, _ = type_in("claims", "3", "--quick", "--json", "--runs", "elsewhere")
    assert json.loads(out)[0]["figure"] == "elsewhere/claims/claim-3.png"
    type_in("run", "ravine", "--no-plot", "--runs", "elsewhere")
    code, out, err = type_in("show", "elsewhere")
    assert (code, err, len(out.splitlines())) == (0, "", 2)


@pytest.mark.parametrize("number", ["0", "5", "one", "1.0", "1,2", "\x1b[31m"])
def test_another_number_is_answered_in_words_with_exit_code_2(number, type_in, trained_once):
    code, out, err = type_in("claims", number)
    assert (code, out, trained_once) == (2, "", [])
    assert err == f"momentumlab: claims: got {number!r}, must be one of 1, 2, 3, 4, or nothing for all four\n"


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_where_a_measurement_contradicts_theory_it_says_so_and_fails(option, type_in, monkeypatch):
    finding = found(1)
    first = finding.experiments[0]
    quantity = first.quantities[0]
    wrong = replace(first, quantities=[replace(quantity, theory=[1341, 654, 300, 2762])])
    broken = replace(finding, experiments=[wrong])
    monkeypatch.setattr(claims, "CLAIMS", {1: lambda *, quick: broken})
    code, out, err = type_in("claims", "1", "--no-plot", *option)
    assert code == 1
    assert "updates at γ = 0.9: measured 263, theory 300" in err
    if option:
        assert json.loads(out)[0]["agrees"] is False
    else:
        assert "! updates at γ = 0.9: measured 263, theory 300" in out.splitlines()


def test_a_table_of_a_terminal_has_no_tabs(type_in, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    code, out, _ = type_in("claims", "2", "--quick", "--no-plot")
    assert code == 0
    assert "\t" not in out


def test_neither_help_nor_the_claims_load_torch():
    script = (
        "import sys; from momentumlab.claims import CLAIMS; from momentumlab.figures import claims\n"
        "claims.draw(CLAIMS[2](quick=True)); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
