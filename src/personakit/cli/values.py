"""Values and texts as a terminal shows them."""

from __future__ import annotations

from typing import Any, Final

import msgspec

LONGEST: Final = 60


def shown(value: Any) -> str:
    """A value as JSON, cut at LONGEST characters."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def printable(text: str) -> str:
    """`text` without what would steer the terminal that it is shown on."""
    return "".join(character for character in text if character.isprintable())
