"""What was decided of a persona, kept for as long as the clock changes nothing in it."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from personakit.api.prepared import Gapped
from personakit_sdk.rules import suggestion_id
from personakit_sdk.rules.evaluate import Decision, Suggestion

KEPT: Final = 4
LARGEST: Final = 8 * 1024
"""Of one persona so many decisions are kept, each of at most so many bytes."""


class Kept(NamedTuple):
    """A decision, encoded but for the ids of its suggestions: they name the instant of the answer."""

    since: datetime
    until: datetime
    suggestions: Gapped
    places: list[tuple[str, int]]
    missing_traits: list[str]

    def suggestions_at(self, persona_id: str, mapper_id: str, mapper_version: int, at: datetime) -> Any:
        """The suggestions as they would be made at `at`, as a `msgspec.Raw`."""
        ids = suggestion_id.encode_all(persona_id, mapper_id, mapper_version, self.places, at)
        return self.suggestions.filled([b'"%s"' % each.encode() for each in ids])


class KeptDecisions:
    """Those of one persona as it was read once, by all else that they depend on."""

    SIZE: Final = KEPT * LARGEST
    """In bytes, at most."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, Kept] = {}

    def find(self, asked: Hashable, at: datetime) -> Kept | None:
        """What was decided before, where it is what would be decided at `at`."""
        kept = self._kept.get(asked)
        return kept if kept is not None and kept.since <= at < kept.until else None

    def keep(self, asked: Hashable, decision: Decision, since: datetime, until: datetime) -> None:
        """Keeps a decision that holds from `since` to before `until`, unless it is large."""
        suggestions = Gapped([_with_gap(each) for each in decision.suggestions])
        if until <= since or suggestions.size > LARGEST:
            return
        self._kept.pop(asked, None)
        if len(self._kept) >= KEPT:
            del self._kept[next(iter(self._kept))]
        places = [(each.rule_id, suggestion_id.decode(each.id).rank) for each in decision.suggestions]
        self._kept[asked] = Kept(since, until, suggestions, places, decision.missing_traits)


def _with_gap(suggestion: Suggestion) -> Suggestion:
    gap: Any = Gapped.GAP
    return msgspec.structs.replace(suggestion, id=gap)
