"""The mindscape: the versioned document of a person's traits, and what a derivation changes in it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from personakit.domain.computed_traits import ComputedTraits, Observed, is_computed
from personakit.domain.events import (
    DerivationCompleted,
    MindscapeEvent,
    MindscapeUpdated,
    TraitPinned,
    TraitTrustAdjusted,
    TraitUnpinned,
)
from personakit.domain.evidence import evidence_lost, without_evidence
from personakit.domain.learning import Learned
from personakit.domain.traits import Trait, is_material
from personakit_sdk.rules.facts import Volatility

DERIVATION: Final = "computed"
PINNED: Final = "pinned"
"""The source of a trait that somebody pinned."""


class Derived(msgspec.Struct, frozen=True):
    """How far a derivation has read this person's observations (a log position), and by which rules."""

    read_through: int
    definition: str


class Pin(msgspec.Struct, frozen=True):
    """What somebody said a trait is, why and who."""

    value: Any
    volatility: Volatility
    reason: str
    origin: str

    def trait(self) -> Trait:
        """The trait that is shown: certain, and of no age."""
        return Trait(value=self.value, volatility=self.volatility, source=PINNED, pinned=True)


class Mindscape(msgspec.Struct, frozen=True):
    """All that is believed about a person. `version` counts the updates; 0 is empty.

    `traits` are those derived; where one is pinned, or a path above it, the pin is what is shown, and what is
    derived goes on beneath it. `trust` is what feedback taught of them, by path.
    """

    version: int
    traits: dict[str, Trait]
    derivations: dict[str, Derived]
    pins: dict[str, Pin] = {}
    trust: Learned = Learned()

    def visible_traits(self) -> dict[str, Trait]:
        """The traits that a reader may see: those with enough samples, and the pinned ones; of what lies
        below a pinned path, only what is pinned itself."""
        seen = {
            path: self.trusted(path, trait)
            for path, trait in self.traits.items()
            if trait.visible and not self.hidden(path)
        }
        return seen | {path: pin.trait() for path, pin in self.pins.items()}

    def hidden(self, path: str) -> bool:
        """Whether nobody sees what is derived at a path: it, or a path above it, is pinned."""
        if not self.pins:
            return False
        above = (path[:end] for end, character in enumerate(path) if character == ".")
        return path in self.pins or any(each in self.pins for each in above)

    def beneath(self, path: str) -> Trait | None:
        """What is derived at the path of a pinned trait, and would be seen if it were not."""
        trait = self.traits.get(path)
        seen = path in self.pins and trait is not None and trait.visible
        return self.trusted(path, trait) if seen and trait is not None else None

    def trusted(self, path: str, trait: Trait) -> Trait:
        """A derived trait with what feedback taught of it."""
        trust = self.trust.multipliers.get(path, 1.0)
        return trait if trust == 1 else msgspec.structs.replace(trait, trust=trust)


EMPTY: Final = Mindscape(version=0, traits={}, derivations={})


def evolve(mindscape: Mindscape, event: MindscapeEvent) -> Mindscape:
    """The document after one more event."""
    match event:
        case TraitPinned():
            pin = Pin(event.value, event.volatility, event.reason, event.origin)
            return _with_pins(mindscape, mindscape.pins | {event.path: pin})
        case TraitUnpinned():
            left = {path: pin for path, pin in mindscape.pins.items() if path != event.path}
            return _with_pins(mindscape, left)
        case TraitTrustAdjusted():
            trust = Learned(event.trust, event.day, event.morning)
            return msgspec.structs.replace(mindscape, version=mindscape.version + 1, trust=trust)
        case MindscapeUpdated():
            return _updated(mindscape, event)


def _with_pins(mindscape: Mindscape, pins: dict[str, Pin]) -> Mindscape:
    return msgspec.structs.replace(mindscape, version=mindscape.version + 1, pins=pins)


def _updated(mindscape: Mindscape, event: MindscapeUpdated) -> Mindscape:
    kept = {path: trait for path, trait in mindscape.traits.items() if path not in event.removed}
    derived = Derived(event.read_through, event.definition)
    return msgspec.structs.replace(
        mindscape,
        version=mindscape.version + 1,
        traits=kept | event.traits,
        derivations=mindscape.derivations | {event.derivation: derived},
    )


