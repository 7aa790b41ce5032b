"""Delivery: takes the outbox to the service, and takes an item off only when the service says it has it.

When to try again is kept in the store, so that it holds for all processes that share it, and over restarts.
Batches that fail are made smaller, down to the one item that is to blame, whose key alone then waits.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from personakit_sdk import wire
from personakit_sdk.device_clock import DeviceClock
from personakit_sdk.file_lock import FileLock
from personakit_sdk.notices import Notices
from personakit_sdk.outbox import DEAD_DAYS, Outbox, Rejection, Waiting
from personakit_sdk.store import Store
from personakit_sdk.transport import (
    NO_PROBLEM_TYPE,
    Exchange,
    Reply,
    ServiceError,
    Unreachable,
    service_error,
)

REQUEST_ITEMS: Final = 500
REQUEST_BYTES: Final = 1024 * 1024
FIRST_CEILING: Final = 0.5
HIGHEST_CEILING: Final = 300.0
SHARED_AGAIN: Final = 0.25
"""Seconds until it is looked again whether the process that sends is done."""
PRUNE_SECONDS: Final = 3600.0
ERASED: Final = "urn:personakit:problem:person-erased"
"""The type of the problem that an item has that is about somebody who was erased."""
ID_OF_ERASED: Final = "urn:personakit:problem:id-of-erased"
"""And of one under whose id something about somebody was recorded who was erased: whoever it is about may be
there, so that it says nothing of the others of its key."""
_PUSHING: Final = "pushing"
_ROUNDING: Final = 0.001


class Waits(msgspec.Struct, frozen=True):
    """When to try again. `until` is on the wall clock; `asked` says that the service named the wait."""

    failures: int = 0
    until: float = 0.0
    seconds: float = 0.0
    asked: bool = False
    paused: str = ""

    def left(self, now: float) -> float:
        """Seconds still to wait; none once the clock was set to before the wait, for then it says nothing."""
        left = self.until - now
        return left if 0 < left <= self.seconds + _ROUNDING else 0.0


NO_WAIT: Final = Waits()
_waits: Final = msgspec.json.Decoder(Waits)


class Delivery:
    """Sends what waits in `outbox` through `transport`. `chance` is drawn from 0 to 1, `wall` reads seconds
    since 1970."""

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        transport: Exchange,
        clock: DeviceClock,
        notices: Notices,
        *,
        client_id: str,
        chance: Callable[[], float] = random.random,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._outbox, self._transport = store, outbox, transport
        self._clock, self._notices, self._client_id = clock, notices, client_id
        self._chance, self._wall = chance, wall
        self._lock = FileLock(store.path.with_name(store.path.name + ".push-lock"))
        self._keys: dict[str, Waits] = {}
        self._size = REQUEST_ITEMS
        self._pruned = float("-inf")

    def run(self, going: Callable[[], bool] = lambda: True) -> float | None:
        """Sends all that may be sent now, for as long as `going()`. Seconds until more may be; None when
        nothing waits. Only one process at a time sends: for the others, until it is worth looking again."""
        with self._lock.within(0) as alone:
            if not alone:
                return SHARED_AGAIN
            self._prune()
            while going():
                wait = self.waits().left(self._wall())
                if wait > 0:
                    return wait if self._outbox.tally().items else None
                batch = self._batch()
                if not batch:
                    return self._next_turn()
                self._send(batch)
            return 0.0

    def waits(self) -> Waits:
        """When it may be sent again, and why not now."""
        with self._store.reading() as connection:
            kept = self._store.note(connection, _PUSHING)
        return NO_WAIT if kept is None else _waits.decode(kept)

    def retry_in(self) -> float:
        """Seconds until it may be sent again."""
        return self.waits().left(self._wall())

    def resume(self) -> None:
        """Forgets that a key was not accepted: there may be another one now."""
        if self.waits().paused:
            self._keep(NO_WAIT)

    def hurry(self) -> None:
        """Forgets what was to be waited for, except where the service asked for it."""
        self._keys = {}
        waits = self.waits()
        if waits is not NO_WAIT and not waits.asked:
            self._keep(NO_WAIT)

    def _send(self, batch: Sequence[Waiting]) -> None:
        body = self._head() + b",".join(each.data for each in batch) + b"]}"
        try:
            reply = self._transport.exchange("POST", "/sync", body=body)
        except Unreachable as error:
            self._failed(batch, str(error))
            return
        match reply.status:
            case 200 | 201 | 202:
                self._take(batch, reply)
            case 400 | 413 | 422 if len(batch) > 1:
                self._size = len(batch) // 2  # what is to blame is in one half of it
            case 400 | 413 | 422 if reply.is_problem:
                self._bury(batch[0], reply)
            case 401 | 403:
                self._pause(reply)
            case 408 | 429 | 503:
                self._wait(_said(reply), reply.retry_after)
            case _:
                self._failed(batch, _said(reply), reply.retry_after)

    def _take(self, batch: Sequence[Waiting], reply: Reply) -> None:
        """Does with each item what the answer says of it; what it does not name is sent again."""
        try:
            answer = reply.decode(wire.PushAnswer)
        except ServiceError as error:
            self._failed(batch, str(error))
            return
        self._clock.hear(reply.headers.get("date"))
        self._heed_epoch(answer)
        fates = [(each, answer.results.get(each.id)) for each in batch]
        confirmed = [each.id for each, fate in fates if fate and fate.status in {"stored", "duplicate"}]
        erased = [each for each, fate in fates if fate and _says(fate, ERASED)]
        dropped = [each.id for each, fate in fates if fate and _says(fate, ID_OF_ERASED)]
        rejected = [
            Rejection(each.id, fate.problem or _NO_REASON)
            for each, fate in fates
            if fate and fate.status == "rejected" and not _says(fate, ERASED, ID_OF_ERASED)
        ]
        self._outbox.settle(confirmed, rejected, self._clock.now(), erased, dropped)
        later = {each.key for each, fate in fates if fate is None or fate.status == "retry"}
        for key in {each.key for each in batch} - later:
            self._keys.pop(key, None)
        for key in later:
            self._block(key, reply.retry_after)
        self._succeeded()
        if confirmed:
            self._notices.give("delivered", f"{len(confirmed)} items are stored.", len(confirmed))
        self._report(rejected)
        if gone := len(erased) + len(dropped):
            detail = f"{gone} items were about people who were erased; nothing of them is kept."
            self._notices.give("erased", detail, gone)

    def _heed_epoch(self, answer: wire.PushAnswer) -> None:
        again = self._outbox.notice_epoch(answer.epoch)
        if again:
            detail = f"The service serves another log than before; {again} items are offered to it again."
            self._notices.give("offered-again", detail, again)

    def _bury(self, item: Waiting, reply: Reply) -> None:
        """The service refused a request of one item. (What else may answer on the way decides about none.)"""
        rejection = Rejection(item.id, _problem(service_error(self._transport.url, reply)))
        self._outbox.settle([], [rejection], self._clock.now())
        self._keys.pop(item.key, None)
        self._succeeded()
        self._report([rejection])

    def _failed(self, batch: Sequence[Waiting], detail: str, asked: float = 0.0) -> None:
        """The service failed at a request. Should one item make it fail, smaller ones will find it."""
        if len(batch) == 1:
            self._block(batch[0].key, asked)
        self._size = max(1, len(batch) // 8)  # in few steps, for each of them is waited for
        self._wait(detail, asked)

    def _pause(self, reply: Reply) -> None:
        detail = f"{_said(reply)} All items are kept; give a key that may write."
        waits = Waits(until=self._wall() + HIGHEST_CEILING, seconds=HIGHEST_CEILING, paused=detail)
        self._keep(waits)
        self._notices.give("paused", detail)

    def _wait(self, detail: str, asked: float) -> None:
        waits = self._next(self.waits().failures, asked)
        self._keep(waits)
        self._notices.give("retrying", f"{detail} Again in {waits.seconds:.1f} s.")

    def _block(self, key: str, asked: float) -> None:
        self._keys[key] = self._next(self._keys.get(key, NO_WAIT).failures, asked)

    def _next(self, failures: int, asked: float) -> Waits:
        """The next wait: exponential with full jitter, or as long as was asked for."""
        ceiling = min(HIGHEST_CEILING, FIRST_CEILING * 2.0 ** min(failures, 20))
        seconds = asked or self._chance() * ceiling
        return Waits(failures + 1, self._wall() + seconds, seconds, asked=asked > 0)

    def _succeeded(self) -> None:
        self._size = min(REQUEST_ITEMS, 2 * self._size)
        if self.waits() is not NO_WAIT:
            self._keep(NO_WAIT)

    def _keep(self, waits: Waits) -> None:
        kept = None if waits is NO_WAIT else msgspec.json.encode(waits)
        with self._store.writing() as connection:
            self._store.write_note(connection, _PUSHING, kept)

    def _batch(self) -> list[Waiting]:
        """What is sent next: of all keys that went well; and where there is none, one item of a key that did
        not and whose wait is over, so that it holds up no other."""
        room = REQUEST_BYTES - len(self._head()) - len(b"]}")
        batch = self._outbox.batch(self._keys, self._size, room)
        for key, waits in list(self._keys.items()) if not batch else ():
            if waits.left(self._wall()) > 0:
                continue
            alone = self._outbox.next_of(key)
            if alone is not None:
                return [alone]
            del self._keys[key]
        return batch

    def _next_turn(self) -> float | None:
        """Seconds until the next key may be tried; None where none waits."""
        return min((waits.left(self._wall()) for waits in self._keys.values()), default=None)

    def _report(self, rejected: Sequence[Rejection]) -> None:
        for each in rejected:
            logged = f"{each.id} was rejected: {each.problem.type}"
            self._notices.give("rejected", f"{each.id} was rejected: {each.problem.detail}", 1, logged=logged)

    def _prune(self) -> None:
        now = time.monotonic()
        if now - self._pruned >= PRUNE_SECONDS:
            self._pruned = now
            if gone := self._outbox.prune(self._clock.now()):
                detail = (
                    f"{gone} rejected items were let go; nobody had decided on them for {DEAD_DAYS} days."
                )
                self._notices.give("lost", detail, gone)

    def _head(self) -> bytes:
        return b'{"clientId":' + msgspec.json.encode(self._client_id) + b',"items":['


def _says(fate: wire.PushResult, *types: str) -> bool:
    return fate.status == "rejected" and fate.problem is not None and fate.problem.type in types


def _said(reply: Reply) -> str:
    return str(service_error("The service", reply))


_NO_REASON: Final = wire.Problem(
    type=NO_PROBLEM_TYPE, title="Rejected", status=422, detail="The service gave no reason."
)


def _problem(error: ServiceError) -> wire.Problem:
    faults = [wire.FaultAt(pointer=fault.pointer, message=fault.message) for fault in error.errors]
    return wire.Problem(
        type=error.type, title="Rejected", status=error.status, detail=error.detail, errors=faults
    )
