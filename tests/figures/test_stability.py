"""Stability maps, by their lines, points, colours and words; and `momentumlab theory --draw` as it is typed."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from momentumlab import lab
from momentumlab.errors import ConfigError
from momentumlab.experiment import load
from momentumlab.figures import stability, style
from momentumlab.foresight_picture import draw
from momentumlab.problems.curvature import Curvature
from momentumlab.theory.method import Method
from momentumlab.theory.modes import critical_gamma
from momentumlab.theory.stability import largest_eta, rate
from momentumlab.theory.tuning import heavy_ball, steps_at

QUADRATIC = {"kind": "quadratic", "eigenvalues": [1, 100]}
EIGENVALUES = np.array([1.0, 100.0])
EDGE = "edge: η = 2(1 + γ)/λ_max"


def foreseen(objective=QUADRATIC, **optimizer):
    return lab.foresee(load({"objective": objective, "name": "valley", "optimizer": optimizer}))


def entries(figure):
    """What the legend says, and the line or the points that it says it of."""
    named = [line for line in figure.axes[0].lines if line.get_gid() is None]
    return dict(zip((text.get_text() for text in figure.legends[0].get_texts()), named, strict=True))


def words(figure):
    return [text.get_text() for text in figure.texts]


# ---- the map ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def valley():
    return draw(foreseen(gamma=0.9, eta=0.01))


def test_the_edge_is_the_limit_over_the_largest_curvature(valley):
    line = entries(valley)[EDGE]
    gammas = line.get_ydata()
    assert gammas[0] == 0
    assert gammas[-1] > 0.999
    np.testing.assert_allclose(line.get_xdata(), 2 * (1 + gammas) / 100, rtol=1e-13)  # a halving's rounding


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"rule": "sgd"}, lambda gamma: 2 / 4),
        ({"rule": "nesterov"}, lambda gamma: (2 + 2 * gamma) / (1 + 2 * gamma) / 4),
        ({"rule": "ema"}, lambda gamma: 2 * (1 + gamma) / (1 - gamma) / 4),
        ({"rule": "momentum", "weight_decay": 0.5}, lambda gamma: 2 * (1 + gamma) / 4.5),
    ],
)
def test_the_largest_eta_of_other_rules_and_with_decay(options, expected):
    gammas = np.linspace(0, 0.99, 12)
    method = Method.of(**options, gamma=gammas, eta=1.0)
    found = largest_eta(method, 4.0)
    np.testing.assert_allclose(found, np.broadcast_to(expected(gammas), 12), rtol=1e-13)
    for share, stable in ((1 - 1e-9, True), (1 + 1e-9, False)):
        assert ((rate(method.at(eta=share * found), [4.0]) < 1) == stable).all()


def test_where_no_gradient_is_followed_no_eta_is_too_large():
    assert largest_eta(Method.of("momentum", gamma=0.5, eta=1.0, dampening=1.0), 1.0) == np.inf


def test_colours_are_the_updates_to_a_millionth(valley):
    mesh = valley.axes[0].collections[0]
    shape = mesh.get_array().shape
    assert mesh.norm.vmin == pytest.approx(mesh.get_array().min())
    xlim, ylim = valley.axes[0].get_xlim(), valley.axes[0].get_ylim()
    etas, gammas = np.geomspace(*xlim, shape[1]), 1 - np.geomspace(1 - ylim[0], 1 - ylim[1], shape[0])
    for row, column in ((0, 10), (150, 150), (299, 200)):
        radius = float(rate(Method.of("momentum", gamma=gammas[row], eta=etas[column]), EIGENVALUES))
        # The cells are read back from the ends of the axes.
        assert mesh.get_array()[row, column] == pytest.approx(steps_at(radius), rel=1e-9)


def test_critical_damping_of_both_ends_meets_at_the_best(valley):
    lines, best = entries(valley), heavy_ball(1.0, 100.0)
    for end, curvature in (("λ_max", 100.0), ("λ_min", 1.0)):
        line = lines[f"critical damping of {end}"]
        np.testing.assert_array_equal(line.get_ydata(), critical_gamma(line.get_xdata() * curvature))
        assert critical_gamma(best.eta * curvature) == pytest.approx(best.gamma)
    star = lines["best: γ* = 0.669, η* = 0.0331"]
    assert (star.get_xdata()[0], star.get_ydata()[0]) == pytest.approx((best.eta, best.gamma))
    here = lines["here: γ = 0.9, η = 0.01"]
    assert (here.get_xdata()[0], here.get_ydata()[0]) == (0.01, 0.9)


def test_the_title_says_problem_and_rule(valley):
    assert words(valley)[:2] == ["valley: where momentum converges, and how fast", "λ from 1 to 100, κ = 100"]
    assert "diverges" in [text.get_text() for text in valley.axes[0].texts]
    assert "not a quadratic" in words(draw(foreseen({"kind": "rosenbrock"}, eta=0.001)))[2]


def test_gamma_goes_upwards_by_what_it_remembers(valley):
    axes = valley.axes[0]
    ticks = [0.9, 0.99, 0.999]
    assert set(ticks) <= set(np.round(axes.get_yticks(), 6))
    places = axes.transData.transform([(0.01, tick) for tick in ticks])[:, 1]
    assert places[1] - places[0] == pytest.approx(places[2] - places[1])


def test_another_rule_has_its_edge_and_no_lines_of_momentum():
    found = entries(draw(foreseen(kind="qhm", gamma=0.9, eta=0.01)))
    assert [text.partition(":")[0] for text in found] == ["edge of stability", "here", "best at this γ"]


def test_many_eigenvalues_are_drawn_in_few_cells():
    cells = draw(foreseen({"kind": "quadratic", "condition": 100, "dimension": 64}, eta=0.01)).axes[0].collections[0]
    assert 64 * cells.get_array().size <= 2**20


def test_directions_that_bend_alike_have_one_line_of_critical_damping():
    found = entries(draw(foreseen({"kind": "quadratic", "eigenvalues": [1, 1.2]}, eta=0.01)))
    assert [text for text in found if text.startswith("critical")] == ["critical damping"]


def test_nothing_is_called_best_where_only_the_steepest_direction_is_known():
    known = foreseen(eta=0.01)
    ends = Curvature(np.array([0.0, 2.0]), np.array([1e-6, 1e-6]), complete=False, quadratic=False)
    figure = draw(replace(known, curvature=ends))
    assert not [text for text in entries(figure) if text.startswith("best")]
    assert words(figure)[1] == "λ_max = 2; flatter directions are not known, and slower than what is drawn"


def test_a_run_far_off_the_map_is_left_out_of_it():
    figure = draw(foreseen(eta=1e-100))
    assert np.isnan(entries(figure)["here: γ = 0.9, η = 1e−100"].get_xdata()).all()
    assert figure.axes[0].get_xlim()[0] > 1e-6


def test_where_no_eta_converges_none_is_the_best():
    # With a dampening of 1 momentum follows no gradient but the first; without γ torch's leaves the dampening out.
    found = entries(draw(foreseen(dampening=1.0, gamma=0.9, eta=0.01)))
    assert list(found) == ["edge of stability", "here: γ = 0.9, η = 0.01"]


@pytest.mark.parametrize("eigenvalues", [[1e-200], [1e-320, 1.0], [1e308]])
def test_extreme_curvatures_are_drawn(eigenvalues):
    figure = draw(foreseen({"kind": "quadratic", "eigenvalues": eigenvalues}, eta=1e-300))
    (edge, *_) = entries(figure)[EDGE].get_xdata()
    assert edge == pytest.approx(2 / eigenvalues[-1], rel=1e-9)  # a halving's rounding, of exponents of hundreds


def test_where_no_gamma_has_an_edge_there_is_no_map():
    # The decay is so much steeper than the landscape that it alone decides.
    with pytest.raises(ConfigError, match="no edge of stability"):
        draw(foreseen({"kind": "quadratic", "eigenvalues": [1e-200]}, weight_decay=1.0, eta=0.01))


# ---- the runs of a result --------------------------------------------------------------------------------------------


def test_runs_are_marked_by_their_outcome_and_counted_against_the_prediction():
    generator = np.random.default_rng(0)
    gammas, etas = generator.uniform(0, 0.99, 50), 10 ** generator.uniform(-3, -1, 50)
    unstable = etas >= 2 * (1 + gammas) / 100
    outcomes = unstable.copy()
    outcomes[[np.flatnonzero(unstable)[0], *np.flatnonzero(~unstable)[:2]]] ^= True
    method, best = Method.of("momentum", gamma=0.9, eta=0.01), heavy_ball(1.0, 100.0)
    figure = stability.draw("runs", [], method, EIGENVALUES, best, stability.Outcomes(gammas, etas, outcomes))
    assert words(figure)[-1] == (
        "prediction and outcome agree in 47 of 50 runs; 1 finished beyond the edge; 2 diverged before it"
    )
    for word, chosen, colour in (("finished", ~outcomes, "white"), ("diverged", outcomes, style.VERMILLION)):
        points = entries(figure)[f"{word}: {chosen.sum()} runs"]
        np.testing.assert_array_equal(points.get_xdata(), etas[chosen])
        np.testing.assert_array_equal(points.get_ydata(), gammas[chosen])
        assert points.get_color() == colour
    assert not [text for text in entries(figure) if text.startswith("here")]


# ---- as it is typed --------------------------------------------------------------------------------------------------

YAML = "objective: {kind: quadratic, eigenvalues: [1, 100]}\ntrain: {steps: 40}\n"


@pytest.fixture
def mine(tmp_path):
    def written(text=YAML):
        (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
        return "mine.yaml"

    return written


def test_the_picture_of_a_config_lies_in_runs_theory_and_is_said_last(type_in, mine, tmp_path):
    code, out, err = type_in("theory", mine(), "--draw")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "runs/theory/mine-stability.png"
    assert (tmp_path / "runs/theory/mine-stability.png").read_bytes().startswith(b"\x89PNG")


def test_out_is_a_file_or_a_folder(type_in, mine, tmp_path):
    for out, path in (("map.svg", "map.svg"), ("maps", "maps/mine-stability.png")):
        found = json.loads(type_in("theory", mine(), "--draw", "--out", out, "--json")[1])
        assert found["figure"] == path
        assert (tmp_path / path).is_file()


def test_a_result_is_drawn_with_its_runs_in_its_own_folder(type_in, mine):
    type_in("sweep", mine(), "--gamma", "0,0.9", "--eta", "0.01,0.1", "--seed", "0,1", "--no-plot")
    (result,) = lab.find(["runs"])[0]
    code, out, _ = type_in("theory", result.folder, "--draw")
    assert code == 0
    assert out.splitlines()[-1] == str(result.folder / "figures" / "stability.png")
    drawn = entries(draw(lab.foresee(load(result.folder / "experiment.yaml")), result))
    assert {"finished: 4 runs", "diverged: 4 runs"} <= set(drawn)


def test_a_result_is_an_experiment_also_without_a_picture(type_in, mine):
    type_in("run", mine(), "--gamma", "0.5", "--no-plot", "--quiet")
    (result,) = lab.find(["runs"])[0]
    code, out, _ = type_in("theory", result.folder, "--json")
    assert (code, json.loads(out)["gamma"]) == (0, 0.5)
    assert "figure" not in json.loads(out)


def test_a_result_that_varies_more_has_no_map(type_in, mine):
    type_in("sweep", mine(), "--vary", "optimizer.weight_decay=0,0.1", "--no-plot", "--quiet")
    (result,) = lab.find(["runs"])[0]
    code, out, err = type_in("theory", result.folder, "--draw")
    assert (code, out) == (2, "")
    assert "varies optimizer.weight_decay too" in err
    code, _, err = type_in("theory", result.folder, "--draw", "--gamma", "0.5")
    assert code == 2
    assert "what they were trained with" in err


@pytest.mark.parametrize(
    ("section", "why"),
    [
        ("optimizer: {kind: sgd}", "no map over η and γ; it is stable for η below 0.02"),
        ("optimizer: {kind: aggmo}", "aggmo has no single γ"),
        ("optimizer: {kind: lion}", "there is nothing to draw: theory does not reach lion"),
        ("objective: {kind: saddle}", "some direction bends down"),
        ("objective: {kind: forces, pushes: [[1]]}", "there is no landscape"),
    ],
)
def test_without_a_map_the_reason_is_said_and_nothing_written(section, why, type_in, mine, tmp_path):
    text = f"{section}\ntrain: {{steps: 40}}\n" if "objective" in section else f"{YAML}{section}\n"
    code, out, err = type_in("theory", mine(text), "--draw")
    assert (code, out) == (2, "")
    assert why in err
    assert not (tmp_path / "runs").exists()


def test_wrong_endings_and_a_place_without_a_picture(type_in, mine):
    assert "png, svg, pdf" in type_in("theory", mine(), "--draw", "--out", "map.bmp")[2]
    code, _, err = type_in("theory", mine(), "--out", "map.png")
    assert code == 2
    assert "--draw" in err


def test_scheduled_runs_have_no_place(type_in, mine):
    type_in("run", mine(YAML + "optimizer: {eta: {schedule: cosine, value: 0.01}}\n"), "--no-plot", "--quiet")
    (result,) = lab.find(["runs"])[0]
    code, _, err = type_in("theory", result.folder, "--draw")
    assert code == 2
    assert "eta of mine-" in err
    assert "follows a schedule" in err


def test_a_map_of_an_objective_needs_no_torch():
    script = (
        "import sys; from momentumlab import lab, foresight_picture; from momentumlab.experiment import load\n"
        "foresight_picture.draw(lab.foresee(load('ravine'))); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
