"""`personakit mappers`: checks mapper documents without a service, and pushes them to one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from personakit.cli.connection import connect
from personakit.cli.options import json_option, with_settings
from personakit.config import Settings
from personakit_sdk.errors import DocumentInvalid, Fault, InvalidInput
from personakit_sdk.rules import TestResult, compile_mapper, lint, run_tests
from personakit_sdk.rules.yaml import load_json, load_yaml
from personakit_sdk.wire import Mapper, MapperList

FILES = click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)


class Checked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be said about one file. Faults would have a service refuse it; warnings would not."""

    file: str
    mapper: str = ""
    version: str = ""
    faults: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()
    tests: tuple[TestResult, ...] = ()


@click.group()
def mappers() -> None:
    """Validate, test and push mapper documents, in YAML or (a name that ends in .json) JSON; list them."""


@mappers.command("list")
@json_option
@with_settings
def list_(settings: Settings, *, as_json: bool) -> None:
    """The mappers that the service has, by id."""
    reply = connect(settings).request("GET", "/mappers", query={"limit": "500"})
    if as_json:
        click.echo(reply.body)
        return
    for mapper in reply.decode(MapperList).items:
        click.echo(f"{mapper.id}, version {mapper.version} ({mapper.status}): {mapper.description}")


@mappers.command()
@FILES
@json_option
def validate(files: tuple[Path, ...], *, as_json: bool) -> None:
    """Check FILES as an upload would, their own tests included. Exit 1 when one would be refused."""
    checked = [check(path) for path in files]
    _tell(checked, [_verdict(one) for one in checked], as_json=as_json)


@mappers.command()
@FILES
@json_option
def test(files: tuple[Path, ...], *, as_json: bool) -> None:
    """Run the tests inside FILES, and show each. Exit 1 when one fails."""
    checked = [check(path) for path in files]
    _tell(checked, [line for one in checked for line in (*_test_lines(one), _verdict(one))], as_json=as_json)


@mappers.command()
@FILES
@click.option("--draft", is_flag=True, help="Upload without making it active.")
@json_option
@with_settings
def push(settings: Settings, *, files: tuple[Path, ...], draft: bool, as_json: bool) -> None:
    """Upload FILES, one after the other; the first that is refused ends it."""
    transport = connect(settings)
    for path in files:
        reply = transport.request(
            "POST",
            "/mappers",
            body=_content(path),
            query={"status": "draft" if draft else None},
            headers={"Content-Type": "application/json" if _is_json(path) else "application/yaml"},
            # The same document twice is one version: what was lost on the way may be sent again.
            idempotent=True,
        )
        mapper = reply.decode(Mapper)
        made = "published" if reply.status == 201 else "unchanged"
        told = f"{path}: {mapper.id} version {mapper.version} {made}, {mapper.status}"
        click.echo(reply.body if as_json else told)


def check(path: Path) -> Checked:
    """What a service would find in the document at `path`. Raises InvalidInput for an unreadable file."""
    content = _content(path)
    try:
        document: Any = load_json(content) if _is_json(path) else load_yaml(content)
        if not isinstance(document, dict):
            return Checked(file=str(path), faults=(Fault("", "a mapper is an object"),))
        plan = compile_mapper(document)
    except DocumentInvalid as error:
        return Checked(file=str(path), faults=error.faults)
    tests = tuple(run_tests(plan))
    failed = tuple(
        Fault("/tests", f"its test {done.name!r} fails: {done.detail}") for done in tests if not done.passed
    )
    return Checked(
        file=str(path),
        mapper=plan.mapper_id,
        version=plan.author_version,
        faults=failed,
        warnings=tuple(lint(plan)),
        tests=tests,
    )


def _tell(checked: list[Checked], lines: list[str], *, as_json: bool) -> None:
    click.echo(msgspec.json.encode(checked) if as_json else "\n".join(lines))
    if any(one.faults for one in checked):
        click.get_current_context().exit(1)


def _verdict(one: Checked) -> str:
    valid = f"{one.mapper} {one.version} is valid, {len(one.tests)} tests pass"
    faults = [f"  {fault.pointer or '(whole)'}: {fault.message}" for fault in one.faults]
    warnings = [f"  warning: {fault.pointer or '(whole)'}: {fault.message}" for fault in one.warnings]
    return "\n".join([f"{one.file}: {'not valid' if one.faults else valid}", *faults, *warnings])


def _test_lines(one: Checked) -> list[str]:
    return [f"{'pass' if done.passed else 'FAIL'}  {one.file}: {done.name}" for done in one.tests]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error


def _is_json(path: Path) -> bool:
    return path.suffix.lower() == ".json"
