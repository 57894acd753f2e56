"""The reference cases: numbers that were computed elsewhere, with their tolerances (reference_cases.json)."""

import functools
import json
from pathlib import Path
from typing import Any


def case(identifier: str) -> dict[str, Any]:
    """The case with this id: `setting`, `expected`, `tolerance`, where it comes from. Not to be changed."""
    return _cases()[identifier]


@functools.cache
def _cases() -> dict[str, dict[str, Any]]:
    text = Path(__file__).with_name("reference_cases.json").read_text(encoding="utf-8")
    return {found["id"]: found for found in json.loads(text)["cases"]}
