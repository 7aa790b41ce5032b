"""What was learned of a mapper's rules, as events leave it: in the mapper for all, in a persona for one."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from personakit.domain.events import (
    PersonaErased,
    PersonaRetired,
    PersonaWeightsAdjusted,
    RuleEvidence,
    RuleWeightsAdjusted,
)
from personakit.domain.learning import Learned
from personakit.domain.persona import PersonaEvent


class Adjusted(msgspec.Struct, frozen=True):
    """The multipliers, the rules that do not learn (`frozen`), whether any has further to go on another day
    (`settled`: none), and what was believed by the votes up to position `read_through`."""

    learned: Learned = Learned()
    frozen: tuple[str, ...] = ()
    settled: bool = True
    evidence: Mapping[str, RuleEvidence] = {}
    read_through: int = 0


def adjusted_by(event: RuleWeightsAdjusted | PersonaWeightsAdjusted) -> Adjusted:
    """What an event leaves, whatever was before: it says all of it."""
    return Adjusted(
        learned=Learned(event.learned, event.day, event.morning),
        frozen=event.frozen if isinstance(event, RuleWeightsAdjusted) else (),
        settled=event.settled,
        evidence=event.evidence,
        read_through=event.read_through,
    )


class Own(msgspec.Struct, frozen=True):
    """What a persona's stream says of one mapper's rules."""

    mapper_id: str
    adjusted: Adjusted = Adjusted()
    retired: bool = False


def evolve_own(state: Own, event: PersonaEvent) -> Own:
    """The state after one more event of the persona."""
    if isinstance(event, PersonaErased):
        return Own(state.mapper_id)
    if isinstance(event, PersonaWeightsAdjusted) and event.mapper_id == state.mapper_id:
        return msgspec.structs.replace(state, adjusted=adjusted_by(event))
    return msgspec.structs.replace(state, retired=True) if isinstance(event, PersonaRetired) else state
