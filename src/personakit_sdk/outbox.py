"""The outbox: what is to reach the service, in the order in which it came, until the service has it.

An item is `waiting`, then `confirmed` (kept for CONFIRMED_DAYS, to be offered again to a service that was
restored from a backup) or `dead` (rejected; kept until somebody decides, for DEAD_DAYS at most).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

import msgspec

from personakit_sdk import wire
from personakit_sdk.erasing import SCRUB, forget_items, forget_keys
from personakit_sdk.errors import InvalidInput, ItemTooLarge, OutboxFull, StoreDamaged
from personakit_sdk.store import Store
from personakit_sdk.store_file import write_note

ITEM_BYTES: Final = 256 * 1024
CONFIRMED_DAYS: Final = 7
DEAD_DAYS: Final = 30
"""A device is told of an erasure by what it pulled. Of somebody whom it never pulled it may keep nothing for
ever, and a month is what the law gives for forgetting."""
MAX_ITEMS: Final = 100_000
MAX_BYTES: Final = 256 * 1024 * 1024
WhenFull = Literal["raise", "drop_oldest"]
_EPOCH: Final = "epoch"
_LOST: Final = "lost"
_encode: Final = msgspec.json.Encoder().encode
_BEFORE: Final = """SELECT (SELECT item FROM items WHERE id = ?), items, bytes FROM tallies
                    WHERE state = 'waiting'"""
"""What is there under an id, and how much waits: all that is asked before an item is taken, at once."""


class Waiting(msgspec.Struct, frozen=True):
    """An item that is to be sent: its id, its person or persona, and its bytes."""

    id: str
    key: str
    data: bytes


class Rejection(msgspec.Struct, frozen=True):
    """An item that the service will never take, and why."""

    id: str
    problem: wire.Problem


class Tally(msgspec.Struct, frozen=True):
    """How many items, with how many bytes."""

    items: int
    bytes: int


class Outbox:
    """The outbox in `store`, for at most `max_items` and `max_bytes` that wait.

    When it is full, feedback is refused; observations are refused or drop the oldest, as `when_full` says.
    Each that is dropped is counted, and `on_lost` is told how many.
    """

    def __init__(
        self,
        store: Store,
        *,
        max_items: int = MAX_ITEMS,
        max_bytes: int = MAX_BYTES,
        when_full: WhenFull = "raise",
        on_lost: Callable[[int], None] | None = None,
    ) -> None:
        self._store = store
        self._max_items, self._max_bytes = max_items, max_bytes
        self._when_full = when_full
        self._on_lost = on_lost

    def put(self, item: wire.PushItem, now: datetime) -> UUID:
        """Returns the item's id when the item is on the disk; its bytes never change from now on.

        The same item again changes nothing. Raises ItemTooLarge, OutboxFull, InvalidInput for an id that is
        another item's, or a StoreError.
        """
        data = _encode(item)
        if len(data) > ITEM_BYTES:
            raise ItemTooLarge(len(data), ITEM_BYTES)
        try:
            lost = self._insert(item, data, now)
        except StoreDamaged:  # the next try finds the damage at once, and a new file
            lost = self._insert(item, data, now)
        if lost and self._on_lost is not None:
            self._on_lost(lost)
        return item.id

    def batch(self, blocked: Collection[str], most: int, most_bytes: int) -> list[Waiting]:
        """The oldest that wait, of all keys but the `blocked`: at most so many, with so many bytes together
        (at least one)."""
        with self._store.reading() as connection:
            heads = connection.execute(
                """SELECT seq, size FROM items WHERE state = 'waiting'
                   AND key NOT IN (SELECT value FROM json_each(?)) ORDER BY seq LIMIT ?""",
                (_encode(list(blocked)).decode(), most),
            ).fetchall()
            rows = connection.execute(
                "SELECT id, key, item FROM items WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq",
                (_encode(_fitting(heads, most_bytes)).decode(),),
            ).fetchall()
        return [Waiting(id_, key, self._store.sealer.unseal(item, id_)) for id_, key, item in rows]

    def next_of(self, key: str) -> Waiting | None:
        """The oldest of one key that waits; None where none does."""
        with self._store.reading() as connection:
            row = connection.execute(
                "SELECT id, item FROM items WHERE state = 'waiting' AND key = ? ORDER BY seq LIMIT 1", (key,)
            ).fetchone()
        return None if row is None else Waiting(row[0], key, self._store.sealer.unseal(row[1], row[0]))

    def settle(
        self,
        confirmed: Iterable[str],
        rejected: Iterable[Rejection],
        now: datetime,
        erased: Collection[Waiting] = (),
        dropped: Collection[str] = (),
    ) -> None:
        """What the service has leaves, and what it will never take goes to the dead letters; but what is
        about somebody who was erased goes for good, and all that is kept of them. What is `dropped` goes for
        good alone."""
        at = now.timestamp()
        with self._store.writing() as connection:
            connection.executemany(
                "UPDATE items SET state = 'confirmed', settled_at = ? WHERE id = ? AND state = 'waiting'",
                [(at, id_) for id_ in confirmed],
            )
            connection.executemany(
                """UPDATE items SET state = 'dead', settled_at = ?, problem = ?
                   WHERE id = ? AND state = 'waiting'""",
                [(at, self._sealed(each), each.id) for each in rejected],
            )
            forget_items(connection, [*dropped, *(each.id for each in erased)])
            forget_keys(connection, {each.key for each in erased})
        if erased or dropped:
            self._store.scrub()

    def prune(self, now: datetime) -> int:
        """Lets go of what was confirmed long ago, of the oldest above the outbox's own limits, and of dead
        letters that nobody decided on; how many those are."""
        with self._store.writing() as connection:
            _let_go(connection, "confirmed", now - timedelta(days=CONFIRMED_DAYS))
            dead = _let_go(connection, "dead", now - timedelta(days=DEAD_DAYS))
            if dead:
                write_note(connection, SCRUB, 1)
            kept = _tally(connection, "confirmed")
            connection.execute(
                """DELETE FROM items WHERE seq IN
                   (SELECT seq FROM items WHERE state = 'confirmed' ORDER BY seq LIMIT ?)""",
                (max(0, kept.items - self._max_items),),
            )
        self._store.scrub()
        return dead

    def notice_epoch(self, epoch: UUID) -> int:
        """Takes note of whose log the service serves. When it is another than before, the service may have
        lost what it confirmed: all that is kept waits again, in its old place. How many those are."""
        with self._store.writing() as connection:
            known = self._store.note(connection, _EPOCH)
            if known == str(epoch):
                return 0
            self._store.write_note(connection, _EPOCH, str(epoch))
            if known is None:
                return 0
            return connection.execute(
                "UPDATE items SET state = 'waiting', settled_at = NULL WHERE state = 'confirmed'"
            ).rowcount

    @property
    def epoch(self) -> str | None:
        """Whose log the service served last."""
        with self._store.reading() as connection:
            known: str | None = self._store.note(connection, _EPOCH)
        return known

    def newest(self) -> int:
        """A mark: all that waits now stands at or before it."""
        with self._store.reading() as connection:
            row = connection.execute("SELECT max(seq) FROM items WHERE state = 'waiting'").fetchone()
        return row[0] or 0

    def waits_until(self, mark: int) -> bool:
        """Whether anything at or before a mark still waits."""
        with self._store.reading() as connection:
            found = connection.execute(
                "SELECT 1 FROM items WHERE state = 'waiting' AND seq <= ? LIMIT 1", (mark,)
            ).fetchone()
        return found is not None

    def tally(self, state: str = "waiting") -> Tally:
        """How much is `waiting`, `confirmed` or `dead`."""
        with self._store.reading() as connection:
            return _tally(connection, state)

    def oldest(self) -> float | None:
        """When the oldest that waits came, in seconds since 1970."""
        with self._store.reading() as connection:
            row = connection.execute(
                "SELECT queued_at FROM items WHERE state = 'waiting' ORDER BY seq LIMIT 1"
            ).fetchone()
        return None if row is None else row[0]

    def lost(self) -> int:
        """How many were dropped from this store since it was made."""
        with self._store.reading() as connection:
            return self._store.note(connection, _LOST) or 0

    def _insert(self, item: wire.PushItem, data: bytes, now: datetime) -> int:
        id_ = str(item.id)
        stored = self._store.sealer.seal(data, id_)
        with self._store.writing() as connection:
            same, *waiting = connection.execute(_BEFORE, (id_,)).fetchone()
            if same is not None:
                self._require_same(id_, same, data)
                return 0
            lost = self._make_room(connection, item.kind, Tally(*waiting), len(data))
            connection.execute(
                """INSERT INTO items (id, kind, key, state, size, queued_at, item)
                   VALUES (?, ?, ?, 'waiting', ?, ?, ?)""",
                (id_, item.kind, item.key, len(data), now.timestamp(), stored),
            )
        return lost

    def _require_same(self, id_: str, stored: bytes, data: bytes) -> None:
        if self._store.sealer.unseal(stored, id_) != data:
            raise InvalidInput(f"The id {id_} is another item's already; each has its own.")

    def _make_room(self, connection: sqlite3.Connection, kind: str, waiting: Tally, size: int) -> int:
        """How many observations were dropped for an item of `size` bytes. Raises OutboxFull."""
        more, larger = waiting.items + 1 - self._max_items, waiting.bytes + size - self._max_bytes
        if more <= 0 and larger <= 0:
            return 0
        dropped = _oldest(connection, more, larger) if self._drops(kind) else None
        if dropped is None:
            raise OutboxFull(
                f"{waiting.items:,} items ({waiting.bytes:,} bytes) wait to be sent, and the outbox holds "
                f"{self._max_items:,} ({self._max_bytes:,}). Let it drain, or give it more room."
            )
        connection.executemany("DELETE FROM items WHERE seq = ?", [(seq,) for seq in dropped])
        lost = self._store.note(connection, _LOST) or 0
        self._store.write_note(connection, _LOST, lost + len(dropped))
        return len(dropped)

    def _drops(self, kind: str) -> bool:
        return kind == "observation" and self._when_full == "drop_oldest"

    def _sealed(self, rejection: Rejection) -> bytes:
        return self._store.sealer.seal(_encode(rejection.problem), rejection.id)


def _fitting(heads: list[tuple[int, int]], most_bytes: int) -> list[int]:
    chosen: list[int] = []
    for seq, size in heads:
        most_bytes -= size + 1  # and a comma
        if chosen and most_bytes < 0:
            break
        chosen.append(seq)
    return chosen


def _oldest(connection: sqlite3.Connection, more: int, larger: int) -> list[int] | None:
    """The oldest observations that make room for so many items and bytes; None where there is not enough."""
    found: list[int] = []
    rows = connection.execute(
        "SELECT seq, size FROM items WHERE state = 'waiting' AND kind = 'observation' ORDER BY seq"
    )
    for seq, size in rows:
        if more <= 0 and larger <= 0:
            break
        found.append(seq)
        more, larger = more - 1, larger - size
    return found if more <= 0 and larger <= 0 else None


def _let_go(connection: sqlite3.Connection, state: str, before: datetime) -> int:
    return connection.execute(
        "DELETE FROM items WHERE state = ? AND settled_at < ?", (state, before.timestamp())
    ).rowcount


def _tally(connection: sqlite3.Connection, state: str) -> Tally:
    row = connection.execute("SELECT items, bytes FROM tallies WHERE state = ?", (state,)).fetchone()
    return Tally(*row)
