"""Suggestion ids: everything that feedback needs to find its rule again, in one opaque word.

An id is `sug_` and the base64url of a MessagePack list and its CRC-32. It is no secret and proves nothing:
whoever takes one checks the caller's rights to what it names.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import msgspec

from personakit_sdk.errors import InvalidInput

LONGEST: Final = 1024

_PREFIX: Final = "sug_"
_FORMAT: Final = 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_pack: Final = msgspec.msgpack.Encoder().encode
_Name = Annotated[str, msgspec.Meta(max_length=256)]
_Version = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Rank = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class SuggestionRef(msgspec.Struct, frozen=True, kw_only=True):
    """What a suggestion's id names; `rank` 1 was the best of its answer, `at` the instant in UTC."""

    persona_id: str
    mapper_id: str
    mapper_version: int
    rule_id: str
    rank: int
    at: datetime


class _Packed(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """`at` counts microseconds since 1970."""

    format: int
    persona_id: _Name
    mapper_id: _Name
    mapper_version: _Version
    rule_id: _Name
    rank: _Rank
    at: int


def encode(
    persona_id: str, mapper_id: str, mapper_version: int, rule_id: str, rank: int, at: datetime
) -> str:
    """The id; the same arguments give the same id. `at` must be timezone-aware."""
    microseconds = (at - _EPOCH) // _MICROSECOND
    return _encode(_Packed(_FORMAT, persona_id, mapper_id, mapper_version, rule_id, rank, microseconds))


def encode_all(
    persona_id: str, mapper_id: str, mapper_version: int, places: Iterable[tuple[str, int]], at: datetime
) -> list[str]:
    """The ids of the suggestions that one evaluation makes; of each, the rule's id and the rank."""
    microseconds = (at - _EPOCH) // _MICROSECOND
    return [
        _encode(_Packed(_FORMAT, persona_id, mapper_id, mapper_version, rule_id, rank, microseconds))
        for rule_id, rank in places
    ]


def _encode(packed: _Packed) -> str:
    body = _pack(packed)
    text = _PREFIX + urlsafe_b64encode(body + _checksum(body)).decode().rstrip("=")
    if len(text) > LONGEST:
        raise InvalidInput(
            f"The ids of persona, mapper and rule make a suggestion id of over {LONGEST} characters."
        )
    return text


def decode(text: str) -> SuggestionRef:
    """What `text` names. Raises InvalidInput for anything that `encode` did not make."""
    try:
        ref = _unpacked(text)
    except (ValueError, OverflowError, msgspec.DecodeError):
        ref = None
    if ref is None:
        shown = text[:40].encode(errors="backslashreplace").decode()
        raise InvalidInput(f"{shown!r} is no suggestion id, or is damaged; send it as it was received.")
    return ref


def _unpacked(text: str) -> SuggestionRef | None:
    if not text.startswith(_PREFIX) or len(text) > LONGEST:
        return None
    word = text.removeprefix(_PREFIX)
    data = urlsafe_b64decode(word + "=" * (-len(word) % 4))
    body, checksum = data[:-4], data[-4:]
    if checksum != _checksum(body):
        return None
    packed = msgspec.msgpack.decode(body, type=_Packed)
    if any("\x00" in name for name in (packed.persona_id, packed.mapper_id, packed.rule_id)):
        return None  # no id has it, and no database can be asked for it
    ref = SuggestionRef(
        persona_id=packed.persona_id,
        mapper_id=packed.mapper_id,
        mapper_version=packed.mapper_version,
        rule_id=packed.rule_id,
        rank=packed.rank,
        at=_EPOCH + packed.at * _MICROSECOND,
    )
    return ref if _encoded(ref) == text else None


def _encoded(ref: SuggestionRef) -> str:
    """Encoded anew, an id that base64 or MessagePack could write in two ways is told from the one that
    was made here."""
    return encode(ref.persona_id, ref.mapper_id, ref.mapper_version, ref.rule_id, ref.rank, ref.at)


def _checksum(body: bytes) -> bytes:
    return binascii.crc32(body).to_bytes(4, "big")
