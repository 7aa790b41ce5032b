"""The items of `/sync`: what a client is given of each entity that changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from uuid import UUID

from personakit.agents.consents import policy_in
from personakit.api import present
from personakit.api.touched import touch_all
from personakit.projections.read import Snapshot
from personakit_sdk import wire
from personakit_sdk.rules.document import RULE_LANGUAGE, language_of

READ: Final = ("changes", "consents", "mappers", "mindscapes", "personas")
"""The read models that items are made from. Whoever reads another one here names it."""


class Shown(NamedTuple):
    """What is shown of an entity: the id that callers know, its body and, of a persona, its ref."""

    id: str
    body: Any
    ref: str | None = None


ByEntity = dict[tuple[str, str], Shown]
"""By kind and entity."""


def items_of(snapshot: Snapshot, tenant: str, rows: list[dict[str, Any]]) -> list[wire.SyncItem]:
    """What is said of changes, in their order."""
    put = [row for row in rows if row["op"] == "put"]
    mappers = [row["entity"] for row in put if row["kind"] == "mapper"]
    personas = [UUID(row["entity"]) for row in put if row["kind"] == "persona"]
    shown = {**_mappers(snapshot, tenant, mappers), **_personas(snapshot, tenant, personas)}
    return [item for row in rows if (item := _item(row, shown)) is not None]


def _item(row: dict[str, Any], shown: ByEntity) -> wire.SyncItem | None:
    """What is said of a change; None where its body is gone again by a later change, which is said when it is
    reached."""
    kind, version = row["kind"], row["position"]
    if row["op"] != "put":
        return _gone(kind, row["entity"], version, erased=row["op"] == "erase")
    if (found := shown.get((kind, row["entity"]))) is None:
        return None
    return wire.SyncItem(kind=kind, id=found.id, version=version, op="put", body=found.body, ref=found.ref)


def _gone(kind: Any, entity: str, version: int, *, erased: bool) -> wire.SyncItem:
    """A delete. The id of a person who was erased is known to nobody any more: the ref says who it was."""
    if kind == "mapper":
        return wire.SyncItem(kind=kind, id=entity, version=version, op="delete")
    return wire.SyncItem(kind=kind, id=f"~{entity}", version=version, op="delete", ref=entity, erased=erased)


def _ref(persona: UUID, sealed_after: int) -> str:
    """What a persona is called for as long as what was said of it stays: of a created one that began anew,
    another than before."""
    return f"{persona}.{sealed_after}" if sealed_after else str(persona)


def _mappers(snapshot: Snapshot, tenant: str, ids: list[str]) -> ByEntity:
    if not ids:
        return {}
    rows = snapshot.rows("mappers.active_by_ids", tenant=tenant, mapper_ids=ids)
    policy = policy_in(snapshot, tenant).policy
    return {("mapper", row["mapper_id"]): Shown(row["mapper_id"], synced_mapper(row, policy)) for row in rows}


def synced_mapper(row: Mapping[str, Any], policy: wire.ConsentPolicyName) -> wire.SyncedMapper:
    """What the SDK caches of a mapper, of its row at the active version. Where consent is required, no SDK
    maps with it that does not know of that."""
    return wire.SyncedMapper(
        id=row["mapper_id"],
        version=row["version"],
        hash=row["hash"],
        document=row["document"],
        learned=row["learned"],
        rule_language=RULE_LANGUAGE if policy == "required" else language_of(row["document"]),
        consent=policy,
    )


def _personas(snapshot: Snapshot, tenant: str, ids: list[UUID]) -> ByEntity:
    states = present.persona_states(snapshot, tenant, ids) if ids else []
    for state in states:
        touch_all(state.people)
    return {
        ("persona", str(state.persona)): Shown(
            state.id, present.synced_persona(state), _ref(state.persona, state.sealed_after)
        )
        for state in states
        if state.id is not None  # whose key is gone
    }
