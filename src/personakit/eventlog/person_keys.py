"""The keys of people: each wrapped by the master key in the one row that says who a surrogate is.

A key is 32 random bytes. It seals the person's payloads (AES-256-GCM), and a key derived from it makes the
digests (HMAC-SHA-256). Unwrapped keys are remembered in the process.
"""

from __future__ import annotations

import hmac
import logging
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from psycopg import Connection

from personakit.eventlog.log_sql import SQL
from personakit.eventlog.stored import LogNotification
from personakit.eventlog.wrapping import TOMBSTONES, MasterKey, owner
from personakit_sdk.errors import PersonaKitError

logger = logging.getLogger(__name__)
CACHE_SIZE = 50_000
KEY_BYTES = 32
_ROTATED = "PK503"
Connect = Callable[[], AbstractContextManager[Connection[dict[str, Any]]]]


class MasterKeyWrong(PersonaKitError):
    """The master key is not the one that this database's keys are wrapped by."""

    def __init__(self) -> None:
        super().__init__(
            "The master key does not open this database: it is not the one that its people's keys were "
            "wrapped by. Set PERSONAKIT_MASTER_KEY to that one, or put it into the file master-key. Where "
            "that has a master-key.new beside it, a rotation was broken off: personakit master-key rotate "
            "finishes it."
        )


class MasterKeyRotated(MasterKeyWrong):
    """Another master key was put in the place of the one that this process was started with."""

    def __init__(self) -> None:
        PersonaKitError.__init__(
            self,
            "The master key was rotated while this process ran: it must be started again with the new one. "
            "Nothing was lost; send the same again then.",
        )


class PersonErased(PersonaKitError):
    """The person is not there any more: their key is gone, and with it what it sealed."""

    def __init__(self) -> None:
        super().__init__("This person was erased; nothing can be read or recorded about them.")


class EventErased(PersonErased):
    """The event is of a created persona, from before somebody was erased whom it viewed."""


class PersonKey:
    """A person's key, ready for use. It opens what stands after the position `sealed_after` of the log."""

    __slots__ = ("_digest_key", "cipher", "sealed_after")

    def __init__(self, key: bytes, sealed_after: int = 0) -> None:
        self.sealed_after = sealed_after
        self.cipher: AESGCM | _NoCipher = AESGCM(key)
        self._digest_key = hmac.digest(key, b"personakit digest", "sha256")

    def digest(self, sent: msgspec.Struct) -> str:
        """HMAC-SHA-256 of the canonical JSON of what a client sent, in hexadecimal."""
        # Not `hmac.digest`, which lets go of the interpreter's lock, for less work than taking it back.
        canonical = msgspec.json.encode(sent, order="deterministic")
        return hmac.new(self._digest_key, canonical, "sha256").hexdigest()


