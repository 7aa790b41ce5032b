"""Paths of traits, and patterns of them, as requests name them."""

from __future__ import annotations

from typing import Final

from personakit_sdk.rules.limits import DEFAULT_LIMITS
from personakit_sdk.rules.paths import segments_of

MOST_NAMES: Final = DEFAULT_LIMITS.path_segments
LONGEST_PATH: Final = 512


def is_path(text: str) -> bool:
    """Whether a trait may be there: 1 to MOST_NAMES names between dots, in printable text."""
    segments = segments_of(text)
    odd = not text.isprintable() or "\ufffd" in text  # which stands for bytes that are no UTF-8
    return not odd and all(segments) and len(segments) <= MOST_NAMES and len(text) <= LONGEST_PATH


def is_pattern(text: str) -> bool:
    """Whether this is a path, or one with `.*` behind it for all below; no name in it is an asterisk."""
    path = text.removesuffix(".*")
    return is_path(path) and "*" not in segments_of(path)
