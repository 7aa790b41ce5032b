"""`PersonaKit`: the client that lives in an application. What it is told is on the disk when a call returns;
what it is asked is answered from its cache. Both reach the service in the background, when it is there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote
from uuid import UUID, uuid4

from personakit_sdk import told, wire
from personakit_sdk.cache import Cache
from personakit_sdk.cached import Mappers, Personas
from personakit_sdk.dead_letters import DeadLetters
from personakit_sdk.delivery import Delivery
from personakit_sdk.device_clock import DeviceClock
from personakit_sdk.errors import ClientClosed, StoreBusy, StoreError
from personakit_sdk.item_ids import uuid7
from personakit_sdk.notices import Notices, OnEvent
from personakit_sdk.offline import Offline, OfflineAnswer
from personakit_sdk.outbox import MAX_BYTES, MAX_ITEMS, Outbox, WhenFull
from personakit_sdk.pull import Pull
from personakit_sdk.sealing import sealer_of
from personakit_sdk.status import Status, cache_status, outbox_status, store_status
from personakit_sdk.store import Store
from personakit_sdk.transport import Transport
from personakit_sdk.workers import Worker

SYNC_SECONDS: Final = 60.0
LIVE_SECONDS: Final = 25
LIVE_PAUSE: Final = 0.2
"""Seconds between live pulls, so that a burst of changes is fetched together."""
CLOSE_SECONDS: Final = 2.0
FLUSH_SECONDS: Final = 30.0
LOOK_AGAIN: Final = 0.25
REGENERATE_SECONDS: Final = 60.0
_CLIENT_ID: Final = "client id"


class PersonaKit:
    """A client of the service at `url`, with the API key `key`, that keeps its outbox and cache in the file
    `store`. Threads may share it, and processes may share the file; a forked child goes on by itself.

    With `background` it sends whenever there is something to send, and pulls every `sync_every` seconds (with
    `live`, as soon as something changes); without, only `flush()` and `sync()` do. `timeout` is how many
    seconds an answer may take. With an `encryption_key` (32 bytes) the bodies in the file are encrypted.
    `max_items`, `max_bytes` and `when_full` bound the outbox. `on_event` is called with a Notice, from
    whichever thread it happens in.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        store: str | Path,
        background: bool = True,
        sync_every: float = SYNC_SECONDS,
        live: bool = False,
        timeout: float = 30.0,
        encryption_key: bytes | None = None,
        max_items: int = MAX_ITEMS,
        max_bytes: int = MAX_BYTES,
        when_full: WhenFull = "raise",
        on_event: OnEvent | None = None,
    ) -> None:
        self._notices = Notices(on_event)
        self._transport = Transport(url, key, timeout=timeout)
        self._store = Store(Path(store), sealer=sealer_of(encryption_key), on_set_aside=self._set_aside)
        self._clock = DeviceClock(self._store)
        self._outbox = Outbox(
            self._store, max_items=max_items, max_bytes=max_bytes, when_full=when_full, on_lost=self._lost
        )
        self._cache = Cache(self._store)
        self._client_id = _client_id(self._store)
        self._delivery = Delivery(
            self._store,
            self._outbox,
            self._transport,
            self._clock,
            self._notices,
            client_id=self._client_id,
        )
        self._pull = Pull(self._store, self._cache, self._outbox, self._transport, self._clock, self._notices)
        self._offline = Offline(self._cache, self._clock)
        self._sync_every, self._live = sync_every, live
        self._told_of: frozenset[str] = frozenset()
        self._closed = False
        self._pusher = Worker("personakit-push", self._push_step, self._notices, last=True, ended=self._tidy)
        self._puller = Worker(
            "personakit-pull", self._pull_step, self._notices, idle=float("inf"), ended=self._tidy
        )
        self._background = background
        self.personas = Personas(self._offline, self._cache)
        self.mappers = Mappers(self._offline, self._cache)
        self.dead_letters = DeadLetters(self._store, on_retry=self._pusher.wake)
        if background:
            self._delivery.resume()
            self._pusher.start()
            self._puller.start()

    def observe(
        self,
        person_id: str,
        type: str,  # noqa: A002 - the observation's own word
        content: Mapping[str, Any],
        *,
        occurred_at: datetime | None = None,
        id: UUID | None = None,  # noqa: A002
        source: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        supersedes: UUID | None = None,
        expires_at: datetime | None = None,
    ) -> UUID:
        """Records what a person did, now or at `occurred_at`; returns its id when it is on the disk.

        Raises InvalidInput or ItemTooLarge for what is no observation, OutboxFull, or a StoreError; then
        nothing was taken.
        """
        now = self._clock.now()
        said = {
            "personId": person_id,
            "type": type,
            "content": content,
            "occurredAt": occurred_at or now,
            "id": id,
            "source": source,
            "metadata": metadata,
            "supersedes": supersedes,
            "expiresAt": expires_at,
        }
        return self._put(told.observation(said), now)

    def feedback(
        self,
        suggestion_id: str | None = None,
        *,
        mapper_id: str | None = None,
        rule_id: str | None = None,
        persona_id: str | None = None,
        helpful: bool | None = None,
        rating: int | None = None,
        outcome: wire.Outcome | None = None,
        comment: str | None = None,
        exposure: str | None = None,
        occurred_at: datetime | None = None,
        id: UUID | None = None,  # noqa: A002
    ) -> UUID:
        """Records what became of a suggestion, named by its id or by mapper, rule and persona; returns the
        feedback's own id when it is on the disk. `exposure` is the suggestion's own, where it came from the
        service with one. Raises as `observe` does."""
        said = {
            "suggestionId": suggestion_id,
            "mapperId": mapper_id,
            "ruleId": rule_id,
            "personaId": persona_id,
            "helpful": helpful,
            "rating": rating,
            "outcome": outcome,
            "comment": comment,
            "exposure": exposure,
            "occurredAt": occurred_at,
            "id": id,
        }
        now = self._clock.now()
        return self._put(told.feedback(said, now), now)

    def map_persona(
        self,
        mapper_id: str,
        persona_id: str,
        *,
        detail_level: wire.DetailLevel = "balanced",
        at: datetime | None = None,
        timezone: str | None = None,
        context: Mapping[str, Any] | None = None,
        limit: int | None = None,
        explain: bool = False,
    ) -> OfflineAnswer:
        """Suggestions for a persona, best first, from the cache: nobody is asked. The answer says how old its
        data is, and whether the persona's core is stale.

        Raises NotCached, DataExpired when the cache is older than the service allows, UpgradeRequired, or
        InvalidInput for what cannot be asked.
        """
        said = {
            "mapperId": mapper_id,
            "personaId": persona_id,
            "detailLevel": detail_level,
            "at": at,
            "timezone": timezone,
            "context": context or {},
            "limit": limit,
            "explain": explain,
        }
        return self._offline.map_persona(told.question(said))

    def regenerate(self, persona_id: str, *, timeout: float = REGENERATE_SECONDS) -> wire.Persona:
        """Has the service make a persona's core anew, which may cost, and pulls it into the cache. Needs the
        service: raises Unreachable, or ServiceError with what it says."""
        path = f"/personas/{quote(persona_id, safe='')}/regenerate"
        reply = self._transport.request("POST", path, patience=timeout, idempotent=True)
        made = reply.decode(wire.Persona)
        self.sync()
        return made

    def flush(self, timeout: float = FLUSH_SECONDS) -> bool:
        """Sends all that waits now, also what was to be tried again later, unless the service asked to wait.
        Whether all of it left the outbox within `timeout` seconds; where the key is not accepted, that is
        said at once."""
        self._require_open()
        deadline = time.monotonic() + timeout
        mark = self._outbox.newest()
        self._delivery.hurry()
        while self._outbox.waits_until(mark):
            wait = self._delivery.run(lambda: time.monotonic() < deadline)
            left = deadline - time.monotonic()
            if left <= 0 or self._delivery.waits().paused:
                return not self._outbox.waits_until(mark)
            if wait:
                time.sleep(min(wait, left, LOOK_AGAIN))
        return True

    def sync(self) -> Status:
        """Pulls until the cache is up to date. Raises Unreachable, ServiceError, SyncStuck, StoreError."""
        self._require_open()
        if self._pull.run() is None:
            raise StoreBusy(f"Another one is pulling into {self._store.path} for too long.")
        self._report_upgrades()
        return self.status()

    def status(self) -> Status:
        """How the client stands; asks nobody."""
        return Status(
            client_id=self._client_id,
            outbox=outbox_status(self._outbox, self._delivery),
            cache=cache_status(self._cache, self._offline, self._clock),
            store=store_status(self._store),
            clock_offset=self._clock.offset,
        )

    def close(self) -> None:
        """Ends the work in the background, with what can be sent within two seconds. What could not be sent
        is in the store, for the next client."""
        if self._closed:
            return
        self._closed = True
        deadline = time.monotonic() + CLOSE_SECONDS
        self._puller.stop()
        self._pusher.stop()
        for worker in (self._pusher, self._puller) if self._background else ():
            worker.join(deadline - time.monotonic())
        self._transport.close()
        with suppress(StoreError):  # what was taken is in the store; this only tells the next one the time
            self._clock.keep()
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _put(self, said: told.Told, now: datetime) -> UUID:
        self._require_open()
        item = wire.PushItem(
            id=said.id or uuid7(int(now.timestamp() * 1000)),
            kind=said.kind,
            key=said.key,
            occurred_at=said.occurred_at,
            body=said.body,
        )
        self._outbox.put(item, now)
        self._pusher.wake()
        return item.id

    def _push_step(self) -> float | None:
        return self._delivery.run()

    def _pull_step(self) -> float | None:
        """With `live`, the service holds each request until something changes, and the next one follows."""
        wait = LIVE_SECONDS if self._live else 0
        pulled = self._pull.run(wait=wait, lock_seconds=0, going=lambda: not self._closed)
        self._report_upgrades()
        return LIVE_PAUSE if self._live and pulled is not None else self._sync_every

    def _tidy(self) -> None:
        """A thread that `close` did not wait for may have opened the store again."""
        if self._closed:
            self._store.close()

    def _report_upgrades(self) -> None:
        upgrades = frozenset(self._offline.upgrades())
        for id_ in sorted(upgrades - self._told_of):
            self._notices.give("upgrade-required", f"The mapper {id_!r} needs a newer SDK; all others work.")
        self._told_of = upgrades

    def _require_open(self) -> None:
        if self._closed:
            raise ClientClosed("This client was closed; make a new one with the same store.")

    def _lost(self, count: int) -> None:
        self._notices.give("lost", f"The outbox is full: {count} observations were dropped.", count)

    def _set_aside(self, aside: Path) -> None:
        detail = f"The store was damaged. It is kept as {aside}, and a new one was begun."
        self._notices.give("set-aside", detail)


def _client_id(store: Store) -> str:
    """Names this store to the service, for as long as the file is there."""
    with store.writing() as connection:
        known: str | None = store.note(connection, _CLIENT_ID)
        made = known or str(uuid4())
        if known is None:
            store.write_note(connection, _CLIENT_ID, made)
    return made
