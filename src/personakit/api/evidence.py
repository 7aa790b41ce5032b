"""`/mindscapes/{personId}/traits/{path}/evidence`: why a trait is believed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from litestar import Response, get

from personakit.agents.anew import observed_of
from personakit.agents.mindscapes import mindscape_of
from personakit.api import present
from personakit.api.answers import NEWEST, answer, next_page, page_after, page_size, person_of
from personakit.api.dependencies import CallerGiven, ServiceGiven
from personakit.api.observations import stored
from personakit.api.parameters import PageAfter, PageLimit, PersonIdInPath, TraitPathInPath
from personakit.api.prepared import trait as shown_trait
from personakit.api.problems import NotFound
from personakit.domain.computed_trait_documents import Definition
from personakit.domain.computed_traits import counts, is_computed
from personakit.domain.traits import Trait
from personakit.projections.read import Snapshot
from personakit_sdk import wire

VERSIONS_SHOWN = 50


@get(
    "/{personId:str}/traits/{path:str}/evidence",
    sync_to_thread=True,
    operation_id="getTraitEvidence",
    summary="Read why a trait is believed",
)
def get_evidence(
    service: ServiceGiven,
    caller: CallerGiven,
    person_id: PersonIdInPath,
    path: TraitPathInPath,
    after: PageAfter = None,
    limit: PageLimit = None,
) -> Response[wire.TraitEvidence]:
    """The observations that a trait rests on, newest first, and what changed it, by whom and why. Of a
    pinned trait, those that what is derived beneath rests on. A page may have fewer than `limit` before the
    last one, because of those of a type not every one counts."""
    tenant, person = caller.tenant, person_of(service, caller, person_id).surrogate
    size, before, now = page_size(limit), page_after(after, NEWEST), datetime.now(UTC)
    with service.reader.snapshot(tenant) as snapshot:
        mindscape = mindscape_of(snapshot.row("mindscapes.by_person", tenant=tenant, person=person))
        trait = mindscape.visible_traits().get(path)
        if trait is None:
            raise NotFound(
                f"{person_id!r} has no trait {path!r}; GET /mindscapes/{person_id} lists those there are."
            )
        derived = mindscape.traits.get(path)
        computed = derived is not None and is_computed(derived)
        definition = service.rules.of(snapshot, tenant).definition(path) if computed else None
        rows = _resting_on(snapshot, tenant, person, definition, derived, before, size, now)
    shown = wire.TraitEvidence(
        person_id=person_id,
        path=path,
        trait=shown_trait(trait, now),
        pin=present.pinned(mindscape, path, now) if path in mindscape.pins else None,
        history=[
            present.trait_version(version)
            for version in service.past.trait(tenant, person, path, limit=VERSIONS_SHOWN)
        ],
        items=[stored(row, person_id) for row in rows if _counts(definition, row)],
        next=next_page(rows, size, lambda row: row["position"]),
    )
    return answer(shown, snapshot.position)


def _resting_on(
    snapshot: Snapshot,
    tenant: str,
    person: UUID,
    definition: Definition | None,
    derived: Trait | None,
    before: int,
    limit: int,
    now: datetime,
) -> list[dict[str, Any]]:
    if derived is None:
        return []
    whose = {"tenant": tenant, "person": person, "before": before, "limit": limit, "now": now}
    if definition is None:
        return snapshot.rows("observations.by_ids", ids=list(derived.evidence), **whose)
    return snapshot.rows("observations.of_type", type=definition.observes, **whose)


def _counts(definition: Definition | None, row: dict[str, Any]) -> bool:
    return definition is None or row["type"] != definition.observes or counts(definition, observed_of(row))
