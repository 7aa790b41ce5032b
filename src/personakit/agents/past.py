"""The past: mindscapes and personas as they were, folded from the log through a position of it."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from personakit.agents.consents import person_stream, policy_stream
from personakit.domain import consent as consents
from personakit.domain.adjusted import Adjusted, adjusted_by
from personakit.domain.consent import NEVER_ASKED, NEVER_SET, Consent, Policy, to_all
from personakit.domain.events import (
    ConsentChanged,
    ConsentPolicyChanged,
    DerivationCompleted,
    Event,
    MindscapeEvent,
    MindscapeUpdated,
    PersonaCoreGenerated,
    PersonaDefined,
    PersonaErased,
    PersonaRetired,
    PersonaWeightsAdjusted,
    TraitPinned,
    TraitTrustAdjusted,
    TraitUnpinned,
)
from personakit.domain.inference import DERIVATION as INFERENCE
from personakit.domain.mindscape import DERIVATION, EMPTY, Derived, Mindscape, evolve, read_on
from personakit.domain.mindscape_history import TraitChange, reason, trait_changes
from personakit.domain.persona import Definition, compose_core, definition_of, overlay_traits
from personakit.domain.persona import own as own_definition
from personakit.domain.staleness import UNMADE, CoreHistory, core_generated, mindscape_updated, redefined
from personakit.eventlog.recorder import LogRecorder
from personakit.eventlog.stored import LogNotification, StreamId
from personakit.eventlog.streams import Streams
from personakit.projections.read import Reader
from personakit_sdk.rules.facts import TraitFact

NOTHING_RECORDED = datetime.min.replace(tzinfo=UTC)


class AsOf(msgspec.Struct, frozen=True):
    """A state of the log, and the instant as of which it is judged how far traits are to be believed."""

    position: int
    instant: datetime


class PastMindscape(msgspec.Struct, frozen=True):
    """A mindscape as it was, and how far each derivation had read by then."""

    mindscape: Mindscape
    derived_through: Mapping[str, int]


class PastPersona(msgspec.Struct, frozen=True):
    """A persona's core, definition and name as they were, its people's mindscapes and consents as they were,
    and by mapper what was learned for it."""

    core: CoreHistory
    definition: Definition
    mindscapes: Mapping[UUID, Mindscape]
    name: str = ""
    weights: Mapping[str, Adjusted] = {}
    consents: Mapping[UUID, Consent] = {}

    @property
    def consented_to(self) -> frozenset[str]:
        """The purposes that all of its people had consented to."""
        return to_all(self.consents.get(person, NEVER_ASKED).purposes for person in self.definition.people)

    def facts(self) -> dict[str, TraitFact]:
        """What rules could see: the core as it was (stale or not; one made in memory where there was none),
        and the overlay."""
        core = self.core.core or compose_core(self.mindscapes, self.definition)
        return {**core.traits, **overlay_traits(self.mindscapes, self.definition)}


class PastVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a mindscape: where and when it was made, by which event, and what that changed.

    An update is without its traits, which bear what readers never see; `changes` has what they do.
    """

    version: int
    position: int
    recorded_at: datetime
    event: MindscapeEvent
    changes: tuple[TraitChange, ...]
    reason: str


