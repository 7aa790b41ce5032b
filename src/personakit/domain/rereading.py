"""Reading again: what a model makes of all of somebody's free text, as if none had read it before, and what
that would change in the mindscape that there is."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from personakit.domain.events import DerivationCompleted, MindscapeUpdated
from personakit.domain.evidence import evidence_lost, without_evidence
from personakit.domain.inference import DERIVATION, computed_paths, is_inferred, meets
from personakit.domain.mindscape import Mindscape, material_paths

REREADING: Final = "rereading"
"""The derivation under which is recorded what reading again cost; it reads nothing for the mindscape."""

REREADER: Final = "rereader"


class Shadow(NamedTuple):
    """A mindscape as reading again would have it: `made` of the one that was `begun` with, by a model and a
    prompt (`definition`), from all free text up to `through`."""

    begun: Mindscape
    made: Mindscape
    definition: str
    through: int


def unread(mindscape: Mindscape) -> Mindscape:
    """The mindscape as if no model had read anything. What one made where somebody has pinned since stays: a
    model may not say anything of it now."""
    kept = {
        path: trait
        for path, trait in mindscape.traits.items()
        if not is_inferred(trait) or meets(path, mindscape.pins)
    }
    derivations = {name: each for name, each in mindscape.derivations.items() if name != DERIVATION}
    return msgspec.structs.replace(mindscape, traits=kept, derivations=derivations)


def promoted(
    mindscape: Mindscape, shadow: Shadow, read: int, gone: Collection[UUID], owned: frozenset[str]
) -> MindscapeUpdated | DerivationCompleted | None:
    """What puts the shadow in the place of what models made before; None where that changes nothing.

    `read` is how far models have read by now, `gone` are observations that were taken back, `owned` the paths
    that computed traits are defined for. What has changed since the shadow was begun counts over it: what was
    read meanwhile, a pin, a computed trait.
    """
    newer = _changed_since(shadow.begun, mindscape)
    fixed = newer | mindscape.pins.keys() | computed_paths(mindscape, owned)
    said = {
        path: trait
        for path, trait in shadow.made.traits.items()
        if is_inferred(trait) and not meets(path, fixed)
    }
    lost = evidence_lost(said, gone)
    said = {path: trait for path, trait in said.items() if path not in lost} | {
        path: trait for path, trait in without_evidence(said, gone).items() if path not in lost
    }
    changed = {path: said[path] for path in sorted(said) if said[path] != mindscape.traits.get(path)}
    removed = tuple(
        path
        for path, trait in sorted(mindscape.traits.items())
        if is_inferred(trait) and path not in said and path not in newer and not meets(path, mindscape.pins)
    )
    through = max(shadow.through, read)
    if not changed and not removed:
        if through <= read:
            return None
        return DerivationCompleted(derivation=DERIVATION, definition=shadow.definition, read_through=through)
    return MindscapeUpdated(
        traits=changed,
        derivation=DERIVATION,
        definition=shadow.definition,
        read_through=through,
        removed=removed,
        material=material_paths(mindscape, changed, removed),
        agent=REREADER,
    )


def _changed_since(begun: Mindscape, now: Mindscape) -> set[str]:
    """Where models made something else of the mindscape since."""
    before, after = (
        {path: trait for path, trait in each.traits.items() if is_inferred(trait)} for each in (begun, now)
    )
    return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
