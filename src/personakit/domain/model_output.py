"""What a model may say at all: JSON of the shape that was asked for, which can be kept."""

from __future__ import annotations

from typing import Any

import msgspec

from personakit_sdk.errors import DocumentInvalid, PersonaKitError
from personakit_sdk.rules.limits import Limits
from personakit_sdk.rules.plain import plain


class MalformedAnswer(PersonaKitError):
    """A model's answer is not of the shape that was asked for."""


def as_json(value: Any) -> str:
    """JSON for a model to read as data: without the characters that mark where data begins and ends, so
    that nothing in it can look like the end of it."""
    text = msgspec.json.encode(value, order="sorted").decode()
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def storable(value: Any) -> bool:
    """Whether the log and the read models can hold a value: no NUL, no half of a surrogate pair, no number
    beyond int64 or double."""
    try:
        plain(value, "answer", Limits())
    except DocumentInvalid:
        return False
    return True
