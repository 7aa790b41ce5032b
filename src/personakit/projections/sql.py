"""Loads `projections/*.sql`: one read model a file, its DDL, how each event changes it, its queries.

Markers: `:ddl`; `:on EVENT… [exactly]` (with `exactly`, each event must change one row); `:ignore
EVENT…`; `:query name`. A file that neither handles nor ignores an event is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import LiteralString

import msgspec

from personakit.domain.events import EVENT_TYPES
from personakit.named_sql import Block, blocks


class Handler(msgspec.Struct, frozen=True):
    """One statement that takes a batch of events of one type, as the parameter `events`."""

    sql: LiteralString
    exactly: bool


class Projection(msgspec.Struct, frozen=True):
    """A read model's definition. `definition` is a hash of the file: another text, another schema."""

    name: str
    definition: str
    ddl: LiteralString
    handlers: Mapping[str, tuple[Handler, ...]]
    queries: Mapping[str, LiteralString]

    @property
    def schema(self) -> str:
        """The PostgreSQL schema that this definition's tables live in."""
        return f"p_{self.name}_{self.definition}"


def load_projection(path: Path) -> Projection:
    """The projection in the file at `path`. Raises ValueError for one that forgets an event."""
    found = blocks(path)
    handlers: dict[str, tuple[Handler, ...]] = {}
    for block in found:
        if block.word == "on":
            for event in _events(block):
                handlers[event] = (*handlers.get(event, ()), Handler(block.sql, "exactly" in block.rest))
    ignored = {event for block in found if block.word == "ignore" for event in _events(block)}
    if (handled := handlers.keys() | ignored) != EVENT_TYPES.keys() or handlers.keys() & ignored:
        wrong = sorted(handled ^ EVENT_TYPES.keys() | handlers.keys() & ignored)
        raise ValueError(f"{path.name} must handle or ignore each event once: {', '.join(wrong)}")
    return Projection(
        name=path.stem,
        definition=hashlib.sha256(path.read_bytes()).hexdigest()[:12],
        ddl=next(block.sql for block in found if block.word == "ddl"),
        handlers=handlers,
        queries={block.rest: block.sql for block in found if block.word == "query"},
    )


def load_projections(folder: Path) -> dict[str, Projection]:
    """Every projection of the folder, by name."""
    return {path.stem: load_projection(path) for path in sorted(folder.glob("*.sql"))}


def _events(block: Block) -> list[str]:
    return [word for word in block.rest.split() if word != "exactly"]
