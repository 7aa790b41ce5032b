"""Bodies at rest: as they are, or encrypted with a key that the caller keeps."""

from __future__ import annotations

import os
from typing import Final, Protocol

from personakit_sdk.errors import InvalidInput, StoreKeyWrong

_NONCE: Final = 12
KEY_BYTES: Final = 32


class Sealer(Protocol):
    """Turns bodies into what is stored, and back. `about` names the place; a body opens only there."""

    sealed: bool

    def seal(self, body: bytes, about: str) -> bytes:
        """What is stored."""
        ...

    def unseal(self, stored: bytes, about: str) -> bytes:
        """The body. Raises StoreKeyWrong where it is not to be opened."""
        ...


class Plain:
    """Stores bodies as they are."""

    sealed = False

    def seal(self, body: bytes, about: str) -> bytes:  # noqa: ARG002 - the protocol's
        """The body itself."""
        return body

    def unseal(self, stored: bytes, about: str) -> bytes:  # noqa: ARG002 - the protocol's
        """The body itself."""
        return stored


class Sealed:
    """AES-256-GCM with a random nonce in front of each body."""

    sealed = True

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise InvalidInput(f"The encryption key has {len(key)} bytes; it must have {KEY_BYTES}.")
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise InvalidInput(
                "To encrypt the store, install the extra: pip install 'personakit[encryption]'."
            ) from error
        self._cipher = AESGCM(key)

    def seal(self, body: bytes, about: str) -> bytes:
        """Nonce, ciphertext and tag."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, body, about.encode())

    def unseal(self, stored: bytes, about: str) -> bytes:
        """The body, if it was sealed with this key for this place."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - an extra

        try:
            return self._cipher.decrypt(stored[:_NONCE], stored[_NONCE:], about.encode())
        except InvalidTag as error:
            raise StoreKeyWrong(
                f"What is stored as {about} does not open with the key given; it was sealed with another."
            ) from error


def sealer_of(key: bytes | None) -> Sealer:
    """What seals with `key`; without one, bodies stay as they are."""
    return Plain() if key is None else Sealed(key)
