"""What an application says, checked at the call: a fault that is found here is none that somebody has to
look for in the dead letters."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from personakit_sdk import wire
from personakit_sdk.errors import InvalidInput
from personakit_sdk.mapping import suggestion_of
from personakit_sdk.storable import unstorable

T = TypeVar("T")
Said = Mapping[str, Any]
"""Arguments by the names that they have in JSON; None is what was not said."""
_OF_ITEM: Final = frozenset({"id", "personId", "personaId", "occurredAt"})
"""What stands in an item itself, and not in its body."""


class Told(msgspec.Struct, frozen=True):
    """What an item is to be made of; without an id it gets one."""

    kind: wire.ItemKind
    key: str
    occurred_at: datetime
    body: dict[str, Any]
    id: UUID | None


def observation(said: Said) -> Told:
    """An observation. Raises InvalidInput."""
    sent = _checked(said, wire.Observation)
    return Told("observation", sent.person_id, sent.occurred_at, _body(sent), sent.id)


def feedback(said: Said, now: datetime) -> Told:
    """Feedback, of now unless it says when. Raises InvalidInput, also for what says too little."""
    sent = _checked(said, wire.Feedback)
    return Told("feedback", _about(sent), sent.occurred_at or now, _body(sent), sent.id)


def question(said: Said) -> wire.MapPersona:
    """What is asked of a mapper, its context as the service would read it. Raises InvalidInput."""
    asked = _checked(said, wire.MapPersona)
    return msgspec.structs.replace(asked, context=_as_json(asked.context))


def _checked(said: Said, shape: type[T]) -> T:
    given = {name: value for name, value in said.items() if value is not None}
    try:
        return msgspec.convert(given, shape)
    except (msgspec.ValidationError, TypeError) as error:
        raise InvalidInput(f"This is no {shape.__name__}: {error}.") from error


def _body(sent: msgspec.Struct) -> dict[str, Any]:
    """What an item's body says. Raises InvalidInput for what no service could store."""
    try:
        told: dict[str, Any] = msgspec.to_builtins(sent)
    except TypeError as error:
        raise InvalidInput(f"This cannot be written as JSON: {error}.") from error
    body = {name: value for name, value in told.items() if name not in _OF_ITEM}
    _require_storable(body)
    return body


def _as_json(context: dict[str, Any]) -> dict[str, Any]:
    """A tuple is a list, and an instant a text: the engine sees what it would see at the service."""
    if not context:
        return context
    try:
        read: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(context))
    except (TypeError, UnicodeError, msgspec.DecodeError) as error:
        raise InvalidInput(f"The context cannot be written as JSON: {error}.") from error
    _require_storable(context)
    return read


def _require_storable(value: Any) -> None:
    faults = unstorable(value)
    if faults:
        raise InvalidInput(
            f"What is at {faults[0].pointer} cannot be kept: {faults[0].message}.", tuple(faults)
        )


def _about(sent: wire.Feedback) -> str:
    """The persona that feedback is about. Raises InvalidInput for feedback that says too little."""
    if (sent.helpful, sent.rating, sent.outcome) == (None, None, None):
        raise InvalidInput("Feedback says `helpful`, `rating` or `outcome`; this says none of them.")
    if sent.suggestion_id is not None:
        return suggestion_of(sent, sent.suggestion_id).persona_id
    if sent.mapper_id is None or sent.rule_id is None or sent.persona_id is None:
        raise InvalidInput("Feedback names its suggestion by its id, or by mapper, rule and persona.")
    return sent.persona_id
