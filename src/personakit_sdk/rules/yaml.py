"""Documents as text: YAML 1.2 and JSON, read into the same plain values by the same rules."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from personakit_sdk.errors import DocumentInvalid, Fault, PersonaKitError
from personakit_sdk.rules.limits import DEFAULT_LIMITS, Limits
from personakit_sdk.rules.plain import plain, pointer_to

Marks = Mapping[str, tuple[int, int]]
"""Line and column, both from 1, where the value at each JSON pointer begins in the text."""

_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_SPECIAL = re.compile(r"\.(?=[iInN])")
"""The dot of `.inf` and `.nan`."""
_DIGITS: Final = 400
"""An integer with more digits than this is beyond every double; Python refuses to read very long ones."""


class YamlUnavailable(PersonaKitError):
    """The package that reads YAML is not installed."""


def load_yaml(text: str | bytes, limits: Limits = DEFAULT_LIMITS) -> Any:
    """The one document in `text`, as plain values; dates stay the text that they were written as.

    Raises DocumentInvalid, with line and column, for what is not YAML 1.2 and for what a document here
    may not have: tags, a key twice, more aliases or a larger size than `limits` say. Raises
    YamlUnavailable where ruamel.yaml is not installed.
    """
    return plain(_built(text, limits, _Builder), "YAML document", limits)


def load_yaml_marked(text: str | bytes, limits: Limits = DEFAULT_LIMITS) -> tuple[Any, Marks]:
    """As `load_yaml`, and where in the text every value stands: what an alias names is where the alias is.

    Raises as `load_yaml` does; every fault says line and column.
    """
    marks: dict[str, tuple[int, int]] = {}
    value = _built(text, limits, lambda events, of: _MarkingBuilder(events, of, marks))
    try:
        return plain(value, "YAML document", limits), marks
    except DocumentInvalid as error:
        raise DocumentInvalid(
            "YAML document", tuple(_placed(each, marks) for each in error.faults)
        ) from error


def find_mark(marks: Marks, pointer: str) -> tuple[int, int] | None:
    """Line and column of the value at `pointer` or, where the text has none there (a key that is missing,
    a part of what an alias names), of the nearest value around it. None for an empty `marks`."""
    while pointer and pointer not in marks:
        pointer = pointer.rpartition("/")[0]
    return marks.get(pointer)


def _placed(fault: Fault, marks: Marks) -> Fault:
    mark = find_mark(marks, fault.pointer)
    return Fault(fault.pointer, fault.message if mark is None else f"{_at(*mark)}{fault.message}")


def _built(text: str | bytes, limits: Limits, builder: Callable[[Iterator[Any], Limits], _Builder]) -> Any:
    """The one document in `text`, as the builder makes it."""
    source = _decoded(text, "YAML document", limits)
    library = _library()
    parser = library.YAML(typ="safe", pure=True)
    try:
        return builder(iter(parser.parse(source)), limits).document()
    except library.error.MarkedYAMLError as error:
        problem = error.problem or error.context or "it cannot be read"
        raise _refused("YAML document", problem, error.problem_mark or error.context_mark) from error
    except library.error.YAMLError as error:
        raise _refused("YAML document", " ".join(str(error).split())) from error


def load_json(text: str | bytes, limits: Limits = DEFAULT_LIMITS) -> Any:
    """The JSON value in `text`. Raises DocumentInvalid for what is not JSON, for a key twice, for NaN and
    infinities, and beyond `limits`."""
    source = _decoded(text, "JSON document", limits)
    try:
        value = json.loads(
            source, object_pairs_hook=_object, parse_constant=_no_number, parse_int=_integer_or_infinity
        )
    except json.JSONDecodeError as error:
        message = _at(error.lineno, error.colno) + error.msg
        raise DocumentInvalid("JSON document", (Fault("", message),)) from error
    except RecursionError as error:
        raise _refused("JSON document", f"it is nested more than {limits.nesting} levels deep") from error
    return plain(value, "JSON document", limits)


def _decoded(text: str | bytes, what: str, limits: Limits) -> str:
    """The text, within the size limit."""
    if len(text) > limits.document_bytes:
        raise _refused(what, f"it is larger than {limits.document_bytes} bytes; split it into several")
    if isinstance(text, str):
        return text
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refused(what, f"byte {error.start} is not UTF-8") from error


def _library() -> Any:
    """ruamel.yaml, imported when first needed: an application that sends JSON does without."""
    try:
        return importlib.import_module("ruamel.yaml")
    except ModuleNotFoundError as error:
        raise YamlUnavailable("Reading YAML needs ruamel.yaml: pip install personakit[yaml].") from error


def _refused(what: str, message: str, mark: Any = None) -> DocumentInvalid:
    where = _at(mark.line + 1, mark.column + 1) if mark is not None else ""
    return DocumentInvalid(what, (Fault("", where + message),))


def _at(line: int, column: int) -> str:
    return f"line {line}, column {column}: "


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            raise _refused("JSON document", f"the key {key!r} stands twice in one object")
        members[key] = value
    return members


def _no_number(name: str) -> Any:
    raise _refused("JSON document", f"{name} is not a number that JSON has")


def _integer_or_infinity(digits: str) -> int | float:
    return int(digits) if len(digits) <= _DIGITS else float(digits)


class _Builder:
    """Makes plain values from the parser's events. The library's own constructor would build dates, take
    tags, and repeat what aliases name without counting it."""

    def __init__(self, events: Iterator[Any], limits: Limits) -> None:
        self.events = events
        self.limits = limits
        self.aliases = 0
        self.values = 0
        self.anchors: dict[str, Any] = {}

    def document(self) -> Any:
        """The value of the stream's only document."""
        next(self.events)
        start = next(self.events)
        if _kind(start) == "StreamEnd":
            raise self._refused(start, "the document is empty")
        value = self._root(next(self.events))
        next(self.events)
        after = next(self.events)
        if _kind(after) != "StreamEnd":
            raise self._refused(after, "a second document begins here; one text holds one document")
        return value

    def _root(self, event: Any) -> Any:
        return self._value(event, 0)

    def _member(self, key: str | int, event: Any, depth: int) -> Any:  # noqa: ARG002 - for what marks
        return self._value(event, depth)

    def _value(self, event: Any, depth: int) -> Any:
        self._count(event)
        if _kind(event) == "Alias":
            return self._alias(event)
        if event.tag is not None:
            raise self._refused(event, f"the tag {event.tag!r} is not taken; write the plain value")
        value = self._content(event, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = value
        return value

    def _count(self, event: Any) -> None:
        self.values += 1
        if self.values > self.limits.values:
            most = self.limits.values
            raise self._refused(event, f"it has more than {most} keys and values; send it as JSON")

    def _content(self, event: Any, depth: int) -> Any:
        if _kind(event) == "Scalar":
            return self._scalar(event)
        if depth >= self.limits.nesting:
            raise self._refused(event, f"it is nested more than {self.limits.nesting} levels deep")
        if _kind(event) == "SequenceStart":
            items = enumerate(self._until("SequenceEnd"))
            return [self._member(index, item, depth + 1) for index, item in items]
        return self._mapping(depth)

    def _until(self, end: str) -> Iterator[Any]:
        entries = 0
        while _kind(event := next(self.events)) != end:
            entries += 1
            if entries > self.limits.entries:
                raise self._refused(event, f"one list or mapping has more than {self.limits.entries} entries")
            yield event

    def _mapping(self, depth: int) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for event in self._until("MappingEnd"):
            key = self._key(event)
            if key in members:
                raise self._refused(event, f"the key {key!r} stands twice in one mapping")
            members[key] = self._member(key, next(self.events), depth + 1)
        return members

    def _key(self, event: Any) -> str:
        """A key is the text that stands there, as in JSON: `1:` and `true:` are texts."""
        self._count(event)
        if _kind(event) != "Scalar" or event.tag is not None:
            raise self._refused(event, "a key must be a plain text")
        return _joined(event.value)

    def _alias(self, event: Any) -> Any:
        self.aliases += 1
        if self.aliases > self.limits.aliases:
            raise self._refused(event, f"it has more than {self.limits.aliases} aliases")
        if event.anchor not in self.anchors:
            raise self._refused(event, f"the alias *{event.anchor} names nothing that stands before it")
        return self.anchors[event.anchor]

    def _scalar(self, event: Any) -> Any:
        """What a plain scalar means in the core schema of YAML 1.2; a quoted one is a text."""
        text = _joined(event.value)
        if not event.implicit[0]:
            return text
        if text in _NULL:
            return None
        if text in _BOOL:
            return _BOOL[text]
        if _INT.fullmatch(text):
            return _integer(text)
        if _FLOAT.fullmatch(text):
            return float(_SPECIAL.sub("", text))
        return text

    def _refused(self, event: Any, message: str) -> DocumentInvalid:
        return _refused("YAML document", message, event.start_mark)


class _MarkingBuilder(_Builder):
    """Notes where every value begins."""

    def __init__(self, events: Iterator[Any], limits: Limits, marks: dict[str, tuple[int, int]]) -> None:
        super().__init__(events, limits)
        self.marks = marks
        self.pointer = ""
        self.key_mark: Any = None

    def _root(self, event: Any) -> Any:
        self._mark(event.start_mark)
        return super()._root(event)

    def _member(self, key: str | int, event: Any, depth: int) -> Any:
        parent = self.pointer
        self.pointer = pointer_to(parent, key)
        left_empty = _kind(event) == "Scalar" and event.start_mark.index == event.end_mark.index
        self._mark(self.key_mark if left_empty and isinstance(key, str) else event.start_mark)
        value = super()._member(key, event, depth)
        self.pointer = parent
        return value

    def _key(self, event: Any) -> str:
        """A value that is left empty has no place of its own but that of its key."""
        self.key_mark = event.start_mark
        return super()._key(event)

    def _mark(self, mark: Any) -> None:
        self.marks[self.pointer] = (mark.line + 1, mark.column + 1)


def _joined(text: str) -> str:
    """`text` with the halves of surrogate pairs joined: JSON writes one character as two escapes, which
    YAML reads one by one. A half that stands alone stays, and is refused later."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def _kind(event: Any) -> str:
    return type(event).__name__.removesuffix("Event")


def _integer(text: str) -> int | float:
    """An integer of the core schema; `010` is ten, eight is `0o10`."""
    return int(text, 0) if text.startswith(("0o", "0x")) else _integer_or_infinity(text)
