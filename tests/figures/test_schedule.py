"""γ and η against the step, by the artists of the figure."""

import itertools
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox
from pydantic import TypeAdapter

from momentumlab.errors import ConfigError
from momentumlab.experiment.schema_schedules import Eta, Gamma
from momentumlab.figures import draw, kinds_for, render, style
from momentumlab.figures.labels import schedule_words
from momentumlab.optimizers.schedules import as_schedule
from momentumlab.results.reader import Result
from tests.figures.simulated import cells, forces_result, line_result
from tests.figures.test_layout import LONG, extent

STEPS = 60
STEP = {"schedule": "step", "value": 0.1, "factor": 0.3, "at": [20, 40]}
WARM = {"schedule": "cosine", "value": 0.1, "warmup": 6}
CYCLE = {"schedule": "one_cycle", "value": 0.2}
READ: dict[str, TypeAdapter[Any]] = {"gamma": TypeAdapter(Gamma), "eta": TypeAdapter(Eta)}


def scheduled(gamma: Any = 0.9, eta: Any = 0.1, result: Result | None = None, **options: Any) -> Result:
    """A result whose metrics hold γ and η as the schedules give them; nothing else in it knows of them."""
    settings = {"gamma": READ["gamma"].validate_python(gamma), "eta": READ["eta"].validate_python(eta)}
    optimizer = {name: READ[name].dump_python(setting, exclude_none=True) for name, setting in settings.items()}
    made = result or line_result(cells(), STEPS, **{"optimizer": optimizer} | options)
    last = int(made.metrics["step"].max())
    for name, setting in settings.items():
        schedule = as_schedule(setting, last)
        made.metrics[name] = np.array([schedule(int(step)) for step in made.metrics["step"]])
        made.runs[name] = np.full(len(made.runs["run"]), getattr(setting, "value", setting))
    return made


def five() -> list[Result]:
    settings: list[tuple[Any, Any]] = [
        (0.9, 0.1),
        (0.9, STEP),
        (0.9, WARM),
        ({"schedule": "one_cycle"}, CYCLE),
        ({"schedule": "demon"}, 0.1),
    ]
    return [scheduled(gamma, eta, folder=str(place)) for place, (gamma, eta) in enumerate(settings)]


def lines(axes: Axes) -> list[Line2D]:
    """The lines of schedules, without the ticks."""
    return [line for line in axes.get_lines() if line.get_gid() is None]


def legend_texts(axes: Axes) -> list[str]:
    legend = axes.get_legend()
    return [text.get_text().replace("\n", " ") for text in legend.get_texts()] if legend else []


def notes(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.texts[1:])


def test_each_schedule_is_one_line_with_its_name() -> None:
    figure = draw(five(), "schedule")

    above, below = figure.axes
    assert (above.get_ylabel(), below.get_ylabel(), below.get_xlabel()) == ("momentum γ", "learning rate η", "step k")
    assert legend_texts(above) == ["γ = 0.9", "γ = 0.95, one-cycle down to 0.85", "γ = 0.9, Demon"]
    assert legend_texts(below) == [
        "η = 0.1",
        "η = 0.1, ×0.3 after update 20, 40",
        "η = 0.1, cosine to 0, warm-up 6",
        "η = 0.2, one-cycle",
    ]
    assert [len(lines(axes)) for axes in figure.axes] == [3, 4]


def test_the_lines_are_the_recorded_numbers() -> None:
    results = five()

    above, below = draw(results, "schedule").axes

    for axes, name, places in ((above, "gamma", (0, 3, 4)), (below, "eta", (0, 1, 2, 3))):
        for line, place in zip(lines(axes), places, strict=True):
            assert np.array_equal(line.get_xdata(), results[place].metrics["step"])
            assert np.array_equal(line.get_ydata(), results[place].metrics[name])


def test_one_colour_above_and_below_is_the_same_runs() -> None:
    figure = draw(five(), "schedule")

    looks = [{to_hex(line.get_color()): line for line in lines(axes)} for axes in figure.axes]
    shared = set(looks[0]) & set(looks[1])
    assert len(shared) == 1  # the one cycle of γ and that of η, and nothing else
    (colour,) = shared
    assert to_hex(lines(figure.axes[0])[1].get_color()) == to_hex(lines(figure.axes[1])[3].get_color()) == colour
    assert "one colour: the same runs" in notes(figure)


def test_a_single_run_needs_no_word_about_colours() -> None:
    assert "colour" not in notes(draw([scheduled(eta=STEP)], "schedule"))


