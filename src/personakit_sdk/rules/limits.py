"""How large a document of the rule language may be; a service may set other numbers."""

from __future__ import annotations

from typing import Final

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one document. Sizes of texts are bytes of UTF-8.

    `conditions` counts the checks and references of one rule or one named condition; `depth` counts the
    groups (`all`, `any`, `not`, `condition`) around a check, references followed; `nesting` the levels of
    plain JSON; `entries` those of one list or mapping of a YAML text and `values` all that it has, keys
    included, because it takes long to read: half a second for so many.
    """

    document_bytes: int = 256 * 1024
    rules: int = 2000
    conditions: int = 64
    depth: int = 8
    path_segments: int = 16
    text_bytes: int = 1024
    list_items: int = 256
    nesting: int = 32
    template_bytes: int = 4 * 1024
    aliases: int = 64
    entries: int = 4096
    values: int = 10_000


DEFAULT_LIMITS: Final = Limits()
