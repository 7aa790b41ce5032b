"""Plain JSON values: a checked copy of what was sent, and one order for the keys of what is answered."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, TypeGuard

from personakit_sdk.errors import DocumentInvalid, Fault
from personakit_sdk.rules.limits import Limits

INT64: Final = range(-(2**63), 2**63)
FAULTS_KEPT: Final = 100
_WRITTEN_OUT: Final = 1e16
"""From here on a double is encoded with an exponent, and without a decimal point it comes back."""
_SCALARS: Final = frozenset({str, int, float, bool, type(None)})


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether a plain value is a list."""
    return isinstance(value, list)


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether a plain value is an object."""
    return isinstance(value, dict)


def plain(value: Any, what: str, limits: Limits, pointer: str = "") -> Any:
    """A deep copy of `value` made of dict, list, str, int, float, bool and None only.

    Raises DocumentInvalid, naming the document by `what`, for anything that JSON or the database could
    not hold: other types, NaN and infinities, numbers beyond int64, NUL and lone surrogates, more than
    `limits.nesting` levels, more than `limits.document_bytes` of JSON (shared parts count each time).
    """
    copier = _Copier(what, limits)
    copy = copier.copy(value, pointer, 0)
    if copier.faults:
        raise DocumentInvalid(what, tuple(copier.faults))
    return copy


def pointer_to(parent: str, key: str | int) -> str:
    """The RFC 6901 JSON pointer of `key` in what `parent` points at."""
    return f"{parent}/{str(key).replace('~', '~0').replace('/', '~1')}"


def ordered(value: Any) -> Any:
    """`value` with the keys of every object in it sorted, so that equal values encode to equal bytes."""
    if type(value) in _SCALARS:
        return value
    if is_object(value):
        return {key: ordered(value[key]) for key in sorted(value)}
    if is_list(value):
        return [ordered(item) for item in value]
    return value


def _is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def _is_sequence(value: object) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    return isinstance(value, list | tuple)


class _Copier:
    """Copies one document; `left` is what remains of its size, in bytes."""

    def __init__(self, what: str, limits: Limits) -> None:
        self.what = what
        self.limits = limits
        self.left = limits.document_bytes
        self.faults: list[Fault] = []

    def copy(self, value: Any, pointer: str, depth: int) -> Any:
        match value:
            case str():
                return self._text(value, pointer)
            case None | bool():
                self._spend(4)
                return value
            case int() | float():
                return self._number(value, pointer)
            case _:
                return self._container(value, pointer, depth)

    def _container(self, value: Any, pointer: str, depth: int) -> Any:
        if depth >= self.limits.nesting:
            return self._fault(pointer, f"it is nested more than {self.limits.nesting} levels deep")
        if _is_mapping(value):
            return self._object(value, pointer, depth)
        if _is_sequence(value):
            return self._list(value, pointer, depth)
        return self._fault(pointer, f"a {type(value).__name__} is not a JSON value")

    def _list(self, value: list[Any] | tuple[Any, ...], pointer: str, depth: int) -> list[Any]:
        self._spend(2 + len(value))
        return [self.copy(item, pointer_to(pointer, i), depth + 1) for i, item in enumerate(value)]

    def _object(self, value: Mapping[Any, Any], pointer: str, depth: int) -> dict[str, Any]:
        self._spend(2 + 2 * len(value))
        copied: dict[str, Any] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                self._fault(pointer, f"the key {key!r} is not a text")
                continue
            at = pointer_to(pointer, key)
            copied[self._text(key, at)] = self.copy(item, at, depth + 1)
        return copied

    def _text(self, value: str, pointer: str) -> str:
        self._spend(2 + len(value))
        if "\x00" in value:
            self._fault(pointer, "a text must not contain NUL")
        elif not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            self._fault(pointer, "a text must not contain half of a surrogate pair")
        return value

    def _number(self, value: float, pointer: str) -> Any:
        """A database writes 1e16 and 1e20 out in digits, and must get the same document back: a double of
        so many digits is the integer where that fits int64, and an integer beyond is the double that
        holds it exactly."""
        self._spend(1)
        if isinstance(value, int):
            return value if value in INT64 else self._large(value, pointer)
        if not math.isfinite(value):
            return self._fault(pointer, f"{value} is not a number that JSON has")
        if abs(value) >= _WRITTEN_OUT and int(value) in INT64:
            return int(value)
        return value + 0.0  # -0.0 becomes 0.0, as it does in the database

    def _large(self, value: int, pointer: str) -> Any:
        if value.bit_length() <= 1023 and float(value) == value:
            return float(value)
        return self._fault(pointer, "an integer must lie between -2^63 and 2^63 - 1")

    def _spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            largest = self.limits.document_bytes
            message = f"it is larger than {largest} bytes; split it into several"
            raise DocumentInvalid(self.what, (*self.faults, Fault("", message)))

    def _fault(self, pointer: str, message: str) -> None:
        if len(self.faults) < FAULTS_KEPT:
            self.faults.append(Fault(pointer, message))