def test_gammas_that_stay_have_their_own_colours() -> None:
    results = [scheduled(gamma, WARM, folder=str(gamma)) for gamma in (0.0, 0.5, 0.9, 0.99)]

    above, below = draw(results, "schedule").axes

    own = [style.BLUE, style.SKY, style.ORANGE, style.VERMILLION]
    assert [to_hex(line.get_color()).upper() for line in lines(above)] == own
    assert len({str(line._unscaled_dash_pattern) for line in lines(above)}) == 4  # type: ignore[attr-defined]
    assert len(lines(below)) == 1


def test_seeds_share_a_line_and_it_is_as_long_as_the_longest() -> None:
    result = scheduled(
        eta=WARM, result=line_result(cells(seeds=(0, 1, 2)), STEPS, optimizer={"gamma": 0.9, "eta": WARM})
    )
    keep = (result.metrics["run"] != 0) | (result.metrics["step"] <= 9)  # the first run diverged early
    result.metrics.update({key: values[keep] for key, values in result.metrics.items()})

    (line,) = lines(draw([result], "schedule").axes[1])

    assert line.get_xdata()[-1] == STEPS


def test_a_coarser_record_of_the_same_schedule_is_the_same_line() -> None:
    fine, coarse = scheduled(eta=WARM, folder="fine"), scheduled(eta=WARM, folder="coarse")
    keep = coarse.metrics["step"] % 7 == 0
    coarse.metrics.update({key: values[keep] for key, values in coarse.metrics.items()})

    (line,) = lines(draw([coarse, fine], "schedule").axes[1])

    assert len(line.get_xdata()) == STEPS + 1


def varied(key: str, values: list[float]) -> Result:
    """One result whose runs differ in one number of the schedule of η."""
    optimizer = {"gamma": 0.9, "eta": WARM}
    made = line_result(cells(etas=(0.1,), **{f"optimizer__eta__{key}": values}), STEPS, optimizer=optimizer)
    courses = [as_schedule(READ["eta"].validate_python(WARM | {key: value}), STEPS) for value in values]
    places = zip(made.metrics["run"], made.metrics["step"], strict=True)
    made.metrics["eta"] = np.array([courses[run](int(step)) for run, step in places])
    return made


def test_what_was_varied_is_said_of_its_own_run() -> None:
    texts = legend_texts(draw([varied("end", [0.05, 0.01])], "schedule").axes[1])

    assert texts == [f"η = 0.1, cosine to {end}, warm-up 6" for end in ("0.05", "0.01")]


def test_a_schedule_that_nobody_described_is_said_by_its_ends() -> None:
    result = scheduled()
    result.metrics["eta"] = np.linspace(0.1, 0.02, STEPS + 1)

    assert legend_texts(draw([result], "schedule").axes[1]) == ["η from 0.1 to 0.02"]


def test_sgd_has_no_gamma_to_draw() -> None:
    result = scheduled(0.0, STEP, optimizer={"kind": "sgd", "gamma": 0.0, "eta": STEP})

    (axes,) = draw([result], "schedule").axes

    assert axes.get_ylabel() == "learning rate η"


def test_more_lines_than_colours_get_a_colour_bar() -> None:
    results = [
        scheduled(0.9, WARM | {"value": value}, folder=str(value)) for value in np.linspace(0.01, 0.1, 9).tolist()
    ]

    above, below, bar = draw(results, "schedule").axes

    assert (len(lines(below)), len(lines(above))) == (9, 1)
    assert (legend_texts(below), legend_texts(above)) == ([], ["γ = 0.9"])
    assert bar.get_ylabel() == "η"
    assert len({to_hex(line.get_color()) for line in lines(below)}) == 9


def test_the_colour_bar_is_of_what_was_varied() -> None:
    _, below, bar = draw([varied("warmup", list(range(1, 10)))], "schedule").axes

    assert len({to_hex(line.get_color()) for line in lines(below)}) == 9
    assert (bar.get_ylabel(), bar.get_yticklabels()[0].get_text()) == ("warmup", "1")


def test_many_lines_that_no_number_tells_apart_are_grey() -> None:
    ends = np.linspace(0.01, 0.09, 9).tolist()
    results = [scheduled(0.9, WARM | {"end": end}, folder=str(end)) for end in ends]

    _, below = draw(results, "schedule").axes

    assert {to_hex(line.get_color()).upper() for line in lines(below)} == {style.MIST}


@pytest.mark.parametrize(
    ("eta", "scale"),
    [
        (WARM, "linear"),
        (CYCLE, "linear"),
        ({"schedule": "linear", "value": 0.1}, "linear"),
        ({"schedule": "exponential", "value": 0.1, "factor": 0.9}, "log"),
        (STEP | {"factor": 0.1}, "log"),
    ],
)
def test_eta_is_logarithmic_where_it_would_lie_on_the_axis(eta: dict[str, Any], scale: str) -> None:
    above, below = draw([scheduled(eta=eta)], "schedule").axes

    assert (above.get_yscale(), below.get_yscale()) == ("linear", scale)
    low, high = below.get_ylim()
    (line,) = lines(below)
    drawn = np.asarray(line.get_ydata(), float)
    assert low <= drawn.min() < drawn.max() <= high


