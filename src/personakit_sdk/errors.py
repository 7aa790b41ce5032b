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


class ItemTooLarge(InvalidInput):
    """What was to be sent is larger than an item may be; it was not taken."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"This item has {size:,} bytes; an item may have {limit:,}. Send less, or in parts.")


class StoreError(PersonaKitError):
    """The store file cannot do what was asked; what was not acknowledged is not in it."""


class StoreTooNew(StoreError):
    """The store file was written by a newer SDK, and only that can read it."""


class StoreForeign(StoreError):
    """The file that was named as the store is another program's database."""


class StoreKeyWrong(StoreError):
    """The store's bodies are sealed with another key than the one given."""


class StoreFull(StoreError):
    """There is no room on the disk; nothing was taken."""


class StoreBusy(StoreError):
    """Other processes kept the store file locked for longer than it was waited for; nothing was taken."""


class StoreDamaged(StoreError):
    """The store file was found damaged while it was used; it is set aside when it is used again."""


class OutboxFull(PersonaKitError):
    """The outbox holds as much as it may; nothing was taken."""


class SyncStuck(PersonaKitError):
    """The service made the cache begin anew too often in an hour; what is cached serves on."""


class NotCached(PersonaKitError):
    """What was asked for is not in the cache."""


class DataExpired(PersonaKitError):
    """The cached personas are older than the service allows, and are not served until the next sync."""


class UpgradeRequired(PersonaKitError):
    """A mapper is written in a newer rule language than this SDK knows."""


class ClientClosed(PersonaKitError):
    """The client was closed and takes nothing more."""
