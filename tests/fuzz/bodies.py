"""Targets: bodies, and what stands in addresses and headers: cursors, ids, exposures, tags."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, Final, cast
from uuid import UUID

import msgspec
from hypothesis import strategies as st

from personakit.agents.service import Service
from personakit.api import bodies
from personakit.api.as_of import resolve
from personakit.api.etags import tags_in
from personakit.api.map_query import context_of
from personakit.api.observations import _items, _plain_items
from personakit.api.problems import CursorExpired, EpochChanged, ScopeChanged, problem_of
from personakit.api.sync.cursor import Cursor, decode_cursor, encode_cursor
from personakit.api.sync.pushed import read_push, told_by
from personakit.api.sync.scope import Scope
from personakit.domain import exposure
from personakit.domain.exposure import ExposureInvalid
from personakit.domain.inference import read_answer
from personakit.domain.model_output import MalformedAnswer
from personakit_sdk import wire
from personakit_sdk.errors import InvalidInput
from personakit_sdk.rules import suggestion_id
from personakit_sdk.storable import unstorable
from personakit_sdk.transport import Reply, ServiceError, service_error
from tests.fuzz.hostile import encoded, repeated, spoilt, texts, values, words
from tests.fuzz.target import target

NOW: Final = datetime(2026, 3, 2, 9, tzinfo=UTC)
SECRET: Final = bytes(32)
EPOCH: Final = UUID(int=1)
OBSERVATION: Final[dict[str, Any]] = {
    "id": str(UUID(int=7)),
    "personId": "ada",
    "type": "note",
    "content": {"text": "x", "minutes": 5, "list": [1, [2]]},
    "occurredAt": "2026-03-02T09:00:00Z",
    "expiresAt": "2027-03-02T09:00:00Z",
    "metadata": {"a": 1},
    "source": "test",
    "supersedes": str(UUID(int=8)),
}
SUGGESTION: Final = suggestion_id.encode("ada", "focus", 1, "always", 1, NOW)
FEEDBACK: Final[dict[str, Any]] = {
    "id": str(UUID(int=9)),
    "suggestionId": SUGGESTION,
    "exposure": "x",
    "helpful": True,
    "rating": 5,
    "outcome": "accepted",
    "comment": "c",
    "occurredAt": "2026-03-02T09:00:00Z",
    "mapperId": "focus",
    "ruleId": "always",
    "personaId": "ada",
}
PUSH: Final[dict[str, Any]] = {
    "clientId": "c",
    "items": [
        {
            "id": str(UUID(int=number)),
            "kind": kind,
            "key": "ada",
            "occurredAt": "2026-03-02T09:00:00Z",
            "schema": 1,
            "body": body,
        }
        for number, (kind, body) in enumerate(
            [
                ("observation", {"type": "note", "content": {"a": 1}}),
                ("feedback", {"suggestionId": SUGGESTION, "helpful": True}),
            ]
        )
    ],
}
MAP: Final[dict[str, Any]] = {
    "mapperId": "focus",
    "personaId": "ada",
    "context": {"a": 1},
    "at": "2026-03-02T09:00:00Z",
    "timezone": "Europe/Berlin",
    "detailLevel": "balanced",
    "limit": 5,
}
SENT: Final[dict[type[msgspec.Struct], dict[str, Any]]] = {
    wire.Observation: OBSERVATION,
    wire.Feedback: FEEDBACK,
    wire.MapPersona: MAP,
    wire.Push: PUSH,
    wire.PushItem: PUSH["items"][0],
    wire.PinTrait: {"value": [1, {"a": 2}], "reason": "so", "volatility": "low"},
    wire.DefinePersona: {"name": "Team", "people": ["ada"], "uses": ["work.*"]},
    wire.CreateKey: {"name": "k", "scopes": ["read"], "people": ["ada"], "expiresAt": "2027-03-02T09:00:00Z"},
    wire.KeyRate: {"requests": 5.0, "items": 50},
    wire.RotateKey: {"overlapSeconds": 60},
    wire.RuleWeight: {"weight": 1.5, "change": 0.5, "reason": "so"},
    wire.AdjustWeights: {"action": "freeze", "rules": ["r"], "reason": "so", "weights": {"r": 1.5}},
    wire.ChangeConsent: {"purposes": ["wellbeing"], "reason": "so"},
    wire.SetConsentPolicy: {"policy": "required", "reason": "so"},
}
"""Of every body a whole one."""
KINDS: Final = [each for each in wire.Request.__subclasses__() if each.__module__ == wire.__name__]
PIECES: Final = (*'[]{}",:1- ', "\n", '{"a":', "[[", "e9", "\\u0000", "\\ud800")
SERVICE: Final = cast("Service", SimpleNamespace(secret=SECRET, epoch=EPOCH, past=SimpleNamespace()))
SCOPE: Final = Scope("default", (), None)
GONE: Final = (CursorExpired, EpochChanged, ScopeChanged)
raw = st.one_of(repeated(PIECES).map(lambda text: text.encode(errors="replace")), st.binary(max_size=200))


def whole(body: bytes) -> str:
    """A text as an address may have it."""
    return body.decode(errors="replace")


@target(st.tuples(st.sampled_from(KINDS), raw), InvalidInput)
def any_body(given: tuple[type[msgspec.Struct], bytes]) -> None:
    """Bytes where a body is expected."""
    bodies.decode(given[1], given[0])


@target(
    st.sampled_from(KINDS).flatmap(lambda kind: st.tuples(st.just(kind), encoded(spoilt(SENT[kind])))),
    InvalidInput,
)
def a_body(given: tuple[type[msgspec.Struct], bytes]) -> None:
    """A body that is nearly right: what is taken can be stored."""
    taken = bodies.decode(given[1], given[0])
    assert unstorable(msgspec.to_builtins(taken)) == []


@target(encoded(st.lists(spoilt(OBSERVATION), min_size=1, max_size=3)) | raw, InvalidInput)
def a_batch(body: bytes) -> None:
    """Observations in an array: the quick way takes nothing that the slow one would refuse."""
    quick = _plain_items(body, "application/json")
    slow = _items(body, "application/json")
    assert quick is None or quick == slow


@target(
    st.lists(encoded(spoilt(OBSERVATION)) | raw, max_size=5).map(b"\n".join) | st.just(b"{}\n" * 60_000),
    InvalidInput,
)
def lines_of_json(body: bytes) -> None:
    """Observations as NDJSON, each told its own fault."""
    for item in _items(body, "application/x-ndjson"):
        if isinstance(item, tuple):
            problem_of(item[1])


@target(encoded(spoilt(PUSH)) | raw, InvalidInput)
def a_push(body: bytes) -> None:
    """What a client kept while it was offline."""
    for item in read_push(body).values():
        if isinstance(item, wire.PushItem):
            _told(item)


@target(encoded(values).map(whole) | raw.map(whole), InvalidInput)
def a_context(text: str) -> None:
    """The context of a question, as a parameter."""
    context_of(text)


def _sealed(fields: list[Any]) -> str:
    body = msgspec.msgpack.encode(fields)
    crc = binascii.crc32(body).to_bytes(4, "big")
    return "sug_" + base64.urlsafe_b64encode(body + crc).decode().rstrip("=")


numbers = st.one_of(
    st.integers(-(2**63), 2**64 - 1), st.sampled_from([2**31 - 1, 2**31, 2**63 - 1, 2**64 - 1])
)
names = st.one_of(st.sampled_from(["ada", "~", "a\x00b", "x" * 256, ""]), st.text(max_size=20))
forged = st.builds(
    lambda *fields: _sealed(list(fields)), st.just(1), names, names, numbers, names, numbers, numbers
)


@target(forged | texts | repeated(("sug_", "A", "=", "-", "_")), InvalidInput)
def a_suggestion_id(text: str) -> None:
    """An id that was made up: what it names can be asked of a database, and stored in one."""
    ref = suggestion_id.decode(text)
    assert ref.rank < 2**31
    assert ref.mapper_version < 2**63
    assert unstorable(msgspec.to_builtins(ref)) == []


@target(
    st.one_of(
        st.binary(max_size=100).map(lambda data: base64.urlsafe_b64encode(data).decode()),
        texts,
        repeated(("A", "=", "-", "é")),
    ),
    ExposureInvalid,
)
def an_exposure(text: str) -> None:
    """An exposure that was made up."""
    exposure.decode(SECRET, "default", SUGGESTION, text)
    raise AssertionError("It was taken, and nobody here signed it.")


def forged_cursor(content: bytes) -> str:
    """A cursor that says this, and is not signed."""
    return base64.urlsafe_b64encode(bytes(16) + content).decode().rstrip("=")


@target(
    st.one_of(
        encoded(spoilt([1, str(EPOCH), "default", SCOPE.hash, "changes", 7, None, 1, None])).map(
            forged_cursor
        ),
        raw.map(forged_cursor),
        texts,
    ),
    *GONE,
)
def a_cursor(text: str) -> None:
    """A cursor that was made up: none that was not signed here is one of this log."""
    decode_cursor(text, SERVICE, SCOPE, NOW)
    raise AssertionError("It was taken, and nobody here signed it.")


@target(
    st.tuples(st.integers(0, 2**63 - 1), texts, texts, st.integers(0, 150), st.sampled_from("Ab_-=")), *GONE
)
def an_altered_cursor(given: tuple[int, str, str, int, str]) -> None:
    """A cursor of which one character is another."""
    position, kind, entity, place, character = given
    if unstorable([kind, entity]):
        return
    made = Cursor(
        epoch=EPOCH,
        tenant="default",
        scope=SCOPE.hash,
        mode="changes",
        position=position,
        append_id=None,
        issued=int(NOW.timestamp()),
        after=(kind, entity),
    )
    text = encode_cursor(made, SECRET)
    altered = text[:place] + character + text[place + 1 :]
    assert altered == text or decode_cursor(altered, SERVICE, SCOPE, NOW) == made


@target(repeated(('"', "W/", 'W/"', ",", " ", "*", "a", '"a",')) | texts)
def tags(header: str) -> None:
    """What `If-Match` lists."""
    tags_in(header)


_times = repeated(("2026", "-", "03", ":", "+", "T", "Z", ".", "0"))


@target(words | _times.map(lambda text: whole(text.encode(errors="replace"))), InvalidInput)
def as_of(text: str) -> None:
    """A state of the log by a time; one that is told by a position asks the log."""
    if not text.isdigit():
        service = cast("Service", SimpleNamespace(past=SimpleNamespace(at_instant=lambda at: at)))
        resolve(service, text, NOW)


PROPOSED: Final = {
    "path": "a.b",
    "value": "x",
    "confidence": 0.5,
    "volatility": "low",
    "evidence": ["x"],
    "reason": "r",
}


@target(encoded(spoilt({"traits": [PROPOSED]})).map(whole) | texts | raw.map(whole), MalformedAnswer)
def an_answer_of_a_model(text: str) -> None:
    """What a model answers, who may be anybody by now."""
    read_answer(text)


@target(
    st.tuples(
        st.integers(200, 599),
        st.dictionaries(st.sampled_from(["retry-after", "date", "content-type"]), texts),
        raw,
    ),
    ServiceError,
)
def an_answer_of_a_service(given: tuple[int, dict[str, str], bytes]) -> None:
    """What comes back to an SDK, from whomever."""
    reply = Reply(*given)
    assert 0 <= reply.retry_after <= 86_400
    service_error("http://127.0.0.1", reply)
    reply.decode(wire.SyncAnswer)


def _told(item: wire.PushItem) -> None:
    try:
        told = told_by(item)
    except InvalidInput as refused:
        problem_of(refused)
    else:
        assert unstorable(msgspec.to_builtins(told)) == []
