"""Errors as sentences: each carries what happened, with the values, and what to do about it."""

from __future__ import annotations

import msgspec


class Fault(msgspec.Struct, frozen=True):
    """One fault in a document or body: where (an RFC 6901 JSON pointer, "" for the whole) and what."""

    pointer: str
    message: str


class PersonaKitError(Exception):
    """Every error that this project raises on purpose; `str()` of it is a sentence for a person."""


class InvalidInput(PersonaKitError):
    """Something that was sent cannot be taken; `faults` says where and why, one entry a fault."""

    def __init__(self, detail: str, faults: tuple[Fault, ...] = ()) -> None:
        super().__init__(detail)
        self.faults = faults


class DocumentInvalid(InvalidInput):
    """A mapper or computed-trait document that would not run; it is refused whole."""

    def __init__(self, what: str, faults: tuple[Fault, ...]) -> None:
        first = faults[0]
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        where = f" at {first.pointer}" if first.pointer else ""
        super().__init__(f"The {what} is not valid{where}: {first.message}{more}.", faults)
