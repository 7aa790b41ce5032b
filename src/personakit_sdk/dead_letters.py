"""Dead letters: what the service rejected, kept with its problem for somebody to decide on, for 30 days."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from personakit_sdk import wire
from personakit_sdk.store import Store


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An item that was rejected, why, and when that was heard."""

    item: wire.PushItem
    problem: wire.Problem
    rejected_at: datetime

    @property
    def id(self) -> UUID:
        """The item's id, by which it is retried or discarded."""
        return self.item.id


class DeadLetters:
    """Those of one store, oldest first: iterate over them, `retry` or `discard` some or all."""

    def __init__(self, store: Store, *, on_retry: Callable[[], None] | None = None) -> None:
        self._store, self._on_retry = store, on_retry

    def __iter__(self) -> Iterator[DeadLetter]:
        return iter(self.list())

    def __len__(self) -> int:
        with self._store.reading() as connection:
            (count,) = connection.execute("SELECT items FROM tallies WHERE state = 'dead'").fetchone()
        return int(count)

    def list(self, limit: int = 500) -> list[DeadLetter]:
        """The oldest `limit` of them."""
        with self._store.reading() as connection:
            rows = connection.execute(
                "SELECT id, item, problem, settled_at FROM items WHERE state = 'dead' ORDER BY seq LIMIT ?",
                (limit,),
            ).fetchall()
        return [self._letter(*row) for row in rows]

    def retry(self, ids: Sequence[UUID] | None = None) -> int:
        """Puts them, or all, back where they stood in the outbox; how many."""
        count = self._change(
            """UPDATE items SET state = 'waiting', settled_at = NULL, problem = NULL
               WHERE state = 'dead' AND (:all OR id IN (SELECT value FROM json_each(:ids)))""",
            ids,
        )
        if self._on_retry is not None:
            self._on_retry()
        return count

    def discard(self, ids: Sequence[UUID] | None = None) -> int:
        """Erases them, or all; how many."""
        return self._change(
            """DELETE FROM items
               WHERE state = 'dead' AND (:all OR id IN (SELECT value FROM json_each(:ids)))""",
            ids,
        )

    def _change(self, statement: str, ids: Sequence[UUID] | None) -> int:
        chosen = {"all": ids is None, "ids": msgspec.json.encode(ids or []).decode()}
        with self._store.writing() as connection:
            return connection.execute(statement, chosen).rowcount

    def _letter(self, id_: str, item: bytes, problem: bytes, settled_at: float) -> DeadLetter:
        unseal = self._store.sealer.unseal
        return DeadLetter(
            item=msgspec.json.decode(unseal(item, id_), type=wire.PushItem),
            problem=msgspec.json.decode(unseal(problem, id_), type=wire.Problem),
            rejected_at=datetime.fromtimestamp(settled_at, UTC),
        )
