"""Commands on a tenant's own computed traits: what is decided on all of them becomes the next version."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any
from uuid import UUID, uuid5

from personakit.domain.computed_trait_documents import TraitDocument, read_document
from personakit.domain.own_traits import (
    OwnDocument,
    OwnTraits,
    OwnTraitsEvent,
    evolve,
    publish,
    require_known,
    withdraw,
)
from personakit.domain.publishing import Provenance
from personakit.eventlog.stored import StreamId
from personakit.eventlog.streams import Loaded, Streams, Updated
from personakit.eventlog.turns import Turns
from personakit.projections.read import Reader

_COMPUTED_TRAITS = UUID("6a4f7f0e-2f3e-4c57-9c59-0f6f7a2f5b1d")


class TraitDocuments:
    """Changes what tenants have of their own; `shipped` are the release's documents, by id."""

    def __init__(self, reader: Reader, streams: Streams, shipped: Mapping[str, TraitDocument]) -> None:
        self._reader = reader
        self._streams = streams
        self._shipped = shipped
        self._turns = Turns()

    def publish(
        self,
        tenant: str,
        sent: TraitDocument,
        by: Provenance,
        *,
        known: bool,
        if_match: Collection[str] | None = None,
        source: str | None = None,
    ) -> Updated[OwnTraits]:
        """Puts a document to use, whoever else changes the tenant's. Raises what `domain.own_traits.publish`
        does, and TraitsUnknown where it must be `known` already and is not."""

        def decide(state: OwnTraits) -> OwnTraitsEvent | None:
            if known:
                require_known(state, self._shipped, sent.id)
            own = _in_use(state)
            return publish(state, self._shipped, own, sent, by, if_match=if_match, source=source)

        return self.change(tenant, decide)

    def withdraw(
        self,
        tenant: str,
        document_id: str,
        by: Provenance,
        *,
        if_match: Collection[str] | None = None,
    ) -> Updated[OwnTraits]:
        """Takes a document out of use. Raises what `domain.own_traits.withdraw` does."""

        def decide(state: OwnTraits) -> OwnTraitsEvent | None:
            return withdraw(state, self._shipped, _in_use(state), document_id, by, if_match=if_match)

        return self.change(tenant, decide)

    def change(self, tenant: str, decide: Callable[[OwnTraits], OwnTraitsEvent | None]) -> Updated[OwnTraits]:
        """Appends to the tenant's stream what `decide` makes of its state."""
        stream = computed_traits_stream(tenant)
        with self._turns.of(stream):
            return self._streams.update(stream, self._start(tenant), evolve, decide)

    def _start(self, tenant: str) -> Loaded[OwnTraits]:
        """The state as the read model has it; what it lacks yet is read from the stream."""
        with self._reader.snapshot(tenant) as snapshot:
            rows = snapshot.rows("computed_traits.of_tenant", tenant=tenant)
        version = max((row["version"] for row in rows), default=0)
        return Loaded(OwnTraits(version, {row["document_id"]: _own(row) for row in rows}), version)


def computed_traits_stream(tenant: str) -> StreamId:
    """The stream of all computed-trait documents of a tenant."""
    return StreamId(tenant, "computed_traits", uuid5(_COMPUTED_TRAITS, tenant))


def _in_use(state: OwnTraits) -> list[TraitDocument]:
    return [read_document(each.document) for each in state.documents.values() if each.status == "active"]


def _own(row: dict[str, Any]) -> OwnDocument:
    return OwnDocument(row["status"], row["hash"], row["document"])
