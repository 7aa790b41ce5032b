"""The Eraser: forgets a person, whole, in one transaction, after it was written down outside the database.

It holds two locks to the end: nobody gets a row in `person_keys`, and nothing is appended to the log. So what
it destroys are all keys that ever sealed anything about the person, and no event about them comes after.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
from psycopg import Connection
from psycopg.rows import DictRow

from personakit.domain import events
from personakit.domain.persona import CoreState, evolve
from personakit.eventlog import codec
from personakit.eventlog.appender import NewEvent, row_of
from personakit.eventlog.codec import SealBroken
from personakit.eventlog.erasure_journal import (
    Erasure,
    ErasureJournal,
    Line,
    MadeAgain,
    NoErasureJournal,
)
from personakit.eventlog.log_sql import SQL
from personakit.eventlog.people import persona_id
from personakit.eventlog.person_keys import Person, PersonErased, PersonKeys, unless_rotated
from personakit.eventlog.recorder import Appended, LogRecorder, notification_of
from personakit.eventlog.stored import LogNotification, StreamId

CHANNEL: Final = "erased"
"""Where PostgreSQL tells whose keys are gone: surrogates between spaces, or nothing where they are many."""
ORIGIN: Final = "erasure"
_MOST_TOLD: Final = 200
_PAGE: Final = 1000


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """An erasure that was carried out: its event stands at `position`, in `epoch` of the log. `personas` are
    the created ones that lost what had been said of them."""

    erasure: UUID
    person: UUID
    personas: tuple[UUID, ...]
    erased_at: datetime
    position: int
    epoch: UUID


class Eraser:
    """Erases people. `on_erased` hears, in this process and after the commit, whose keys are gone; others
    hear of it by CHANNEL."""

    def __init__(self, recorder: LogRecorder, keys: PersonKeys, journal: ErasureJournal | None) -> None:
        self._recorder = recorder
        self._keys = keys
        self._journal = journal
        self._alone = threading.Lock()
        """Here only one erases at a time: who waited in the database would hold a connection for it."""
        self.on_erased: Callable[[frozenset[UUID], Sequence[Appended]], None] = lambda *_: None

    def erase(self, tenant: str, person_id: str) -> Erased | None:
        """Erases a person. Who was erased already was: the erasure of then. None for whom nobody ever heard
        of, and for a created persona, which has a key and is nobody. Raises NoErasureJournal and
        ErasureJournalUnusable, and nobody was erased."""
        if person_id.startswith("~"):
            return None
        tombstone = self._keys.tombstone(tenant, person_id)
        with self._alone, self._recorder.datastore.get_connection() as connection:
            keys = self._keys.over(connection)
            # Most of the looking is done before the locks are taken.
            known = _person(connection, tenant, person_id)
            if known is None:
                return _before(connection, tenant, tombstone)
            if self._journal is None:
                raise NoErasureJournal
            head = _head(connection)
            viewing = _viewing(connection, keys, known, "definitions", tenant=tenant)
            with connection.transaction():
                self._hold(connection)
                if _person(connection, tenant, person_id) != known:  # somebody else was quicker
                    return _before(connection, tenant, tombstone)
                viewing |= _viewing(connection, keys, known, "definitions_since", tenant=tenant, after=head)
                erasure = Erasure(
                    id=uuid4(),
                    erased_at=datetime.now(UTC),
                    tenant=tenant,
                    surrogates=(known, *sorted(viewing)),
                    tombstone=tombstone.hex(),
                )
                self._journal.append(erasure)
                done, appended = self._carry_out(connection, keys, erasure)
        self._tell(erasure, appended)
        return done

    def complete(self) -> int:
        """Carries out what stands in the journal and not in the database: the process ended between the two,
        or the database is a backup that was made before. How many erasures those are. Raises
        ErasureJournalUnusable."""
        if self._journal is None:
            return 0
        journalled, done = self._journal.read(), 0
        while page := list(islice(journalled, _PAGE)):
            done += self._completed(page)
        return done

    def _completed(self, journalled: Sequence[Line]) -> int:
        done = 0
        with self._recorder.datastore.get_connection() as connection:
            erasures = [each for each in journalled if isinstance(each, Erasure)]
            for erasure in _not_carried_out(connection, erasures):
                keys = self._keys.over(connection)  # without those that the one before replaced
                with connection.transaction():
                    self._hold(connection)
                    if not _not_carried_out(connection, [erasure]):
                        continue
                    viewing = _viewing(connection, keys, erasure.person, "definitions", tenant=erasure.tenant)
                    all_of_them = tuple(dict.fromkeys((*erasure.surrogates, *sorted(viewing))))
                    found = msgspec.structs.replace(erasure, surrogates=all_of_them)
                    _, appended = self._carry_out(connection, keys, found)
                self._tell(found, appended)
                done += 1
            # Of those who were erased by lines before.
            again = [each for each in journalled if isinstance(each, MadeAgain)]
            people = [(person, each.made_again) for each in again for person in each.surrogates]
            values = {"people": [person for person, _ in people], "times": [time for _, time in people]}
            connection.execute(SQL["made_again"], values)
        return done

    def _hold(self, connection: Connection[DictRow]) -> None:
        """Each lock is a statement of its own, so that what follows sees all that was committed before.
        Raises MasterKeyRotated: what would be wrapped here, nobody could open."""
        with unless_rotated():
            connection.execute(SQL["require_master"], {"word": self._keys.word})
        connection.execute(SQL["hold_people"])
        connection.execute(SQL["hold_log"])

    def _carry_out(
        self, connection: Connection[DictRow], keys: PersonKeys, erasure: Erasure
    ) -> tuple[Erased, Sequence[Appended]]:
        """All of it but the journal; the locks are held."""
        tenant, head = erasure.tenant, _head(connection)
        left = {persona: _left(connection, keys, erasure, persona) for persona in erasure.personas}
        gone = [erasure.person, *(persona for persona, definition in left.items() if definition is None)]
        destroyed = connection.execute(SQL["destroy_keys"], {"tenant": tenant, "people": gone}).fetchall()
        names = {row["person_id"] for row in destroyed}
        if len(names) < len(gone):  # people's keys may be missing from what was restored
            names |= {*map(persona_id, gone[1:]), *self._named(connection, erasure)}
        for name in sorted(names):
            connection.execute(SQL["strike_from_keys"], {"tenant": tenant, "person_id": name})
        connection.execute(SQL["end_leases_of"], {"tenant": tenant, "entities": list(erasure.surrogates)})
        new = [_next(connection, StreamId(tenant, "person", erasure.person), events.PersonErased())]
        for persona, definition in left.items():
            new += self._begun_anew(connection, tenant, persona, definition, head)
        appended = self._recorder.append(connection, [row_of(each) for each in new], uuid4())
        values = {
            "id": erasure.id,
            "tenant": tenant,
            "tombstone": bytes.fromhex(erasure.tombstone),
            "person": erasure.person,
            "personas": list(erasure.personas),
            "erased_at": erasure.erased_at,
            "position": appended[0].position,
        }
        erased = connection.execute(SQL["add_erased"], values).fetchone()
        told = " ".join(map(str, erasure.surrogates)) if len(erasure.surrogates) <= _MOST_TOLD else ""
        connection.execute(SQL["tell_erased"], {"people": told})
        return msgspec.convert(erased, Erased), appended

    def _named(self, connection: Connection[DictRow], erasure: Erasure) -> set[str]:
        """The person's id, where an API key is limited to it, known by its tombstone."""
        rows = connection.execute(SQL["ids_in_keys"], {"tenant": erasure.tenant})
        ids: set[str] = {row["id"] for row in rows}
        return {id_ for id_ in ids if self._keys.tombstone(erasure.tenant, id_).hex() == erasure.tombstone}

    def _begun_anew(
        self,
        connection: Connection[DictRow],
        tenant: str,
        persona: UUID,
        definition: events.PersonaDefined | None,
        head: int,
    ) -> Iterable[NewEvent]:
        """The events by which a created persona loses its past and, where somebody is left, begins anew under
        another key."""
        stream = StreamId(tenant, "persona", persona)
        erased = _next(connection, stream, events.PersonaErased())
        if definition is None:
            return [erased]
        values = {
            "tenant": tenant,
            "person": persona,
            "key": self._keys.new(tenant, persona),
            "sealed_after": head,
        }
        row = connection.execute(SQL["replace_key"], values).fetchone()
        if row is None:
            return [erased]
        key = self._keys.unwrapped(row)
        return [erased, NewEvent(stream, erased.version + 1, definition, Person(persona, key))]

    def _tell(self, erasure: Erasure, appended: Sequence[Appended]) -> None:
        self._keys.forget(erasure.surrogates)
        self.on_erased(frozenset(erasure.surrogates), appended)