def test_the_end_of_a_cosine_does_not_take_all_decades() -> None:
    results = [scheduled(eta=WARM | {"value": value}, folder=str(value)) for value in (0.1, 0.001, 0.0005)]

    _, below = draw(results, "schedule").axes

    assert below.get_yscale() == "log"
    assert below.get_ylim()[0] > 1e-8 > results[2].metrics["eta"][-1]


def test_epochs_can_be_the_axis() -> None:
    figure = draw([scheduled(eta=WARM)], "schedule", x="epoch")

    assert figure.axes[-1].get_xlabel() == "epoch"


def test_an_objective_has_no_epochs() -> None:
    with pytest.raises(ConfigError, match="an objective has no data"):
        draw([scheduled(eta=WARM, result=forces_result([[1.0]], cells(), 5))], "schedule", x="epoch")


def test_without_rows_there_is_nothing_to_draw() -> None:
    result = scheduled()
    result.metrics.update({key: values[:0] for key, values in result.metrics.items()})

    with pytest.raises(ConfigError, match="no run has a recorded step with its γ and η yet"):
        draw([result], "schedule")


def test_it_is_drawn_unasked_where_something_changes() -> None:
    assert "schedule" not in kinds_for([scheduled()])
    assert kinds_for([scheduled(eta=WARM)])[-1] == "schedule"
    assert kinds_for([scheduled(gamma={"schedule": "demon"})])[-1] == "schedule"
    pushed = forces_result([[1.0, 0.0]], cells(), 5)
    assert kinds_for([scheduled(eta=WARM, result=pushed)]) == ["forces", "schedule"]


WORDS: dict[str, Any] = {
    "constant": 0.9,
    "constant, warm-up 5": {"schedule": "constant", "value": 0.9, "warmup": 5},
    "×0.3 after update 20, 40": STEP,
    "linear to 0": {"schedule": "linear", "value": 0.1},
    "linear to 0.02 in 30 updates, warm-up 5": {
        "schedule": "linear", "value": 0.1, "end": 0.02, "steps": 30, "warmup": 5,
    },
    "cosine to 0, warm-up 6": WARM,
    "×0.99 each update": {"schedule": "exponential", "value": 0.1, "factor": 0.99},
    "0.01 after update 100, 0.001 after update 200": {
        "schedule": "list", "points": [[0, 0.1], [100, 0.01], [200, 0.001]],
    },
    "one-cycle": CYCLE | {"rise": 0.3},
    "one-cycle from 0.1 to 0.02, rise 0.5": CYCLE | {"start": 0.1, "end": 0.02, "rise": 0.5},
    "one-cycle down to 0.8": {"schedule": "one_cycle", "value": 0.9, "low": 0.8},
    "Sutskever, every 250 updates": {"schedule": "sutskever", "value": 0.99},
    "Demon in 30 updates": {"schedule": "demon", "value": 0.9, "steps": 30},
}  # fmt: skip


@pytest.mark.parametrize(("words", "schedule"), WORDS.items(), ids=WORDS)
def test_a_schedule_is_said_in_few_words(words: str, schedule: Any) -> None:
    assert schedule_words(schedule) == words


def seven() -> list[Result]:
    """As many as a legend names, most of them long."""
    more = [CYCLE | {"start": 0.1, "end": 0.02, "rise": 0.5}, WARM | {"schedule": "linear"}, WARM | {"end": 0.01}]
    return [*five()[:4], *(scheduled({"schedule": "demon"}, eta, folder=str(eta)) for eta in more)]


PICTURES: dict[str, Any] = {
    "one": lambda: [scheduled(eta=STEP)],
    "five": five,
    "seven": seven,
    "crowd": lambda: [
        scheduled(eta=WARM | {"value": value}, folder=str(value)) for value in np.geomspace(0.001, 0.1, 9).tolist()
    ],
}


@pytest.mark.parametrize("name", PICTURES)
def test_nothing_is_cut_and_nothing_overlaps(name: str) -> None:
    figure = draw(PICTURES[name](), "schedule", title=LONG)
    render(figure)

    legends = [axes.get_legend() for axes in figure.axes if axes.get_legend() and name != "crowd"]
    boxes = [text.get_window_extent() for text in figure.texts]
    boxes += [legend.get_window_extent() for legend in legends if legend]
    boxes += [extent(axes) for axes in figure.axes]
    page = Bbox([[-1, -1], [1601, 1001]])
    assert all(page.contains(*box.min) and page.contains(*box.max) for box in boxes)
    smaller = [Bbox([box.min + 1.5, box.max - 1.5]) for box in boxes]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(smaller, 2))