class Past:
    """Reads the past of one person or persona; in memory are their newest state and a page of events."""

    def __init__(self, recorder: LogRecorder, streams: Streams, reader: Reader) -> None:
        self._recorder = recorder
        self._streams = streams
        self._reader = reader

    def at_position(self, position: int) -> AsOf:
        """As of a position, and when it was recorded. Raises BeyondHead."""
        self._reader.require(position)
        return AsOf(position, self._recorder.recorded_at(position) or NOTHING_RECORDED)

    def at_instant(self, instant: datetime) -> AsOf:
        """As of an instant: the newest position recorded by then."""
        return AsOf(self._recorder.position_at(instant), instant)

    def registered_at(self, tenant: str, person: UUID) -> int | None:
        """The position from which on a person is known; None for one whose registration is under way."""
        events = self._streams.events(StreamId(tenant, "person", person))
        return next((row.id for row, _ in events), None)

    def consent(
        self, tenant: str, person: UUID, position: int | None
    ) -> Iterator[tuple[LogNotification, ConsentChanged]]:
        """What a person said of consent, up to a position, the oldest first."""
        for row, event in self._streams.events(person_stream(tenant, person), through=position):
            if isinstance(event, ConsentChanged):
                yield row, event

    def policies(self, tenant: str) -> list[tuple[LogNotification, Policy]]:
        """A tenant's policies, the oldest first, each with where it was set."""
        found, state = list[tuple[LogNotification, Policy]](), NEVER_SET
        for row, event in self._streams.events(policy_stream(tenant)):
            if isinstance(event, ConsentPolicyChanged):
                state = consents.set_policy(state, event)
                found.append((row, state))
        return found

    def policy(self, tenant: str, position: int) -> Policy:
        """A tenant's policy as it was at a position."""
        before = [policy for row, policy in self.policies(tenant) if row.id <= position]
        return before[-1] if before else NEVER_SET

    def mindscape(self, tenant: str, person: UUID, position: int) -> PastMindscape:
        """A person's mindscape as it was at a position."""
        mindscape, derived = EMPTY, {DERIVATION: Derived(0, "")}
        kinds = ("mindscape", f"derivation.{DERIVATION}", f"derivation.{INFERENCE}")
        for _, event in self._merged([StreamId(tenant, kind, person) for kind in kinds], position):
            if isinstance(event, MindscapeUpdated | DerivationCompleted):
                derived[event.derivation] = read_on(derived.get(event.derivation), event)
            if isinstance(event, MindscapeEvent):
                mindscape = evolve(mindscape, event)
        return PastMindscape(mindscape, {name: each.read_through for name, each in derived.items()})

    def persona(self, tenant: str, persona: UUID, position: int, *, own: bool) -> PastPersona | None:
        """A persona as it was at a position: a person's `own`, whose id is theirs, or one that was created;
        None where that was not there."""
        newest = deque(self._states(tenant, persona, position, own=own), maxlen=1)
        return newest[0][1] if newest else _unmade(persona, own=own)

    def persona_at(
        self, tenant: str, persona: UUID, instants: Sequence[datetime], *, own: bool
    ) -> Iterator[tuple[datetime, PastPersona | None]]:
        """A persona as it was at each of some rising instants, from one fold of its events. Where nothing
        happened in between, the same object comes again."""
        state, waiting = _unmade(persona, own=own), deque(instants)
        for recorded_at, after in self._states(tenant, persona, None, own=own):
            while waiting and waiting[0] < recorded_at:
                yield waiting.popleft(), state
            if not waiting:
                return
            state = after
        for instant in waiting:
            yield instant, state

    def known_since(self, tenant: str, person: UUID) -> datetime | None:
        """When somebody was registered; None where that is under way."""
        events = self._streams.events(StreamId(tenant, "person", person))
        return next((row.recorded_at for row, _ in events), None)

    def _states(
        self, tenant: str, persona: UUID, position: int | None, *, own: bool
    ) -> Iterator[tuple[datetime, PastPersona | None]]:
        """The persona after each of its events and those of its people's mindscapes, with when."""
        stream = StreamId(tenant, "persona", persona)
        people = [persona] if own else list(dict.fromkeys(self._ever_viewed(stream, position)))
        core, mindscapes, there, name = UNMADE, dict.fromkeys(people, EMPTY), own, ""
        weights: Mapping[str, Adjusted] = {}
        said: Mapping[UUID, Consent] = {}
        streams = [StreamId(tenant, "mindscape", person) for person in people]
        streams += [person_stream(tenant, person) for person in people]
        for row, event in self._merged([stream, *streams], position):
            at = row.recorded_at
            match event:
                case MindscapeUpdated() | TraitPinned() | TraitUnpinned() | TraitTrustAdjusted():
                    person, version = row.stream_id.stream, row.originator_version
                    mindscapes = {**mindscapes, person: evolve(mindscapes[person], event)}
                    core = mindscape_updated(core, event, person=person, version=version, at=at)
                case PersonaDefined():
                    core, there, name = redefined(core, definition_of(event), at=at), True, event.name
                case PersonaRetired() | PersonaErased():
                    core, there, name, weights = UNMADE, False, "", {}
                case PersonaCoreGenerated():
                    core = core_generated(core, event, at=at)
                case PersonaWeightsAdjusted():
                    weights = {**weights, event.mapper_id: adjusted_by(event)}
                case ConsentChanged():
                    person = row.stream_id.stream
                    said = {**said, person: consents.evolve(said.get(person, NEVER_ASKED), event)}
            definition = core.definition or own_definition(persona)
            viewed = {each: mindscapes[each] for each in definition.people} if there else {}
            yield at, PastPersona(core, definition, viewed, name, weights, said) if there else None

    def _ever_viewed(self, stream: StreamId, position: int | None) -> Iterator[UUID]:
        for _, event in self._streams.events(stream, through=position):
            if isinstance(event, PersonaDefined):
                yield from event.people

    def history(self, tenant: str, person: UUID, *, before: int, limit: int) -> list[PastVersion]:
        """The newest `limit` versions of a person's mindscape below version `before`, newest first."""
        stream = StreamId(tenant, "mindscape", person)
        before = min(before, self._streams.last(stream).version + 1)
        mindscape, page = EMPTY, list[PastVersion]()
        for row, event in self._streams.events(stream):
            if row.originator_version >= before:
                break
            if isinstance(event, MindscapeEvent):
                if row.originator_version >= before - limit:
                    page.append(_version(row, mindscape, event))
                mindscape = evolve(mindscape, event)
        return page[::-1]

    def trait(
        self, tenant: str, person: UUID, path: str, *, limit: int, newest: int | None = None
    ) -> list[PastVersion]:
        """The newest `limit` versions of a person's mindscape (with `newest`, of those up to that version)
        that changed what is seen at a path, newest first; of each, that change alone."""
        mindscape, kept = EMPTY, deque[PastVersion](maxlen=limit)
        for row, event in self._streams.events(StreamId(tenant, "mindscape", person)):
            if newest is not None and row.originator_version > newest:
                break
            if isinstance(event, MindscapeEvent):
                if _touches(event, path):
                    version = _version(row, mindscape, event)
                    mine = tuple(change for change in version.changes if change.path == path)
                    if mine:
                        why = reason(mindscape, event, mine)
                        kept.append(msgspec.structs.replace(version, changes=mine, reason=why))
                mindscape = evolve(mindscape, event)
        return list(reversed(kept))

    def _merged(
        self, streams: Sequence[StreamId], position: int | None
    ) -> Iterator[tuple[LogNotification, Event]]:
        """The events of several streams, in the order of the log."""
        events = [self._streams.events(stream, through=position) for stream in streams]
        return heapq.merge(*events, key=lambda each: each[0].id)


def _unmade(persona: UUID, *, own: bool) -> PastPersona | None:
    """The persona before anything was said of it."""
    return PastPersona(UNMADE, own_definition(persona), {persona: EMPTY}) if own else None


def _touches(event: MindscapeEvent, path: str) -> bool:
    match event:
        case MindscapeUpdated():
            return path in event.traits or path in event.removed
        case TraitTrustAdjusted():
            return path in event.trust or path in event.morning
        case TraitPinned() | TraitUnpinned():
            return event.path == path


def _version(row: LogNotification, before: Mindscape, event: MindscapeEvent) -> PastVersion:
    changes = trait_changes(before, event)
    told = msgspec.structs.replace(event, traits={}) if isinstance(event, MindscapeUpdated) else event
    return PastVersion(
        version=row.originator_version,
        position=row.id,
        recorded_at=row.recorded_at,
        event=told,
        changes=changes,
        reason=reason(before, event, changes),
    )
