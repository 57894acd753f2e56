"""The experiments that come with momentumlab: their names, their files, and the question that each asks."""

from pathlib import Path


def folder() -> Path:
    """Where they lie: inside the installed package, or beside it in the repository."""
    package = Path(__file__).parents[1]
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def names() -> list[str]:
    """All their names, in alphabetical order."""
    return sorted(file.stem for file in folder().glob("*.yaml"))


def path(name: str) -> Path:
    """The file of the shipped experiment `name`."""
    return folder() / f"{name}.yaml"


def is_one(source: str) -> bool:
    """Whether a name or a path is that of a shipped experiment."""
    return source in names() or Path(source).resolve().parent == folder().resolve()


def question(name: str) -> str:
    """The question that it asks: its first comment line, after the one that speaks to the editor."""
    comments = [
        line.lstrip("# ").strip() for line in path(name).read_text("utf-8").splitlines() if line.startswith("#")
    ]
    return next((comment for comment in comments if not comment.startswith("yaml-language-server")), "")
