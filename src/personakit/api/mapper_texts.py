"""A version of a mapper as YAML: what was uploaded where that says it still, else made once and kept."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import msgspec

from personakit.domain.mapper_source import weighed, written_out

KEPT: Final = 16
"""Making the text of the largest mapper takes seconds; asking for it again should not."""


def as_yaml(row: dict[str, Any]) -> str:
    """The text of a version."""
    if row["source"] is not None and row["source_of"] == row["hash"]:
        return str(row["source"])
    return _made(msgspec.json.encode(row["document"]), row["hash"], row["source"])


@lru_cache(KEPT)
def _made(document: bytes, hash_: str, source: str | None) -> str:
    plain = msgspec.json.decode(document)
    return written_out(plain, hash_) if source is None else weighed(plain, hash_, source)
