"""The status of a client: what waits, what was lost, how old the cache is, and what holds things up."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

import msgspec

from personakit_sdk.cache import Cache
from personakit_sdk.delivery import Delivery
from personakit_sdk.device_clock import DeviceClock
from personakit_sdk.offline import Offline
from personakit_sdk.outbox import Outbox
from personakit_sdk.store import Store
from personakit_sdk.store_file import found_aside


class OutboxStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`waiting` items of `waiting_bytes` bytes are to be sent, the oldest since `oldest`; `lost` were dropped
    by a full outbox since the store was made. `paused` says why nothing is sent, `retry_in` after how many
    seconds it is tried again."""

    waiting: int
    waiting_bytes: int
    oldest: datetime | None
    confirmed: int
    dead_letters: int
    lost: int
    paused: str
    failures: int
    retry_in: float


class CacheStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is cached is as of `position`, and was up to date at `checked_at`. All is null before the first
    pull. `upgrade_required` are mappers that this SDK is too old for; `time_zone_data` is the service's."""

    mappers: int
    personas: int
    pulling: bool
    position: int | None = None
    as_of: datetime | None = None
    checked_at: datetime | None = None
    valid_until: datetime | None = None
    expired: bool = False
    cursor: str | None = None
    epoch: str | None = None
    upgrade_required: tuple[str, ...] = ()
    time_zone_data: str | None = None


class StoreStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The file, and the SQLite that it is kept by. `set_aside` are corrupt files that lie beside it."""

    path: str
    sqlite_version: str
    journal_mode: str
    encrypted: bool
    set_aside: list[str]


class Status(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All of it; `clock_offset` are the seconds by which the service's clock is ahead of the device's."""

    client_id: str
    outbox: OutboxStatus
    cache: CacheStatus
    store: StoreStatus
    clock_offset: float


def outbox_status(outbox: Outbox, delivery: Delivery) -> OutboxStatus:
    """The status of the outbox."""
    waiting, oldest, waits = outbox.tally(), outbox.oldest(), delivery.waits()
    return OutboxStatus(
        waiting=waiting.items,
        waiting_bytes=waiting.bytes,
        oldest=None if oldest is None else datetime.fromtimestamp(oldest, UTC),
        confirmed=outbox.tally("confirmed").items,
        dead_letters=outbox.tally("dead").items,
        lost=outbox.lost(),
        paused=waits.paused,
        failures=waits.failures,
        retry_in=delivery.retry_in(),
    )


def cache_status(cache: Cache, offline: Offline, clock: DeviceClock) -> CacheStatus:
    """The status of the cache."""
    pulled, pulling = cache.pulled(), cache.staging() is not None
    if pulled is None:
        return CacheStatus(mappers=0, personas=0, pulling=pulling)
    return CacheStatus(
        mappers=len(cache.ids("mapper")),
        personas=len(cache.ids("persona")),
        pulling=pulling,
        position=pulled.position,
        as_of=pulled.as_of,
        checked_at=pulled.checked_at,
        valid_until=pulled.valid_until,
        expired=clock.now() > pulled.valid_until,
        cursor=pulled.cursor,
        epoch=str(pulled.epoch),
        upgrade_required=tuple(offline.upgrades()),
        time_zone_data=pulled.time_zone_data,
    )


def store_status(store: Store) -> StoreStatus:
    """The status of the file."""
    with store.reading() as connection:
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    return StoreStatus(
        path=str(store.path),
        sqlite_version=sqlite3.sqlite_version,
        journal_mode=mode,
        encrypted=store.sealer.sealed,
        set_aside=[str(path) for path in found_aside(store.path)],
    )
