"""The items of `/sync`: what a client is given of each entity that changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from personakit.agents.consents import policy_in
from personakit.api import present
from personakit.projections.read import Snapshot
from personakit_sdk import wire
from personakit_sdk.rules.document import RULE_LANGUAGE, language_of

READ: Final = ("changes", "consents", "mappers", "mindscapes", "personas")
"""The read models that items are made from. Whoever reads another one here names it."""
Shown = dict[tuple[str, str], tuple[str, Any]]
"""By kind and entity: the id that callers know, and the body."""


def items_of(snapshot: Snapshot, tenant: str, rows: list[dict[str, Any]]) -> list[wire.SyncItem]:
    """What is said of changes, in their order."""
    put = [row for row in rows if row["op"] == "put"]
    mappers = [row["entity"] for row in put if row["kind"] == "mapper"]
    personas = [UUID(row["entity"]) for row in put if row["kind"] == "persona"]
    shown = {**_mappers(snapshot, tenant, mappers), **_personas(snapshot, tenant, personas)}
    return [item for row in rows if (item := _item(row, shown)) is not None]


def _item(row: dict[str, Any], shown: Shown) -> wire.SyncItem | None:
    """What is said of a change; None where its body is gone again by a later change, which is said when it is
    reached."""
    if row["op"] == "delete":
        gone = f"~{row['entity']}" if row["kind"] == "persona" else row["entity"]
        return wire.SyncItem(kind=row["kind"], id=gone, version=row["position"], op="delete")
    if (row["kind"], row["entity"]) not in shown:
        return None
    id_, body = shown[row["kind"], row["entity"]]
    return wire.SyncItem(kind=row["kind"], id=id_, version=row["position"], op="put", body=body)


def _mappers(snapshot: Snapshot, tenant: str, ids: list[str]) -> Shown:
    if not ids:
        return {}
    rows = snapshot.rows("mappers.active_by_ids", tenant=tenant, mapper_ids=ids)
    policy = policy_in(snapshot, tenant).policy
    return {("mapper", row["mapper_id"]): (row["mapper_id"], synced_mapper(row, policy)) for row in rows}


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


def _personas(snapshot: Snapshot, tenant: str, ids: list[UUID]) -> Shown:
    states = present.persona_states(snapshot, tenant, ids) if ids else []
    return {
        ("persona", str(state.persona)): (state.id, present.synced_persona(state))
        for state in states
        if state.id is not None  # whose key is gone
    }
