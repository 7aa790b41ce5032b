"""A row of the log, as `eventsourcing` sees it and with what we need beside."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec
from eventsourcing.persistence import Notification, StoredEvent


class StreamId(msgspec.Struct, frozen=True, order=True):
    """A stream: the events of one entity. `kind` says of what; `stream` which one."""

    tenant: str
    kind: str
    stream: UUID

    def __str__(self) -> str:
        return f"{self.tenant}/{self.kind}/{self.stream}"

    @classmethod
    def parse(cls, text: str) -> StreamId:
        """The stream that `str()` of a StreamId names: what the library calls an originator id."""
        tenant, kind, stream = text.split("/")
        return cls(tenant, kind, UUID(stream))


class Row(msgspec.Struct, frozen=True):
    """An event to be appended, as bytes. `once` marks a stream that is written once: a repeat is a
    duplicate. `person` is the surrogate of whom it is about, `sealed_after` tells their key from an earlier
    one; `alive` are others who must be there."""

    stream_id: StreamId
    version: int
    topic: str
    state: bytes
    person: UUID | None
    once: bool = False
    sealed_after: int = 0
    alive: tuple[UUID, ...] = ()


@dataclass(frozen=True)
class LogEvent(StoredEvent):
    """A Row as the library's own way in takes it."""

    stream_id: StreamId
    person: UUID | None
    once: bool = False

    @property
    def row(self) -> Row:
        """What is appended."""
        return Row(self.stream_id, self.originator_version, self.topic, self.state, self.person, self.once)


@dataclass(frozen=True)
class LogNotification(Notification):
    """An event that is in the log; `id` is its position."""

    stream_id: StreamId
    person: UUID | None
    recorded_at: datetime
