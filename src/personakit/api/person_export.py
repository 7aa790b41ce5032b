"""Everything that is held about a person, as one JSON document that is made while it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from personakit.agents.service import Service
from personakit.api import present
from personakit.api.audit import entry
from personakit.api.problems import NotFound
from personakit.api.shared_personas import Created, created_personas
from personakit.eventlog.access import ApiKey, key_in
from personakit.eventlog.people import persona_id as id_of
from personakit.projections.about_people import Opened, events_about
from personakit.projections.read import Snapshot
from personakit_sdk import wire

FORMAT: Final = 1
"""Of the document: it counts up when a field goes or changes its meaning."""
AUDIT_PAGE: Final = 500
_GAP: Final = b"\x00"
"""Where what is streamed comes in: no JSON has this byte in it."""
_STREAMED: Final[Any] = msgspec.Raw(_GAP)
_encode: Final = msgspec.json.Encoder().encode


class Export(NamedTuple):
    """A document that reflects a position, in pieces of some hundred KiB at most."""

    position: int
    pieces: Iterator[bytes]


class _Whom(NamedTuple):
    """Whose export it is, and the created personas that view them."""

    tenant: str
    id: str
    person: UUID
    created: Created

    @property
    def theirs(self) -> list[UUID]:
        """The surrogates of whom all is told: the person, and the personas that never viewed others."""
        return [self.person, *self.created.alone]

    def named(self, surrogate: UUID) -> str:
        """The callers' id of one of those."""
        return self.id if surrogate == self.person else id_of(surrogate)


def export(service: Service, caller: ApiKey, person_id: str, person: UUID, now: datetime) -> Export:
    """All that is held about a person. What is small is read here, in one snapshot; the audit follows page by
    page, and the events up to its position. Raises NotFound for somebody who is gone by now."""
    tenant = caller.tenant
    with service.reader.snapshot(tenant) as snapshot:
        position = snapshot.position
        created = created_personas(service, snapshot, caller, person)
        whom = _Whom(tenant, person_id, person, created)
        head = _head(service, snapshot, whom, now)
    audited = service.audit.about(tenant, person, now, AUDIT_PAGE)
    events = events_about(service.reader, service.keys, tenant, whom.theirs, position)
    lists: list[Iterator[list[Any]]] = [
        ([entry(row) for row in page] for page in audited),
        ([_event(whom, each) for each in page] for page in events),
    ]
    return Export(position, _pieces(head, lists))


def _head(service: Service, snapshot: Snapshot, whom: _Whom, now: datetime) -> wire.PersonExport:
    """The document but for its long lists."""
    tenant, position = whom.tenant, snapshot.position
    there = snapshot.log_rows("registered_at", tenant=tenant, person=whom.person)
    if not there:
        raise NotFound(f"Nothing is known of {whom.id!r}.")
    past = service.past.mindscape(tenant, whom.person, position)
    own = service.past.persona(tenant, whom.person, position, own=True)
    if own is None:
        raise LookupError("A person's own persona is always there.")
    state = present.past_persona(own, whom.id, whom.person)
    return wire.PersonExport(
        format=FORMAT,
        person_id=whom.id,
        registered_at=there[0]["created_at"],
        exported_at=now,
        position=position,
        mindscape=present.mindscape(whom.id, past.mindscape, past.derived_through, now, position),
        persona=present.persona(state, now, position),
        model_use=_model_use(snapshot, whom),
        pending=_pending(snapshot, whom),
        keys=_keys(snapshot, whom),
        shared_personas=whom.created.shared,
        audit=_STREAMED,
        events=_STREAMED,
    )


def _model_use(snapshot: Snapshot, whom: _Whom) -> wire.PersonModelUse:
    of = {"tenant": whom.tenant, "people": whom.theirs}
    return wire.PersonModelUse(
        items=[wire.DayOfModelUse(**row) for row in snapshot.rows("model_use.of_people", **of)],
        dropped=[wire.DroppedProposals(**row) for row in snapshot.rows("model_use.dropped_of_people", **of)],
    )


def _pending(snapshot: Snapshot, whom: _Whom) -> wire.PendingWork:
    one = {"tenant": whom.tenant, "person": whom.person}
    all_ = {"tenant": whom.tenant, "people": whom.theirs}
    derivations = snapshot.rows("derivation_due.of_person", **one)
    return wire.PendingWork(
        derivations=[wire.AwaitedDerivation(**row) for row in derivations],
        texts=[wire.AwaitedText(**row) for row in snapshot.rows("inference_due.of_person", **one)],
        leases=[wire.HeldLease(**row) for row in snapshot.log_rows("leases_of", **all_)],
        quarantined=[wire.QuarantinedEvent(**row) for row in snapshot.log_rows("quarantined_about", **all_)],
    )


def _keys(snapshot: Snapshot, whom: _Whom) -> list[wire.NamingKey]:
    """The keys that are limited to the person or their personas, without whom else they name."""
    personas = {whom.id, *(id_of(each) for each in whom.created.alone), *whom.created.shared_ids}
    rows = snapshot.log_rows("keys_naming", tenant=whom.tenant, person_id=whom.id, personas=sorted(personas))
    return [_naming(wire_key, whom.id, personas) for wire_key in (key_in(row).shown() for row in rows)]


def _naming(key: wire.ApiKey, person_id: str, personas: set[str]) -> wire.NamingKey:
    return wire.NamingKey(
        id=key.id,
        name=key.name,
        scopes=key.scopes,
        person=person_id in (key.people or ()),
        personas=[each for each in key.personas or () if each in personas],
        created_at=key.created_at,
        ends_at=key.ends_at,
        revoked_at=key.revoked_at,
    )


def _event(whom: _Whom, opened: Opened) -> wire.ExportedEvent:
    """An event as it is told. The surrogate is no more than the log's name for the person, and dies with
    their key: an export that outlives them does not keep it."""
    row = opened.row
    content: Any = msgspec.Raw(opened.payload.replace(str(whom.person).encode(), whom.id.encode()))
    stream = row.stream_id.stream
    return wire.ExportedEvent(
        position=row.id,
        recorded_at=row.recorded_at,
        about=whom.named(row.person or whom.person),
        kind=row.stream_id.kind,
        id=whom.named(stream) if stream in whom.theirs else str(stream),
        version=row.originator_version,
        topic=row.topic,
        content=content,
    )


def _pieces(head: wire.PersonExport, lists: list[Iterator[list[Any]]]) -> Iterator[bytes]:
    """The document with a list in each gap, its items a page at a time."""
    begin, *rest = _encode(head).split(_GAP)
    yield begin
    for pages, after in zip(lists, rest, strict=True):
        between = b"["
        for page in pages:
            yield between + b",".join(map(_encode, page))
            between = b","
        yield (b"[]" if between == b"[" else b"]") + after
