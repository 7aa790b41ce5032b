"""The cache: mappers and personas as of one position of the log, and the pages of a pull under way.

What is served changes in one transaction, when all pages are there; until then the old serves.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final, Literal, TypeVar
from uuid import UUID

import msgspec

from personakit_sdk import wire
from personakit_sdk.erasing import forget_merged, forget_replaced, settle_staged
from personakit_sdk.store import Store

Kind = Literal["mapper", "persona"]
T = TypeVar("T")
_PULLED: Final = "pulled"
_STAGING: Final = "staging"
_ANEW: Final = "pull anew"


class Pulled(msgspec.Struct, frozen=True, kw_only=True):
    """What the cache reflects. `version` counts the changes of the cache itself; at `checked_at` the service
    said last that it is up to date."""

    epoch: UUID
    cursor: str
    etag: str | None
    as_of: datetime
    position: int
    valid_until: datetime
    rule_language: int
    time_zone_data: str
    version: int
    checked_at: datetime


class Staging(msgspec.Struct, frozen=True, kw_only=True):
    """A pull under way: from `since` it goes on. A full one will replace everything that is served."""

    full: bool
    since: str | None
    epoch: UUID | None = None


class DigestDiffers(Exception):
    """A full pull did not give what the service has."""


_pulled: Final = msgspec.json.Decoder(Pulled)
_staging: Final = msgspec.json.Decoder(Staging)


class Cache:
    """The cache in `store`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: tuple[bytes | None, Pulled | None] = (None, None)

    def pulled(self) -> Pulled | None:
        """What is served; None before the first pull."""
        kept = self._store.peek(_PULLED)
        known, pulled = self._kept
        if kept != known:
            pulled = None if kept is None else _pulled.decode(kept)
            self._kept = kept, pulled
        return pulled

    def find(self, *wanted: tuple[Kind, str]) -> tuple[Pulled | None, list[bytes | None]]:
        """The bodies of entities (None where there is none) with what the cache reflects, of one state."""
        with self._store.reading() as connection:
            return self._read(connection), [self._body(connection, *each) for each in wanted]

    def ids(self, kind: Kind) -> list[str]:
        """The ids of all that is served of a kind, sorted."""
        with self._store.reading() as connection:
            rows = connection.execute(
                "SELECT id FROM entities WHERE kind = ? AND body IS NOT NULL ORDER BY id", (kind,)
            ).fetchall()
        return [row[0] for row in rows]

    def versions(self) -> dict[tuple[str, str], int]:
        """Of each entity that is served, the position that last changed it."""
        with self._store.reading() as connection:
            rows = connection.execute(
                "SELECT kind, id, version FROM entities WHERE body IS NOT NULL"
            ).fetchall()
        return {(kind, id_): version for kind, id_, version in rows}

    def staging(self) -> Staging | None:
        """The pull under way, also one that another process left."""
        with self._store.reading() as connection:
            kept = self._store.note(connection, _STAGING)
        return None if kept is None else _staging.decode(kept)

    def begin(self, staging: Staging) -> None:
        """Begins a pull; what another one had staged is dropped."""
        with self._store.writing() as connection:
            self._drop(connection)
            self._store.write_note(connection, _STAGING, msgspec.json.encode(staging))

    def drop(self) -> None:
        """Gives the pull under way up."""
        with self._store.writing() as connection:
            self._drop(connection)

    def stage(self, page: wire.SyncAnswer, *, full: bool) -> None:
        """Keeps a page that is not the last one."""
        with self._store.writing() as connection:
            self._stage(connection, page.items)
            going_on = Staging(full=full, since=page.next, epoch=page.epoch)
            self._store.write_note(connection, _STAGING, msgspec.json.encode(going_on))

    def apply(self, page: wire.SyncAnswer, etag: str | None, now: datetime, *, full: bool) -> Pulled:
        """Serves all that was staged and the last page, in one transaction. Raises DigestDiffers, and nothing
        changes."""
        with self._store.writing() as connection:
            before = self._read(connection)
            self._stage(connection, page.items)
            settle_staged(connection)
            if full:
                self._replace(connection, page.digest)
            else:
                self._merge(connection)
            self._drop(connection)
            pulled = Pulled(
                epoch=page.epoch,
                cursor=page.next,
                etag=etag,
                as_of=page.as_of,
                position=page.position,
                valid_until=page.valid_until,
                rule_language=page.rule_language,
                time_zone_data=page.time_zone_data,
                version=before.version + 1 if before else 1,
                checked_at=now,
            )
            self._store.write_note(connection, _PULLED, msgspec.json.encode(pulled))
        self._store.scrub()
        return pulled

    def is_of_old(self) -> bool:
        """Whether what is served was pulled by an SDK that noted no refs: it is to be pulled anew."""
        return self._store.peek(_ANEW) is not None

    def renew(self, valid_until: datetime | None, now: datetime) -> None:
        """The service said that nothing changed: what is served may be for longer."""
        with self._store.writing() as connection:
            pulled = self._read(connection)
            if pulled is not None:
                renewed = msgspec.structs.replace(
                    pulled, valid_until=valid_until or pulled.valid_until, checked_at=now
                )
                self._store.write_note(connection, _PULLED, msgspec.json.encode(renewed))

    def _read(self, connection: sqlite3.Connection) -> Pulled | None:
        kept = self._store.note(connection, _PULLED)
        return None if kept is None else _pulled.decode(kept)

    def _body(self, connection: sqlite3.Connection, kind: Kind, id_: str) -> bytes | None:
        row = connection.execute(
            "SELECT body FROM entities WHERE kind = ? AND id = ? AND body IS NOT NULL", (kind, id_)
        ).fetchone()
        return None if row is None else self._store.sealer.unseal(row[0], f"{kind}/{id_}")

    def _stage(self, connection: sqlite3.Connection, items: Iterable[wire.SyncItem]) -> None:
        connection.executemany(
            """INSERT INTO staged (kind, id, version, body, ref, erased) VALUES (?, ?, ?, ?, ?, ?)
               ON CONFLICT (kind, id) DO UPDATE SET version = excluded.version, body = excluded.body,
                                                    ref = excluded.ref, erased = excluded.erased
               WHERE excluded.version > staged.version""",
            self._rows(items),
        )

    def _rows(self, items: Iterable[wire.SyncItem]) -> Iterator[tuple[Any, ...]]:
        for item in items:
            body = None
            if item.op == "put":
                body = self._store.sealer.seal(msgspec.json.encode(item.body), f"{item.kind}/{item.id}")
            yield item.kind, item.id, item.version, body, item.ref, item.erased

    def _replace(self, connection: sqlite3.Connection, digest: str | None) -> None:
        """Serves what is staged and nothing else."""
        connection.execute("DELETE FROM staged WHERE body IS NULL")
        held: list[tuple[str, str, int]] = connection.execute(
            "SELECT kind, id, version FROM staged"
        ).fetchall()
        if digest is not None and wire.sync_digest(held) != digest:
            raise DigestDiffers
        forget_replaced(connection)
        connection.execute("DELETE FROM entities")
        connection.execute(
            """INSERT INTO entities (kind, id, version, body, ref)
               SELECT kind, id, version, body, ref FROM staged"""
        )
        self._store.write_note(connection, _ANEW, None)

    def _merge(self, connection: sqlite3.Connection) -> None:
        """Serves what is staged where it is newer. What was deleted stays as a row without a body, so that
        an older state of it cannot come back."""
        forget_merged(connection)
        connection.execute(
            """INSERT INTO entities (kind, id, version, body, ref)
               SELECT kind, id, version, body, ref FROM staged WHERE true ON CONFLICT (kind, id)
               DO UPDATE SET version = excluded.version, body = excluded.body, ref = excluded.ref
               WHERE excluded.version > entities.version"""
        )

    def _drop(self, connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM staged")
        self._store.write_note(connection, _STAGING, None)
