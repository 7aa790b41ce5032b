"""What a push brings: each item read by itself, so that a bad one is refused alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID

import msgspec

from personakit.api import bodies
from personakit.api.problems import TooManyItems
from personakit_sdk import wire
from personakit_sdk.errors import Fault, InvalidInput
from personakit_sdk.rules import suggestion_id

MOST_ITEMS: Final = 500
_OF_ITEM: Final = {
    "observation": {"id": "/id", "personId": "/key", "occurredAt": "/occurredAt"},
    "feedback": {"id": "/id", "personaId": "/key", "occurredAt": "/occurredAt"},
}
"""Of each kind: the fields of its body that the item bears instead, and where."""
Told = wire.Observation | wire.Feedback


class _Push(wire.Request, frozen=True, kw_only=True):
    """A `wire.Push` of which the items are still to be read."""

    client_id: wire.ClientId
    items: list[msgspec.Raw]


def read_push(body: bytes) -> dict[UUID, wire.PushItem | InvalidInput]:
    """The items of a push by their ids, in its order, and what is wrong with those that are none.

    Raises Malformed and InvalidInput for a body that is no push or has an item without an id, TooManyItems
    beyond MOST_ITEMS.
    """
    raws = bodies.read(body, _Push).items
    if len(raws) > MOST_ITEMS:
        raise TooManyItems(f"A push has at most {MOST_ITEMS} items; this one has {len(raws)}. Send fewer.")
    items: dict[UUID, wire.PushItem | InvalidInput] = {}
    for number, raw in enumerate(raws):
        id_, item = _id(raw, number), _item(raw)
        items[id_] = _only_one(id_, items[id_], item) if id_ in items else item
    return items


def told_by(item: wire.PushItem) -> Told:
    """The observation or feedback, exactly as it would be posted. Raises InvalidInput for what is none, or
    could not be stored."""
    places = _OF_ITEM[item.kind]
    for name in places.keys() & item.body.keys():
        raise InvalidInput(
            f"The body has a field {name!r}, which stands in the item itself ({places[name]}); leave it out.",
            (Fault(f"/body/{name}", "stands in the item itself"),),
        )
    try:
        return _observation(item) if item.kind == "observation" else _feedback(item)
    except InvalidInput as error:
        raise InvalidInput(str(error), tuple(_in_item(fault, places) for fault in error.faults)) from None


def _id(raw: msgspec.Raw, number: int) -> UUID:
    id_ = bodies.id_in(raw)
    if id_ is None:
        raise InvalidInput(
            f"Item {number} has no id that can be read (a UUID), so that its fate could not be told.",
            (Fault(f"/items/{number}/id", "no UUID"),),
        )
    return id_


def _item(raw: msgspec.Raw) -> wire.PushItem | InvalidInput:
    try:
        bodies.require_small(raw)
        return bodies.read(raw, wire.PushItem)
    except InvalidInput as error:
        return error


def _only_one(
    id_: UUID, first: wire.PushItem | InvalidInput, again: wire.PushItem | InvalidInput
) -> wire.PushItem | InvalidInput:
    """An item that is there twice counts once. There is one place to tell the fate of an id, so of two that
    differ neither is taken."""
    if not isinstance(first, wire.PushItem) and not isinstance(again, wire.PushItem):
        return first
    if _canonical(first) == _canonical(again):
        return first
    return InvalidInput(
        f"Two items of this request have the id {id_} and differ, so neither is stored. Give each its own.",
        (Fault("/id", "not the only one"),),
    )


def _canonical(item: wire.PushItem | InvalidInput) -> bytes | None:
    return msgspec.json.encode(item, order="deterministic") if isinstance(item, wire.PushItem) else None


def _observation(item: wire.PushItem) -> wire.Observation:
    plain = {**item.body, "id": item.id, "personId": item.key, "occurredAt": item.occurred_at}
    return bodies.converted(plain, wire.Observation)


def _feedback(item: wire.PushItem) -> wire.Feedback:
    """A suggestion's id names its persona already, which has to be the item's."""
    plain = {**item.body, "id": item.id, "occurredAt": item.occurred_at}
    feedback = bodies.converted(plain, wire.Feedback)
    if feedback.suggestion_id is None:
        return msgspec.structs.replace(feedback, persona_id=item.key)
    of = suggestion_id.decode(feedback.suggestion_id).persona_id
    if of != item.key:
        raise InvalidInput(
            f"The suggestion was made for the persona {of!r}, and `key` is {item.key!r}.",
            (Fault("/personaId", "not the suggestion's persona"),),
        )
    return feedback


def _in_item(fault: Fault, places: Mapping[str, str]) -> Fault:
    """The fault where it is in the item."""
    name = fault.pointer.partition("/")[2]
    return Fault(places.get(name, f"/body{fault.pointer}"), fault.message)
