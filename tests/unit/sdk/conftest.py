"""A store, an outbox and a delivery against the fault-injecting service, each moved by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from personakit_sdk import wire
from personakit_sdk.cache import Cache
from personakit_sdk.delivery import Delivery
from personakit_sdk.device_clock import DeviceClock
from personakit_sdk.notices import Notice, Notices
from personakit_sdk.offline import Offline
from personakit_sdk.outbox import Outbox
from personakit_sdk.pull import Pull
from personakit_sdk.rules import compile_mapper
from personakit_sdk.store import Store
from personakit_sdk.transport import Transport
from tests import mapper_documents as documents
from tests.mapper_documents import check, suggest
from tests.sync_service import FIRST_KEY, SyncService, sync_service

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def item(
    key: str = "ada", *, id_: UUID | None = None, kind: str = "observation", **body: Any
) -> wire.PushItem:
    """An item with any body."""
    return wire.PushItem(
        id=id_ or uuid4(),
        kind="feedback" if kind == "feedback" else "observation",
        key=key,
        occurred_at=NOW,
        body=body,
    )


def hasten(store: Store) -> Store:
    """Waits for no disk: for what is not about the loss of power."""
    with store._lock:  # not in the middle of a transaction
        assert store._connection is not None
        store._connection.execute("PRAGMA synchronous = OFF")
    return store


class Sender:
    """A client's sending side, with a clock that waits for nobody."""

    def __init__(self, service: SyncService, path: Path, key: str = FIRST_KEY, **outbox: Any) -> None:
        self.told: list[Notice] = []
        self.seconds = 1_700_000_000.0
        self.chance = 1.0
        self.store = hasten(Store(path))
        self.outbox = Outbox(self.store, **outbox)
        self.delivery = Delivery(
            self.store,
            self.outbox,
            Transport(service.url, key, timeout=5.0),
            DeviceClock(self.store),
            Notices(self.told.append),
            client_id="test",
            chance=lambda: self.chance,
            wall=lambda: self.seconds,
        )

    def put(self, *items: wire.PushItem) -> None:
        for each in items:
            self.outbox.put(each, NOW)

    def drain(self, tries: int = 400) -> int:
        """Runs, and lets each wait go by at once, until nothing waits; how many runs that took."""
        for run in range(1, tries + 1):
            wait = self.delivery.run()
            if wait is None:
                return run
            self.seconds += wait
        raise AssertionError(f"{self.outbox.tally()} still wait: {self.told[-3:]}")

    def kinds(self) -> list[str]:
        return [notice.kind for notice in self.told]


@pytest.fixture
def double() -> Iterator[SyncService]:
    with sync_service() as service:
        yield service


@pytest.fixture
def sender(double: SyncService, tmp_path: Path) -> Iterator[Sender]:
    sender = Sender(double, tmp_path / "store.db")
    yield sender
    sender.store.close()


class Puller:
    """A client's receiving side and its cache, with a clock that waits for nobody."""

    def __init__(self, service: SyncService, path: Path, page: int = 3) -> None:
        self.told: list[Notice] = []
        self.seconds = 1_700_000_000.0
        self.ahead = timedelta()
        self.store = hasten(Store(path))
        self.outbox = Outbox(self.store)
        self.cache = Cache(self.store)
        self.clock = DeviceClock(self.store, wall=self.wall)
        self.offline = Offline(self.cache, self.clock)
        self.pull = Pull(
            self.store,
            self.cache,
            self.outbox,
            Transport(service.url, FIRST_KEY, timeout=5.0),
            self.clock,
            Notices(self.told.append),
            page=page,
            wall=lambda: self.seconds,
            sleep=lambda _: None,
        )

    def wall(self) -> datetime:
        """What the device's clock shows."""
        return datetime.now(UTC) + self.ahead

    def held(self) -> dict[tuple[str, str], tuple[int, Any]]:
        """All that is served, as the service has it."""
        versions = self.cache.versions()
        _, bodies = self.cache.find(*versions)  # type: ignore[arg-type]
        return {
            at: (version, msgspec.json.decode(body or b""))
            for (at, version), body in zip(versions.items(), bodies, strict=True)
        }

    def kinds(self) -> list[str]:
        return [notice.kind for notice in self.told]


@pytest.fixture
def puller(double: SyncService, tmp_path: Path) -> Iterator[Puller]:
    puller = Puller(double, tmp_path / "store.db")
    yield puller
    puller.store.close()


def mapper(id_: str = "focus", version: int = 1, **changed: Any) -> wire.SyncedMapper:
    """A mapper with one rule, that fires for who likes mornings."""
    rule = suggest("early", **check("rhythm.period", "equals", value="morning"))
    document = {**documents.mapper(id_), "rules": [rule]}
    plan = compile_mapper(document)
    made = wire.SyncedMapper(id=id_, version=version, hash=plan.hash, document=plan.document)
    return msgspec.structs.replace(made, **changed)


def persona(id_: str = "ada", period: str = "morning", **changed: Any) -> wire.SyncedPersona:
    """A persona with one trait in its core, and one in its overlay."""
    core = wire.SyncedCore(
        summary=f"{id_} works in the {period}.",
        traits={
            "rhythm.period": wire.SyncedTrait(
                value=period, weight=12.0, half_life_days=9000.0, last_observed_at=NOW
            )
        },
        source="composed",
        generated_at=NOW,
    )
    made = wire.SyncedPersona(
        id=id_,
        people=[id_],
        core=core,
        overlay={"mood.now": wire.SyncedTrait(value=4, volatility="high", weight=3.0)},
        is_stale=False,
        core_version=1,
        mindscape_versions={id_: 7},
    )
    return msgspec.structs.replace(made, **changed)
