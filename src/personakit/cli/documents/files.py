"""Documents in files, and where in a file a fault is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import click
import msgspec

from personakit.cli.options import FILE
from personakit_sdk.errors import DocumentInvalid, Fault, InvalidInput
from personakit_sdk.rules.limits import DEFAULT_LIMITS, Limits
from personakit_sdk.rules.yaml import Marks, find_mark, load_json, load_yaml_marked

T = TypeVar("T")
FILES = click.argument("files", nargs=-1, required=True, type=FILE)
_PLACE: Final = re.compile(r"line ([0-9]+), column ([0-9]+): ")


class PlacedFault(msgspec.Struct, frozen=True, omit_defaults=True):
    """A fault or warning: where in the document (an RFC 6901 JSON pointer), and where in the text of it
    (line and column, both from 1; absent where that is not known)."""

    pointer: str
    message: str
    line: int | None = None
    column: int | None = None

    def told(self, file: str, kind: str = "") -> str:
        """One line as compilers write it, for people and editors alike: `file:12:7: /pointer: message`."""
        place = "" if self.line is None else f":{self.line}:{self.column}"
        where = f"{self.pointer}: " if self.pointer else ""
        return f"{file}{place}: {kind}{where}{self.message}"


class MarkedDocument(NamedTuple):
    """The object in a file, and where its values stand in it."""

    document: dict[str, Any]
    marks: Marks


class FileInvalid(DocumentInvalid):
    """A file that holds no document which would run; `str()` of it is what is `said`, and a line for each
    fault."""

    def __init__(self, file: Path, what: str, faults: tuple[PlacedFault, ...], said: str = "") -> None:
        super().__init__(what, tuple(Fault(fault.pointer, fault.message) for fault in faults))
        head = said or f"{file} is no {what} that can be taken:"
        self.args = ("\n".join([head, *(fault.told(str(file)) for fault in faults)]),)


def read(path: Path, what: str) -> MarkedDocument:
    """The document at `path`, which is to be a `what`. Raises DocumentInvalid for what is no object in YAML
    or JSON, InvalidInput for a file that cannot be read."""
    text = content(path)
    document, marks = (load_json(text), marks_of(text)) if is_json(path) else load_yaml_marked(text)
    if not isinstance(document, dict):
        raise DocumentInvalid(what, (Fault("", "it must be an object"),))
    return MarkedDocument(document, marks)


def read_as(path: Path, what: str, make: Callable[[dict[str, Any]], T]) -> T:
    """What `make` makes of the document at `path`, which is to be a `what`. Raises FileInvalid, with a line
    for each fault, where either finds any; InvalidInput for a file that cannot be read."""
    marks: Marks = {}
    try:
        document, marks = read(path, what)
        return make(document)
    except DocumentInvalid as error:
        raise FileInvalid(path, what, placed(error.faults, marks)) from error


def placed(faults: Iterable[Fault], marks: Marks) -> tuple[PlacedFault, ...]:
    """The faults with where they are in the text; without marks, as far as they say it themselves."""
    return tuple(_placed(fault, marks) for fault in faults)


def marks_of(text: bytes, limits: Limits = DEFAULT_LIMITS) -> Marks:
    """Where the values of a JSON text stand. JSON is YAML, nearly: where it is not, that is not known."""
    try:
        return load_yaml_marked(text, limits)[1]
    except DocumentInvalid:
        return {}


def content(path: Path) -> bytes:
    """The bytes of a file. Raises InvalidInput."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error


def is_json(path: Path) -> bool:
    """Whether a file is to be read as JSON: every other is YAML."""
    return path.suffix.lower() == ".json"


def _placed(fault: Fault, marks: Marks) -> PlacedFault:
    """A fault of the text itself begins with its place."""
    said = _PLACE.match(fault.message)
    if said is not None:
        message = fault.message[said.end() :]
        return PlacedFault(fault.pointer, message, int(said[1]), int(said[2]))
    line, column = find_mark(marks, fault.pointer) or (None, None)
    return PlacedFault(fault.pointer, fault.message, line, column)
