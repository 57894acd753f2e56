"""Foreign text made harmless to show, and the nearest word to a misspelt one."""

import difflib
import unicodedata
from collections.abc import Iterable

_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def safe(text: object) -> str:
    """`text` with everything that could steer a terminal or hide letters written as visible escapes.

    Control characters (C0, DEL, C1), lone surrogates, line separators and direction overrides become `\\x1b` and the like.
    """
    return "".join(_visible(character) for character in str(text))


def shown(value: object, limit: int = 60) -> str:
    """`value` as an error message quotes it: its repr, harmless, and cut after `limit` characters."""
    text = safe(repr(value))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice that `word` was probably meant to be, or None when none is near."""
    matches = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return matches[0] if matches else None


def _visible(character: str) -> str:
    hidden = unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} or character in _BIDI_CONTROLS
    return character.encode("unicode_escape").decode("ascii") if hidden else character
