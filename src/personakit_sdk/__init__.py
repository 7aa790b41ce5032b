"""The light library that applications embed; imports msgspec, urllib3 and the standard library only.

`PersonaKit` is where to begin. The names below are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from personakit_sdk.aio import AsyncPersonaKit
    from personakit_sdk.client import PersonaKit
    from personakit_sdk.dead_letters import DeadLetter
    from personakit_sdk.errors import (
        ClientClosed,
        DataExpired,
        InvalidInput,
        ItemTooLarge,
        NotCached,
        OutboxFull,
        PersonaKitError,
        StoreError,
        SyncStuck,
        UpgradeRequired,
    )
    from personakit_sdk.notices import Notice
    from personakit_sdk.offline import OfflineAnswer
    from personakit_sdk.status import Status
    from personakit_sdk.transport import ServiceError, Unreachable

__all__ = [
    "AsyncPersonaKit",
    "ClientClosed",
    "DataExpired",
    "DeadLetter",
    "InvalidInput",
    "ItemTooLarge",
    "NotCached",
    "Notice",
    "OfflineAnswer",
    "OutboxFull",
    "PersonaKit",
    "PersonaKitError",
    "ServiceError",
    "Status",
    "StoreError",
    "SyncStuck",
    "Unreachable",
    "UpgradeRequired",
]

_ELSEWHERE: Final = {
    "AsyncPersonaKit": "aio",
    "DeadLetter": "dead_letters",
    "Notice": "notices",
    "OfflineAnswer": "offline",
    "PersonaKit": "client",
    "ServiceError": "transport",
    "Status": "status",
    "Unreachable": "transport",
}
"""Where the names are that are no plain errors."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_ELSEWHERE.get(name, 'errors')}"), name)
    globals()[name] = found
    return found
