"""Domain to wire: traits with the confidence they deserve at an instant, cores, personas."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

import msgspec

from personakit.agents.consents import consents_of
from personakit.agents.mindscapes import mindscapes_of
from personakit.agents.past import PastPersona, PastVersion
from personakit.agents.regenerator import definition_in
from personakit.api.answers import no_persona
from personakit.api.multipliers import Weights, weights_in
from personakit.api.prepared import PreparedTraits, trait
from personakit.domain.consent import to_all
from personakit.domain.curation import contradicts
from personakit.domain.events import MindscapeUpdated, ModelUse
from personakit.domain.mindscape import Mindscape
from personakit.domain.persona import Definition, compose_core, core_traits, overlay_traits
from personakit.domain.traits import Trait
from personakit.projections.read import Snapshot
from personakit_sdk import wire
from personakit_sdk.rules.facts import TraitFact, confidence


class PersonaState(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A persona as the read models have it in one snapshot. `core_version` 0 is composed in memory."""

    id: str
    persona: UUID
    name: str
    definition: Definition
    people_ids: tuple[str, ...]
    mindscapes: Mapping[UUID, Mindscape]
    summary: str
    core_traits: Mapping[str, Trait]
    source: str
    use: ModelUse | None
    core_version: int
    generated_at: datetime | None
    is_stale: bool
    stale_since: datetime | None
    changed: tuple[str, ...]
    sealed_after: int = 0
    """Of a created persona: the position after which what is said of it stays."""
    weights: Mapping[str, Weights] = {}
    """By mapper, what was learned of its rules for this persona."""
    consented_to: frozenset[str] = frozenset()
    """The purposes that all its people have consented to."""

    @property
    def people(self) -> tuple[UUID, ...]:
        """Those whose mindscapes it views."""
        return self.definition.people

    @cached_property
    def overlay(self) -> dict[str, Trait]:
        """The fast traits, as of the snapshot."""
        return overlay_traits(self.mindscapes, self.definition)

    @cached_property
    def fresh_traits(self) -> dict[str, Trait]:
        """The slow traits of now, of which a core would be made."""
        return core_traits(self.mindscapes, self.definition)

    @cached_property
    def prepared_core(self) -> PreparedTraits:
        """The core's traits, ready to be sent."""
        return PreparedTraits(self.core_traits)

    @cached_property
    def prepared_overlay(self) -> PreparedTraits:
        """The overlay, ready to be sent."""
        return PreparedTraits(self.overlay)

    @cached_property
    def facts(self) -> dict[str, TraitFact]:
        """What rules may see: the core as it is (stale or not), and the overlay."""
        return {**self.core_traits, **self.overlay}


def persona_state(snapshot: Snapshot, tenant: str, id_: str, persona: UUID) -> PersonaState:
    """The persona in this snapshot. One just registered, or without a core, gets one made in memory.

    Raises NotFound for the id of a created persona (it begins with ~) that is none.
    """
    row = persona_row(snapshot, tenant, id_, persona)
    consents = consents_of(snapshot, tenant, row["people"])
    mindscapes = mindscapes_of(snapshot, tenant, row["people"])
    return persona_from(row, id_, persona, mindscapes, to_all(consents.values()))


def persona_row(snapshot: Snapshot, tenant: str, id_: str, persona: UUID) -> dict[str, Any]:
    """The persona's row; of one that is just registered, only its `people`. Raises NotFound."""
    row = snapshot.row("personas.by_id", tenant=tenant, personas=[persona])
    if id_.startswith("~") and (row is None or row["own"]):
        raise no_persona(id_)
    return row or {"people": [persona], "people_ids": [id_]}


def past_persona(past: PastPersona, id_: str, persona: UUID) -> PersonaState:
    """The persona as it was; without a core then, with one made in memory."""
    history = past.core
    row = {
        "name": past.name,
        "people": list(past.definition.people),
        "paths": past.definition.paths,
        "core": history.core and msgspec.structs.asdict(history.core),
        "core_version": history.made,
        "generated_at": history.generated_at,
        "is_stale": history.is_stale,
        "stale_since": history.stale_since,
        "changed": history.changed,
        "weights": {
            mapper: {"learned": each.learned.multipliers, "evidence": each.evidence}
            for mapper, each in past.weights.items()
        },
    }
    return persona_from(row, id_, persona, past.mindscapes, past.consented_to)