class DamagedKey(PersonKey):
    """Stands for a key that cannot be unwrapped: it opens nothing, and nothing is sealed with it."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(bytes(KEY_BYTES))
        self.cipher = _NoCipher()

    def digest(self, sent: msgspec.Struct) -> str:  # noqa: ARG002 - as any key's
        """Raises MasterKeyWrong."""
        raise MasterKeyWrong


class _NoCipher:
    def encrypt(self, *_: object) -> bytes:
        raise MasterKeyWrong

    def decrypt(self, *_: object) -> bytes:
        raise InvalidTag


class Person(msgspec.Struct, frozen=True):
    """A person of one tenant: the surrogate that the log knows, and their key."""

    surrogate: UUID
    key: PersonKey


class PersonKeys:
    """Finds the keys of surrogates; remembers up to CACHE_SIZE of them in the process."""

    def __init__(self, connect: Connect, master_key: bytes) -> None:
        """`connect` lends a connection that gives rows as dicts. Raises MasterKeyWrong."""
        self._connect = connect
        self._master = MasterKey(master_key)
        self._known: dict[UUID, PersonKey] = {}
        self._forgotten = 0
        self._lock = threading.Lock()
        self.word = self._master.word
        """What the master key is known by: whoever keeps a key that it wrapped gives it along."""
        coming = self._master.wrap(secrets.token_bytes(KEY_BYTES), TOMBSTONES)
        with connect() as connection:
            row = connection.execute(
                SQL["master_check"], {"word": self.word, "tombstone_key": coming}
            ).fetchone()
        if row is None or not hmac.compare_digest(bytes(row["master_check"]), self.word):
            raise MasterKeyWrong
        self._tombstone_key = self._master.unwrap(bytes(row["tombstone_key"]), TOMBSTONES)

    def of(self, person: UUID) -> PersonKey:
        """The key of one person. Raises PersonErased when it is gone."""
        key = self._known.get(person) or self.of_all([person]).get(person)
        if key is None:
            raise PersonErased
        return key

    def of_event(self, stored: LogNotification) -> PersonKey | None:
        """The key that an event is sealed with; None for one about nobody. Raises PersonErased when it is
        gone, EventErased when another key took its place."""
        if stored.person is None:
            return None
        key = self.of(stored.person)
        if stored.id <= key.sealed_after:
            raise EventErased
        return key

    def of_all(self, people: Iterable[UUID]) -> dict[UUID, PersonKey]:
        """The keys of these people; those whose key is gone are not in it."""
        wanted = set(people)
        forgotten = self._forgotten
        found = {person: key for person in wanted if (key := self._known.get(person)) is not None}
        if missing := list(wanted - found.keys()):
            with self._connect() as connection:
                rows = connection.execute(SQL["keys"], {"people": missing}).fetchall()
            added = {row["person"]: self.unwrapped(row) for row in rows}
            self._remember(added, forgotten)
            found |= added
        return found

    def over(self, connection: Connection[dict[str, Any]]) -> PersonKeys:
        """The keys for whoever holds a connection: they are looked up over it, for while it is held another
        one may never come. They are remembered apart, for what it sees may not be committed."""
        lent = copy(self)
        lent._connect = lambda: nullcontext(connection)
        lent._known, lent._lock = dict(self._known), threading.Lock()
        return lent

    def forget(self, people: Iterable[UUID] | None = None) -> None:
        """Remembers the keys of these people, or all, no more: somebody was erased, or may have been."""
        with self._lock:
            self._forgotten += 1
            gone = list(self._known) if people is None else people
            for person in gone:
                self._known.pop(person, None)

    def new(self, tenant: str, person: UUID) -> bytes:
        """A new key for a person, wrapped."""
        return self._master.wrap(secrets.token_bytes(KEY_BYTES), owner(tenant, person))

    def tombstone(self, tenant: str, person_id: str) -> bytes:
        """What is kept of a caller's id when its person is erased: HMAC-SHA-256 under a key that is wrapped
        by the master key, so that nobody who has the database alone finds out whose it is by trying ids."""
        return hmac.digest(self._tombstone_key, f"{tenant}\n{person_id}".encode(), "sha256")

    def unwrapped(self, row: Mapping[str, Any]) -> PersonKey:
        """The key in a row. One that was damaged is answered by one that opens nothing, loudly: it is that
        person's trouble, and must not be everybody's. Raises MasterKeyRotated where all are wrapped anew."""
        try:
            key = self._master.unwrap(bytes(row["key"]), owner(row["tenant"], row["person"]))
            return PersonKey(key, row["sealed_after"])
        except (InvalidTag, ValueError):
            if self._is_rotated():
                raise MasterKeyRotated from None
            logger.exception(
                "The key of the person %s does not open with the master key (tenant %s).",
                row["person"],
                row["tenant"],
            )
            return DamagedKey()

    def _is_rotated(self) -> bool:
        with self._connect() as connection:
            row = connection.execute(SQL["master_now"]).fetchone()
        return row is not None and bytes(row["master_check"]) != self.word

    def _remember(self, added: dict[UUID, PersonKey], forgotten: int) -> None:
        """Unless somebody was forgotten since these were read: they may be among them."""
        with self._lock:
            if forgotten != self._forgotten:
                return
            if len(self._known) + len(added) > CACHE_SIZE:
                self._known = {}
            self._known |= added


@contextmanager
def unless_rotated() -> Iterator[None]:
    """Raises MasterKeyRotated where the database refuses what was wrapped by an earlier master key."""
    try:
        yield
    except psycopg.DatabaseError as error:
        if error.sqlstate == _ROTATED:
            raise MasterKeyRotated from None
        raise
