"""The facts that other engines name: each becomes a trait's path or a field of the context."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from personakit_sdk.rules.conditions import Condition
from personakit_sdk.rules.node import Node

Kind = Literal["traits", "context"]
_OF_EVERY_OBJECT = frozenset({"length", "constructor", "toString", "valueOf", "hasOwnProperty", "__proto__"})


class Fact(msgspec.Struct, frozen=True):
    """A trait's path or a field of the context, as a condition writes it."""

    kind: Kind
    path: str

    def check(self, operator: str, *value: Any) -> Condition:
        """The condition that compares it with a value; of `exists` and `not_exists`, with none."""
        named = {"path": self.path} if self.kind == "traits" else {"field": self.path}
        compared = {"operator": operator} | ({"value": value[0]} if value else {})
        return {"trait_check" if self.kind == "traits" else "context_check": named | compared}

    def member(self, segment: str) -> Fact:
        """What lies in it under a name or at an index."""
        return Fact(self.kind, f"{self.path}.{segment}")


class FactNames(msgspec.Struct, frozen=True):
    """Which facts are traits: all, or those at or below one of the `traits`."""

    kind: Kind = "context"
    traits: tuple[str, ...] = ()

    def dotted(self, name: str) -> Fact:
        """The fact at a path whose dots lead into objects."""
        return Fact(self._kind(name), name)

    def named(self, name: str) -> Fact:
        """The fact of a name whose dots are part of it: a trait's path has them as they are, and a field
        of the context has them escaped."""
        kind = self._kind(name)
        return Fact(kind, name if kind == "traits" else name.replace(".", "\\."))

    def _kind(self, name: str) -> Kind:
        below = any(name == prefix or name.startswith(f"{prefix}.") for prefix in self.traits)
        return "traits" if below else self.kind


def check_segments(node: Node, segments: Iterable[str]) -> bool:
    """Whether a path of these segments means here what it means in JavaScript; notes a fault where not."""
    sound = [_check_segment(node, segment) for segment in segments]
    return all(sound)


def _check_segment(node: Node, segment: str) -> bool:
    if not segment:
        node.fault("its path has an empty segment")
    elif "\\" in segment:
        node.fault(f"the name {segment[:64]!r} has a backslash in it, which paths here cannot say")
    elif segment in _OF_EVERY_OBJECT:
        node.fault(f"{segment!r} is read from JavaScript's own objects, which facts here are not")
    elif segment.isascii() and segment.isdigit() and segment != (segment.lstrip("0") or "0"):
        node.fault(f"{segment!r} is an index here and a name in JavaScript")
    else:
        return True
    return False
