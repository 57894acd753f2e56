"""What every test may rely on: one thread, no terminal, a home of its own, and folders that vanish."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

REPOSITORY = Path(__file__).parent.parent

# What a shell may hold and what would change what is printed, drawn or read.
_UNWANTED = ("COLUMNS", "FORCE_COLOR", "GITHUB_ACTIONS", "LINES", "NO_COLOR", "PY_COLORS", "PYTHONWARNINGS")

# The same examples every time, and no deadline: a busy machine is not a failing test.
settings.register_profile("momentumlab", derandomize=True, deadline=None, database=None)
settings.load_profile("momentumlab")


def pytest_configure(config: pytest.Config) -> None:
    # Before anything imports matplotlib, which looks for its home once. Its list of fonts takes seconds to
    # make, so it is kept with pytest's own cache from one day to the next.
    os.environ["MPLBACKEND"] = "agg"
    os.environ["MPLCONFIGDIR"] = str(config.cache.mkdir("matplotlib")) if config.cache else ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("there is no CUDA device here")


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing of the user's home is read or written, in this process and in those it starts."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in (*_UNWANTED, *(name for name in os.environ if name.startswith("MOMENTUMLAB_"))):
            patch.delenv(name, raising=False)
        patch.setenv("HOME", str(home))
        for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
            patch.setenv(name, str(home / name.lower()))
        yield


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Torch starts each test with one thread, whatever the last one asked for; nothing is imported."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder for results, not made yet, as `--runs` may name one."""
    return tmp_path / "runs"


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty: what is written by default lands here, far from the repository."""
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder that holds momentumlab/, configs/ and tests/."""
    return REPOSITORY


@pytest.fixture
def type_in(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Type a command in an empty folder: (exit code, what went to stdout, what went to stderr)."""
    from momentumlab import cli

    monkeypatch.chdir(tmp_path)

    def typed(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["momentumlab", *map(str, arguments)])
        code: object = 0
        try:
            cli.main()
        except SystemExit as left:
            code = left.code
        said = capsys.readouterr()
        return int(str(code or 0)), said.out, said.err

    return typed
