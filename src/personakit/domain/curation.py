"""Curation: a person, or an application for them, says what a trait is, and takes it back."""

from __future__ import annotations

from typing import Any

from personakit.domain.events import TraitPinned, TraitUnpinned
from personakit.domain.mindscape import Mindscape, Pin
from personakit.domain.traits import coarse, is_material
from personakit_sdk.errors import PersonaKitError


class NotPinned(PersonaKitError):
    """There is no pin to take away."""


def pin(mindscape: Mindscape, path: str, pin: Pin) -> TraitPinned | None:
    """The event that pins a trait; None where it is pinned so already."""
    if mindscape.pins.get(path) == pin:
        return None
    shown = mindscape.visible_traits().get(path)
    return TraitPinned(
        path=path,
        value=pin.value,
        volatility=pin.volatility,
        reason=pin.reason,
        origin=pin.origin,
        material=(path,) if is_material(shown, pin.trait()) else (),
    )


def unpin(mindscape: Mindscape, path: str, reason: str, origin: str) -> TraitUnpinned:
    """The event that lets the derived trait be shown again. Raises NotPinned."""
    pinned = mindscape.pins.get(path)
    if pinned is None:
        raise NotPinned(f"The trait {path!r} is not pinned; there is nothing to take away.")
    return TraitUnpinned(
        path=path,
        reason=reason,
        origin=origin,
        material=(path,) if is_material(pinned.trait(), mindscape.beneath(path)) else (),
    )


def contradicts(mindscape: Mindscape, path: str) -> bool:
    """Whether what is derived at a pinned path says something else, at the precision of the derived trait."""
    pinned, derived = mindscape.pins.get(path), mindscape.beneath(path)
    if pinned is None or derived is None:
        return False
    return bool(coarse(pinned.value, derived.precision) != coarse(derived.value, derived.precision))


def pinned_value(value: Any) -> Any:
    """A pinned value as it is kept: whole numbers as such, so that what the database gives back is equal."""
    match value:
        case float() if value.is_integer() and abs(value) < 2**63:
            return int(value)
        case list():
            return [pinned_value(member) for member in value]
        case dict():
            return {key: pinned_value(member) for key, member in value.items()}
        case _:
            return value
