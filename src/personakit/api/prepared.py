"""Traits encoded once, to be sent many times: of all that is said of a trait, only the confidence depends on
the instant."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from personakit.domain.traits import Trait
from personakit_sdk import wire
from personakit_sdk.rules.facts import confidence

_GAP: Final = b"\x00"
"""Stands where a confidence will: no JSON has this byte in it."""
_encode: Final = msgspec.json.Encoder().encode


class PreparedTraits:
    """Traits as a caller sees them, by path."""

    __slots__ = ("_parts", "_traits")

    def __init__(self, found: Mapping[str, Trait]) -> None:
        self._traits = [found[path] for path in sorted(found)]
        with_gaps = {path: _trait(found[path], msgspec.Raw(_GAP)) for path in sorted(found)}
        between = _encode(with_gaps).split(_GAP)
        self._parts = [between[0], *(part for each in between[1:] for part in (_GAP, each))]

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(map(len, self._parts))

    def at(self, at: datetime) -> Any:
        """The object by path with the confidences at `at`, as a `msgspec.Raw` that may stand for it in any
        answer."""
        parts = self._parts.copy()
        parts[1::2] = [_encode(confidence(trait, at)) for trait in self._traits]
        return msgspec.Raw(b"".join(parts))


def trait(trait: Trait, at: datetime) -> wire.Trait:
    """A trait as a caller sees it, with its confidence at `at`."""
    return _trait(trait, confidence(trait, at))


def _trait(trait: Trait, believed: Any) -> wire.Trait:
    return wire.Trait(
        value=trait.value,
        confidence=believed,
        volatility=trait.volatility,
        samples=trait.samples,
        last_observed_at=trait.last_observed_at,
        source=trait.source,
        pinned=trait.pinned,
        truncated=trait.truncated,
        evidence=list(trait.evidence),
    )
