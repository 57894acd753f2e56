"""The only place where a figure becomes bytes and a file."""

import io
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from momentumlab.errors import ConfigError
from momentumlab.figures import style
from momentumlab.results import disk
from momentumlab.results.files import refused, write_whole
from momentumlab.text import nearest, shown

FORMATS = ("png", "svg", "pdf")
# Nothing of the day, the machine or the library's version: the same numbers give the same bytes.
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def render(figure: Figure, format: str = "png") -> bytes:
    """A figure as the bytes of a png, svg or pdf file. ConfigError for any other format."""
    if format not in FORMATS:
        guess = nearest(format, FORMATS)
        meant = f" Did you mean {guess!r}?" if guess else ""
        raise ConfigError(f"format must be one of {', '.join(FORMATS)}, got {shown(format)}.{meant}")
    file = io.BytesIO()
    with style.context():
        if format == "png":
            # Not savefig, which lays everything out once more before it draws. Level 3 packs in half the time of the
            # usual 6, into 15 % more bytes.
            canvas: Any = FigureCanvasAgg(figure)
            canvas.print_png(file, metadata=_METADATA[format], pil_kwargs={"compress_level": 3})
        else:
            figure.savefig(file, format=format, metadata=_METADATA[format])
    return file.getvalue()


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure in the format that the ending of `path` names; its folder is made if need be.

    A file of that name is replaced in one go: nobody ever sees half a picture. ResultError when the disk refuses.
    """
    path = Path(path)
    picture = render(figure, path.suffix.removeprefix(".").lower())
    try:
        disk.make_folder(path.parent)
    except OSError as error:
        raise refused(path.parent, error) from error
    write_whole(path, picture)
    return path
