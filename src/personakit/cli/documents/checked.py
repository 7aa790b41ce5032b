"""What checking documents finds, without a service, and how it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec

from personakit.cli.documents.files import PlacedFault, placed, read
from personakit.domain.inline_tests import faults_of_tests
from personakit_sdk.errors import DocumentInvalid, Fault
from personakit_sdk.rules import TestResult
from personakit_sdk.rules.yaml import Marks


class Checked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be said about one file. `mapper` is the id of a mapper, `document` that of any other. Faults
    would have a service refuse it; warnings would not."""

    file: str
    mapper: str = ""
    document: str = ""
    version: str = ""
    faults: tuple[PlacedFault, ...] = ()
    warnings: tuple[PlacedFault, ...] = ()
    tests: tuple[TestResult, ...] = ()


class Findings(NamedTuple):
    """What is found in a document that can be read; one of `mapper` and `document` is its id."""

    version: str
    warnings: Iterable[Fault]
    tests: Sequence[TestResult]
    mapper: str = ""
    document: str = ""


def check_file(path: Path, what: str, find: Callable[[dict[str, Any]], Findings]) -> Checked:
    """What a service would find in the document at `path`, which is to be a `what`. Raises InvalidInput for
    an unreadable file."""
    marks: Marks = {}
    try:
        document, marks = read(path, what)
        found = find(document)
    except DocumentInvalid as error:
        return Checked(file=str(path), faults=placed(error.faults, marks))
    return Checked(
        file=str(path),
        mapper=found.mapper,
        document=found.document,
        version=found.version,
        faults=placed(faults_of_tests(found.tests), marks),
        warnings=placed(found.warnings, marks),
        tests=tuple(found.tests),
    )


def tell_validity(checked: list[Checked], *, as_json: bool) -> None:
    """A verdict of each file, with a line for each fault. Exit 1 when there is one."""
    _tell(checked, [_verdict(one) for one in checked], as_json=as_json)


def tell_tests(checked: list[Checked], *, as_json: bool) -> None:
    """Each test, then the verdict of its file. Exit 1 when there is a fault."""
    _tell(checked, [line for one in checked for line in (*_test_lines(one), _verdict(one))], as_json=as_json)


def _tell(checked: list[Checked], lines: list[str], *, as_json: bool) -> None:
    click.echo(msgspec.json.encode(checked) if as_json else "\n".join(lines))
    if any(one.faults for one in checked):
        click.get_current_context().exit(1)


def _verdict(one: Checked) -> str:
    faults = [fault.told(one.file) for fault in one.faults]
    warnings = [fault.told(one.file, "warning: ") for fault in one.warnings]
    valid = f"{one.mapper or one.document} {one.version} is valid, {_count(len(one.tests), 'test')} pass"
    told = f"not valid, {_count(len(faults), 'fault')}" if faults else valid
    return "\n".join([f"{one.file}: {told}", *faults, *warnings])


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _test_lines(one: Checked) -> list[str]:
    return [f"{'pass' if done.passed else 'FAIL'}  {one.file}: {done.name}" for done in one.tests]
