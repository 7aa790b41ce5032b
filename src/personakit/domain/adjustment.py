"""The Configuration Adjuster's decisions: what votes make of a mapper's multipliers, for all and for one
persona."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final
from uuid import UUID

import msgspec

from personakit.domain.adjusted import Adjusted, Own
from personakit.domain.events import (
    AdjustmentCause,
    PersonaWeightsAdjusted,
    RuleEvidence,
    RuleWeightsAdjusted,
)
from personakit.domain.learning import (
    Belief,
    Evidence,
    Moved,
    Settings,
    belief,
    mean_of,
    move,
    own_belief,
    own_target,
    pooled,
    target,
)
from personakit.domain.mapper import MapperState
from personakit.domain.publishing import Provenance

ADJUSTER: Final = "adjuster"
"""The origin of what is published by itself."""
_TOLD: Final = 3
"""So many rules are named in the reason of a version."""


class Votes(msgspec.Struct, frozen=True):
    """What was voted on a mapper as of a day, by persona and rule; and where each persona's newest feedback
    stands."""

    by_persona: Mapping[UUID, Mapping[str, Evidence]] = {}
    voters: Mapping[UUID, int] = {}


class Beliefs(msgspec.Struct, frozen=True):
    """The mean rate of a mapper's rules; of each rule that has votes what is believed, and by how many
    personas. Rules that are gone are believed in as well, and count nothing in the mean. `read_through` is
    the position of the newest feedback that is counted."""

    settings: Settings
    rules: frozenset[str]
    mean: float
    by_rule: Mapping[str, Belief]
    personas: Mapping[str, int]
    read_through: int

    def evidence(self) -> dict[str, RuleEvidence]:
        """As events have it."""
        return {rule: _evidence(self.by_rule[rule], self.personas[rule]) for rule in sorted(self.by_rule)}


def believed(document: Mapping[str, Any], votes: Votes) -> Beliefs:
    """What votes make believe of the rules of a mapper's document."""
    settings = Settings.of(document)
    rules = frozenset(rule["id"] for rule in document["rules"])
    each: dict[str, list[Evidence]] = {}
    for own in votes.by_persona.values():
        for rule, evidence in own.items():
            each.setdefault(rule, []).append(evidence)
    together = {rule: pooled(those, settings) for rule, those in each.items()}
    mean = mean_of(evidence for rule, evidence in together.items() if rule in rules)
    return Beliefs(
        settings=settings,
        rules=rules,
        mean=mean,
        by_rule={rule: belief(evidence, mean) for rule, evidence in together.items()},
        personas={rule: evidence.personas for rule, evidence in together.items()},
        read_through=max(votes.voters.values(), default=0),
    )


def proposal(state: MapperState, beliefs: Beliefs, today: date) -> Moved:
    """Where the multipliers of a mapper's rules would go now. Rules learn that the document in use has and
    that are not frozen; none where `publishing` is off."""
    settings, adjusted = beliefs.settings, state.adjusted
    if state.shown.status != "active" or settings.publishing == "off":
        return Moved(adjusted.learned, adjusted.settled)
    targets = {
        rule: target(found, beliefs.mean, settings)
        for rule, found in beliefs.by_rule.items()
        if rule in beliefs.rules
    }
    return move(adjusted.learned, targets, today, settings, adjusted.frozen)


def proposed(state: MapperState, moved: Moved) -> dict[str, float]:
    """The multipliers that would change, as they would be."""
    return changes(state.adjusted.learned.multipliers, moved.learned.multipliers)


def learn(state: MapperState, beliefs: Beliefs, today: date) -> RuleWeightsAdjusted | None:
    """The event that publishes by itself what votes teach; None where nothing changes, and where the mapper
    publishes only what somebody approves."""
    moved = proposal(state, beliefs, today)
    changed = proposed(state, moved)
    if not changed or beliefs.settings.publishing != "auto":
        return None
    by = Provenance(ADJUSTER, _told(state.adjusted.learned.multipliers, changed))
    after = Adjusted(
        moved.learned, state.adjusted.frozen, moved.settled, beliefs.evidence(), beliefs.read_through
    )
    return adjustment(state, after, "learned", by)


def learn_for(
    persona: UUID, own: Own, *, state: MapperState, votes: Votes, beliefs: Beliefs, today: date
) -> PersonaWeightsAdjusted | None:
    """The event of what one persona's votes teach of their own multipliers; None where nothing changes. Rules
    that are frozen are so for everybody."""
    said = votes.by_persona.get(persona, {})
    settings = beliefs.settings
    if own.retired or state.shown.status != "active" or settings.publishing == "off":
        return None
    targets = {
        rule: own_target(evidence, beliefs.by_rule[rule], beliefs.mean, settings)
        for rule, evidence in said.items()
        if rule in beliefs.rules
    }
    before = own.adjusted.learned
    moved = move(before, targets, today, settings, state.adjusted.frozen)
    if not changes(before.multipliers, moved.learned.multipliers):
        return None
    found = {
        rule: own_belief(evidence, beliefs.by_rule[rule], beliefs.mean, settings)
        for rule, evidence in said.items()
    }
    return PersonaWeightsAdjusted(
        mapper_id=state.shown.document["metadata"]["id"],
        learned=moved.learned.multipliers,
        day=moved.learned.day or today,
        morning=moved.learned.morning,
        settled=moved.settled,
        evidence={rule: _evidence(found[rule], 1) for rule in sorted(found)},
        read_through=votes.voters.get(persona, 0),
    )


def adjustment(
    state: MapperState,
    after: Adjusted,
    cause: AdjustmentCause,
    by: Provenance,
    restores: int | None = None,
) -> RuleWeightsAdjusted:
    """The event after which a mapper's multipliers stand like that."""
    if after.learned.day is None:
        raise LookupError("Multipliers were adjusted on no day.")
    return RuleWeightsAdjusted(
        mapper_id=state.shown.document["metadata"]["id"],
        learned=after.learned.multipliers,
        frozen=after.frozen,
        day=after.learned.day,
        morning=after.learned.morning,
        settled=after.settled,
        evidence=dict(after.evidence),
        read_through=after.read_through,
        cause=cause,
        origin=by.origin,
        reason=by.reason,
        restores=restores,
    )


def changes(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """By rule, what is another multiplier; 1 where one is not named."""
    return {
        rule: after.get(rule, 1.0)
        for rule in sorted({*before, *after})
        if after.get(rule, 1.0) != before.get(rule, 1.0)
    }


def _evidence(found: Belief, personas: int) -> RuleEvidence:
    return RuleEvidence(rate=round(found.rate, 4), votes=round(found.votes, 4), personas=personas)


def _told(before: Mapping[str, float], changed: Mapping[str, float]) -> str:
    """What changes, in words: `late_nights 1 -> 0.9, early_birds 1.1 -> 1.21 and 2 more`."""
    each = [f"{rule} {before.get(rule, 1.0):g} -> {changed[rule]:g}" for rule in sorted(changed)]
    more = f" and {len(each) - _TOLD} more" if len(each) > _TOLD else ""
    return ", ".join(each[:_TOLD]) + more
