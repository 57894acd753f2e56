"""The shipped experiments: all of them load, and each asks a question."""

from pathlib import Path

import pytest

from momentumlab.errors import ConfigError
from momentumlab.experiment import expand, load, shipped, single


def test_there_are_ten_or_more_and_the_first_sweep_is_among_them() -> None:
    assert len(shipped.names()) >= 10
    assert "linreg" in shipped.names()


@pytest.mark.parametrize("name", shipped.names())
def test_each_loads_under_its_own_name_and_asks_a_question(name: str) -> None:
    assert load(name) == load(shipped.path(name))
    assert load(name).name == name
    assert shipped.question(name).endswith("?")


@pytest.mark.parametrize("name", shipped.names())
def test_each_can_be_swept_and_run(name: str) -> None:
    experiment = load(name)
    assert len(single(experiment).cells) == 1
    if experiment.sweep:
        assert len(expand(experiment).cells) > 1
    else:
        with pytest.raises(ConfigError, match="nothing is varied"):
            expand(experiment)


def test_the_experiments_are_found_beside_the_package_or_inside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "momentumlab"
    (package / "experiment").mkdir(parents=True)
    monkeypatch.setattr(shipped, "__file__", str(package / "experiment" / "shipped.py"))
    assert shipped.folder() == tmp_path / "configs"
    (package / "configs").mkdir()
    assert shipped.folder() == package / "configs"
