"""Events to bytes and back. A topic is the event's name and the version of its shape."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import msgspec

from personakit.domain.events import EVENT_TYPES, Event

_encoder = msgspec.json.Encoder()
_decoders: dict[str, msgspec.json.Decoder[Any]] = {
    f"{name}.{cls.schema}": msgspec.json.Decoder(cls) for name, cls in EVENT_TYPES.items()
}


class UnknownTopic(LookupError):
    """The log holds an event that this release does not know: it was written by a newer one."""


def topic_of(event: Event) -> str:
    """For example `ObservationRecorded.1`."""
    return f"{type(event).__name__}.{event.schema}"


def encode(event: Event) -> bytes:
    """The event as UTF-8 JSON."""
    return _encoder.encode(event)


def decode(topic: str, state: bytes) -> Event:
    """The event that `encode` made. Raises UnknownTopic for one of a newer release."""
    decoder = _decoders.get(topic)
    if decoder is None:
        raise UnknownTopic(f"The log holds an event {topic} that this release does not know.")
    event: Event = decoder.decode(state)
    return event


def digest(key: bytes, sent: msgspec.Struct) -> str:
    """HMAC-SHA-256, under a person's key, of the canonical JSON of what a client sent."""
    return hmac.new(key, msgspec.json.encode(sent, order="deterministic"), hashlib.sha256).hexdigest()
