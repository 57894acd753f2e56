"""The project's own files: what is declared is used and pinned, what is shipped is in the wheel."""

import ast
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from momentumlab import __version__

# The name to install, where it is not the name to import.
DISTRIBUTIONS = {"yaml": "pyyaml", "pydantic_core": "pydantic"}


@pytest.fixture(scope="module")
def project(repository: Path) -> dict[str, object]:
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def pins(repository: Path) -> dict[str, Version]:
    lines = (repository / "constraints.txt").read_text(encoding="ascii").splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return {name.lower(): Version(version) for name, version in pairs}


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=repository, check=True, capture_output=True, timeout=60)
    return next(folder.glob("*.whl"))


def test_every_declared_library_is_pinned_at_or_above_its_floor(
    project: dict[str, dict[str, list[str]]], pins: dict[str, Version]
) -> None:
    declared = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    requirements = [Requirement(line) for line in declared]

    missing = [one.name for one in requirements if one.name.lower() not in pins]
    below = [str(one) for one in requirements if pins[one.name.lower()] not in one.specifier]

    assert not missing
    assert not below


def test_what_is_imported_is_declared_and_what_is_declared_is_imported(
    project: dict[str, list[str]], repository: Path
) -> None:
    declared = {Requirement(line).name.lower() for line in project["dependencies"]}
    imported = {DISTRIBUTIONS.get(name, name) for name in foreign_imports(repository / "momentumlab")}

    assert imported == declared


def foreign_imports(package: Path) -> set[str]:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in package.rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    sources = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    roots = {name.partition(".")[0] for name in plain | sources}
    return roots - sys.stdlib_module_names - {"momentumlab"}


def test_the_wheel_carries_the_version_of_the_package(wheel: Path) -> None:
    assert wheel.name == f"momentumlab-{__version__}-py3-none-any.whl"


def test_the_wheel_holds_every_shipped_experiment(wheel: Path, repository: Path) -> None:
    shipped = {path.name for path in (repository / "configs").iterdir() if path.suffix in {".yaml", ".json", ".csv"}}
    names = zipfile.ZipFile(wheel).namelist()

    assert "linreg.yaml" in shipped
    assert {f"momentumlab/configs/{name}" for name in shipped} <= set(names)


def test_the_wheel_holds_everything_that_lies_in_the_package(wheel: Path, repository: Path) -> None:
    package = repository / "momentumlab"
    files = [path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    names = zipfile.ZipFile(wheel).namelist()

    assert {path.relative_to(repository).as_posix() for path in files} <= set(names)
    assert "momentumlab/problems/digits.npz" in names


def test_the_wheel_brings_neither_tests_nor_results(wheel: Path) -> None:
    rooms = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}

    assert rooms == {"momentumlab", f"momentumlab-{__version__}.dist-info"}
