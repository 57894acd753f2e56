"""Work that memory does not hold is refused before anything of it is made, with what would fit."""

from collections.abc import Callable
from typing import Any

import pytest

from momentumlab import memory
from momentumlab.engine.plan import groups
from momentumlab.errors import ConfigError
from momentumlab.experiment import expand, load, single

GIB = 2**30
BOWL = {"objective": {"kind": "quadratic"}, "train": {"steps": 1}}


def model(kind: str = "mlp", data: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"data": data or {"kind": "digits"}, "model": {"kind": kind, **more}, "train": {"epochs": 1}}


def one(data: dict[str, Any]) -> Callable[[], Any]:
    return lambda: groups(single(load(data)))


def many(data: dict[str, Any], **axes: Any) -> Callable[[], Any]:
    return lambda: groups(expand(load(data), **axes))


def bowl(dimension: int) -> dict[str, Any]:
    return {**BOWL, "objective": {"kind": "quadratic", "condition": 10.0, "dimension": dimension, "start": "random"}}


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    def set_to(size: float) -> None:
        monkeypatch.setattr(memory, "_of_the_machine", lambda: size)

    return set_to


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (one(model(hidden=[65536, 65536])), r"training [\d,]+ parameters needs .* GiB .*width of at most [\d,]+"),
        (one(model(data={"kind": "line", "samples": 10**8})), r"samples: 100,000,000 .* at most [\d,]+ samples"),
        (one(model(data={"kind": "moons", "samples": 10**8})), r"samples: 100,000,000 .* at most [\d,]+ samples"),
        (many(bowl(10**5), seed="0..9999"), r"in 10,000 runs .* at most [\d,]+ runs"),
        (many(BOWL, gamma="lin:0:0.9:20000", eta="lin:0.1:1:20000"), r"400,000,000 runs .* at most about"),
        (many(BOWL, vary={"objective.noise": "lin:0:1:2000", "train.steps": "1..2000"}), "at most about"),
    ],
)
def test_what_memory_does_not_hold_is_refused_with_what_would_fit(
    free: Callable[[float], None], plan: Callable[[], Any], message: str
) -> None:
    free(4 * GIB)
    with pytest.raises(ConfigError, match=message):
        plan()


def test_a_width_that_would_fit_does_fit_and_the_next_does_not(free: Callable[[float], None]) -> None:
    free(4 * GIB)
    with pytest.raises(ConfigError) as refusal:
        one(model(hidden=[65536, 4096]))()
    width = int(str(refusal.value).rsplit(" ", 1)[1].replace(",", ""))
    one(model(hidden=[width, 4096]))()
    with pytest.raises(ConfigError, match="at most"):
        one(model(hidden=[width + 1, 4096]))()


@pytest.mark.parametrize(
    "plan",
    [
        many(model(hidden=[32]), seed="0..4095"),
        many(BOWL, gamma="lin:0:0.9:1000", eta="lin:0.01:0.1:1000"),
        one(bowl(10**6)),
    ],
)
def test_what_fits_is_planned(free: Callable[[float], None], plan: Callable[[], Any]) -> None:
    free(2 * GIB)
    assert plan()


def test_the_least_of_machine_group_and_process_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(memory, "_of_the_machine", lambda: 5.0 * GIB)
    monkeypatch.setattr(memory, "_of_the_process", lambda: 4.0 * GIB)
    monkeypatch.setattr(memory, "_GROUPS", tmp_path)
    assert memory.free_memory() == 4 * GIB
    (tmp_path / "memory.max").write_text(f"{3 * GIB}\n")
    (tmp_path / "memory.current").write_text(f"{2 * GIB}\n")
    (tmp_path / "memory.stat").write_text(f"anon 1\ninactive_file {GIB // 2}\n")
    assert memory.free_memory() == 1.5 * GIB  # files that are kept in memory are given up for it
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free_memory() == 4 * GIB


def test_this_machine_says_how_much_is_free() -> None:
    assert memory.free_memory() > 64 * 2**20
