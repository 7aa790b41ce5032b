"""The tests that a computed-trait document brings along, as they are written: what is observed, and which
traits are expected of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from personakit_sdk.rules.node import Node, take, take_list, take_object
from personakit_sdk.rules.operators import instant

FIRST_AT: Final = datetime(2026, 1, 5, 9, tzinfo=UTC)
"""When the first observation of a test occurred where it does not say: a Monday, nine o'clock in UTC."""
APART: Final = timedelta(hours=1)
"""How long after the one before an observation occurred that does not say when."""
MOST_OBSERVED: Final = 1000


class Given(msgspec.Struct, frozen=True):
    """One observation of a test."""

    type: str
    content: dict[str, Any]
    occurred_at: datetime


class Case(msgspec.Struct, frozen=True):
    """One test. Of an expected object only the keys that are given count; None expects no such trait."""

    name: str
    observations: tuple[Given, ...]
    traits: Mapping[str, Any]


def read_case(node: Node, observes: str) -> Case:
    """`{name, given: {observations: [{content, occurredAt, type}]}, expect: {traits: {path: value}}}`.

    An observation is of the type that the document `observes` unless it says another one.
    """
    fields = node.fields(("name", "given", "expect"), ("name", "given", "expect"))
    given = take_object(fields, "given", lambda each: each.fields(("observations",), ("observations",)))
    expect = take_object(fields, "expect", lambda each: each.fields(("traits",), ("traits",)))
    traits = take_object(expect, "traits", Node.entries)
    return Case(
        name=take(fields, "name", Node.text, ""),
        observations=tuple(take_list(given, "observations", lambda each: _read_observations(each, observes))),
        traits={path: expected.value for path, expected in traits.items()},
    )


def _read_observations(node: Node, observes: str) -> list[Given]:
    read: list[Given] = []
    for each in node.items(at_most=MOST_OBSERVED):
        default = read[-1].occurred_at + APART if read else FIRST_AT
        read.append(_read_observation(each, observes, default))
    return read


def _read_observation(node: Node, observes: str, default: datetime) -> Given:
    fields = node.fields(("content", "occurredAt", "type"), ("content",))
    content = fields.get("content")
    if content is not None:
        content.entries()
    return Given(
        type=take(fields, "type", Node.text, observes),
        content=content.value if content is not None and isinstance(content.value, dict) else {},
        occurred_at=take(fields, "occurredAt", _read_instant, default),
    )


def _read_instant(node: Node) -> datetime:
    found = instant(node.value)
    if found is None:
        node.fault("it must be an instant with an offset, as in 2026-03-02T09:00:00+01:00")
    return found or FIRST_AT
