"""Exposures: by which chance a suggestion stood where it did, sealed so that feedback can bring it back.

An exposure is the base64url of a MessagePack list and an HMAC-SHA-256 over it, the tenant and the id of the
suggestion it belongs to. Nothing is kept of a suggestion that was only read, so what evaluation needs of it
travels with it; and nobody can make one up, or put it to another suggestion.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from personakit.domain.exploration import Place
from personakit_sdk.errors import Fault, InvalidInput

LONGEST: Final = 4096
_FORMAT: Final = 1
_SIGNATURE: Final = 16
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class _Packed(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    format: int
    propensity: float
    among: tuple[str, ...]


class ExposureInvalid(InvalidInput):
    """The exposure is not the one that came with this suggestion."""

    def __init__(self) -> None:
        super().__init__(
            "The `exposure` is not the one that came with this suggestion, or was altered; send the two as "
            "they were received, or `suggestionId` alone.",
            (Fault("/exposure", "not of this suggestion"),),
        )


def seed(secret: bytes, tenant: str, persona_id: str, mapper_id: str, version: int, at: datetime) -> bytes:
    """What the places of one answer are drawn by; the same for the same question."""
    microseconds = (at - _EPOCH) // _MICROSECOND
    question = msgspec.msgpack.encode((tenant, persona_id, mapper_id, version, microseconds))
    return hmac.new(secret, b"personakit exploration\n" + question, hashlib.sha256).digest()


def encode(secret: bytes, tenant: str, suggestion_id: str, place: Place) -> str:
    """The exposure of a suggestion that stands at a place."""
    packed = msgspec.msgpack.encode(_Packed(_FORMAT, place.propensity, place.among))
    signed = _signature(secret, tenant, suggestion_id, packed) + packed
    return urlsafe_b64encode(signed).decode().rstrip("=")


def decode(secret: bytes, tenant: str, suggestion_id: str, text: str) -> Place:
    """The place. Raises ExposureInvalid for anything that `encode` did not make of this suggestion."""
    try:
        signed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise ExposureInvalid from None
    signature, packed = signed[:_SIGNATURE], signed[_SIGNATURE:]
    if not hmac.compare_digest(signature, _signature(secret, tenant, suggestion_id, packed)):
        raise ExposureInvalid
    place = msgspec.msgpack.decode(packed, type=_Packed)
    return Place(place.propensity, place.among)


def _signature(secret: bytes, tenant: str, suggestion_id: str, packed: bytes) -> bytes:
    signed = msgspec.msgpack.encode((tenant, suggestion_id, packed))
    return hmac.new(secret, b"personakit exposure\n" + signed, hashlib.sha256).digest()[:_SIGNATURE]