def _head(connection: Connection[DictRow]) -> int:
    row = connection.execute(SQL["head"]).fetchone()
    return (row and row["position"]) or 0


def _person(connection: Connection[DictRow], tenant: str, person_id: str) -> UUID | None:
    row = connection.execute(SQL["person"], {"tenant": tenant, "person_id": person_id}).fetchone()
    return None if row is None else row["person"]


def _viewing(
    connection: Connection[DictRow], keys: PersonKeys, person: UUID, query: str, **values: Any
) -> set[UUID]:
    """The created personas that view somebody or did once, by any of their definitions. One that cannot be
    opened may have."""
    stored = [notification_of(row) for row in connection.execute(SQL[query], values)]
    keys.of_all({each.person for each in stored if each.person is not None})
    return {each.stream_id.stream for each in stored if _may_view(each, keys, person)}


def _may_view(definition: LogNotification, keys: PersonKeys, person: UUID) -> bool:
    try:
        event = _read(definition, keys)
    except SealBroken:
        return True
    return isinstance(event, events.PersonaDefined) and person in event.people


def _left(
    connection: Connection[DictRow], keys: PersonKeys, erasure: Erasure, persona: UUID
) -> events.PersonaDefined | None:
    """What is left of a created persona without the person: its other people and the paths it uses. Its name
    is not, for it may be theirs. None where nobody is left, or the persona was retired."""
    state = CoreState()
    try:
        for event in _events(connection, keys, StreamId(erasure.tenant, "persona", persona)):
            state = evolve(state, event)
    except SealBroken:
        return None
    if state.definition is None or state.retired:
        return None
    rows = connection.execute(SQL["keys"], {"people": list(state.definition.people)})
    there = {row["person"] for row in rows} - {erasure.person}
    others = tuple(each for each in state.definition.people if each in there)
    if not others:
        return None
    return events.PersonaDefined(people=others, paths=state.definition.paths, origin=ORIGIN)


