"""How the master key wraps other keys: AES-256-GCM, each bound to what it is for."""

from __future__ import annotations

import hashlib
import os
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE: Final = 12
TOMBSTONES: Final = b"personakit tombstones"
"""What the key of tombstones is for, which is nobody's."""


class MasterKey:
    """A master key, ready for use. `word` is what it is known by, and says nothing of it."""

    __slots__ = ("_cipher", "word")

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self.word = hashlib.sha256(b"personakit master key\n" + key).digest()

    def wrap(self, key: bytes, owner: bytes) -> bytes:
        """A key as it is stored: a nonce, and the key, bound to its owner."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, key, owner)

    def unwrap(self, wrapped: bytes, owner: bytes) -> bytes:
        """The key that `wrap` was given. Raises InvalidTag or ValueError for anything else."""
        return self._cipher.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], owner)


def owner(tenant: str, person: UUID) -> bytes:
    """Whose a person's key is."""
    return tenant.encode() + b"\n" + person.bytes