def read_on(derived: Derived | None, event: MindscapeUpdated | DerivationCompleted) -> Derived:
    """How far a derivation has read after one more of its events; other rules begin again."""
    if derived is not None and derived.definition == event.definition:
        return Derived(max(derived.read_through, event.read_through), event.definition)
    return Derived(event.read_through, event.definition)


def derive_update(
    mindscape: Mindscape, computed: ComputedTraits, observed: Sequence[Observed], read_through: int
) -> MindscapeUpdated | DerivationCompleted:
    """What these observations change in the mindscape, or that they change nothing.

    Where the mindscape was derived by other rules, `observed` must begin with the person's first
    observation: the traits are folded anew, and computed ones that are no longer derived are removed.
    """
    return derive_through(mindscape, computed, [observed], read_through)


def derive_through(
    mindscape: Mindscape,
    computed: ComputedTraits,
    batches: Iterable[Sequence[Observed]],
    read_through: int,
) -> MindscapeUpdated | DerivationCompleted:
    """As `derive_update`, of as many batches as there are, in one version."""
    change = derive_anew(mindscape, computed, batches, read_through)
    # A new fold that ends where the old one did is recorded too: else the next one, which sees only the
    # newer observations, would begin from nothing again.
    if change.traits or change.removed or _base(mindscape, computed, ()) != mindscape.traits:
        return change
    return DerivationCompleted(
        derivation=DERIVATION, definition=computed.fingerprint, read_through=read_through
    )


def derive_anew(
    mindscape: Mindscape,
    computed: ComputedTraits,
    batches: Iterable[Sequence[Observed]],
    read_through: int,
    *,
    types: Collection[str] = (),
    retracted: Collection[UUID] = (),
) -> MindscapeUpdated:
    """What as many batches as there are change in the mindscape, without what was retracted.

    Traits that are computed from observations of these `types` are folded anew: `batches` must have those
    from the person's first one on, in any order. The others lose what was `retracted` of their evidence.
    """
    base = _base(mindscape, computed, types)
    folded = without_evidence(base, retracted)
    for batch in batches:
        folded |= computed.fold(base | folded, batch)
    changed = {path: folded[path] for path in sorted(folded) if folded[path] != mindscape.traits.get(path)}
    kept = (base.keys() | folded.keys()) - (evidence_lost(base, retracted) - folded.keys())
    removed = tuple(sorted(mindscape.traits.keys() - kept))
    return MindscapeUpdated(
        traits=changed,
        derivation=DERIVATION,
        definition=computed.fingerprint,
        read_through=read_through,
        removed=removed,
        material=material_paths(mindscape, changed, removed),
        anew=tuple(sorted(types)),
    )


def _base(mindscape: Mindscape, computed: ComputedTraits, types: Collection[str]) -> dict[str, Trait]:
    """The traits to fold into; those that other rules computed, or that begin anew, are left out."""
    again = computed.paths_of(types) if _same_rules(mindscape, computed) else mindscape.traits.keys()
    return {
        path: trait for path, trait in mindscape.traits.items() if not (is_computed(trait) and path in again)
    }


def by_other_rules(mindscape: Mindscape, computed: ComputedTraits) -> bool:
    """Whether the mindscape was derived by rules that have changed since."""
    return DERIVATION in mindscape.derivations and not _same_rules(mindscape, computed)


def _same_rules(mindscape: Mindscape, computed: ComputedTraits) -> bool:
    derived = mindscape.derivations.get(DERIVATION)
    return derived is not None and derived.definition == computed.fingerprint


def material_paths(
    mindscape: Mindscape, changed: dict[str, Trait], removed: tuple[str, ...]
) -> tuple[str, ...]:
    """The paths of those of the changes that could make a core stale: what is pinned stays as it is shown."""
    paths = [path for path in sorted({*changed, *removed}) if not mindscape.hidden(path)]
    return tuple(path for path in paths if _moved(mindscape, path, changed.get(path)))


def _moved(mindscape: Mindscape, path: str, after: Trait | None) -> bool:
    before = mindscape.traits.get(path)
    return is_material(before and mindscape.trusted(path, before), after and mindscape.trusted(path, after))
