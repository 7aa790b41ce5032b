"""Answers encoded once, to be sent many times: of all that is said of a trait, only the confidence depends
on the instant, and that is steady for a while; of a suggestion only the id."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from personakit.domain.traits import Trait
from personakit_sdk import wire
from personakit_sdk.mapping import shown_trait
from personakit_sdk.rules.facts import ALWAYS, confidence, steady_until

_GAP: Final = b"\x00"
"""Stands where something will be put in: no JSON has this byte in it."""
_encode: Final = msgspec.json.Encoder().encode


class Gapped:
    """JSON with gaps, each to be filled with JSON."""

    __slots__ = ("_parts",)

    GAP: Final = msgspec.Raw(_GAP)
    """Put where a gap is to be, into what is given here."""

    def __init__(self, value: Any) -> None:
        first, *others = _encode(value).split(_GAP)
        self._parts = [first, *(part for each in others for part in (_GAP, each))]

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(map(len, self._parts))

    def filled(self, values: list[bytes]) -> Any:
        """The JSON with one of `values` in each gap: a `msgspec.Raw`, to stand for it in an answer."""
        parts = self._parts.copy()
        parts[1::2] = values
        return msgspec.Raw(b"".join(parts))


class _Made(NamedTuple):
    """Traits as they are sent from `since` to before `until`."""

    since: datetime
    until: datetime
    traits: Any


class PreparedTraits:
    """Traits as a caller sees them, by path."""

    __slots__ = ("_gapped", "_made", "_traits")

    def __init__(self, found: Mapping[str, Trait]) -> None:
        self._traits = [found[path] for path in sorted(found)]
        self._gapped = Gapped({path: shown_trait(found[path], Gapped.GAP) for path in sorted(found)})
        self._made = _Made(ALWAYS, ALWAYS, None)

    @property
    def size(self) -> int:
        """In bytes, with what was made last."""
        return 2 * self._gapped.size

    def at(self, at: datetime) -> Any:
        """The object by path with the confidences at `at`, as a `msgspec.Raw`."""
        made = self._made
        if not made.since <= at < made.until:
            believed = [confidence(trait, at) for trait in self._traits]
            until = min(map(steady_until, self._traits, believed), default=ALWAYS)
            self._made = made = _Made(at, until, self._gapped.filled(list(map(_encode, believed))))
        return made.traits


def trait(trait: Trait, at: datetime) -> wire.Trait:
    """A trait as a caller sees it, with its confidence at `at`."""
    return shown_trait(trait, confidence(trait, at))
