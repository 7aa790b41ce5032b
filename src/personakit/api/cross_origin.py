"""Which pages of other origins a browser lets read answers: none, but for those that are configured."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from litestar.config.cors import CORSConfig

from personakit.api.answers import MIN_POSITION, POSITION
from personakit.api.dependencies import IDEMPOTENCY_KEY
from personakit.api.sync.pull import VALID_UNTIL

DAY: Final = 86_400
_SENT: Final = ("Authorization", "Content-Type", IDEMPOTENCY_KEY, "If-Match", "If-None-Match", MIN_POSITION)
_READ: Final = ("ETag", "RateLimit", "RateLimit-Policy", "Retry-After", POSITION, VALID_UNTIL)


def cross_origin(origins: Collection[str]) -> CORSConfig | None:
    """None without origins. A key is sent in a header, and never by the browser itself."""
    if not origins:
        return None
    return CORSConfig(
        allow_origins=sorted(origins),
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=list(_SENT),
        expose_headers=list(_READ),
        allow_credentials=False,
        max_age=DAY,
    )
