"""Which rules compute the traits of each tenant: those of the release, under its own."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, Generic, TypeVar

from personakit import shipped
from personakit.domain.computed_trait_documents import TraitDocument, read_document
from personakit.domain.computed_traits import ComputedTraits, load_computed_traits
from personakit.domain.own_traits import over_shipped
from personakit.projections.read import Snapshot
from personakit_sdk.rules.yaml import load_yaml

SETS_KEPT: Final = 256
FINGERPRINTS_KEPT: Final = 100_000
LOADED_TOGETHER: Final = 100
"""Of how many tenants the documents are in memory at once, while their rules are compiled."""

T = TypeVar("T")
_Hashes = tuple[str, ...]
"""Id and hash of each document that a tenant has in use: equal ones make equal rules."""


def shipped_documents() -> Iterator[dict[str, Any]]:
    """The documents of computed traits that come with the release."""
    for path in sorted(shipped.computed_traits_dir().glob("*.yaml")):
        yield load_yaml(path.read_text(encoding="utf-8"))


class TenantRules:
    """The rules of each tenant, as of a snapshot. What was compiled once is kept by the hashes of what it
    was compiled from, so nothing has to be told that a document changed."""

    def __init__(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """`documents` are those of the release. Raises DocumentInvalid."""
        sources = list(documents)
        self.shipped: ComputedTraits = load_computed_traits(sources)
        self.documents: Mapping[str, TraitDocument] = {each.id: each for each in map(read_document, sources)}
        self._sets = _Kept[ComputedTraits](SETS_KEPT)
        self._fingerprints = _Kept[str](FINGERPRINTS_KEPT)

    def of(self, snapshot: Snapshot, tenant: str) -> ComputedTraits:
        """The rules of one tenant."""
        return self.of_each(snapshot, [tenant])[tenant]

    def of_each(self, snapshot: Snapshot, tenants: Collection[str]) -> dict[str, ComputedTraits]:
        """The rules of these tenants."""
        hashes = _hashes(snapshot, sorted(tenants))
        found = {
            tenant: kept for tenant, each in hashes.items() if (kept := self._sets.get(each)) is not None
        }
        missing = {tenant: each for tenant, each in hashes.items() if tenant not in found}
        found |= dict(self._compiled(snapshot, missing))
        return dict.fromkeys(tenants, self.shipped) | found

    def asked(self, snapshot: Snapshot) -> dict[str, Any]:
        """What the queries `due` and `due_buckets` of `derivation_due` want to know: the fingerprint of the
        release's rules, and those of the `tenants` that ever had any of their own."""
        hashes = _hashes(snapshot, None)
        known = {tenant: self._fingerprints.get(each) for tenant, each in hashes.items()}
        missing = {tenant: each for tenant, each in hashes.items() if known[tenant] is None}
        known |= {tenant: computed.fingerprint for tenant, computed in self._compiled(snapshot, missing)}
        return {
            "definition": self.shipped.fingerprint,
            "tenants": list(known),
            "definitions": list(known.values()),
        }

    def _compiled(
        self, snapshot: Snapshot, hashes: Mapping[str, _Hashes]
    ) -> Iterator[tuple[str, ComputedTraits]]:
        tenants = list(hashes)
        for start in range(0, len(tenants), LOADED_TOGETHER):
            some = tenants[start : start + LOADED_TOGETHER]
            own: dict[str, list[TraitDocument]] = {tenant: [] for tenant in some}
            rows = snapshot.rows("computed_traits.in_use", tenants=some)
            for tenant, documents in groupby(rows, itemgetter("tenant")):
                own[tenant] = [read_document(row["document"]) for row in documents]
            for tenant in some:
                yield tenant, self._keep(hashes[tenant], own[tenant])

    def _keep(self, hashes: _Hashes, own: Sequence[TraitDocument]) -> ComputedTraits:
        computed = over_shipped(self.documents.values(), own, ever=True)
        self._sets.put(hashes, computed)
        self._fingerprints.put(hashes, computed.fingerprint)
        return computed


class _Kept(Generic[T]):
    """What was used last, by hashes; at most so many."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._found: OrderedDict[_Hashes, T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, hashes: _Hashes) -> T | None:
        with self._lock:
            if hashes in self._found:
                self._found.move_to_end(hashes)
            return self._found.get(hashes)

    def put(self, hashes: _Hashes, made: T) -> None:
        with self._lock:
            self._found[hashes] = made
            while len(self._found) > self._most:
                self._found.popitem(last=False)


def _hashes(snapshot: Snapshot, tenants: Sequence[str] | None) -> dict[str, _Hashes]:
    """Of those of the tenants (None: of all) that ever had documents of their own."""
    rows = snapshot.rows("computed_traits.hashes", tenants=tenants)
    return {row["tenant"]: tuple(row["hashes"] or ()) for row in rows}
