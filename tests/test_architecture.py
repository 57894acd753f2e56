"""The laws between the rooms: imports point down only, and what reads results never imports torch."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "momentumlab"

# The house, from the ground up. A line ending in / is a room with all its modules, any other a module.
# A module imports from its own room and from lower layers; rooms of one layer do not know each other.
LAYERS = (
    ("errors.py", "text.py", "arrays.py", "foreign.py"),
    (
        "memory.py",
        "optimizers/__init__.py",
        "optimizers/code.py",
        "optimizers/convert.py",
        "optimizers/fused.py",
        "optimizers/hyperparameters.py",
        "optimizers/quasi_hyperbolic.py",
        "optimizers/rules.py",
        "optimizers/schedules.py",
        "optimizers/update.py",
    ),
    ("theory/",),
    ("experiment/",),
    ("problems/", "results/", "optimizers/methods.py", "optimizers/updates.py"),
    (
        "engine/",
        "audit/",
        "hindsight.py",
        "optimizers/momentum.py",
        "optimizers/momentum_options.py",
        "optimizers/surroundings.py",
        "optimizers/together.py",
    ),
    ("figures/", "summary.py", "foresight.py", "expectations.py"),
    ("lab.py", "terminal.py", "foresight_words.py", "foresight_picture.py", "advice.py", "claims/"),
    ("cli_check.py", "cli_claims.py", "cli_theory.py"),
    ("cli.py",),
    ("__init__.py", "__main__.py"),
)
# What answers `plot`, `show` and `--help`, and therefore starts fast.
READING_HALF = (
    "errors.py",
    "text.py",
    "theory/",
    "experiment/",
    "results/reader.py",
    "results/table.py",
    "figures/",
    "hindsight.py",
    "summary.py",
    "expectations.py",
)

# Packages whose `__getattr__` fetches names from a higher layer for those outside the house, and the module
# behind. Importing the package runs none of it; asking it for a name does.
DOORS = {"momentumlab": "momentumlab.lab", "momentumlab.optimizers": "momentumlab.optimizers.momentum"}


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    return modules_below(PACKAGE)


@functools.cache
def modules_below(package: Path) -> dict[str, Path]:
    return {dotted(path): path for path in sorted(package.rglob("*.py"))}


def dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def place(path: Path) -> tuple[int, str] | None:
    """Layer and line of the table for a module, or None where the table does not know it."""
    name = path.relative_to(PACKAGE).as_posix()
    lines = [(layer, line) for layer, row in enumerate(LAYERS) for line in row]
    return next(((layer, line) for layer, line in lines if matches(name, line)), None)


def matches(name: str, line: str) -> bool:
    return name.startswith(line) if line.endswith("/") else name == line


@functools.cache
def imports(path: Path, *, late: bool = True) -> frozenset[str]:
    """The dotted names that a module imports when it runs; `late` counts those inside functions too.

    Imports for type checkers alone do not run and are left out. `from package import name` counts as the
    module package.name where there is one, and as `package:name` where it is something inside the package.
    """
    package = dotted(path) if path.name == "__init__.py" else dotted(path).rpartition(".")[0]
    body = ast.parse(path.read_text(encoding="utf-8")).body
    if dotted(path) in DOORS:
        body = [node for node in body if not (isinstance(node, ast.FunctionDef) and node.name == "__getattr__")]
    nodes = [inner for node in body for inner in running(node, late)]
    return frozenset(name for node in nodes for name in imported(node, package))


def running(node: ast.AST, late: bool) -> list[ast.AST]:
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return [inner for child in node.orelse for inner in running(child, late)]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not late:
        return []
    return [node, *(inner for child in ast.iter_child_nodes(node) for inner in running(child, late))]


def imported(node: ast.AST, package: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
    source = ".".join([*base, *(node.module or "").split(".")]).strip(".")
    return [inside(source, alias.name) for alias in node.names]


def inside(source: str, name: str) -> str:
    return f"{source}.{name}" if f"{source}.{name}" in modules() else f"{source}:{name}"


def own(names: frozenset[str]) -> set[str]:
    """Of imported names the modules of momentumlab that are asked for; the version is no module's."""
    ours = {name for name in names if loads(name, "momentumlab")} - {"momentumlab:__version__"}
    return {behind(name) for name in ours}


def behind(name: str) -> str:
    module, _, inner = name.partition(":")
    return DOORS.get(module, module) if inner else module


def with_parents(name: str) -> set[str]:
    parts = name.split(".")
    return {".".join(parts[:length]) for length in range(2, len(parts) + 1)}


def loads(name: str, library: str) -> bool:
    return name.partition(":")[0].partition(".")[0] == library


