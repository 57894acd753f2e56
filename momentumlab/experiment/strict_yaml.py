"""YAML 1.2 without its surprises: text in, plain data out, with the line and column of every key and value.

Where PyYAML reads otherwise: 1e-3 is a number here; `no`, 1:30 and 1_000 are text; 0777 is 777. Refused are
aliases, tags, keys written twice, a second document, and anything too large or too deep to be an experiment.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from momentumlab.errors import ConfigError
from momentumlab.experiment.problem import Path, Place, Problem, at
from momentumlab.text import safe, shown

LARGEST = 2**20  # bytes
DEEPEST = 32
MOST_NODES = 100_000
MOST_PROBLEMS = 100  # are told; whoever made more of them is not helped by the rest

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where it is compiled in: a hundred times faster
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")

# The core schema of YAML 1.2.2, section 10.3.2.
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"[-+]?\.(inf|Inf|INF)")
_NAN = re.compile(r"\.(nan|NaN|NAN)")
_LONGEST_INTEGER = 300  # digits; beyond it a number is larger than any float, and is read as infinity


@dataclass
class Document:
    """What a text holds: its data, where each key and value stands, and what was refused on the way."""

    name: str
    data: Any = None
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    problems: list[tuple[Place, Problem]] = field(default_factory=list)


class _RefusalError(Exception):
    """The text cannot be read on: the place, where it is known, and why."""

    def __init__(self, place: Place | None, sentence: str) -> None:
        super().__init__(sentence)
        self.place = place


def read(text: str, name: str, rename: Callable[[Path, str], str] = lambda path, key: key) -> Document:
    """The one document in `text`; messages call it `name`; `rename(path, key)` gives a key its one spelling.

    Raises ConfigError where the text is no YAML at all; double keys, aliases and tags are in `problems`.
    """
    try:
        return _document(text, name, rename)
    except _RefusalError as error:
        where = at(name, error.place) if error.place else safe(name)
        raise ConfigError(f"{where}: {error}") from None


def parse(text: str, name: str) -> Any:
    """The plain data in `text`. Raises ConfigError for everything that is refused in it."""
    document = read(text, name)
    if document.problems:
        raise ConfigError([problem.line(at(name, place)) for place, problem in document.problems])
    return document.data


def parse_value(text: str) -> Any:
    """The value that a piece of an option stands for: a number, a word, a list. Raises ConfigError."""
    if _FLOAT.fullmatch(text.strip(" ")):  # as most are: a hundred thousand of them in seconds
        return number_or_text(text.strip(" "))
    try:
        document = _document(text, "", lambda path, key: key)
    except _RefusalError as error:
        raise ConfigError(f"got {shown(text)}: {error}") from None
    if document.problems:
        raise ConfigError([f"got {shown(text)}: {problem.sentence}" for _, problem in document.problems])
    return document.data


def number_or_text(text: str) -> Any:
    """What a scalar without quotes stands for in YAML 1.2."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text) if len(text) <= _LONGEST_INTEGER else float(text)
    if len(text) <= _LONGEST_INTEGER and (_OCTAL.fullmatch(text) or _HEXADECIMAL.fullmatch(text)):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INFINITY.fullmatch(text) or _NAN.fullmatch(text):
        return float(text.replace(".", ""))
    return text


class _Reader:
    """Builds a document from parser events, so that nothing forbidden is ever constructed."""

    def __init__(self, document: Document, rename: Callable[[Path, str], str]) -> None:
        self.document = document
        self._rename = rename
        self._nodes = 0

    def read(self, events: Iterator[Any]) -> None:
        """Take in the whole text."""
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._stop(event, "a second document begins here: one file holds one experiment")
            elif isinstance(event, yaml.NodeEvent):
                self.document.data = self._node(event, events, ())

    def _node(self, event: Any, events: Iterator[Any], path: Path) -> Any:
        self._guard(event, path)
        self.document.values.setdefault(path, _place(event))
        if isinstance(event, yaml.ScalarEvent):
            if found := _UNPRINTABLE.search(event.value):  # "\e" in quotes
                self._refuse(event, path, f"the control character {shown(found.group())} is not allowed")
            return number_or_text(event.value) if event.implicit[0] else event.value
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(events, path)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(events, path)
        return None  # an alias, refused by the guard

    def _sequence(self, events: Iterator[Any], path: Path) -> list[Any]:
        result: list[Any] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            result.append(self._node(event, events, (*path, len(result))))
        return result

    def _mapping(self, events: Iterator[Any], path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = self._key(event, path, result)
            value = self._node(next(events), events, (*path, key))
            result.setdefault(key, value)
        return result

    def _key(self, event: Any, path: Path, known: dict[str, Any]) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            self._stop(event, "a key must be a single word")
        key = self._rename(path, event.value)
        here = (*path, key)
        self._guard(event, here)
        if key in known:
            first = self.document.keys[here][0]
            self._refuse(event, here, f"duplicate key {shown(event.value)}, already given on line {first}: keep one")
        self.document.keys.setdefault(here, _place(event))
        return key

    def _guard(self, event: Any, path: Path) -> None:
        """Refuse what no experiment needs; stop before a hostile text costs time or memory."""
        self._nodes += 1
        if self._nodes > MOST_NODES:
            self._stop(event, f"more than {MOST_NODES} values, which is no experiment")
        if len(path) > DEEPEST:
            self._stop(event, f"nested deeper than {DEEPEST}, which is no experiment")
        if isinstance(event, yaml.AliasEvent):
            self._refuse(event, path, f"the alias *{event.anchor} is not allowed: write the value out")
        elif event.anchor is not None:
            self._refuse(event, path, f"the anchor &{event.anchor} is not allowed: write the value out where needed")
        elif event.tag is not None:
            self._refuse(event, path, f"the tag {_tag(event.tag)} is not allowed: plain values only")

    def _refuse(self, event: Any, path: Path, sentence: str) -> None:
        if len(self.document.problems) < MOST_PROBLEMS:
            self.document.problems.append((_place(event), Problem(path, sentence)))

    def _stop(self, event: Any, sentence: str) -> NoReturn:
        raise _RefusalError(_place(event), sentence)


def _document(text: str, name: str, rename: Callable[[Path, str], str]) -> Document:
    if len(text) > LARGEST:
        raise _RefusalError(None, "larger than 1 MiB, which is no experiment")
    if found := _UNPRINTABLE.search(text):
        place = text.count("\n", 0, found.start()) + 1, found.start() - text.rfind("\n", 0, found.start())
        raise _RefusalError(place, f"the control character {shown(found.group())} is not allowed: delete it")
    reader = _Reader(Document(name), rename)
    try:
        reader.read(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(error) from None
    return reader.document


def _not_yaml(error: yaml.MarkedYAMLError) -> _RefusalError:
    mark = error.problem_mark or error.context_mark
    place = (mark.line + 1, mark.column + 1) if mark else None
    problem = safe(error.problem or error.context)
    hint = ": indent with spaces, not with tabs" if "cannot start any token" in problem else ""
    return _RefusalError(place, f"not valid YAML: {problem}{hint}")


def _tag(tag: str) -> str:
    return shown(tag.replace("tag:yaml.org,2002:", "!!"))


def _place(event: Any) -> Place:
    return event.start_mark.line + 1, event.start_mark.column + 1
