"""A tenant's own computed-trait documents: over those of the release, one set in which each trait is defined
once; and which command makes a new version of it, and which is refused.

All documents of a tenant are in one stream, so a decision sees the whole set that it must fit into.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from personakit.domain.computed_trait_documents import WHAT, Definition, TraitDocument
from personakit.domain.computed_traits import ComputedTraits
from personakit.domain.events import ComputedTraitsPublished, ComputedTraitsWithdrawn
from personakit.domain.publishing import Provenance, require_match, require_no_less
from personakit_sdk.errors import DocumentInvalid, Fault, PersonaKitError

MOST_DOCUMENTS: Final = 200
MOST_TRAITS: Final = 2000
"""Of all documents together: an observation is folded into each trait that it is about."""
OwnTraitsEvent = ComputedTraitsPublished | ComputedTraitsWithdrawn
Status = Literal["active", "withdrawn"]


class OwnDocument(msgspec.Struct, frozen=True):
    """One document as it is now, or as it was when it was withdrawn."""

    status: Status
    hash: str
    document: Mapping[str, Any]


class OwnTraits(msgspec.Struct, frozen=True):
    """What a tenant's stream says: its documents by id. `version` counts the events."""

    version: int = 0
    documents: Mapping[str, OwnDocument] = {}


class TraitsUnknown(PersonaKitError):
    """There is no such document of computed traits."""

    def __init__(self, document_id: str) -> None:
        super().__init__(
            f"There are no computed traits {document_id!r}; GET /computed-traits lists what there is."
        )


class TraitsShipped(PersonaKitError):
    """A document came with the release, and a tenant can replace it, but not withdraw it."""


class TraitsTaken(PersonaKitError):
    """A document cannot come back, because another one defines a trait of it by now."""


def evolve(state: OwnTraits, event: OwnTraitsEvent) -> OwnTraits:
    """The state after one more version."""
    match event:
        case ComputedTraitsPublished():
            made = OwnDocument("active", event.hash, event.document)
        case ComputedTraitsWithdrawn():
            before = state.documents[event.document_id]
            made = msgspec.structs.replace(before, status="withdrawn")
    return OwnTraits(state.version + 1, {**state.documents, event.document_id: made})


def over_shipped(
    shipped: Iterable[TraitDocument], own: Sequence[TraitDocument], *, ever: bool
) -> ComputedTraits:
    """The set that a tenant's traits are computed by; `ever` says that it published documents at some time.

    A document of the release gives way to one of the same id. A later release may bring a trait that the
    tenant has defined for itself meanwhile: then the tenant's definition counts.
    """
    return ComputedTraits(_definitions(shipped, own), own=ever)


def publish(
    state: OwnTraits,
    shipped: Mapping[str, TraitDocument],
    own: Sequence[TraitDocument],
    sent: TraitDocument,
    by: Provenance,
    *,
    if_match: Collection[str] | None = None,
    source: str | None = None,
) -> ComputedTraitsPublished | None:
    """The event that puts a document to use; None where it is in use already. `own` are the documents of
    `state` that are.

    `if_match` are the hashes that the caller saw. Raises PreconditionFailed, VersionWentDown when
    `metadata.version` is below the one before, and DocumentInvalid where another document defines a trait
    of it, or there would be more than MOST_DOCUMENTS, or MOST_TRAITS.
    """
    require_match(_hash_shown(state, shipped, sent.id), if_match, f"document {sent.id!r}")
    before = state.documents.get(sent.id)
    if before is not None and (before.status, before.hash) == ("active", sent.hash):
        return None
    if before is not None:
        require_no_less(sent.version, before.document["metadata"]["version"], f"document {sent.id!r}")
    faults = misfits(shipped, own, sent)
    if faults:
        raise DocumentInvalid(WHAT, faults)
    return ComputedTraitsPublished(
        document_id=sent.id,
        document=sent.document,
        hash=sent.hash,
        origin=by.origin,
        reason=by.reason,
        source=source,
    )


def misfits(
    shipped: Mapping[str, TraitDocument], own: Sequence[TraitDocument], sent: TraitDocument
) -> tuple[Fault, ...]:
    """Why a document does not fit into the set: traits that another one defines, or too many of them."""
    others = [each for each in own if each.id != sent.id]
    if len(others) >= MOST_DOCUMENTS:
        return (Fault("", f"there are {MOST_DOCUMENTS} documents already; withdraw one first"),)
    rest = [each for each in shipped.values() if each.id != sent.id]
    taken = {each.path: each.source for each in _definitions(rest, others)}
    together = len(taken) + len(sent.definitions)
    if together > MOST_TRAITS:
        message = f"with these there would be {together} traits; at most {MOST_TRAITS} are taken"
        return (Fault("/traits", message),)
    return tuple(
        Fault(f"/traits/{index}/path", f"the trait {each.path!r} is defined already, by {taken[each.path]}")
        for index, each in enumerate(sent.definitions)
        if each.path in taken
    )


def withdraw(
    state: OwnTraits,
    shipped: Mapping[str, TraitDocument],
    own: Sequence[TraitDocument],
    document_id: str,
    by: Provenance,
    *,
    if_match: Collection[str] | None = None,
) -> ComputedTraitsWithdrawn | None:
    """The event that takes a tenant's document out of use; None where it is already.

    Raises TraitsUnknown, TraitsShipped, PreconditionFailed, and TraitsTaken where the release's document
    would come back and define what another one does.
    """
    require_known(state, shipped, document_id)
    if document_id not in state.documents:
        raise TraitsShipped(
            f"The document {document_id!r} comes with the release and cannot be withdrawn; publish one with "
            "this id, and that counts in its place."
        )
    require_match(_hash_shown(state, shipped, document_id), if_match, f"document {document_id!r}")
    if state.documents[document_id].status == "withdrawn":
        return None
    defined = {path for each in own if each.id != document_id for path in _paths(each)}
    back = _paths(shipped[document_id]) & defined if document_id in shipped else frozenset[str]()
    if back:
        raise TraitsTaken(
            f"The release has a document {document_id!r} too, which would be in use again, and the trait "
            f"{min(back)!r} of it is defined by another of yours; withdraw that first."
        )
    return ComputedTraitsWithdrawn(document_id=document_id, origin=by.origin, reason=by.reason)


def require_known(state: OwnTraits, shipped: Mapping[str, TraitDocument], document_id: str) -> None:
    """Raises TraitsUnknown for what neither the tenant nor the release ever had."""
    if document_id not in state.documents and document_id not in shipped:
        raise TraitsUnknown(document_id)


def _definitions(shipped: Iterable[TraitDocument], own: Sequence[TraitDocument]) -> list[Definition]:
    ids = {each.id for each in own}
    defined = {path for each in own for path in _paths(each)}
    rest = [each for document in shipped if document.id not in ids for each in document.definitions]
    return [each for document in own for each in document.definitions] + [
        each for each in rest if each.path not in defined
    ]


def _paths(document: TraitDocument) -> frozenset[str]:
    return frozenset(definition.path for definition in document.definitions)


def _hash_shown(state: OwnTraits, shipped: Mapping[str, TraitDocument], document_id: str) -> str:
    """As `GET` shows it: what is in use, else what was withdrawn."""
    own = state.documents.get(document_id)
    if own is not None and (own.status == "active" or document_id not in shipped):
        return own.hash
    return shipped[document_id].hash if document_id in shipped else ""