def persona_states(snapshot: Snapshot, tenant: str, personas: list[UUID]) -> list[PersonaState]:
    """Many personas in this snapshot, each under the id that callers know it by."""
    rows = snapshot.rows("personas.by_id", tenant=tenant, personas=personas)
    people = [person for row in rows for person in row["people"]]
    mindscapes = mindscapes_of(snapshot, tenant, people)
    consents = consents_of(snapshot, tenant, people)
    return [
        persona_from(
            row,
            row["person_id"],
            row["persona"],
            {person: mindscapes[person] for person in row["people"]},
            to_all(consents[person] for person in row["people"]),
        )
        for row in rows
    ]


def synced_persona(state: PersonaState) -> wire.SyncedPersona:
    """What the SDK caches of a persona, without any instant: one state has one body, whenever it is asked
    for."""
    core = wire.SyncedCore(
        summary=state.summary,
        traits=_synced_traits(state.core_traits),
        source="model" if state.source == "model" else "composed",
        generated_at=state.generated_at,
        cost=_use(state.use),
    )
    return wire.SyncedPersona(
        id=state.id,
        name=state.name,
        people=list(state.people_ids),
        uses=None if state.definition.paths is None else list(state.definition.paths),
        core=core,
        overlay=_synced_traits(state.overlay),
        is_stale=state.is_stale,
        stale_since=state.stale_since,
        changed_traits=list(state.changed),
        core_version=state.core_version,
        mindscape_versions={
            name: state.mindscapes[person].version
            for name, person in zip(state.people_ids, state.people, strict=True)
        },
        learned=own_multipliers(state),
        consented_to=sorted(state.consented_to),
    )


def _synced_traits(found: Mapping[str, Trait]) -> dict[str, wire.SyncedTrait]:
    names = wire.SyncedTrait.__struct_fields__
    return {
        path: wire.SyncedTrait(**{name: getattr(trait, name) for name in names})
        for path, trait in sorted(found.items())
    }


def persona_from(
    row: Mapping[str, Any],
    id_: str,
    persona: UUID,
    mindscapes: Mapping[UUID, Mindscape],
    consented_to: frozenset[str],
) -> PersonaState:
    """The persona of a row of the read model, the mindscapes it views and what all its people consent to."""
    core = row.get("core")
    if core is None:
        composed = compose_core(mindscapes, definition_in(row))
        core = {"summary": composed.summary, "traits": composed.traits, "source": "composed"}
    return PersonaState(
        id=id_,
        persona=persona,
        name=row.get("name", ""),
        definition=definition_in(row),
        people_ids=tuple(row.get("people_ids") or [id_]),
        mindscapes=mindscapes,
        summary=core["summary"],
        core_traits=msgspec.convert(core["traits"], dict[str, Trait]),
        source=core["source"],
        use=msgspec.convert(core.get("use"), ModelUse | None),
        core_version=row.get("core_version", 0),
        generated_at=row.get("generated_at"),
        is_stale=row.get("is_stale", False),
        stale_since=row.get("stale_since"),
        changed=tuple(row.get("changed") or ()),
        sealed_after=row.get("sealed_after") or 0,
        weights={mapper: weights_in(each) for mapper, each in (row.get("weights") or {}).items()},
        consented_to=consented_to,
    )


def mindscape(
    person_id: str, mindscape: Mindscape, derived_through: Mapping[str, int], at: datetime, position: int
) -> wire.Mindscape:
    """A mindscape in full."""
    return wire.Mindscape(
        person_id=person_id,
        version=mindscape.version,
        traits=traits(mindscape.visible_traits(), at),
        pins={path: pinned(mindscape, path, at) for path in sorted(mindscape.pins)},
        derived_through=dict(derived_through),
        position=position,
    )


