"""Who the log's surrogates are: a row outside the log binds a caller's id to a surrogate and a key."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from uuid import UUID, uuid4

from personakit.domain.events import PersonRegistered
from personakit.eventlog.appender import Appender, NewEvent, wait
from personakit.eventlog.erasure_journal import ErasureJournal, MadeAgain
from personakit.eventlog.log_sql import SQL
from personakit.eventlog.person_keys import Person, PersonErased, PersonKeys, unless_rotated
from personakit.eventlog.recorder import LogRecorder
from personakit.eventlog.stored import StreamId

CACHE_SIZE = 50_000


class _Book:
    """Up to CACHE_SIZE people, by tenant and id; a full one is begun anew."""

    def __init__(self) -> None:
        self._people: dict[tuple[str, str], Person] = {}

    def get(self, tenant: str, person_id: str) -> Person | None:
        """The person, if they stand here."""
        return self._people.get((tenant, person_id))

    def forget(self, surrogates: Collection[UUID] | None) -> None:
        """Strikes out these people, or all."""
        if surrogates is None:
            self._people = {}
            return
        gone = [at for at, person in self._people.copy().items() if person.surrogate in surrogates]
        for at in gone:
            self._people.pop(at, None)

    def add(self, tenant: str, people: Mapping[str, Person]) -> None:
        """Takes down people of one tenant."""
        if len(self._people) + len(people) > CACHE_SIZE:
            self._people = {}
        self._people |= {(tenant, person_id): person for person_id, person in people.items()}


class People:
    """Finds and registers people; remembers up to CACHE_SIZE of each in the process.

    Somebody who was found may not be registered: their row is committed first, and the process that wrote it
    may have ended before the event. So who was found and who is registered are remembered apart.
    """

    def __init__(
        self,
        recorder: LogRecorder,
        appender: Appender,
        keys: PersonKeys,
        journal: ErasureJournal | None = None,
    ) -> None:
        self._journal = journal
        self._recorder = recorder
        self._appender = appender
        self._keys = keys
        self._found = _Book()
        self._registered = _Book()
        self._forgotten = 0
        self._lock = threading.Lock()

    def found(self, tenant: str, person_id: str) -> Person | None:
        """The person if the process has met them before; asks no database."""
        return self._registered.get(tenant, person_id) or self._found.get(tenant, person_id)

    def registered(self, tenant: str, person_ids: Iterable[str]) -> dict[str, Person] | None:
        """The people with these ids if the process has registered them all; asks no database."""
        people: dict[str, Person] = {}
        for person_id in person_ids:
            person = self._registered.get(tenant, person_id)
            if person is None:
                return None
            people[person_id] = person
        return people

    def find(self, tenant: str, person_id: str) -> Person | None:
        """The person, or None for one that nothing was ever recorded about."""
        known = self.found(tenant, person_id)
        if known is None:
            forgotten = self._forgotten
            selected = self._select(tenant, [person_id])
            self._remember(self._found, tenant, selected, forgotten)
            known = selected.get(person_id)
        return known

    def erased(self, tenant: str, person_id: str) -> list[UUID]:
        """The surrogates that a person of this id had, of whom nothing is left: the newest first, whether or
        not there is one again."""
        tombstone = self._keys.tombstone(tenant, person_id)
        return [row["person"] for row in self._recorder.rows_of(tenant, "erased", tombstone=tombstone)]

    def forget(self, surrogates: Collection[UUID] | None) -> None:
        """Remembers these people, or all, no more, nor their keys: somebody was erased, or may have been."""
        with self._lock:
            self._forgotten += 1
            self._found.forget(surrogates)
            self._registered.forget(surrogates)
        self._keys.forget(surrogates)

    def register(self, tenant: str, person_ids: Iterable[str]) -> dict[str, Person]:
        """The people with these ids, each registered and committed; who was erased is not among them, until
        made again on purpose (`make_again`).

        The row and the event are two commits. The event is offered again by every process that records
        about the person for the first time (a repeat is a duplicate), so a crash between the two heals.
        """
        registered = {person_id: self._registered.get(tenant, person_id) for person_id in person_ids}
        missing = [person_id for person_id, person in registered.items() if person is None]
        added = self._add(tenant, missing) if missing else {}
        found = {person_id: person or added.get(person_id) for person_id, person in registered.items()}
        return {person_id: person for person_id, person in found.items() if person is not None}

    def make_again(self, tenant: str, person_id: str) -> Person:
        """The person with this id, though one was erased who had it: somebody new, with another surrogate. It
        is written to the journal first, as the erasure was. Raises PersonErased for one who is erased again
        meanwhile, and ErasureJournalUnusable."""
        values = {"tenant": tenant, "tombstone": self._keys.tombstone(tenant, person_id)}
        with self._recorder.datastore.get_connection() as connection, connection.transaction():
            had = connection.execute(SQL["make_again"], values).fetchall()
            if had and self._journal is not None:
                self._journal.append(
                    MadeAgain(
                        id=uuid4(),
                        made_again=had[0]["made_again"],
                        tenant=tenant,
                        surrogates=tuple(row["person"] for row in had),
                    )
                )
        made = self.register(tenant, [person_id]).get(person_id)
        if made is None:
            raise PersonErased
        return made

    def give_key(self, tenant: str, persona: UUID) -> Person:
        """A key for what is said of a created persona, under its id; the one it has, if it has one. It dies
        with that of any of the people whom the persona views. Raises PersonErased where it did."""
        person_id = persona_id(persona)
        self._insert(tenant, {person_id: persona})
        given = self._select(tenant, [person_id]).get(person_id)
        if given is None:
            raise PersonErased
        return given

    def names(self, tenant: str, people: Sequence[UUID]) -> dict[UUID, str]:
        """The callers' ids of these people; the surrogate itself for one who is gone."""
        rows = self._recorder.rows_of(tenant, "names", people=list(people))
        return {person: str(person) for person in people} | {row["person"]: row["person_id"] for row in rows}

    def _add(self, tenant: str, person_ids: list[str]) -> dict[str, Person]:
        forgotten = self._forgotten
        self._insert(tenant, {person_id: uuid4() for person_id in person_ids})
        while added := self._select(tenant, person_ids):
            try:
                wait(self._appender.append([_registration(tenant, person) for person in added.values()]))
            except PersonErased:
                continue  # at this very moment: they have no row any more
            self._remember(self._registered, tenant, added, forgotten)
            break
        return added

    def _remember(self, book: _Book, tenant: str, people: Mapping[str, Person], forgotten: int) -> None:
        """Unless somebody was forgotten since these were read: they may be among them."""
        with self._lock:
            if forgotten == self._forgotten:
                book.add(tenant, people)

    def _insert(self, tenant: str, surrogates: Mapping[str, UUID]) -> None:
        """Gives those who have none this surrogate, and a key; none who were erased. Raises
        MasterKeyRotated."""
        people = list(surrogates.values())
        keys = [self._keys.new(tenant, person) for person in people]
        tombstones = [self._keys.tombstone(tenant, person_id) for person_id in surrogates]
        values = {
            "tenant": tenant,
            "person_ids": list(surrogates),
            "people": people,
            "keys": keys,
            "tombstones": tombstones,
            "word": self._keys.word,
        }
        with self._recorder.datastore.get_connection() as connection, unless_rotated():
            connection.execute(SQL["add_people"], values)

    def _select(self, tenant: str, person_ids: Sequence[str]) -> dict[str, Person]:
        rows = self._recorder.rows_of(tenant, "people", person_ids=list(person_ids))
        surrogates: dict[str, UUID] = {row["person_id"]: row["person"] for row in rows}
        keys = self._keys.of_all(surrogates.values())
        return {
            person_id: Person(person, keys[person])
            for person_id, person in surrogates.items()
            if person in keys
        }


def persona_id(persona: UUID) -> str:
    """The id of a created persona: no person's id begins with ~."""
    return f"~{persona}"


def _registration(tenant: str, person: Person) -> NewEvent:
    stream = StreamId(tenant, "person", person.surrogate)
    return NewEvent(stream, 1, PersonRegistered(), person)
