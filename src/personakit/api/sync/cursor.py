"""The cursor of `/sync`: where a client stands, signed."""

from __future__ import annotations

import base64
import hashlib
import hmac
from uuid import UUID

import msgspec

from personakit.agents.service import Service
from personakit.api.problems import CursorExpired


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a client stands: signed, so that it cannot be moved to another tenant or log."""

    epoch: UUID
    tenant: str
    position: int


_cursor = msgspec.json.Decoder(Cursor)


def encode_cursor(cursor: Cursor, secret: bytes) -> str:
    """The cursor as opaque text: its content and an HMAC under the log's secret."""
    content = msgspec.json.encode(cursor)
    return base64.urlsafe_b64encode(_signature(content, secret) + content).decode().rstrip("=")


def decode_cursor(text: str, service: Service, tenant: str) -> Cursor:
    """The cursor that `encode_cursor` made. Raises InvalidInput for another text, CursorExpired for a
    cursor of another log or tenant."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        signature, content = data[:16], data[16:]
        genuine = hmac.compare_digest(signature, _signature(content, service.secret))
        cursor = _cursor.decode(content) if genuine else None
    except (ValueError, msgspec.MsgspecError):
        cursor = None
    if cursor is None:
        raise CursorExpired("This cursor is not of this service; begin again without `since`.")
    if (cursor.epoch, cursor.tenant) != (service.epoch, tenant):
        raise CursorExpired("This cursor is of another log; begin again without `since`.")
    return cursor


def _signature(content: bytes, secret: bytes) -> bytes:
    return hmac.new(secret, content, hashlib.sha256).digest()[:16]
