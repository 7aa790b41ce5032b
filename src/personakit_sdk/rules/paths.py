"""Dotted paths into traits and context."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

import msgspec

from personakit_sdk.rules.facts import TraitFact
from personakit_sdk.rules.node import Node
from personakit_sdk.rules.plain import is_list, is_object

_SEPARATOR = re.compile(r"(?<!\\)\.")


class Missing(Enum):
    """The type of MISSING: null is a value that is there, so None cannot say that nothing is."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING


class Path(msgspec.Struct, frozen=True):
    """A parsed path. `segments` have their dots unescaped.

    `splits` are the ways to cut it into a trait's path, as written, and segments into its value, the
    longest trait path first.
    """

    segments: tuple[str, ...]
    splits: tuple[tuple[str, tuple[str, ...]], ...]


def segments_of(text: str) -> tuple[str, ...]:
    r"""The segments of the path that `text` writes: what stands between dots, `\.` for a dot inside one."""
    return tuple(part.replace("\\.", ".") for part in _SEPARATOR.split(text))


def parse_path(text: str) -> Path:
    """The path that `text` writes. Of one that was not checked, ask `segments_of` only: all ways to cut a
    path take the square of its length."""
    written = _SEPARATOR.split(text)
    segments = segments_of(text)
    cuts = range(len(written), 0, -1)
    return Path(segments, tuple((".".join(written[:cut]), segments[cut:]) for cut in cuts))


def read_path(node: Node) -> str:
    """The path that a document names, as written; notes a fault for one that nothing could have."""
    text = node.text()
    segments = segments_of(text)
    if text and not all(segments):
        node.fault(f"the path {text[:64]!r} has an empty segment")
    if len(segments) > node.limits.path_segments:
        node.fault(f"the path has {len(segments)} segments; at most {node.limits.path_segments} are taken")
    return text


def enter(value: Any, segments: tuple[str, ...]) -> Any:
    """What lies at `segments` inside objects and lists, or MISSING."""
    for segment in segments:
        if value.__class__ is dict or is_object(value):  # nearly always, and told without a call
            value = value.get(segment, MISSING)
        elif is_list(value) and segment.isascii() and segment.isdigit():
            index = int(segment)
            value = value[index] if index < len(value) else MISSING
        else:
            return MISSING
    return value


def find_trait(path: Path, traits: Mapping[str, TraitFact]) -> tuple[Any, TraitFact | None]:
    """The value at `path` or MISSING, and the trait that it lies in: the one of the longest path."""
    for trait_path, rest in path.splits:
        trait = traits.get(trait_path)
        if trait is not None:
            return enter(trait.value, rest), trait
    return MISSING, None
