"""SQL in files that open in psql: blocks headed by a marker comment, taken by name.

A marker is a line `-- :word rest`. Text before the first marker describes the file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import LiteralString, NamedTuple

_MARKER = re.compile(r"^-- :(\w+)[ \t]*(.*)$", re.MULTILINE)


class Block(NamedTuple):
    """One block: the marker's word, the rest of the marker's line, and the SQL below it.

    The SQL counts as a literal: it is the project's own text, shipped with the code.
    """

    word: str
    rest: str
    sql: LiteralString


def blocks_of(text: str) -> list[Block]:
    """The blocks of a text, in order."""
    markers = list(_MARKER.finditer(text))
    ends = [marker.start() for marker in markers[1:]] + [len(text)]
    return [
        Block(marker[1], marker[2].strip(), text[marker.end() : end].strip())
        for marker, end in zip(markers, ends, strict=True)
    ]


def queries(path: Path) -> dict[str, LiteralString]:
    """The `-- :query name` blocks of a file, by name."""
    return {
        block.rest: block.sql
        for block in blocks_of(path.read_text(encoding="utf-8"))
        if block.word == "query"
    }
