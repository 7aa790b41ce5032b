"""Computed traits: how observations become traits without a model."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from personakit.domain.aggregates.decay import micros_of
from personakit.domain.aggregates.fold import Fold
from personakit.domain.aggregates.sample import Sample
from personakit.domain.computed_trait_documents import WHAT, Definition, read_document
from personakit.domain.traits import Trait
from personakit_sdk.errors import DocumentInvalid, Fault
from personakit_sdk.rules.facts import Facts
from personakit_sdk.rules.paths import MISSING, enter

STATE_FORMAT: Final = 2
"""Part of the fingerprint: counting it up makes every trait be folded anew, from the observations."""

OWN: Final = "own:"
"""What fingerprints of tenants' own rules begin with. It comes after all hexadecimal digits."""


class Observed(msgspec.Struct, frozen=True):
    """An observation as far as traits are computed from it; `occurred_at` bears its original offset."""

    id: UUID
    type: str
    content: dict[str, Any]
    occurred_at: datetime


Dated = tuple[Observed, int]
"""An observation, and the microseconds from EPOCH to it."""


class ComputedTraits:
    """An immutable set of definitions. `fingerprint` changes when any of them does.

    That of a tenant that has rules of its `own` begins with OWN: it is never that of a release, not even
    where the same traits are defined.
    """

    def __init__(self, definitions: Iterable[Definition], *, own: bool = False) -> None:
        by_type: defaultdict[str, list[Definition]] = defaultdict(list)
        for definition in definitions:
            by_type[definition.observes].append(definition)
        self._by_type: Mapping[str, Sequence[Definition]] = dict(by_type)
        self.fingerprint = (OWN if own else "") + _fingerprint(by_type)

    @property
    def paths(self) -> frozenset[str]:
        """The paths of all traits that are defined."""
        return frozenset(definition.path for kind in self._by_type.values() for definition in kind)

    @property
    def types(self) -> frozenset[str]:
        """The types of observations that traits are computed from."""
        return frozenset(self._by_type)

    def paths_of(self, types: Iterable[str]) -> frozenset[str]:
        """The paths of the traits that are computed from observations of these types."""
        return frozenset(each.path for kind in types for each in self._by_type.get(kind, ()))

    def definition(self, path: str) -> Definition | None:
        """What computes the trait at a path, or None."""
        return next((each for kind in self._by_type.values() for each in kind if each.path == path), None)

    def fold(self, traits: Mapping[str, Trait], observed: Sequence[Observed]) -> dict[str, Trait]:
        """The traits that these observations change, with their new states.

        However the observations are ordered and cut into batches, the last state is the same. Each must
        be folded in once.
        """
        of_type: defaultdict[str, list[Dated]] = defaultdict(list)
        for observation in observed:
            of_type[observation.type].append((observation, micros_of(observation.occurred_at)))
        folded = {}
        for kind, those in of_type.items():
            for definition in self._by_type.get(kind, ()):
                fold = _begin(definition, traits.get(definition.path))
                _take(fold, definition, those)
                if fold.taken:
                    folded[definition.path] = _trait(definition, fold)
        return dict(sorted(folded.items()))


def load_computed_traits(documents: Iterable[Mapping[str, Any]]) -> ComputedTraits:
    """The computed traits of these documents.

    Raises DocumentInvalid for a document that is not in the language, and for two definitions of one
    path: then the pointer is that of the second in its document.
    """
    definitions: dict[str, Definition] = {}
    for document in documents:
        for index, definition in enumerate(read_document(document).definitions):
            first = definitions.setdefault(definition.path, definition)
            if first is not definition:
                message = f"the trait {definition.path!r} is defined already, by {first.source}"
                raise DocumentInvalid(WHAT, (Fault(f"/traits/{index}/path", message),))
    return ComputedTraits(definitions.values())


def is_computed(trait: Trait) -> bool:
    """Whether a computed trait's definition made it."""
    return trait.source.startswith("computed:")


def _begin(definition: Definition, before: Trait | None) -> Fold:
    """A trait that another source left at this path is replaced, not continued."""
    continued = before if before is not None and before.source == definition.source else None
    return Fold(definition.aggregate, definition.options, continued)


def counts(definition: Definition, observation: Observed) -> bool:
    """Whether a trait rests on an observation of the type that it observes."""
    value = enter(observation.content, definition.segments)
    return value is not MISSING and value is not None and _wanted(definition, observation)


def _take(fold: Fold, definition: Definition, observed: Sequence[Dated]) -> None:
    for observation, micros in observed:
        if counts(definition, observation):
            value = enter(observation.content, definition.segments)
            weight = fold.decay.weight(micros)
            fold.take(Sample(value, observation.id, micros, observation.occurred_at, weight))


def _wanted(definition: Definition, observation: Observed) -> bool:
    if definition.when is None:
        return True
    return definition.when(Facts(traits={}, context=observation.content, at=observation.occurred_at))


def _trait(definition: Definition, fold: Fold) -> Trait:
    return Trait(
        **fold.stats(),
        volatility=definition.volatility,
        source=definition.source,
        precision=definition.precision,
    )


def _fingerprint(by_type: Mapping[str, Sequence[Definition]]) -> str:
    """16 hexadecimal digits over what the authors wrote, whatever the order of documents and keys."""
    canonical = sorted(
        msgspec.json.encode(
            (definition.observes, definition.source, definition.document), order="deterministic"
        )
        for definitions in by_type.values()
        for definition in definitions
    )
    digest = hashlib.sha256(b"\n".join((str(STATE_FORMAT).encode(), *canonical)))
    return digest.hexdigest()[:16]
