"""Commands on mappers: what is decided on their state becomes their next version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from uuid import UUID, uuid5

import msgspec

from personakit import shipped
from personakit.domain.adjusted import Adjusted
from personakit.domain.events import RuleEvidence
from personakit.domain.learning import Learned
from personakit.domain.mapper import MapperEvent, MapperState, Shown, evolve, publish_shipped
from personakit.eventlog.stored import StreamId
from personakit.eventlog.streams import Loaded, Streams, Updated
from personakit.eventlog.turns import Turns
from personakit.projections.read import Reader
from personakit_sdk.rules import compile_mapper
from personakit_sdk.rules.yaml import load_yaml

Decide = Callable[[MapperState], MapperEvent | None]
_MAPPERS = UUID("1b3c9a52-6f0f-4b0e-8d4c-0d9d4f8f2a77")


class Mappers:
    """Changes mappers through their streams."""

    def __init__(self, reader: Reader, streams: Streams) -> None:
        self._reader = reader
        self._streams = streams
        self._turns = Turns()

    def change(self, tenant: str, mapper_id: str, decide: Decide) -> Updated[MapperState]:
        """Appends to a mapper's stream what `decide` makes of its state, whoever else changes it."""
        stream = mapper_stream(tenant, mapper_id)
        with self._turns.of(stream):
            return self._streams.update(stream, self._start(tenant, mapper_id), evolve, decide)

    def _start(self, tenant: str, mapper_id: str) -> Loaded[MapperState]:
        """The state as the read model has it; what it lacks yet is read from the stream."""
        with self._reader.snapshot(tenant) as snapshot:
            row = snapshot.row("mappers.state", tenant=tenant, mapper_id=mapper_id)
        if row is None:
            return Loaded(MapperState(), 0)
        return Loaded(state_in(row), row["latest"])

    def publish_shipped(self, tenant: str) -> None:
        """Gives a tenant the mappers that come with the release, except where it has its own."""
        for path in sorted(shipped.mappers_dir().glob("*.yaml")):
            source = path.read_text(encoding="utf-8")
            plan = compile_mapper(load_yaml(source))
            self.change(tenant, plan.mapper_id, partial(publish_shipped, plan, source=source))


def mapper_stream(tenant: str, mapper_id: str) -> StreamId:
    """The stream of a mapper's versions."""
    return StreamId(tenant, "mapper", uuid5(_MAPPERS, f"{tenant}\n{mapper_id}"))


def state_in(row: Mapping[str, Any]) -> MapperState:
    """What a row of the query `mappers.state` says of a mapper's stream."""
    return MapperState(
        version=row["latest"],
        newest=row["newest"],
        status=row["latest_status"],
        hash=row["latest_hash"],
        origin=row["latest_origin"],
        author_version=row["latest_author_version"],
        shown=Shown(row["version"], row["status"], row["hash"], row["document"]),
        adjusted=adjusted_in(row),
    )


def adjusted_in(row: Mapping[str, Any]) -> Adjusted:
    """What a row of a read model says was learned."""
    return Adjusted(
        learned=Learned(_multipliers(row["learned"]), row["day"], _multipliers(row["morning"])),
        frozen=tuple(row.get("frozen", ())),
        settled=row["settled"],
        evidence=msgspec.convert(row["evidence"], dict[str, RuleEvidence]),
        read_through=row["read_through"],
    )


def _multipliers(value: Any) -> dict[str, float]:
    return msgspec.convert(value, dict[str, float])
