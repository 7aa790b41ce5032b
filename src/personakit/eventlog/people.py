"""Who the log's surrogates are: a row outside the log binds a caller's id to a surrogate and a key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID, uuid4

from personakit.domain.events import PersonRegistered
from personakit.eventlog.appender import Appender, NewEvent, wait
from personakit.eventlog.log_sql import SQL
from personakit.eventlog.person_keys import Person, PersonKeys
from personakit.eventlog.recorder import LogRecorder
from personakit.eventlog.stored import StreamId

CACHE_SIZE = 50_000


class People:
    """Finds and registers people; remembers up to CACHE_SIZE of them in the process."""

    def __init__(self, recorder: LogRecorder, appender: Appender, keys: PersonKeys) -> None:
        self._recorder = recorder
        self._appender = appender
        self._keys = keys
        self._known: dict[tuple[str, str], Person] = {}

    def known(self, tenant: str, person_ids: Iterable[str]) -> dict[str, Person] | None:
        """The people with these ids if the process knows them all; asks no database."""
        known = self._known
        try:
            return {person_id: known[tenant, person_id] for person_id in person_ids}
        except KeyError:
            return None

    def find(self, tenant: str, person_id: str) -> Person | None:
        """The person, or None for one that nothing was ever recorded about."""
        known = self._known.get((tenant, person_id))
        if known is None:
            self._remember(tenant, self._select(tenant, [person_id]))
            known = self._known.get((tenant, person_id))
        return known

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
        self._insert(tenant, person_ids)
        added = self._select(tenant, person_ids)
        wait(self._appender.append([_registration(tenant, person) for person in added.values()]))
        self._remember(tenant, added)
        return added

    def _insert(self, tenant: str, person_ids: Sequence[str]) -> None:
        """Gives those who have none a surrogate and a key."""
        people = [uuid4() for _ in person_ids]
        keys = [self._keys.new(tenant, person) for person in people]
        values = {"tenant": tenant, "person_ids": person_ids, "people": people, "keys": keys}
        with self._recorder.datastore.get_connection() as connection:
            connection.execute(SQL["add_people"], values)

    def _select(self, tenant: str, person_ids: Sequence[str]) -> dict[str, Person]:
        values = {"tenant": tenant, "person_ids": person_ids}
        with self._recorder.datastore.get_connection() as connection:
            rows = connection.execute(SQL["people"], values).fetchall()
        surrogates: dict[str, UUID] = {row["person_id"]: row["person"] for row in rows}
        keys = self._keys.of_all(surrogates.values())
        return {
            person_id: Person(person, keys[person])
            for person_id, person in surrogates.items()
            if person in keys
        }

    def _remember(self, tenant: str, added: dict[str, Person]) -> None:
        if len(self._known) + len(added) > CACHE_SIZE:
            self._known = {}
        self._known |= {(tenant, person_id): person for person_id, person in added.items()}


def _registration(tenant: str, person: Person) -> NewEvent:
    stream = StreamId(tenant, "person", person.surrogate)
    return NewEvent(stream, 1, PersonRegistered(), person)