def pinned(mindscape: Mindscape, path: str, at: datetime) -> wire.PinnedTrait:
    """A pin of the mindscape, and what is derived beneath it."""
    pin, beneath = mindscape.pins[path], mindscape.beneath(path)
    if beneath is None:
        return wire.PinnedTrait(reason=pin.reason, origin=pin.origin, derived=None)
    derived = wire.DerivedTrait(
        value=beneath.value,
        confidence=confidence(beneath, at),
        samples=beneath.samples,
        last_observed_at=beneath.last_observed_at,
        source=beneath.source,
        contradicts=contradicts(mindscape, path),
    )
    return wire.PinnedTrait(reason=pin.reason, origin=pin.origin, derived=derived)


def mindscape_version(version: PastVersion) -> wire.MindscapeVersion:
    """An entry of a mindscape's history."""
    at, event = version.recorded_at, version.event
    changed = [
        wire.TraitChange(
            path=change.path,
            before=_trait_then(change.before, at),
            after=_trait_then(change.after, at),
            material=change.material,
        )
        for change in version.changes
    ]
    shown = wire.MindscapeVersion(
        version=version.version,
        position=version.position,
        recorded_at=at,
        agent=agent(version),
        derivation=None,
        definition=None,
        read_through=None,
        changed=changed,
        reason=version.reason,
    )
    if not isinstance(event, MindscapeUpdated):
        return shown
    return msgspec.structs.replace(
        shown, derivation=event.derivation, definition=event.definition, read_through=event.read_through
    )


def trait_version(version: PastVersion) -> wire.TraitVersion:
    """A version that changed one trait."""
    (change,) = version.changes
    event = version.event
    use = event.use if isinstance(event, MindscapeUpdated) else None
    return wire.TraitVersion(
        version=version.version,
        position=version.position,
        recorded_at=version.recorded_at,
        agent=agent(version),
        trait=_trait_then(change.after, version.recorded_at),
        reason=version.reason,
        use=_use(use),
    )


def _use(use: ModelUse | None) -> wire.ModelUse | None:
    return None if use is None else wire.ModelUse(**msgspec.structs.asdict(use))


def agent(version: PastVersion) -> str:
    """Who or what made it."""
    event = version.event
    return event.agent if isinstance(event, MindscapeUpdated) else event.origin


def _trait_then(trait: Trait | None, at: datetime) -> wire.TraitThen | None:
    return None if trait is None else trait_then(trait, at)


def trait_then(trait: Trait, at: datetime) -> wire.TraitThen:
    """A trait as it was at an instant."""
    return wire.TraitThen(
        value=trait.value,
        confidence=confidence(trait, at),
        volatility=trait.volatility,
        source=trait.source,
    )


def traits(found: Mapping[str, Trait], at: datetime) -> dict[str, wire.Trait]:
    """Traits as a caller sees them, by path."""
    return {path: trait(found[path], at) for path in sorted(found)}


def core(state: PersonaState, at: datetime) -> wire.Core:
    """The core; one made in memory is generated now."""
    return wire.Core(
        summary=state.summary,
        traits=state.prepared_core.at(at),
        source="model" if state.source == "model" else "composed",
        generated_at=state.generated_at or at,
        cost=_use(state.use),
    )


def own_multipliers(state: PersonaState) -> dict[str, dict[str, float]]:
    """What was learned for the persona, by mapper and rule."""
    return {mapper: dict(each.learned) for mapper, each in sorted(state.weights.items())}


def persona(state: PersonaState, at: datetime, position: int) -> wire.Persona:
    """A persona in full."""
    return wire.Persona(
        id=state.id,
        name=state.name,
        people=list(state.people_ids),
        uses=None if state.definition.paths is None else list(state.definition.paths),
        core=core(state, at),
        overlay=state.prepared_overlay.at(at),
        is_stale=state.is_stale,
        core_version=state.core_version,
        stale_since=state.stale_since,
        changed_traits=list(state.changed),
        learned=own_multipliers(state),
        consented_to=sorted(state.consented_to),
        position=position,
    )