def upward(path: Path) -> list[str]:
    """The imports of a module that break the law, each as a sentence."""
    layer, line = place(path) or (len(LAYERS), "")
    found = []
    for name in sorted(own(imports(path))):
        target_layer, target_line = place_of(name)
        if target_layer >= layer and not (target_layer == layer and room(line) == room(target_line)):
            found.append(f"{dotted(path)} (layer {layer}) imports {name} (layer {target_layer})")
    return found


def place_of(name: str) -> tuple[int, str]:
    """As `place`, for a dotted name; what does not exist stands above everything."""
    path = modules().get(name)
    return (path and place(path)) or (len(LAYERS), "")


def room(line: str) -> str:
    return line.partition("/")[0]


def reached(start: str) -> set[str]:
    """The modules of momentumlab that run when `start` is imported and its functions are called."""
    seen: set[str] = set()
    waiting = with_parents(start)
    while waiting:
        name = waiting.pop()
        seen.add(name)
        if name not in modules():
            continue
        names = own(imports(modules()[name], late=reads(modules()[name])))
        waiting |= {parent for found in names for parent in with_parents(found)} - seen
    return seen


def reads(path: Path) -> bool:
    return any(matches(path.relative_to(PACKAGE).as_posix(), line) for line in READING_HALF)


READERS = [name for name, path in modules().items() if reads(path)]


@pytest.mark.parametrize("name", modules())
def test_every_module_has_its_place(name: str) -> None:
    assert place(modules()[name]), f"{name} stands in no line of LAYERS: say there which layer it is on"


@pytest.mark.parametrize("line", sorted({*(line for row in LAYERS for line in row), *READING_HALF}))
def test_every_line_of_the_tables_is_a_room_or_module(line: str) -> None:
    assert any(matches(path.relative_to(PACKAGE).as_posix(), line) for path in modules().values())


@pytest.mark.parametrize("name", modules())
def test_imports_point_down_only(name: str) -> None:
    assert upward(modules()[name]) == []


@pytest.mark.parametrize("name", READERS)
def test_the_reading_half_never_imports_torch(name: str) -> None:
    assert not [found for found in imports(modules()[name]) if loads(found, "torch")]


@pytest.mark.parametrize("name", READERS)
def test_the_reading_half_needs_no_module_that_imports_torch(name: str) -> None:
    heavy = [
        other
        for other in sorted(reached(name))
        if any(loads(found, "torch") for found in imports(modules()[other], late=False))
    ]
    assert heavy == []


def test_an_upward_import_would_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test of the tests: a small house with one wrong import of each kind."""
    house = tmp_path / "momentumlab"
    texts = {
        "__init__.py": "from momentumlab.lab import run",
        "errors.py": "def late():\n    from momentumlab import lab",
        "text.py": "from .errors import Problem",
        "lab.py": "from typing import TYPE_CHECKING\nfrom momentumlab import errors, __version__\n"
        "if TYPE_CHECKING:\n    import momentumlab.cli",
        "cli.py": "import momentumlab.lab, torch.nn",
        "results/__init__.py": "",
        "results/reader.py": "from .. import errors, run\nfrom . import writer",
        "results/writer.py": "import torch",
    }
    for name, text in texts.items():
        (house / name).parent.mkdir(exist_ok=True, parents=True)
        (house / name).write_text(text, encoding="utf-8")
    monkeypatch.setitem(globals(), "PACKAGE", house)

    found = {name: upward(path) for name, path in modules().items()}

    assert found.pop("momentumlab.errors") == ["momentumlab.errors (layer 0) imports momentumlab.lab (layer 7)"]
    assert found.pop("momentumlab.text") == ["momentumlab.text (layer 0) imports momentumlab.errors (layer 0)"]
    assert found.pop("momentumlab.results.reader") == [
        "momentumlab.results.reader (layer 4) imports momentumlab.lab (layer 7)"
    ]
    assert not any(found.values())
    assert reached("momentumlab.results.reader") >= {"momentumlab.results", "momentumlab.results.writer"}
    assert any(loads(name, "torch") for name in imports(house / "cli.py"))


def loaded_by(*arguments: str) -> set[str]:
    """The libraries that a fresh Python loads for `python ARGUMENTS`, from its own account of imports."""
    command = [sys.executable, "-X", "importtime", *arguments]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    account = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in account}


@pytest.mark.parametrize("arguments", [("-c", "import momentumlab"), ("-m", "momentumlab", "--help")])
def test_the_door_opens_without_heavy_libraries(arguments: tuple[str, ...]) -> None:
    loaded = loaded_by(*arguments)

    assert "momentumlab" in loaded
    assert not loaded & {"torch", "numpy", "matplotlib"}


@pytest.mark.parametrize("module", ["momentumlab.experiment", "momentumlab.results.reader", "momentumlab.figures"])
def test_what_plot_needs_loads_without_torch(module: str) -> None:
    loaded = loaded_by("-c", f"import {module}")

    assert "momentumlab" in loaded
    assert "torch" not in loaded
