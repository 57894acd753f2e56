"""The only place where a figure becomes a file."""

import os
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from momentumlab.errors import ConfigError, ResultError
from momentumlab.figures import style
from momentumlab.text import nearest, safe

FORMATS = ("png", "svg", "pdf")
# Nothing of the day, the machine or the library's version: the same numbers give the same bytes.
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure as png, svg or pdf, by the ending of `path`; its folder is made if need be.

    A file of that name is replaced in one go: nobody ever sees half a picture. ConfigError for other endings, ResultError
    when the disk refuses.
    """
    path = Path(path)
    kind = path.suffix.removeprefix(".").lower()
    if kind not in FORMATS:
        guess = nearest(kind, FORMATS)
        meant = f" Did you mean {guess}?" if guess else ""
        raise ConfigError(
            f"{safe(path)}: a figure can be written as {', '.join(FORMATS)}, not as {safe(repr(kind))}.{meant}"
        )
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with style.context():
            figure.savefig(temporary, format=kind, metadata=_METADATA[kind])
        temporary.replace(path)
    except OSError as error:
        raise ResultError(f"{safe(path)}: the figure cannot be written: {safe(error.strerror or error)}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return path
