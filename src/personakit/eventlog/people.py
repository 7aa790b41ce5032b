"""Who the log's surrogates are: a row outside the log binds a caller's id to a surrogate and a key."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from uuid import UUID

import msgspec
from psycopg import Connection
from psycopg.rows import DictRow

from personakit.domain.events import PersonRegistered
from personakit.eventlog.appender import Appender, NewEvent, wait
from personakit.eventlog.recorder import SQL, LogRecorder
from personakit.eventlog.stored import StreamId

CACHE_SIZE = 50_000


class Person(msgspec.Struct, frozen=True):
    """A person of one tenant: the surrogate that the log knows, and their key (32 bytes)."""

    surrogate: UUID
    key: bytes


class People:
    """Finds and registers people; remembers up to CACHE_SIZE of them in the process."""

    def __init__(self, recorder: LogRecorder, appender: Appender) -> None:
        self._recorder = recorder
        self._appender = appender
        self._known: dict[tuple[str, str], Person] = {}

    def find(self, tenant: str, person_id: str) -> Person | None:
        """The person, or None for one that nothing was ever recorded about."""
        known = self._known.get((tenant, person_id))
        if known is not None:
            return known
        with self._recorder.datastore.get_connection() as connection:
            return _select(connection, tenant, person_id)

    def register(self, tenant: str, person_ids: Iterable[str]) -> dict[str, Person]:
        """The people with these ids, those unknown so far registered and committed.

        The row and the event are two commits. The event is offered again by every process that meets
        the person for the first time (a repeat is a duplicate), so a crash between the two heals.
        """
        found = {person_id: self._known.get((tenant, person_id)) for person_id in person_ids}
        missing = [person_id for person_id, person in found.items() if person is None]
        added = self._add(tenant, missing) if missing else {}
        return {person_id: person or added[person_id] for person_id, person in found.items()}

    def _add(self, tenant: str, person_ids: list[str]) -> dict[str, Person]:
        with self._recorder.datastore.get_connection() as connection:
            added = {person_id: _insert(connection, tenant, person_id) for person_id in person_ids}
        wait(self._appender.append([_registration(tenant, person) for person in added.values()]))
        if len(self._known) + len(added) > CACHE_SIZE:
            self._known.clear()
        self._known |= {(tenant, person_id): person for person_id, person in added.items()}
        return added


def _registration(tenant: str, person: Person) -> NewEvent:
    stream = StreamId(tenant, "person", person.surrogate)
    return NewEvent(stream, 1, PersonRegistered(), person.surrogate)


def _insert(connection: Connection[DictRow], tenant: str, person_id: str) -> Person:
    values = {"tenant": tenant, "person_id": person_id, "key": secrets.token_bytes(32)}
    connection.execute(SQL["add_person"], values)
    person = _select(connection, tenant, person_id)
    if person is None:
        raise LookupError(f"The person {person_id!r} vanished while being registered.")
    return person


def _select(connection: Connection[DictRow], tenant: str, person_id: str) -> Person | None:
    row = connection.execute(SQL["person"], {"tenant": tenant, "person_id": person_id}).fetchone()
    return Person(row["person"], bytes(row["key"])) if row else None
