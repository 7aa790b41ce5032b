"""A place in a document that is being read: its value, its JSON pointer, and the faults found so far."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeVar

from personakit_sdk.errors import DocumentInvalid, Fault
from personakit_sdk.rules.limits import DEFAULT_LIMITS, Limits
from personakit_sdk.rules.plain import FAULTS_KEPT, is_list, is_object, plain, pointer_to

_T = TypeVar("_T")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the closest of `known`, or nothing where none is close."""
    close = difflib.get_close_matches(word[:64], list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def take(fields: dict[str, Node], key: str, read: Callable[[Node], _T], default: _T) -> _T:
    """What `read` makes of a field, or the default where the field was not given."""
    return read(fields[key]) if key in fields else default


def take_list(fields: dict[str, Node], key: str, read: Callable[[Node], list[_T]]) -> list[_T]:
    """As `take`, with an empty list as the default."""
    return read(fields[key]) if key in fields else []


def take_object(fields: dict[str, Node], key: str, read: Callable[[Node], dict[str, _T]]) -> dict[str, _T]:
    """As `take`, with an empty object as the default."""
    return read(fields[key]) if key in fields else {}


class Node:
    """What a place should hold is asked for by a method; where it does not, the fault is noted and a
    value of the asked type comes back, so that one reading finds every fault of a document.
    """

    __slots__ = ("faults", "limits", "pointer", "value")

    def __init__(self, value: Any, pointer: str, faults: list[Fault], limits: Limits) -> None:
        self.value = value
        self.pointer = pointer
        self.faults = faults
        self.limits = limits

    @classmethod
    def root(cls, value: Any, what: str, pointer: str = "", limits: Limits = DEFAULT_LIMITS) -> Node:
        """The top of a document; raises DocumentInvalid for one that is not plain JSON (see `plain`)."""
        return cls(plain(value, what, limits, pointer), pointer, [], limits)

    def refuse_faults(self, what: str) -> None:
        """Raises DocumentInvalid with all faults found so far, if any."""
        if self.faults:
            raise DocumentInvalid(what, tuple(self.faults))

    def fault(self, message: str) -> None:
        if len(self.faults) < FAULTS_KEPT:
            self.faults.append(Fault(self.pointer, message))

    def unknown(self, word: str, kind: str, known: Iterable[str]) -> None:
        """Notes that `word` is no known `kind`, with the closest known one."""
        if len(self.faults) < FAULTS_KEPT:
            self.fault(f"{kind} {word[:64]!r} is not known{did_you_mean(word, known)}")

    def child(self, key: str | int, value: Any) -> Node:
        return Node(value, pointer_to(self.pointer, key), self.faults, self.limits)

    def entries(self) -> dict[str, Node]:
        """The values of an object whose keys are free."""
        if not is_object(self.value):
            self.fault(f"it must be an object, not {_kind(self.value)}")
            return {}
        return {key: self.child(key, item) for key, item in self.value.items()}

    def fields(self, known: Collection[str], required: Collection[str] = ()) -> dict[str, Node]:
        """The values of an object that may bear only `known` keys and must bear the `required` ones."""
        entries = self.entries()
        for key, node in entries.items():
            if key not in known:
                node.unknown(key, "the key", known)
        if is_object(self.value):
            for key in required:
                if key not in entries:
                    self.fault(f"the key {key!r} is missing")
        return {key: node for key, node in entries.items() if key in known}

    def items(self, at_least: int = 0, at_most: int | None = None) -> list[Node]:
        """The elements of a list."""
        if not is_list(self.value):
            self.fault(f"it must be a list, not {_kind(self.value)}")
            return []
        if len(self.value) < at_least:
            self.fault("it is empty" if not self.value else f"it needs at least {at_least} entries")
        if at_most is not None and len(self.value) > at_most:
            self.fault(f"it has {len(self.value)} entries; at most {at_most} are taken")
            return []
        return [self.child(index, item) for index, item in enumerate(self.value)]

    def text(self, largest: int | None = None) -> str:
        """A text of 1 to `largest` bytes of UTF-8 (the limit of a constant where none is given)."""
        if not isinstance(self.value, str):
            self.fault(f"it must be a text, not {_kind(self.value)}")
            return ""
        limit = self.limits.text_bytes if largest is None else largest
        if not self.value:
            self.fault("it is empty")
        if len(self.value.encode()) > limit:
            self.fault(f"it is longer than {limit} bytes")
        return self.value

    def choice(self, kind: str, known: Collection[str]) -> str:
        """One of the `known` words."""
        word = self.text()
        if word and word not in known:
            self.unknown(word, kind, known)
        return word

    def flag(self) -> bool:
        if not isinstance(self.value, bool):
            self.fault(f"it must be true or false, not {_kind(self.value)}")
            return False
        return self.value

    def number(self, low: float, high: float) -> float:
        """A number from `low` to `high`, as a float."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            self.fault(f"it must be a number, not {_kind(self.value)}")
            return low
        if not low <= self.value <= high:
            self.fault(f"{self.value} does not lie between {low:g} and {high:g}")
        return float(self.value)

    def whole(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            self.fault(f"it must be a whole number, not {_kind(self.value)}")
            return low
        if not low <= self.value <= high:
            self.fault(f"{self.value} does not lie between {low} and {high}")
        return self.value

    def constant(self) -> Any:
        """Any JSON value whose texts and lists stay within the limits of constants."""
        if isinstance(self.value, str):
            if len(self.value.encode()) > self.limits.text_bytes:
                self.fault(f"a constant text is at most {self.limits.text_bytes} bytes long")
        elif is_list(self.value):
            for item in self.items(at_most=self.limits.list_items):
                item.constant()
        elif is_object(self.value):
            for item in self.entries().values():
                item.constant()
        return self.value


def _kind(value: Any) -> str:
    """What JSON calls the type of `value`."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case str():
            return "a text"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return "an object"
