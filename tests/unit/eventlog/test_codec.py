"""The codec: what was ever written is read for ever, and a seal opens with its key, at its place, only.

`tests/golden/events/<topic>.json` is a payload of each version of each event, with every field set. A new
version adds a file; none is ever changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from personakit.domain import events
from personakit.domain.events import EVENT_TYPES, UPCASTS, Event
from personakit.eventlog import codec
from personakit.eventlog.codec import SealBroken, UnknownTopic
from personakit.eventlog.person_keys import PersonKey
from personakit.eventlog.stored import StreamId

GOLDEN = Path(__file__).parents[2] / "golden"
TOPICS = [topic for name in EVENT_TYPES for topic in codec.topics_of(name)]


def golden(topic: str) -> bytes:
    return (GOLDEN / "events" / f"{topic}.json").read_bytes().rstrip(b"\n")


def test_every_version_of_every_event_has_a_golden_file_and_no_file_is_of_none() -> None:
    assert {path.stem for path in (GOLDEN / "events").iterdir()} == set(TOPICS)


@pytest.mark.parametrize("topic", TOPICS)
def test_a_golden_payload_is_still_read(topic: str) -> None:
    name = topic.partition(".")[0]
    event = codec.decode(topic, golden(topic))
    assert type(event) is EVENT_TYPES[name]
    assert codec.decode(codec.topic(type(event)), codec.encode(event)) == event


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_a_golden_payload_of_today_is_written_as_it_is_read_with_every_field_set(name: str) -> None:
    topic = codec.topic(EVENT_TYPES[name])
    event = codec.decode(topic, golden(topic))
    assert codec.encode(event) == golden(topic)
    assert set(msgspec.json.decode(golden(topic))) == {field.encode_name for field in fields(event)}
    for part in (event, *getattr(event, "traits", {}).values()):
        for field in fields(part):
            assert getattr(part, field.name) != field.default, f"{field.name} is as good as not set"


def fields(event: msgspec.Struct) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(type(event))


@pytest.mark.parametrize(
    "topic", ["PersonAbducted.1", "ObservationRecorded.3", "ObservationRecorded", "ObservationRecorded.x"]
)
def test_an_event_of_a_newer_release_is_said_to_be_one(topic: str) -> None:
    with pytest.raises(UnknownTopic, match=topic):
        codec.decode(topic, b"{}")


def test_a_field_that_the_event_does_not_have_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `mood`"):
        codec.decode("PersonRegistered.1", b'{"mood":4}')


class MoodNoted(Event, frozen=True, kw_only=True):
    """An event in its third shape, for tests only."""

    schema = 3
    mood: float
    scale: str


def of_version_1(content: dict[str, Any]) -> dict[str, Any]:
    """Its field was called `feeling`."""
    return {"mood": content["feeling"]}


def of_version_2(content: dict[str, Any]) -> dict[str, Any]:
    """There was one scale only."""
    return {**content, "scale": "1 to 5"}


@pytest.fixture
def _mood_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EVENT_TYPES, "MoodNoted", MoodNoted)
    monkeypatch.setitem(codec._decoders, "MoodNoted", msgspec.json.Decoder(MoodNoted))


MOOD_UPCASTS = {"MoodNoted.1": of_version_1, "MoodNoted.2": of_version_2}


@pytest.mark.usefixtures("_mood_noted")
@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("MoodNoted.1", b'{"feeling":4}'),
        ("MoodNoted.2", b'{"mood":4}'),
        ("MoodNoted.3", b'{"mood":4,"scale":"1 to 5"}'),
    ],
)
def test_an_older_shape_is_upcast_step_by_step(topic: str, payload: bytes) -> None:
    assert codec.decode(topic, payload, MOOD_UPCASTS) == MoodNoted(mood=4, scale="1 to 5")


@pytest.mark.usefixtures("_mood_noted")
def test_a_projection_is_given_todays_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    for topic, upcast in MOOD_UPCASTS.items():
        monkeypatch.setitem(UPCASTS, topic, upcast)
    today = b'{"mood":4.0,"scale":"1 to 5"}'
    assert codec.topics_of("MoodNoted") == ["MoodNoted.1", "MoodNoted.2", "MoodNoted.3"]
    assert codec.current_json("MoodNoted.1", b'{"feeling":4}') == today
    assert codec.current_json("MoodNoted.3", today) is today


def test_every_older_version_has_an_upcast() -> None:
    older = {topic for topic in TOPICS if topic != codec.topic(EVENT_TYPES[topic.partition(".")[0]])}
    assert set(events.UPCASTS) == older


class Place(msgspec.Struct, frozen=True):
    """Where something is sealed, and for whom."""

    key: bytes
    tenant: str
    kind: str
    stream: UUID
    version: int
    topic: str

    def seal(self, payload: bytes) -> bytes:
        return codec.seal(payload, PersonKey(self.key), self._stream, self.version, self.topic)

    def unseal(self, state: bytes) -> bytes:
        return codec.unseal(state, PersonKey(self.key), self._stream, self.version, self.topic)

    @property
    def _stream(self) -> StreamId:
        return StreamId(self.tenant, self.kind, self.stream)


TENANTS = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)
KINDS = st.sampled_from(["observation", "feedback", "mindscape", "persona", "derivation.computed"])
PLACES = st.builds(
    Place,
    key=st.binary(min_size=32, max_size=32),
    tenant=TENANTS,
    kind=KINDS,
    stream=st.uuids(),
    version=st.integers(1, 2**63 - 1),
    topic=st.sampled_from(TOPICS),
)
PAYLOADS = st.binary(max_size=200)


@given(PLACES, PAYLOADS)
def test_what_was_sealed_opens_and_shows_nothing_before(place: Place, payload: bytes) -> None:
    state = place.seal(payload)
    assert place.unseal(state) == payload
    assert len(state) == 1 + 12 + len(payload) + 16
    assert len(payload) < 8 or payload not in state


@given(PLACES, PAYLOADS)
def test_a_nonce_is_used_once(place: Place, payload: bytes) -> None:
    assert place.seal(payload) != place.seal(payload)


@given(PLACES, PLACES, st.sampled_from(Place.__struct_fields__), PAYLOADS)
def test_at_another_place_or_with_another_key_it_does_not_open(
    place: Place, other: Place, field: str, payload: bytes
) -> None:
    elsewhere = msgspec.structs.replace(place, **{field: getattr(other, field)})
    state = place.seal(payload)
    if elsewhere == place:
        assert elsewhere.unseal(state) == payload
    else:
        with pytest.raises(SealBroken):
            elsewhere.unseal(state)


@given(PLACES, PAYLOADS, st.data())
def test_with_any_bit_flipped_it_does_not_open(place: Place, payload: bytes, data: st.DataObject) -> None:
    state = bytearray(place.seal(payload))
    bit = data.draw(st.integers(0, 8 * len(state) - 1))
    state[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealBroken):
        place.unseal(bytes(state))


@given(PLACES, PAYLOADS, st.data())
def test_cut_short_or_never_sealed_it_does_not_open(
    place: Place, payload: bytes, data: st.DataObject
) -> None:
    state = place.seal(payload)
    for broken in (state[: data.draw(st.integers(0, len(state) - 1))], payload, b"\x01" + payload):
        with pytest.raises(SealBroken):
            place.unseal(broken)


def sealed() -> dict[str, Any]:
    """One payload as the first release sealed it: the format holds for as long as there are such logs."""
    text = (GOLDEN / "sealed" / "ObservationRecorded.1.json").read_bytes()
    return dict(msgspec.json.decode(text))


def test_what_the_first_release_sealed_still_opens() -> None:
    kept = sealed()
    place = msgspec.convert(kept["place"] | {"key": bytes.fromhex(kept["key"])}, Place)
    assert place.unseal(bytes.fromhex(kept["state"])) == golden("ObservationRecorded.1")


def test_what_the_first_release_sealed_is_plain_aes_gcm() -> None:
    """Said once more without the codec, as another program would open it."""
    kept = sealed()
    place, state = kept["place"], bytes.fromhex(kept["state"])
    associated = f"{place['tenant']}\n{place['kind']}\n{place['version']}\n{place['topic']}\n".encode()
    cipher = AESGCM(bytes.fromhex(kept["key"]))
    opened = cipher.decrypt(state[1:13], state[13:], associated + UUID(place["stream"]).bytes)
    assert (state[:1], opened) == (b"\x01", golden("ObservationRecorded.1"))


def test_a_digest_is_the_same_for_the_same_body_and_key_and_tells_no_other() -> None:
    class Sent(msgspec.Struct):
        b: int
        a: int

    ada, bo = PersonKey(bytes(32)), PersonKey(bytes([1] * 32))
    assert ada.digest(Sent(1, 2)) == "8e8526a406d058b46c4077b25899be81f8a79c8ede92e44ee0a04fee67586edf"
    assert ada.digest(Sent(1, 2)) != ada.digest(Sent(2, 1))
    assert ada.digest(Sent(1, 2)) != bo.digest(Sent(1, 2))
