"""Exploration of one answer: what fired changes places, and each suggestion says by which chance."""

from __future__ import annotations

import msgspec

from personakit.domain import exposure
from personakit.domain.exploration import Exploration, Place, explore
from personakit_sdk.rules import suggestion_id
from personakit_sdk.rules.evaluate import Decision, Suggestion
from personakit_sdk.rules.plan import Candidate


class Explorer:
    """Of one question to a mapper that explores."""

    def __init__(self, exploration: Exploration, secret: bytes, tenant: str, seed: bytes) -> None:
        self._exploration = exploration
        self._secret = secret
        self._tenant = tenant
        self._seed = seed
        self._places: list[Place] = []

    def reorder(self, ranked: list[Candidate]) -> list[Candidate]:
        """The candidates in the order that is drawn, for the engine to cut and render."""
        order, self._places = explore(ranked, *self._exploration, self._seed)
        return order

    def exposed(self, decision: Decision) -> Decision:
        """The decision that was made in that order, its suggestions with their exposures."""
        return msgspec.structs.replace(
            decision, suggestions=[self._exposed(one) for one in decision.suggestions]
        )

    def _exposed(self, suggestion: Suggestion) -> Suggestion:
        place = self._places[suggestion_id.decode(suggestion.id).rank - 1]
        sealed = exposure.encode(self._secret, self._tenant, suggestion.id, place)
        return msgspec.structs.replace(suggestion, exposure=sealed)
