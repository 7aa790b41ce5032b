"""Curation: a person, or an application for them, says what a trait is, and takes it back."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from personakit.domain.events import TraitPinned, TraitUnpinned
from personakit.domain.mindscape import Mindscape, Pin, evolve
from personakit.domain.traits import coarse, is_material
from personakit_sdk.errors import PersonaKitError

MOST_PINS: Final = 1_000
"""Of one person: each is looked at by all who read the mindscape."""
_LEAST: Final = -(2**63)


class NotPinned(PersonaKitError):
    """There is no pin to take away."""


class TooManyPins(PersonaKitError):
    """A mindscape has as many pins as one may have."""


def pin(mindscape: Mindscape, path: str, pin: Pin) -> TraitPinned | None:
    """The event that pins a trait; None where it is pinned so already. Raises TooManyPins."""
    if mindscape.pins.get(path) == pin:
        return None
    if path not in mindscape.pins and len(mindscape.pins) >= MOST_PINS:
        raise TooManyPins(
            f"{len(mindscape.pins):,} traits of this person are pinned, which is as many as may be; unpin "
            "one before you pin another."
        )
    event = TraitPinned(
        path=path, value=pin.value, volatility=pin.volatility, reason=pin.reason, origin=pin.origin
    )
    return msgspec.structs.replace(event, material=_material(mindscape, event))


def unpin(mindscape: Mindscape, path: str, reason: str, origin: str) -> TraitUnpinned:
    """The event that lets the derived trait be shown again. Raises NotPinned."""
    if path not in mindscape.pins:
        raise NotPinned(f"The trait {path!r} is not pinned; there is nothing to take away.")
    event = TraitUnpinned(path=path, reason=reason, origin=origin)
    return msgspec.structs.replace(event, material=_material(mindscape, event))


def _material(mindscape: Mindscape, event: TraitPinned | TraitUnpinned) -> tuple[str, ...]:
    """Where what is shown changes enough to make a core stale: at the path, and below it, where what is
    derived is hidden by a pin and seen without."""
    before, after = mindscape.visible_traits(), evolve(mindscape, event).visible_traits()
    touched = {event.path} & (before.keys() | after.keys()) | (before.keys() ^ after.keys())
    return tuple(path for path in sorted(touched) if is_material(before.get(path), after.get(path)))


def contradicts(mindscape: Mindscape, path: str) -> bool:
    """Whether what is derived at a pinned path says something else, at the precision of the derived trait."""
    pinned, derived = mindscape.pins.get(path), mindscape.beneath(path)
    if pinned is None or derived is None:
        return False
    return bool(coarse(pinned.value, derived.precision) != coarse(derived.value, derived.precision))


def pinned_value(value: Any) -> Any:
    """A pinned value as it is kept: whole numbers of 64 bits as such, and no others, so that what the
    database gives back is equal."""
    match value:
        case bool():
            return value
        case float() if value.is_integer() and _LEAST <= value < -_LEAST:
            return int(value)
        case int() if not _LEAST <= value < -_LEAST:  # a float, as the database writes it out
            return float(value)
        case list():
            return [pinned_value(member) for member in value]
        case dict():
            return {key: pinned_value(member) for key, member in value.items()}
        case _:
            return value
