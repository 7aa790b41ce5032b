"""A person's free text as a model is given it: as much as goes into one call, and the question about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, timedelta, timezone
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from personakit.agents.model import BYTES_PER_TOKEN, Ask
from personakit.domain.inference import Text, question
from personakit.domain.inference_prompt import INSTRUCTIONS, SCHEMA
from personakit.domain.mindscape import Mindscape
from personakit.projections.read import Snapshot

MOST_TEXTS = 500
MAX_OUTPUT = 4_000
"""Tokens, of which an answer with 20 traits takes half; the model's thinking counts too."""


class Stretch(NamedTuple):
    """Texts of one person that go into one call, and the position that whoever read them has read through."""

    texts: list[Text]
    through: int


def stretch(
    snapshot: Snapshot, query: str, tenant: str, person: UUID, after: int, through: int, call_tokens: int
) -> Stretch:
    """The first texts of a person after one position and up to another, by a query of `inference_due`."""
    whose = {"tenant": tenant, "person": person, "after": after, "through": through}
    rows = snapshot.rows(query, **whose, limit=MOST_TEXTS)
    taken = _fitting(rows, call_tokens)
    if len(taken) < len(rows) or len(rows) == MOST_TEXTS:
        through = taken[-1]["position"]
    return Stretch([_text(row, call_tokens) for row in taken], through)


def asking(mindscape: Mindscape, texts: Sequence[Text], owned: frozenset[str]) -> Ask:
    """What the model is asked about these texts of somebody."""
    told = question(mindscape, texts, owned)
    return Ask(instructions=INSTRUCTIONS, schema=SCHEMA, question=told, max_tokens=MAX_OUTPUT)


def _fitting(rows: Sequence[dict[str, Any]], tokens: int) -> list[dict[str, Any]]:
    """The first rows that go into one call; one at least."""
    taken: list[dict[str, Any]] = []
    for row in rows:
        tokens -= row["tokens"]
        if taken and tokens < 0:
            break
        taken.append(row)
    return taken


def _text(row: dict[str, Any], tokens: int) -> Text:
    """The observation of a row, its instant in the offset it came with; the begin of one that is too large
    for a call of its own."""
    offset = timezone(timedelta(seconds=row["utc_offset"])) if row["utc_offset"] else UTC
    content = row["content"]
    if row["tokens"] > tokens:
        content = {"begin": msgspec.json.encode(content).decode()[: tokens * BYTES_PER_TOKEN]}
    return Text(row["id"], row["type"], content, row["occurred_at"].astimezone(offset))
