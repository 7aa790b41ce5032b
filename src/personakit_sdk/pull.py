"""The pull: brings the cache to what the service has now, from wherever it stands.

Pages are staged, and served together when the last one is there. A pull that was cut off or killed goes on
where it was; one that the service refuses to continue begins anew, while what is cached serves on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

from personakit_sdk import wire
from personakit_sdk.cache import Cache, DigestDiffers, Pulled, Staging
from personakit_sdk.device_clock import DeviceClock
from personakit_sdk.errors import SyncStuck
from personakit_sdk.file_lock import FileLock
from personakit_sdk.notices import Notices
from personakit_sdk.outbox import Outbox
from personakit_sdk.store import Store
from personakit_sdk.transport import NO_PROBLEM_TYPE, Exchange, Reply, ServiceError, service_error

PAGE: Final = 500
MOST_RESETS: Final = 3
AN_HOUR: Final = 3600.0
VALID_UNTIL: Final = "PersonaKit-Valid-Until"
UNSETTLED_TRIES: Final = 50
UNSETTLED_PAUSE: Final = 0.1
_RESETS: Final = "resets"


class Pull:
    """Pulls into `cache` through `transport`. `wall` reads seconds since 1970."""

    def __init__(
        self,
        store: Store,
        cache: Cache,
        outbox: Outbox,
        transport: Exchange,
        clock: DeviceClock,
        notices: Notices,
        *,
        page: int = PAGE,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store, self._cache, self._outbox = store, cache, outbox
        self._transport, self._clock, self._notices = transport, clock, notices
        self._page, self._wall, self._sleep = page, wall, sleep
        self._lock = FileLock(store.path.with_name(store.path.name + ".pull-lock"))
        self._idle = 0

    def run(
        self, *, wait: int = 0, lock_seconds: float = 30.0, going: Callable[[], bool] = lambda: True
    ) -> Pulled | None:
        """Returns when the cache is up to date; with `wait`, the service may hold the request so many seconds
        until something changes. None when another one pulls into the store for longer than `lock_seconds`, or
        when it is not to go on.
        Raises Unreachable, ServiceError, SyncStuck or a StoreError."""
        with self._lock.within(lock_seconds) as alone:
            if not alone:
                return None
            self._idle = 0
            done = None
            while done is None and going():
                done = self._step(wait)
            return done

    def _step(self, wait: int) -> Pulled | None:
        """One request and what follows from it; the pulled state when that is the last one."""
        pulled, staging = self._cache.pulled(), self._cache.staging()
        if staging is None and (pulled is None or self._cache.is_of_old()):
            staging = self._begin_full()
        conditional = staging is None and pulled is not None and pulled.etag is not None
        reply = self._ask(pulled, staging, wait, conditional=conditional)
        match reply.status:
            case 200:
                return self._take(reply, pulled, staging)
            case 304:
                return self._unchanged(reply, pulled, conditional=conditional)
            case 410:
                self._reset(str(service_error(self._transport.url, reply)))
                return None
            case _:
                raise service_error(self._transport.url, reply)

    def _ask(self, pulled: Pulled | None, staging: Staging | None, wait: int, *, conditional: bool) -> Reply:
        since = staging.since if staging is not None else pulled.cursor if pulled is not None else None
        headers = {"If-None-Match": pulled.etag} if conditional and pulled and pulled.etag else {}
        query = {"since": since, "limit": self._page, "wait": wait if wait and staging is None else None}
        return self._transport.exchange(
            "GET", "/sync", query=query, headers=headers, timeout=wait + 30.0 if wait else None
        )

    def _take(self, reply: Reply, pulled: Pulled | None, staging: Staging | None) -> Pulled | None:
        page = reply.decode(wire.SyncAnswer)
        self._clock.hear(reply.headers.get("date"))  # not of whatever else may answer on the way
        self._heed_epoch(page)
        if _is_of_another_log(page, pulled, staging):
            self._reset("The service serves another log than before.")
            return None
        full = staging is not None and staging.full
        if not page.up_to_date:
            self._cache.stage(page, full=full)
            self._idle = 0 if page.items else self._idle + 1
            if self._idle:
                self._await_settling()
            return None
        try:
            done = self._cache.apply(page, reply.headers.get("etag"), self._clock.now(), full=full)
        except DigestDiffers:
            self._reset("What was pulled is not what the service has.")
            return None
        self._clock.keep()
        if full or page.items or staging is not None:
            self._notices.give("synced", f"The cache is as of position {done.position}.")
        return done

    def _await_settling(self) -> None:
        """The service's own read models are still on their way; not for ever."""
        if self._idle > UNSETTLED_TRIES:
            raise ServiceError(200, NO_PROBLEM_TYPE, "The service is catching up; pull again later.")
        self._sleep(UNSETTLED_PAUSE)

    def _unchanged(self, reply: Reply, pulled: Pulled | None, *, conditional: bool) -> Pulled | None:
        if pulled is None or not conditional:
            raise ServiceError(
                304, NO_PROBLEM_TYPE, "The service answered 304 to a request that had no condition."
            )
        self._clock.hear(reply.headers.get("date"))
        self._cache.renew(_instant(reply.headers.get(VALID_UNTIL)), self._clock.now())
        return self._cache.pulled()

    def _begin_full(self) -> Staging:
        staging = Staging(full=True, since=None)
        self._cache.begin(staging)
        return staging

    def _reset(self, reason: str) -> None:
        """Begins anew, aside. Raises SyncStuck at the fourth time in an hour."""
        now = self._wall()
        with self._store.writing() as connection:
            kept = msgspec.json.decode(self._store.note(connection, _RESETS) or b"[]", type=list[float])
            recent = [at for at in kept if 0 <= now - at < AN_HOUR]
            stuck = len(recent) >= MOST_RESETS
            if not stuck:
                self._store.write_note(connection, _RESETS, msgspec.json.encode([*recent, now]))
        if stuck:
            self._cache.drop()
            detail = f"The cache had to begin anew {MOST_RESETS} times within an hour: {reason}"
            self._notices.give("stuck", detail)
            raise SyncStuck(f"{detail} What is cached serves on; it is tried again later.")
        self._begin_full()
        self._notices.give("reset", f"The cache begins anew: {reason}")

    def _heed_epoch(self, page: wire.SyncAnswer) -> None:
        again = self._outbox.notice_epoch(page.epoch)
        if again:
            detail = f"The service serves another log than before; {again} items are offered to it again."
            self._notices.give("offered-again", detail, again)


def _is_of_another_log(page: wire.SyncAnswer, pulled: Pulled | None, staging: Staging | None) -> bool:
    """A full pull may begin on any log, and has to end on the same one."""
    if staging is not None and staging.full:
        return staging.epoch not in {None, page.epoch}
    return pulled is not None and pulled.epoch != page.epoch


def _instant(text: str | None) -> datetime | None:
    try:
        return msgspec.convert(text, wire.Instant)
    except msgspec.ValidationError:
        return None
