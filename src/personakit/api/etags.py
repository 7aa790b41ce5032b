"""Entity tags (RFC 9110): a mapper's is the hash of its document."""

from __future__ import annotations

import re

_TAG = re.compile(r'(?:W/)?"([^"]*)"|([^",\s]+)')


def quoted(hash_: str) -> str:
    """The hash as `ETag` bears it."""
    return f'"{hash_}"'


def tags_in(header: str | None) -> frozenset[str] | None:
    """The tags that a caller has seen, as `If-Match` and `If-None-Match` list them; None without a header.

    A tag without its quotes is taken as well, and a weak one as strong: a proxy that compresses makes it
    weak, and the document is the same.
    """
    if header is None:
        return None
    return frozenset(quoted or bare for quoted, bare in _TAG.findall(header))
