"""A receipt is genuine as it was signed, by the log that signed it, and in no other way."""

from __future__ import annotations

from base64 import b64decode, b64encode
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from personakit.eventlog.eraser import Erased
from personakit.eventlog.receipts import is_genuine, receipt_of

SECRET = bytes(range(32))
RECEIPT = receipt_of(
    Erased(
        erasure=UUID(int=1),
        person=UUID(int=2),
        personas=(UUID(int=3),),
        erased_at=datetime(2026, 3, 2, tzinfo=UTC),
        position=7,
        epoch=UUID(int=4),
    ),
    "zoë",
    SECRET,
)
SAID: dict[str, Any] = msgspec.to_builtins(RECEIPT)
ANYTHING = st.none() | st.integers(-5, 5) | st.text(max_size=5) | st.lists(st.text(max_size=5), max_size=2)


def said(**changed: Any) -> bytes:
    return msgspec.json.encode(SAID | changed)


def test_a_receipt_is_genuine_however_its_members_stand() -> None:
    assert is_genuine(msgspec.json.encode(RECEIPT), SECRET)
    backwards = dict(reversed(SAID.items()))
    assert is_genuine(msgspec.json.format(msgspec.json.encode(backwards), indent=2), SECRET)


@given(st.sampled_from([*SAID, "more"]), ANYTHING)
def test_what_was_changed_added_or_left_out_is_seen(member: str, value: object) -> None:
    if SAID.get(member, ...) != value:
        assert not is_genuine(said(**{member: value}), SECRET)
    left = {name: each for name, each in SAID.items() if name != member}
    assert is_genuine(msgspec.json.encode(left), SECRET) is (left == SAID)


def test_another_logs_signature_is_none() -> None:
    assert not is_genuine(said(), bytes(32))


@pytest.mark.parametrize("signature", ["", "é", "AAAA", "not base64!", SAID["signature"] + "\n", None, 7])
def test_what_is_no_signature_is_none(signature: object) -> None:
    assert not is_genuine(said(signature=signature), SECRET)


def test_one_bit_of_the_signature_counts() -> None:
    signature = bytearray(b64decode(SAID["signature"]))
    signature[9] ^= 1
    assert not is_genuine(said(signature=b64encode(signature).decode()), SECRET)
