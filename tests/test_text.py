"""Foreign text: what is shown cannot steer a terminal or hide letters; a misspelt word is recognised."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from momentumlab.text import nearest, no_formula, safe, shown, with_formula

# Every character there is, lone surrogates included: file names on Linux can hold them.
ANY_TEXT = st.text(st.characters(exclude_categories=()))
BIDI_CONTROLS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@pytest.mark.parametrize("text", ["", "linreg", "γ = 0.9, η·∇J(θ) − ½", "动量：东，然后南", "naïve café", "🙂", "a b"])
def test_ordinary_text_is_left_as_it_is(text: str) -> None:
    assert safe(text) == text


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("two\nlines\r\n", "two\\nlines\\r\\n"),
        ("tab\there", "tab\\there"),
        ("\x00", "\\x00"),
        ("\x7f\x9b31m", "\\x7f\\x9b31m"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("txt.\u202eexe", "txt.\\u202eexe"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_could_steer_a_terminal_becomes_a_visible_escape(text: str, visible: str) -> None:
    assert safe(text) == visible


@given(ANY_TEXT)
def test_safe_text_holds_no_control_character_and_can_be_encoded(text: str) -> None:
    result = safe(text)

    assert not {unicodedata.category(character) for character in result} & {"Cc", "Cs", "Zl", "Zp"}
    assert not set(result) & set(BIDI_CONTROLS)
    assert result.encode("utf-8").decode("utf-8") == result
    assert len(result.splitlines()) <= 1


@given(ANY_TEXT)
def test_safe_text_is_not_escaped_again(text: str) -> None:
    assert safe(safe(text)) == safe(text)


def test_safe_takes_anything_that_has_words() -> None:
    assert safe(ValueError("no\x1b[31m")) == "no\\x1b[31m"
    assert safe(0.9) == "0.9"


@pytest.mark.parametrize(
    ("value", "words"), [("yes", "'yes'"), (0.9, "0.9"), (None, "None"), ([1, 2], "[1, 2]"), ("γ", "'γ'")]
)
def test_a_value_is_quoted_as_python_would_type_it(value: object, words: str) -> None:
    assert shown(value) == words


def test_a_direction_override_in_a_quoted_value_is_visible() -> None:
    assert "\u202e" not in shown("txt.\u202eexe")


@given(ANY_TEXT, st.integers(2, 80))
def test_a_quoted_value_is_never_longer_than_the_limit(text: str, limit: int) -> None:
    assert len(shown(text, limit)) <= limit


def test_a_cut_value_says_that_it_was_cut() -> None:
    assert shown("a" * 100, 10) == "'aaaaaaaa…"
    assert shown("a" * 8, 10) == "'aaaaaaaa'"


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("gama", "gamma"),
        ("nestorov", "nesterov"),
        ("momentun", "momentum"),
        ("gamma", "gamma"),
        ("zzz", None),
    ],
)
def test_a_misspelt_word_finds_its_nearest_choice(word: str, meant: str | None) -> None:
    assert nearest(word, ["gamma", "eta", "momentum", "nesterov"]) == meant


@pytest.mark.parametrize(
    ("word", "meant"),
    [("adamw", "AdamW"), ("ADAM", "Adam"), ("QHM", "qhm"), ("sgd", "sgd"), ("SGD", "SGD"), ("Sgd", "sgd")],
)
def test_a_word_in_another_case_is_no_other_word(word: str, meant: str) -> None:
    assert nearest(word, ["Adam", "AdamW", "SGD", "sgd", "qhm"]) == meant


def test_how_alike_they_must_be_can_be_said() -> None:
    assert nearest("betas", ["eta"]) == "eta"
    assert nearest("betas", ["eta"], 0.85) is None


def test_there_is_nothing_near_where_there_is_no_choice() -> None:
    assert nearest("gamma", []) is None


def test_choices_may_be_any_iterable() -> None:
    assert nearest("gama", (name for name in ("gamma", "eta"))) == "gamma"


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " \u00a0=1", "\ufeff=1", "＝1", "'=1", "''=1"],
)
def test_what_a_spreadsheet_would_run_stands_behind_an_apostrophe_and_is_read_back(text: str) -> None:
    assert no_formula(text) == f"'{text}"
    assert with_formula(no_formula(text)) == text


@pytest.mark.parametrize("text", ["", "-1", "+.5", "-1e-05", "-inf", "nan", "adam", "a=1", "it's", "'"])
def test_numbers_and_plain_words_are_left_to_a_spreadsheet(text: str) -> None:
    assert no_formula(text) == text


@given(ANY_TEXT)
def test_every_text_is_read_back_as_it_was(text: str) -> None:
    assert with_formula(no_formula(text)) == text
