"""Finds the folders that ship with the code: `projections/` and `rules/`."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from personakit_sdk.errors import PersonaKitError


class ShippedFolderMissing(PersonaKitError):
    """A folder that every checkout and every wheel has is not there."""


def projections_dir() -> Path:
    """The folder of the read models, `<read_model>.sql` each."""
    return _shipped("projections")


def mappers_dir() -> Path:
    """The folder of the shipped mappers, `<mapper>.yaml` each."""
    return _shipped("rules/mappers")


def computed_traits_dir() -> Path:
    """The folder of the shipped computed traits, `<computed_trait>.yaml` each."""
    return _shipped("rules/computed_traits")


def samples_dir() -> Path:
    """The folder of sample histories."""
    return _shipped("rules/samples")


def _shipped(name: str) -> Path:
    """The checkout's folder where we run from one, so that an edit counts at once; else the wheel's."""
    source = Path(__file__).resolve().parents[1]
    if source.name == "src" and (source.parent / name).is_dir():
        return source.parent / name
    inside = Path(str(resources.files("personakit"))) / "_shipped" / name
    if not inside.is_dir():
        raise ShippedFolderMissing(f"The folder {inside} is missing; install PersonaKit again.")
    return inside
