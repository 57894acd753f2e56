"""Where an experiment comes from: a file, a shipped name or a mapping, read into plain data with places."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from momentumlab.errors import ConfigError
from momentumlab.experiment import shipped
from momentumlab.experiment.axes import parse_values
from momentumlab.experiment.explain import given
from momentumlab.experiment.keys import canonical, plain
from momentumlab.experiment.strict_yaml import LARGEST, Document
from momentumlab.experiment.strict_yaml import read as read_yaml
from momentumlab.foreign import opened
from momentumlab.text import nearest, safe

Source = str | os.PathLike[str] | Mapping[str, Any]


def read(source: Source) -> Document:
    """The data of `source`, with its name and absolute data paths. Raises ConfigError if there is none."""
    if isinstance(source, Mapping):
        return Document("", plain(source))
    file = _find(os.fspath(source))
    document = read_yaml(_text(file), str(file), canonical)
    if not isinstance(document.data, dict):
        content = "is empty" if document.data is None else f"holds {given(document.data)}"
        raise ConfigError(f"{safe(file)}: {content}, must hold sections such as optimizer: {{gamma: 0.9}}")
    document.data.setdefault("name", _clean(file.stem))
    _see_paths_from(file.parent, document.data)
    return document


def _find(source: str) -> Path:
    """The file that `source` names: a shipped experiment by its bare name, any other by its path."""
    if source in shipped.names():
        return shipped.path(source)
    file = Path(source)
    if os.path.isdir(file):
        inside = file / "experiment.yaml"
        hint = f": try {safe(inside)}" if inside.is_file() else ", must be a YAML file"
        raise ConfigError(f"{safe(file)}: is a folder{hint}")
    if os.path.exists(file):
        return file
    raise ConfigError(_not_found(source, file.stem))


def _not_found(source: str, stem: str) -> str:
    guess = nearest(stem, shipped.names())
    if guess == stem:
        return f"{safe(source)}: no such file; but {guess} comes with momentumlab: momentumlab run {guess}"
    hint = f"Did you mean {guess!r}?" if guess else f"Shipped experiments: {', '.join(shipped.names())}."
    return f"{safe(source)}: no such file, and no experiment that comes with momentumlab. {hint}"


def _text(file: Path) -> str:
    try:
        with opened(file, links=True) as stream:
            content = stream.read(LARGEST + 1)
    except OSError as error:
        raise ConfigError(f"{safe(file)}: cannot be read: {error.strerror}") from None
    if len(content) > LARGEST:
        raise ConfigError(f"{safe(file)}: larger than 1 MiB, which is no experiment")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise ConfigError(f"{safe(file)}:{line}: byte 0x{byte:02x} is not UTF-8: save the file as UTF-8") from None


def _clean(stem: str) -> str:
    """The nearest allowed name to a file's stem."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).lstrip("._-")[:100] or "experiment"


def _see_paths_from(folder: Path, data: dict[str, Any]) -> None:
    """Make the paths of data and rule files, also those of a sweep, independent of where the command is typed."""
    sweep = data.get("sweep")
    axes = sweep if isinstance(sweep, dict) else {}
    for name in ("data", "optimizer"):
        for section in (data.get(name), *_as_list(axes.get(name))):
            if isinstance(section, dict) and "path" in section:
                section["path"] = _seen_from(folder, section["path"])
        if (given := axes.get(f"{name}.path")) is not None:
            paths = parse_values(given, f"sweep.{name}.path") if isinstance(given, str) else _as_list(given)
            axes[f"{name}.path"] = [_seen_from(folder, path) for path in paths]


def _as_list(values: Any) -> list[Any]:
    return values if isinstance(values, list) else [values]


def _seen_from(folder: Path, path: Any) -> Any:
    return os.path.abspath(folder / path) if isinstance(path, str) and path and "\0" not in path else path
