"""Request bodies: decoded strictly, every fault with a pointer, and nothing taken that cannot be kept."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from litestar import Request
from litestar.exceptions import ClientException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge

from personakit_sdk import wire
from personakit_sdk.errors import Fault, InvalidInput
from personakit_sdk.storable import escape, unstorable

T = TypeVar("T")

MAX_BODY = 1024 * 1024
MAX_ITEM = 256 * 1024
_PATH = re.compile(r" - at `\$(.*)`$")
_FIELD = re.compile(r"(?:unknown|required) field `([^`]*)`")
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = re.compile(rb"[:,\[]\s*-?\d{19}")
_NESTED = frozenset({dict, list})
_ZERO = timedelta()
_MOST_OFFSET = timedelta(hours=16)
_observation = msgspec.json.Decoder(wire.Observation)
_observations = msgspec.json.Decoder(list[wire.Observation])
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")


class Malformed(InvalidInput):
    """A body that is not JSON at all."""


def decode(body: bytes | msgspec.Raw, type_: type[T]) -> T:
    """The body as a `type_`. Raises Malformed for what is not JSON, InvalidInput for what is not a
    `type_` or could not be stored (NUL, depth over MAX_DEPTH, numbers beyond int64 or double)."""
    return _storable(read(body, type_))


def read(body: bytes | msgspec.Raw, type_: type[T]) -> T:
    """As `decode`, for what is not stored as it is: it may hold anything that is JSON."""
    try:
        return msgspec.json.decode(body, type=type_)
    except msgspec.ValidationError as error:
        raise _invalid(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(
            f"The body is not JSON that can be read: {error}. Check quotes and brackets."
        ) from None


def converted(plain: dict[str, Any], type_: type[T]) -> T:
    """As `decode`, for what was read from JSON and put together anew."""
    try:
        return _storable(msgspec.convert(plain, type_))
    except msgspec.ValidationError as error:
        raise _invalid(error) from None


def _storable(value: T) -> T:
    _refuse(*unstorable(msgspec.to_builtins(value)), *_out_of_time(value))
    return value


def checked(plain: dict[str, Any], type_: type[T], doubtful: str) -> T:
    """What would be `plain` in JSON, as `decode` takes it. Of its members only the one called `doubtful` may
    hold what could not be stored; the others were words of an address."""
    try:
        value = msgspec.convert(plain, type_)
    except msgspec.ValidationError as error:
        raise _invalid(error) from None
    _refuse(*unstorable(plain[doubtful], f"/{doubtful}", 1), *_out_of_time(value))
    return value


def storable(text: str, name: str) -> str:
    """The word of an address that is called `name`. Raises InvalidInput for one that could not be stored."""
    _refuse(*unstorable(text, f"/{name}"))
    return text


def _invalid(error: msgspec.ValidationError) -> InvalidInput:
    fault = _fault(str(error))
    return InvalidInput(f"The body is not valid{_where(fault)}: {fault.message}.", (fault,))


def _refuse(*faults: Fault) -> None:
    if faults:
        raise InvalidInput(f"The body cannot be stored{_where(faults[0])}: {faults[0].message}.", faults)


async def read_body(request: Request[Any, Any, Any]) -> bytes:
    """The body of a request. Raises RequestEntityTooLarge beyond MAX_BODY bytes, as Litestar does.

    For the routes that are asked most: Litestar's own way costs a good part of what they take.
    """
    parts: list[bytes] = []
    size = 0
    while True:
        event = await request.receive()
        if event["type"] != "http.request":
            raise ClientException("The connection ended before the body did.")
        parts.append(event["body"])
        size += len(parts[-1])
        if size > MAX_BODY:
            raise RequestEntityTooLarge
        if not event.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


class TooLarge(InvalidInput):
    """One item is larger than may be stored."""


def decode_item(body: bytes | msgspec.Raw, type_: type[T]) -> T:
    """Like `decode`, for what is stored as one event. Raises TooLarge beyond MAX_ITEM bytes."""
    require_small(body)
    return decode(body, type_)


def require_small(body: bytes | msgspec.Raw) -> None:
    """Raises TooLarge beyond MAX_ITEM bytes."""
    size = len(memoryview(body))
    if size > MAX_ITEM:
        raise TooLarge(f"This has {size} bytes; one item may have {MAX_ITEM}. Send less, or in parts.")


def plain_observations(body: bytes) -> list[wire.Observation] | None:
    """The observations of a JSON array, read in one go; None where anything is unusual.

    Then the items are to be read one by one, which says of each what is wrong with it, if anything is. A
    short array of plain content is what nearly every caller sends; nothing is taken here that would be
    refused there.
    """
    if len(body) > MAX_ITEM or _is_unusual(body):
        return None
    try:
        items = _observations.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return items if all(map(_is_plain, items)) else None


def plain_observation(body: bytes) -> wire.Observation | None:
    """As `plain_observations`, for one."""
    if len(body) > MAX_ITEM or _is_unusual(body):
        return None
    try:
        item = _observation.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return item if _is_plain(item) else None


def _is_unusual(body: bytes) -> bool:
    """Whether there is an escaped character, which may be a NUL or half of a pair, or a number of so many
    digits that it may be beyond 64 bits. Texts have such runs of digits too: then it is looked closer."""
    if b"\\u" in body:
        return True
    return b"0" * 19 in body.translate(_DIGITS) and _LONG_NUMBER.search(body) is not None


def _is_plain(item: wire.Observation) -> bool:
    """Nothing nested deeper than a list in its content, and one instant, of an ordinary year."""
    return (
        item.metadata is None
        and item.expires_at is None
        and 2 <= item.occurred_at.year <= 9998
        and abs(item.occurred_at.utcoffset() or _ZERO) < _MOST_OFFSET
        and not any(
            type(member) is dict or (type(member) is list and any(type(m) in _NESTED for m in member))
            for member in item.content.values()
        )
    )


class _Identified(msgspec.Struct):
    id: UUID


_identified = msgspec.json.Decoder(_Identified)


def decode_items(body: bytes) -> list[msgspec.Raw]:
    """The members of a JSON array, each still to be decoded. Raises Malformed."""
    try:
        return msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"The body is not a JSON array that can be read: {error}.") from None


def id_in(raw: msgspec.Raw) -> UUID | None:
    """The `id` of an object that may be wrong in every other way."""
    try:
        return _identified.decode(raw).id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _out_of_time(value: Any) -> list[Fault]:
    """Instants that PostgreSQL or a calendar library could not turn into another offset."""
    if not isinstance(value, msgspec.Struct):
        return []
    found_in = [getattr(value, name) for name in value.__struct_fields__]
    return [
        Fault(f"/{wire_name}", "an instant before the year 2, after 9998, or 16 hours or more from UTC")
        for found, wire_name in zip(found_in, value.__struct_encode_fields__, strict=True)
        if isinstance(found, datetime)
        and (not 2 <= found.year <= 9998 or abs(found.utcoffset() or _ZERO) >= _MOST_OFFSET)
    ]


def _fault(message: str) -> Fault:
    """msgspec's message, its path turned into a pointer to the very field."""
    path = _PATH.search(message)
    text = message[: path.start()] if path else message
    steps = _STEP.findall(path[1]) if path else []
    field = _FIELD.search(text)
    names = [escape(name or index) for name, index in steps] + ([escape(field[1])] if field else [])
    return Fault("".join(f"/{name}" for name in names), text[0].lower() + text[1:])


def _where(fault: Fault) -> str:
    return f" at {fault.pointer}" if fault.pointer else ""
