"""Exploration of one answer: what fired changes places, and each suggestion says by which chance."""

from __future__ import annotations

from datetime import datetime

import msgspec

from personakit.agents.service import Service
from personakit.domain import exposure
from personakit.domain.exploration import Exploration, Place, explore
from personakit_sdk.rules import suggestion_id
from personakit_sdk.rules.evaluate import Decision, Suggestion
from personakit_sdk.rules.plan import Candidate


def explorer_of(
    service: Service,
    tenant: str,
    exploration: Exploration | None,
    *,
    persona_id: str,
    mapper_id: str,
    version: int,
    at: datetime,
) -> Explorer | None:
    """That of a question to a version of a mapper; None where it does not explore."""
    if exploration is None:
        return None
    seed = exposure.seed(service.secret, tenant, persona_id, mapper_id, version, at)
    return Explorer(exploration, seed, service.secret, tenant)


class Explorer:
    """Of one question to a mapper that explores."""

    def __init__(self, exploration: Exploration, seed: bytes, secret: bytes, tenant: str) -> None:
        """`secret` seals what is said to this tenant."""
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
