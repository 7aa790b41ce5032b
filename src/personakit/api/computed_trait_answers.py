"""Answers about documents of computed traits: a tenant's own, and those of the release."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from litestar import Request, Response

from personakit.agents.service import Service
from personakit.api.answers import WAIT_SECONDS, answer
from personakit.api.document_answers import as_asked, tagged
from personakit.domain.computed_trait_documents import TraitDocument, read_document
from personakit.domain.document_text import sorted_by, text_of
from personakit.domain.own_traits import OwnTraits
from personakit.domain.publishing import SHIPPED, Provenance
from personakit.eventlog.streams import Updated
from personakit.projections.read import NotThereYet, Snapshot
from personakit_sdk import wire
from personakit_sdk.errors import DocumentInvalid
from personakit_sdk.rules.yaml import load_yaml

Row = Mapping[str, Any]
_SECTIONS: Final = ("metadata", "observes", "traits", "tests")
_METADATA: Final = ("id", "version", "description")
_TRAIT: Final = ("path", "from", "aggregate", "options", "volatility", "precision", "when")


def in_use(service: Service, snapshot: Snapshot, tenant: str) -> dict[str, Row]:
    """What each document that a tenant's traits are computed by is, by id."""
    rows = snapshot.rows("computed_traits.of_tenant", tenant=tenant)
    own = {row["document_id"]: row for row in rows if row["status"] == "active"}
    return dict(
        sorted({**{id_: _shipped(each) for id_, each in service.rules.documents.items()}, **own}.items())
    )


def found(service: Service, snapshot: Snapshot, tenant: str, document_id: str) -> Row | None:
    """A document as it is in use, else as it was when it was withdrawn."""
    own = snapshot.row("computed_traits.by_id", tenant=tenant, document_id=document_id)
    shipped = service.rules.documents.get(document_id)
    if shipped is not None and (own is None or own["status"] == "withdrawn"):
        return _shipped(shipped)
    return own


def shown(row: Row, position: int, status: int = 200) -> Response[wire.ComputedTraits]:
    """A document in JSON."""
    one = wire.ComputedTraits(
        id=row["document_id"],
        version=row["version"],
        status=row["status"],
        document=row["document"],
        hash=row["hash"],
        created_at=row["created_at"],
        origin=row["origin"],
        reason=row["reason"],
    )
    return answer(one, position, status, tagged(row["hash"]))


def shown_as_asked(request: Request[Any, Any, Any], row: Row, position: int) -> Response[Any]:
    """A document as the caller wants it: not at all where they have it, as YAML, or as JSON."""
    return as_asked(
        request,
        row["hash"],
        position,
        text=lambda: _text(row),
        shown=lambda: shown(row, position),
    )


def summary(row: Row) -> wire.ComputedTraitsSummary:
    """A document in a list."""
    document = row["document"]
    return wire.ComputedTraitsSummary(
        id=row["document_id"],
        version=row["version"],
        status=row["status"],
        author_version=document["metadata"]["version"],
        description=document["metadata"]["description"],
        observes=document["observes"],
        paths=[trait["path"] for trait in document["traits"]],
        hash=row["hash"],
        created_at=row["created_at"],
        origin=row["origin"],
    )


def changed(
    service: Service,
    tenant: str,
    document_id: str,
    updated: Updated[OwnTraits],
    by: Provenance,
    *,
    made: int = 200,
) -> Response[wire.ComputedTraits]:
    """The version that a command made (`made`), once readers see it; where it made none, what is there."""
    position = updated.position or service.reader.head()
    service.until_shown(position, WAIT_SECONDS)
    own = updated.state.documents[document_id]
    with service.reader.snapshot(tenant) as snapshot:
        if updated.position is None:
            row = snapshot.row("computed_traits.by_id", tenant=tenant, document_id=document_id)
        else:
            row = snapshot.row("computed_traits.made_at", tenant=tenant, version=updated.version)
    if row is None:
        raise NotThereYet(
            f"Version {updated.version} of your computed traits is stored, but is not shown: the read model "
            "stands still. `personakit projections list` says where."
        )
    if updated.position is None:
        return shown(row, position)
    # Others may have come since: what this command made is told, not what is there by now.
    mine = {
        "document_id": document_id,
        "version": updated.version,
        "status": own.status,
        "document": own.document,
        "hash": own.hash,
        "origin": by.origin,
        "reason": by.reason,
        "created_at": row["created_at"],
    }
    return shown(mine, position, made)


def _shipped(document: TraitDocument) -> Row:
    return {
        "document_id": document.id,
        "version": 0,
        "status": "active",
        "document": document.document,
        "hash": document.hash,
        "origin": SHIPPED,
        "reason": "",
        "source": None,
        "created_at": None,
    }


def _text(row: Row) -> str:
    """What was uploaded where that was YAML, else the document written out."""
    if row["source"] is not None:
        return str(row["source"])
    document = sorted_by(row["document"], _SECTIONS)
    document["metadata"] = sorted_by(document["metadata"], _METADATA)
    document["traits"] = [sorted_by(trait, _TRAIT) for trait in document["traits"]]
    return text_of(document, lambda text: _says(text, row["hash"]))


def _says(text: str, hash_: str) -> bool:
    try:
        return read_document(load_yaml(text)).hash == hash_
    except DocumentInvalid:
        return False
