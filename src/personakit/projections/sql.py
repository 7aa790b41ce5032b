"""Loads `projections/*.sql`: one read model a file, its DDL, how each event changes it, its queries.

Markers: `:ddl`; `:on EVENT… [exactly]` (with `exactly`, each event must change one row); `:ignore
EVENT…`; `:only EVENT PATTERN` (of this event those whose content, as JSON, has a match of the regular
expression); `:apart` (events about different people commute); `:query name`. A file that neither handles nor
ignores an event is refused.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import LiteralString

import msgspec

from personakit.domain.events import EVENT_TYPES
from personakit.eventlog.codec import topic, topics_of
from personakit.named_sql import Block, blocks_of

_MEMBER = re.compile(r"\bpayload->>?'(\w+)'")
_COLUMN = re.compile(r"\b(?:position|recorded_at|tenant|stream|version|person|payload)\b")
_PAYLOAD = re.compile(r"\bpayload\b")


class Handler(msgspec.Struct, frozen=True):
    """One statement that takes a batch of events of one type, as the parameter `events`."""

    sql: LiteralString
    exactly: bool

    @property
    def members(self) -> frozenset[str] | None:
        """The members of an event's content that it looks at; None where that cannot be told: all."""
        named = _MEMBER.findall(self.sql)
        return frozenset(named) if len(named) == len(_PAYLOAD.findall(self.sql)) else None


class Projection(msgspec.Struct, frozen=True):
    """A read model's definition. `definition` is a hash of it: another text, other tables.

    `topics` are those that it handles; `columns` and `members` say which columns of an event and which
    members of its content (None: all) its handlers look at, and `only` with which content they do anything,
    so that no more is handed to them.
    """

    name: str
    source: str
    definition: str
    ddl: LiteralString
    handlers: Mapping[str, tuple[Handler, ...]]
    queries: Mapping[str, LiteralString]
    apart: bool
    only: Mapping[str, re.Pattern[bytes]]
    topics: frozenset[str]
    columns: Mapping[str, tuple[str, ...]]
    members: Mapping[str, frozenset[str] | None]

    @property
    def contents(self) -> frozenset[str]:
        """The topics of events of whose content it looks at anything."""
        return frozenset(
            each
            for event, members in self.members.items()
            if members != frozenset()
            for each in topics_of(event)
        )


def read_projection(name: str, source: str) -> Projection:
    """The projection in this text. That of a text with events that are not known here has another
    `definition` than where they are."""
    found = blocks_of(source)
    handlers: dict[str, tuple[Handler, ...]] = {}
    for block in found:
        if block.word == "on":
            for event in _events(block):
                handlers[event] = (*handlers.get(event, ()), Handler(block.sql, "exactly" in block.rest))
    known = {event: those for event, those in handlers.items() if event in EVENT_TYPES}
    return Projection(
        name=name,
        source=source,
        definition=_definition(source, known),
        ddl=next(block.sql for block in found if block.word == "ddl"),
        handlers=known,
        queries={block.rest: block.sql for block in found if block.word == "query"},
        apart=any(block.word == "apart" for block in found),
        only=dict(_only(block) for block in found if block.word == "only"),
        topics=frozenset(each for event in known for each in topics_of(event)),
        columns={
            event: tuple(sorted({name for handler in those for name in _COLUMN.findall(handler.sql)}))
            for event, those in known.items()
        },
        members={event: _members(those) for event, those in known.items()},
    )


def _definition(source: str, handled: Iterable[str]) -> str:
    """A hash of the text and of the shapes that the events it handles have: a release that knows an older
    shape only would pass over the newer ones, and must not move the same tables."""
    shapes = ",".join(sorted(topic(EVENT_TYPES[event]) for event in handled))
    return hashlib.sha256(f"{source}\n{shapes}".encode()).hexdigest()[:12]


def load_projection(path: Path) -> Projection:
    """The projection in the file at `path`. Raises ValueError for one that forgets an event."""
    source = path.read_text(encoding="utf-8")
    found = blocks_of(source)
    handled = {event for block in found if block.word == "on" for event in _events(block)}
    ignored = {event for block in found if block.word == "ignore" for event in _events(block)}
    if handled | ignored != EVENT_TYPES.keys() or handled & ignored:
        wrong = sorted((handled | ignored) ^ EVENT_TYPES.keys() | handled & ignored)
        raise ValueError(f"{path.name} must handle or ignore each event once: {', '.join(wrong)}")
    return read_projection(path.stem, source)


def load_projections(folder: Path) -> dict[str, Projection]:
    """Every projection of the folder, by name."""
    return {path.stem: load_projection(path) for path in sorted(folder.glob("*.sql"))}


def _members(handlers: Sequence[Handler]) -> frozenset[str] | None:
    each = [handler.members for handler in handlers]
    known = [members for members in each if members is not None]
    return frozenset[str]().union(*known) if len(known) == len(each) else None


def _only(block: Block) -> tuple[str, re.Pattern[bytes]]:
    event, _, pattern = block.rest.partition(" ")
    return event, re.compile(pattern.encode("ascii"), re.DOTALL)


def _events(block: Block) -> Sequence[str]:
    return [word for word in block.rest.split() if word != "exactly"]
