"""Receipts of erasures: signed by a key that follows from the log's secret, for others to verify."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from personakit.eventlog.eraser import Erased
from personakit.eventlog.people import persona_id
from personakit_sdk import wire


def receipt_of(erased: Erased, person_id: str, secret: bytes) -> wire.ErasureReceipt:
    """The receipt, the same whenever it is asked for. Ed25519 as in RFC 8032 draws nothing."""
    key = _key(secret)
    unsigned = wire.ErasureReceipt(
        id=erased.erasure,
        person_id=person_id,
        erased_at=erased.erased_at,
        position=erased.position,
        epoch=erased.epoch,
        personas=[persona_id(persona) for persona in erased.personas],
        public_key=_public(key),
    )
    return msgspec.structs.replace(unsigned, signature=b64encode(key.sign(_signed(unsigned))).decode())


def is_genuine(content: bytes, secret: bytes) -> bool:
    """Whether this log signed the receipt in a file, with every member that is in it. Raises
    msgspec.MsgspecError where that is no JSON object."""
    said = msgspec.json.decode(content, type=dict[str, Any])
    signature = said.pop("signature", "")
    try:
        _key(secret).public_key().verify(b64decode(signature, validate=True), _encoded(said))
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _key(secret: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hmac.digest(secret, b"personakit erasure receipts", "sha256"))


def _public(key: Ed25519PrivateKey) -> str:
    return b64encode(key.public_key().public_bytes_raw()).decode()


def _signed(receipt: wire.ErasureReceipt) -> bytes:
    said = msgspec.to_builtins(receipt)
    del said["signature"]
    return _encoded(said)


def _encoded(said: dict[str, Any]) -> bytes:
    return msgspec.json.encode(said, order="deterministic")
