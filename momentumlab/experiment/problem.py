"""One thing that is wrong: with which key, and where it stands."""

from typing import NamedTuple

from momentumlab.text import safe

Path = tuple[str | int, ...]  # keys, and the 0-based places in lists
Place = tuple[int, int]  # line and column, both from 1


class Problem(NamedTuple):
    """A whole sentence about the key at `path`; `at_key` when the key itself is wrong, not its value."""

    path: Path
    sentence: str
    at_key: bool = False

    def line(self, where: str) -> str:
        """The line that the user reads."""
        return ": ".join(part for part in (where, safe(dotted(self.path)), self.sentence) if part)


def at(name: str, place: Place) -> str:
    """`name:line:column`, as editors understand it."""
    return f"{safe(name)}:{place[0]}:{place[1]}"


def dotted(path: Path) -> str:
    """A path as a message writes it: `optimizer.eta.at: element 2`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f": element {part + 1}" if text else f"element {part + 1}"
        else:
            text += f".{part}" if text else part
    return text
