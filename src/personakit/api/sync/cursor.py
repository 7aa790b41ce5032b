"""The cursor of `/sync`: where a client stands, signed."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

import msgspec

from personakit.agents.service import Service
from personakit.api.problems import CursorExpired, EpochChanged, ScopeChanged
from personakit.api.sync.scope import Scope
from personakit.projections.read import Snapshot

FORMAT: Final = 1
KEPT: Final = timedelta(days=90)
"""How long a client may be away and still be told what was deleted."""
_SIGNATURE: Final = 16
Mode = Literal["pages", "replay", "changes"]
_FROM_THE_START: Final = "Begin again without `since`."


class Cursor(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Where a client stands: signed, so that it cannot be moved to another tenant or log.

    In `pages` and in `replay` it is in a full pull. `after` is the entity sent last, (kind, entity): in
    `pages` of those that had not changed since `position`, the head before the first page; else of those
    changed at `position`, of which there may be more. Without it the client has all up to `position`.
    `append_id` is that of the newest event at or below `position`; `issued` is in seconds since 1970.
    """

    format: int = FORMAT
    epoch: UUID
    tenant: str
    scope: str
    mode: Mode
    position: int
    append_id: UUID | None
    issued: int
    after: tuple[str, str] | None = None


_cursor = msgspec.json.Decoder(Cursor)


def encode_cursor(cursor: Cursor, secret: bytes) -> str:
    """The cursor as opaque text: its content and an HMAC under the log's secret."""
    content = msgspec.json.encode(cursor)
    return base64.urlsafe_b64encode(_signature(content, secret) + content).decode().rstrip("=")


def decode_cursor(text: str, service: Service, scope: Scope, now: datetime) -> Cursor:
    """The cursor that `encode_cursor` made. Raises EpochChanged for a cursor of another log, ScopeChanged for
    one of another tenant or filter, CursorExpired for one that is too old, and for any other text."""
    cursor, genuine = _read(text, service.secret)
    if cursor is None or (not genuine and cursor.epoch == service.epoch):
        raise CursorExpired(f"This cursor is not of this service. {_FROM_THE_START}")
    # A log that was set up anew has another secret as well: what its clients bring cannot be verified, and
    # whatever it says, they have to begin again.
    if cursor.epoch != service.epoch:
        raise _epoch_changed()
    if (cursor.tenant, cursor.scope) != (scope.tenant, scope.hash):
        raise ScopeChanged(f"This cursor was given to another key or for other personas. {_FROM_THE_START}")
    if cursor.issued < (now - KEPT).timestamp():
        raise CursorExpired(f"This cursor is older than {KEPT.days} days. {_FROM_THE_START}")
    return cursor


def require_same_log(snapshot: Snapshot, cursor: Cursor) -> None:
    """Raises EpochChanged where the log is not the one any more that the cursor was given for: a restored
    backup has another event at its position, or none."""
    standing = snapshot.row("changes.standing", position=cursor.position)
    if (standing["append_id"] if standing else None) != cursor.append_id:
        raise _epoch_changed()


def _epoch_changed() -> EpochChanged:
    return EpochChanged(
        f"This cursor is of another log: the database was set up anew or restored. {_FROM_THE_START}"
    )


def _read(text: str, secret: bytes) -> tuple[Cursor | None, bool]:
    """What a text says, and whether it was signed here."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        signature, content = data[:_SIGNATURE], data[_SIGNATURE:]
        cursor = _cursor.decode(content)
    except (ValueError, msgspec.MsgspecError):
        return None, False
    known = cursor if cursor.format == FORMAT else None
    return known, hmac.compare_digest(signature, _signature(content, secret))


def _signature(content: bytes, secret: bytes) -> bytes:
    return hmac.new(secret, content, hashlib.sha256).digest()[:_SIGNATURE]
