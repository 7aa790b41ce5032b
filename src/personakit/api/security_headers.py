"""What every answer tells a browser: run nothing, show nothing elsewhere, tell nobody, keep nothing."""

from __future__ import annotations

from collections.abc import Mapping
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
YEAR: Final = 365 * 86_400


def security_headers(*, behind_tls: bool) -> tuple[Header, ...]:
    """Those that are the same on each answer. Only what is reached by TLS alone may promise so."""
    promise = (b"strict-transport-security", b"max-age=%d" % YEAR)
    return (*ALWAYS, promise) if behind_tls else ALWAYS


def by_answer(given: Mapping[bytes, bytes]) -> tuple[Header, ...]:
    """Those that an answer with these headers lacks."""
    lacking: tuple[Header, ...] = () if _POLICY in given else (_NOTHING,)
    if _CACHE in given:
        return lacking
    return (*lacking, _ASKED_AGAIN if b"etag" in given else _UNKEPT)
