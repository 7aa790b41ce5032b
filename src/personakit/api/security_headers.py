"""What every answer tells a browser: run nothing, show nothing elsewhere, tell nobody, keep nothing."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Final

Header = tuple[bytes, bytes]
ALWAYS: Final[tuple[Header, ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
PAGE_POLICY: Final = "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
"""The part of a page's own Content-Security-Policy that all pages share."""
_POLICY: Final = b"content-security-policy"
_NOTHING: Final[Header] = (_POLICY, b"default-src 'none'; frame-ancestors 'none'")
_CACHE: Final = b"cache-control"
_UNKEPT: Final[Header] = (_CACHE, b"no-store")
_ASKED_AGAIN: Final[Header] = (_CACHE, b"private, no-cache")
"""Of an answer with an ETag: kept by its caller alone, and shown again only when it is still the same."""
_ETAG: Final = b"etag"
YEAR: Final = 365 * 86_400
_PROMISE: Final[Header] = (b"strict-transport-security", b"max-age=%d" % YEAR)


class SecurityHeaders:
    """What answers lack, made once for each kind of answer."""

    def __init__(self, *, behind_tls: bool) -> None:
        """Only what is reached by TLS alone may promise so."""
        always = (*ALWAYS, _PROMISE) if behind_tls else ALWAYS
        self._of = {
            kind: (*always, *_lacking(*kind)) for kind in product((False, True), (False, True), (False, True))
        }

    def lacking(self, given: Mapping[bytes, bytes]) -> tuple[Header, ...]:
        """What an answer with these headers has to have besides."""
        return self._of[_POLICY in given, _CACHE in given, _ETAG in given]


def _lacking(has_policy: bool, has_cache: bool, has_etag: bool) -> tuple[Header, ...]:
    policy = () if has_policy else (_NOTHING,)
    cache = () if has_cache else (_ASKED_AGAIN if has_etag else _UNKEPT,)
    return (*policy, *cache)
