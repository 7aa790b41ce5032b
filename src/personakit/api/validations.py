"""What is answered about a document that is checked and not stored."""

from __future__ import annotations

from collections.abc import Iterable

from personakit_sdk import wire
from personakit_sdk.errors import Fault, InvalidInput


def refused(error: InvalidInput) -> wire.Validation:
    """What is said of a document that could not be read."""
    return wire.Validation(
        valid=False,
        id=None,
        version=None,
        hash=None,
        faults=faults_at(error.faults or (Fault("", str(error)),)),
        warnings=[],
        tests=[],
        document=None,
    )


def faults_at(faults: Iterable[Fault]) -> list[wire.FaultAt]:
    """The faults as they are answered."""
    return [wire.FaultAt(pointer=fault.pointer, message=fault.message) for fault in faults]
