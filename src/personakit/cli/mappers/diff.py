"""`personakit mappers diff`: what differs between two versions of a mapper, rule by rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
import msgspec
from msgspec import UNSET

from personakit.cli.connection import connect
from personakit.cli.mappers.files import compiled
from personakit.cli.mappers.options import is_file
from personakit.cli.options import json_option, with_settings
from personakit.config import Settings
from personakit_sdk.errors import InvalidInput
from personakit_sdk.rules.diff import Change, DocumentDiff, RulesDiff, diff_documents
from personakit_sdk.rules.rule import ID
from personakit_sdk.transport import ServiceError
from personakit_sdk.wire import Mapper

_USAGE: Final = "Give one FILE, two FILEs, or ID and two versions, as in `diff daily_focus 3 4`."


class _Side(NamedTuple):
    """A document in normal form, and where it comes from; {} for none at all."""

    name: str
    document: dict[str, Any]


class Difference(msgspec.Struct, frozen=True):
    """What makes `after` of `before`, which say where each comes from."""

    before: str
    after: str
    rules: RulesDiff
    elsewhere: list[Change]


@click.command()
@click.argument("targets", nargs=-1, required=True, metavar="FILE [FILE] | ID VERSION VERSION")
@json_option
@with_settings
def diff(settings: Settings, *, targets: tuple[str, ...], as_json: bool) -> None:
    """Say what FILE changes in the mapper that the service has in use; or the second FILE in the first; or,
    of the mapper ID, the second version in the first.

    Documents are compared in their normal forms, so that the same said otherwise is no difference. Rules are
    known by their ids. Exit 0 when there is no difference, 1 when there is one.
    """
    before, after = _sides(settings, targets)
    found = diff_documents(before.document, after.document)
    if as_json:
        told = Difference(before.name, after.name, found.rules, found.elsewhere)
        click.echo(msgspec.json.encode(told))
    else:
        click.echo("\n".join(_lines(before.name, after.name, found)))
    click.get_current_context().exit(0 if _is_empty(found) else 1)


def _sides(settings: Settings, targets: Sequence[str]) -> tuple[_Side, _Side]:
    match targets:
        case (file,) if is_file(file):
            after = compiled(_existing(file))
            return _in_use(settings, after.mapper_id), _Side(file, after.document)
        case (first, second) if is_file(first) and is_file(second):
            return _of_file(first), _of_file(second)
        case (mapper_id, *numbers) if len(numbers) == 2 and ID.fullmatch(mapper_id) and _are_whole(numbers):
            first, second = numbers
            return _of_version(settings, mapper_id, first), _of_version(settings, mapper_id, second)
        case _:
            raise InvalidInput(_USAGE)


def _are_whole(numbers: Sequence[str]) -> bool:
    return all(number.isascii() and number.isdecimal() for number in numbers)


def _of_file(file: str) -> _Side:
    return _Side(file, compiled(_existing(file)).document)


def _existing(file: str) -> Path:
    path = Path(file)
    if not path.is_file():
        raise InvalidInput(f"There is no file {file}. {_USAGE}")
    return path


def _in_use(settings: Settings, mapper_id: str) -> _Side:
    """What the service has in use; nothing at all where it has no such mapper."""
    try:
        mapper = connect(settings).request("GET", f"/mappers/{mapper_id}").decode(Mapper)
    except ServiceError as error:
        if error.status != 404:
            raise
        return _Side(f"no mapper {mapper_id}", {})
    return _Side(f"{mapper.id} version {mapper.version}", mapper.document)


def _of_version(settings: Settings, mapper_id: str, version: str) -> _Side:
    reply = connect(settings).request("GET", f"/mappers/{mapper_id}/versions/{int(version)}")
    mapper = reply.decode(Mapper)
    return _Side(f"{mapper.id} version {mapper.version}", mapper.document)


def _is_empty(found: DocumentDiff) -> bool:
    rules = found.rules
    return not (rules.added or rules.removed or rules.changed or rules.moved or found.elsewhere)


def _lines(before: str, after: str, found: DocumentDiff) -> Iterator[str]:
    if _is_empty(found):
        yield f"{before} and {after} mean the same."
        return
    yield f"--- {before}"
    yield f"+++ {after}"
    yield from (f"- rule {rule}" for rule in found.rules.removed)
    yield from (f"+ rule {rule}" for rule in found.rules.added)
    for rule in found.rules.changed:
        yield f"~ rule {rule.id}"
        yield from map(_change, rule.changes)
    yield from (f"~ rule {rule} stands at another place" for rule in found.rules.moved)
    if found.elsewhere:
        yield "~ elsewhere"
        yield from map(_change, found.elsewhere)


def _change(change: Change) -> str:
    """`/weight: 1.0 -> 2.0`; what came or went has only one side."""
    if change.before is UNSET:
        return f"    {change.pointer}: + {_value(change.after)}"
    if change.after is UNSET:
        return f"    {change.pointer}: - {_value(change.before)}"
    return f"    {change.pointer}: {_value(change.before)} -> {_value(change.after)}"


def _value(value: Any) -> str:
    return msgspec.json.encode(value).decode()
