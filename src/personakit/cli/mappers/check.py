"""`personakit mappers validate` and `test`: checks mapper documents without a service."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from personakit.cli.mappers.files import FILES, MarkedDocument, PlacedFault, placed, read
from personakit.cli.options import json_option
from personakit.domain.inline_tests import faults_of_tests
from personakit_sdk.errors import DocumentInvalid
from personakit_sdk.rules import TestResult, compile_mapper, lint, run_tests


class Checked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be said about one file, a mapper's or another document's. Faults would have a service refuse
    it; warnings would not."""

    file: str
    mapper: str = ""
    document: str = ""
    version: str = ""
    faults: tuple[PlacedFault, ...] = ()
    warnings: tuple[PlacedFault, ...] = ()
    tests: tuple[TestResult, ...] = ()


@click.command()
@FILES
@json_option
def validate(files: tuple[Path, ...], *, as_json: bool) -> None:
    """Check FILES as an upload would, their own tests included. Exit 1 when one would be refused.

    Each fault has a line `file:line:column: /pointer: what is wrong`.
    """
    tell_validity([check(path) for path in files], as_json=as_json)


@click.command()
@FILES
@json_option
def test(files: tuple[Path, ...], *, as_json: bool) -> None:
    """Run the tests inside FILES, and show each. Exit 1 when one fails."""
    tell_tests([check(path) for path in files], as_json=as_json)


def check(path: Path) -> Checked:
    """What a service would find in the document at `path`. Raises InvalidInput for an unreadable file."""
    marked = None
    try:
        marked = read(path)
        return _checked(path, marked)
    except DocumentInvalid as error:
        return Checked(file=str(path), faults=placed(error.faults, marked.marks if marked else {}))


def _checked(path: Path, marked: MarkedDocument) -> Checked:
    plan = compile_mapper(marked.document)
    tests = tuple(run_tests(plan))
    return Checked(
        file=str(path),
        mapper=plan.mapper_id,
        version=plan.author_version,
        faults=placed(faults_of_tests(tests), marked.marks),
        warnings=placed(lint(plan), marked.marks),
        tests=tests,
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
