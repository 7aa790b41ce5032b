"""A checkup: what of a client's store, queue, cache, clock and service somebody should look at."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

from personakit_sdk.rules.clock import time_zone_data
from personakit_sdk.status import CacheStatus, OutboxStatus, Status
from personakit_sdk.transport import Exchange, Unreachable, service_error

OLD: Final = timedelta(hours=1)
"""What has waited for longer is not only on its way."""
CLOCK_SECONDS: Final = 60.0


class Service(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whether the service answers and takes the key, and by how many seconds its clock is ahead."""

    url: str
    reachable: bool
    detail: str
    clock_offset: float | None = None


class Checkup(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All that was looked at; `findings` are sentences about what is not well."""

    status: Status
    service: Service
    findings: list[str]


def check_up(status: Status, transport: Exchange, now: datetime) -> Checkup:
    """Looks at a client's status, and asks the service once. `now` is what the device's clock shows."""
    service = _service(transport, now)
    return Checkup(status=status, service=service, findings=list(_findings(status, service, now)))


def _service(transport: Exchange, now: datetime) -> Service:
    try:
        reply = transport.exchange("GET", "/sync", query={"since": now.isoformat(), "limit": 1})
    except Unreachable as error:
        return Service(url=transport.url, reachable=False, detail=str(error))
    said = "It answers, and takes the key."
    if reply.status >= 400:
        said = str(service_error(transport.url, reply))
    return Service(
        url=transport.url,
        reachable=reply.status < 400,
        detail=said,
        clock_offset=_offset(reply.headers.get("date"), now),
    )


def _offset(date: str | None, now: datetime) -> float | None:
    try:
        return (parsedate_to_datetime(date or "") - now.astimezone(UTC)).total_seconds()
    except (TypeError, ValueError):
        return None


def _findings(status: Status, service: Service, now: datetime) -> Iterator[str]:
    if not service.reachable:
        yield service.detail
    yield from _of_outbox(status.outbox, now)
    yield from _of_cache(status.cache)
    for path in status.store.set_aside:
        yield f"A damaged store was set aside as {path}."
    if service.clock_offset is not None and abs(service.clock_offset) > CLOCK_SECONDS:
        yield f"The clock of this machine is {-service.clock_offset:+.0f} s off the service's."


def _of_outbox(outbox: OutboxStatus, now: datetime) -> Iterator[str]:
    if outbox.oldest is not None and now - outbox.oldest > OLD:
        yield f"{outbox.waiting} items wait to be sent, the oldest since {outbox.oldest.isoformat()}."
    if outbox.paused:
        yield f"Nothing is sent: {outbox.paused}"
    if outbox.dead_letters:
        yield f"{outbox.dead_letters} items were rejected; see `dead_letters`, retry or discard them."
    if outbox.lost:
        yield f"{outbox.lost} observations were dropped because the outbox was full."


def _of_cache(cache: CacheStatus) -> Iterator[str]:
    if cache.position is None:
        yield "Nothing was ever pulled into the cache."
    if cache.expired and cache.valid_until is not None:
        yield f"The cached personas are not served since {cache.valid_until.isoformat()}."
    for id_ in cache.upgrade_required:
        yield f"The mapper {id_!r} needs a newer SDK."
    if cache.time_zone_data not in {None, time_zone_data()}:
        yield (
            f"The service decides by the time zones of {cache.time_zone_data}, and this SDK by those of "
            f"{time_zone_data()}: install that version of tzdata."
        )
