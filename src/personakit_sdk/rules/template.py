"""Templates: a text with `{name}` in it, parsed once; what is put in is never expanded again."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from personakit_sdk.rules.plain import INT64, is_list

VALUE_LENGTH: Final = 500
"""Characters of one value that a text takes in."""
TEXT_BYTES: Final = 4 * 1024
"""Bytes of UTF-8 that a rendered text may have."""
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")

_DIRECTIONS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_MARK = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class Template(msgspec.Struct, frozen=True):
    """Literal texts with names between them: `literals` has one more entry than `names`."""

    literals: tuple[str, ...]
    names: tuple[str, ...]

    def render(self, texts: Mapping[str, str]) -> str:
        """The text with each name replaced by its entry of `texts`; cut at TEXT_BYTES."""
        parts = [self.literals[0]]
        for name, literal in zip(self.names, self.literals[1:], strict=True):
            parts += [texts[name], literal]
        text = "".join(parts)
        if 4 * len(text) <= TEXT_BYTES:  # a character has at most 4 bytes
            return text
        return text.encode()[:TEXT_BYTES].decode(errors="ignore")


def parse_template(text: str) -> Template:
    """Raises ValueError, as a sentence, for a brace that is neither doubled nor around a name."""
    literals, names, literal, end = list[str](), list[str](), "", 0
    for mark in _MARK.finditer(text):
        literal += text[end : mark.start()]
        end = mark.end()
        if mark[0] in ("{{", "}}"):
            literal += mark[0][0]
        elif mark[1] is not None and NAME.fullmatch(mark[1]):
            names.append(mark[1])
            literals.append(literal)
            literal = ""
        else:
            where = f"{mark[0][:40]!r} at character {mark.start() + 1}"
            raise ValueError(f"{where} is no {{name}}; write {{{{ or }}}} for a brace")
    literals.append(literal + text[end:])
    return Template(tuple(_printable(each, keep="\n") for each in literals), tuple(names))


def text_of(value: Any) -> str | None:
    """A value as it stands in a text, cut at VALUE_LENGTH; None for what has no text: objects, null,
    numbers that are not finite, whole ones beyond int64 that are no double, and lists that hold such or
    another list."""
    if is_list(value):
        texts = [None if is_list(item) else _text_of_one(item) for item in value[:VALUE_LENGTH]]
        known = [text for text in texts if text is not None]
        return ", ".join(known)[:VALUE_LENGTH] if len(known) == len(texts) else None
    return _text_of_one(value)


def _text_of_one(value: Any) -> str | None:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _printable(value)[:VALUE_LENGTH]
        case int():
            return str(value) if value in INT64 else _double(value)
        case float():
            return f"{value:g}" if math.isfinite(value) else None
        case _:
            return None


def _double(value: int) -> str | None:
    """A whole number beyond int64 that is a double, as JSON readers make of 1e20: written as one."""
    try:
        return f"{float(value):g}" if float(value) == value else None
    except OverflowError:
        return None


def _printable(text: str, keep: str = "") -> str:
    """`text` without control characters, which would steer the terminal or log that it is shown in, and
    without halves of surrogate pairs, which no encoding takes, and without what turns the direction of
    writing, which would let a value disguise the text after it. An author's own line breaks may stay."""
    if text.isprintable():
        return text
    return "".join(c for c in text if c in keep or _harmless(c))


def _harmless(character: str) -> bool:
    return unicodedata.category(character) not in ("Cc", "Cs") and character not in _DIRECTIONS
