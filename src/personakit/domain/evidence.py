"""Evidence that is taken back, under traits that cannot be computed again without it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

import msgspec

from personakit.domain.computed_traits import is_computed
from personakit.domain.traits import Trait


def without_evidence(traits: Mapping[str, Trait], retracted: Collection[UUID]) -> dict[str, Trait]:
    """Those of the traits that were not computed and that lose some of the observations they rest on, not
    all: without them, and marked."""
    left = {path: tuple(id_ for id_ in traits[path].evidence if id_ not in retracted) for path in traits}
    return {
        path: msgspec.structs.replace(trait, evidence=left[path], evidence_changed=True)
        for path, trait in traits.items()
        if not is_computed(trait) and left[path] and len(left[path]) < len(trait.evidence)
    }


def evidence_lost(traits: Mapping[str, Trait], retracted: Collection[UUID]) -> set[str]:
    """The paths of those that were not computed and that lose every observation they rest on."""
    return {
        path
        for path, trait in traits.items()
        if not is_computed(trait) and trait.evidence and all(id_ in retracted for id_ in trait.evidence)
    }
