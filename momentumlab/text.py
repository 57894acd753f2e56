"""Foreign text made harmless to show, and the nearest word to a misspelt one."""

import difflib
import re
import unicodedata
from collections.abc import Iterable

# Control characters, invisible format characters (direction overrides, zero widths), lone surrogates, line separators.
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# What a spreadsheet runs: behind spaces of any kind and invisible characters one of = + - @, also the wide ones, or a
# tab or a line's end at the beginning. A number is none.
_FORMULA = re.compile(r"['\s\ufeff\u200b-\u200f\u2060]*[=+\-@＝＋－＠]|['\ ]*[\t\r\n]")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?(inf|nan)")


def safe(text: object) -> str:
    """`text` with everything that could steer a terminal or hide letters written as visible escapes.

    Control and invisible format characters, lone surrogates and line separators become `\\x1b` and the like.
    """
    text = str(text)
    return text if text.isprintable() else "".join(map(_visible, text))


def shown(value: object, limit: int = 60) -> str:
    """`value` as an error message quotes it: its repr, harmless, and cut after `limit` characters."""
    text = safe(repr(value))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def no_formula(text: str) -> str:
    """`text` as a cell that no spreadsheet runs: behind an apostrophe, where it would be taken for a formula."""
    return f"'{text}" if _is_formula(text) else text


def with_formula(cell: str) -> str:
    """The text that `no_formula` made this cell of."""
    return cell[1:] if cell.startswith("'") and _is_formula(cell[1:]) else cell


def nearest(word: str, choices: Iterable[str], likeness: float = 0.6) -> str | None:
    """The choice that `word` was probably meant to be, whatever its case, or None when none is near.

    `likeness`, from 0 to 1, is the least share of letters that both must have in common.
    """
    folded = {choice: choice.casefold() for choice in choices}
    near = difflib.get_close_matches(word.casefold(), folded.values(), n=1, cutoff=likeness)
    alike = [choice for choice, name in folded.items() if name in near]  # sgd and SGD
    return max(alike, key=lambda choice: difflib.SequenceMatcher(None, word, choice).ratio(), default=None)


def _is_formula(text: str) -> bool:
    return bool(_FORMULA.match(text)) and not _NUMBER.fullmatch(text)


def _visible(character: str) -> str:
    hidden = unicodedata.category(character) in _UNSEEN
    return character.encode("unicode_escape").decode("ascii") if hidden else character