def _events(connection: Connection[DictRow], keys: PersonKeys, stream: StreamId) -> Iterator[Any]:
    """Those of a stream that can be opened still. Raises SealBroken."""
    values = {**msgspec.structs.asdict(stream), "gt": 0, "lte": None, "limit": None}
    for row in connection.execute(SQL["stream"], values).fetchall():
        event = _read(notification_of(row), keys)
        if event is not None:
            yield event


def _read(stored: LogNotification, keys: PersonKeys) -> events.Event | None:
    """The event; None for one that was erased. Raises SealBroken where the key in the database does not open
    it: the one that this process remembers may be an earlier one."""
    try:
        try:
            return codec.read(stored, keys)
        except SealBroken:
            keys.forget([stored.person] if stored.person else [])
            return codec.read(stored, keys)
    except PersonErased:
        return None


def _before(connection: Connection[DictRow], tenant: str, tombstone: bytes) -> Erased | None:
    """The newest erasure of a person of this id."""
    row = connection.execute(SQL["erased"], {"tenant": tenant, "tombstone": tombstone}).fetchone()
    return None if row is None else msgspec.convert(row, Erased)


def _not_carried_out(connection: Connection[DictRow], journalled: Sequence[Erasure]) -> list[Erasure]:
    values = {"people": [each.person for each in journalled]}
    known = {row["person"] for row in connection.execute(SQL["erased_people"], values)}
    return [each for each in journalled if each.person not in known]


def _next(connection: Connection[DictRow], stream: StreamId, event: events.Event) -> NewEvent:
    row = connection.execute(SQL["newest_version"], msgspec.structs.asdict(stream)).fetchone()
    return NewEvent(stream, (row["version"] if row else 0) + 1, event, versioned=True)
