"""Events to bytes and back. A topic is the event's name and the version of its shape.

What is about a person is sealed with that person's key: one byte that names the format, a random nonce of
12 bytes, and the JSON under AES-256-GCM, with tenant, stream, version and topic as associated data, so that
a row moved to another place in the log does not open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag

from personakit.domain.events import EVENT_TYPES, UPCASTS, Event
from personakit.eventlog import nonces
from personakit.eventlog.person_keys import PersonKey, PersonKeys
from personakit.eventlog.stored import LogNotification, StreamId

SEALED = b"\x01"
TAG = 16
"""Bytes of the tag that AES-GCM ends with."""

Upcasts = Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]

_encoder = msgspec.json.Encoder()
_decoders = {name: msgspec.json.Decoder(cls) for name, cls in EVENT_TYPES.items()}


class UnknownTopic(LookupError):
    """The log holds an event that this release does not know: it was written by a newer one."""


class SealBroken(ValueError):
    """A payload is not what was sealed at this place of the log, or not by this key."""


@cache
def topic(kind: type[Event]) -> str:
    """For example `ObservationRecorded.1`."""
    return f"{kind.__name__}.{kind.schema}"


def topics_of(name: str) -> list[str]:
    """The topics that events of this name have, or had in the past."""
    return [f"{name}.{version}" for version in range(1, EVENT_TYPES[name].schema + 1)]


def encode(event: Event) -> bytes:
    """The event as UTF-8 JSON."""
    return _encoder.encode(event)


def decode(topic: str, payload: bytes, upcasts: Upcasts = UPCASTS) -> Event:
    """The event that `encode` made, in today's shape. Raises UnknownTopic for one of a newer release."""
    name, _, version = topic.partition(".")
    current = EVENT_TYPES.get(name)
    if current is None or not version.isdigit() or int(version) > current.schema:
        raise UnknownTopic(f"The log holds an event {topic} that this release does not know.")
    if int(version) == current.schema:
        event: Event = _decoders[name].decode(payload)
        return event
    return msgspec.convert(_upcast(name, int(version), msgspec.json.decode(payload), upcasts), current)


def current_json(topic: str, payload: bytes) -> bytes:
    """The payload as a projection takes it: JSON in today's shape, what is not upcast as it stands."""
    name, _, version = topic.partition(".")
    known = EVENT_TYPES.get(name)
    if known is not None and version == str(known.schema):
        return payload
    return encode(decode(topic, payload))


def _upcast(name: str, version: int, content: dict[str, Any], upcasts: Upcasts) -> dict[str, Any]:
    for older in range(version, EVENT_TYPES[name].schema):
        content = upcasts[f"{name}.{older}"](content)
    return content


def seal(payload: bytes, key: PersonKey, stream: StreamId, version: int, topic: str) -> bytes:
    """The payload, to be opened with the same key at the same place only."""
    nonce = nonces.nonce()
    return SEALED + nonce + key.cipher.encrypt(nonce, payload, _place(stream, version, topic))


def unseal(state: bytes, key: PersonKey, stream: StreamId, version: int, topic: str) -> bytes:
    """What was sealed. Raises SealBroken for anything else."""
    if state[:1] != SEALED or len(state) < 1 + nonces.BYTES + TAG:
        raise SealBroken(f"Version {version} of {stream} is not sealed in a form that this release knows.")
    try:
        return key.cipher.decrypt(
            state[1 : 1 + nonces.BYTES], state[1 + nonces.BYTES :], _place(stream, version, topic)
        )
    except InvalidTag:
        raise SealBroken(f"Version {version} of {stream} does not open with its person's key.") from None


def open_state(stored: LogNotification, key: PersonKey | None) -> bytes:
    """The payload of an event as JSON; `key` is that of its person, None where it is about nobody."""
    if key is None:
        return stored.state
    return unseal(stored.state, key, stored.stream_id, stored.originator_version, stored.topic)


def read(stored: LogNotification, keys: PersonKeys) -> Event:
    """The event in a row of the log. Raises PersonErased for one that nothing opens any more."""
    return decode(stored.topic, open_state(stored, keys.of_event(stored)))


def _place(stream: StreamId, version: int, topic: str) -> bytes:
    return f"{stream.tenant}\n{stream.kind}\n{version}\n{topic}\n".encode() + stream.stream.bytes
