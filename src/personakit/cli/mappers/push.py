"""`personakit mappers push`: uploads mapper documents."""

from __future__ import annotations

from pathlib import Path

import click

from personakit.cli.connection import connect
from personakit.cli.exit_codes import exit_code
from personakit.cli.mappers.files import FILES, compiled, content, is_json, placed, read
from personakit.cli.mappers.options import if_match_header, if_match_option, reason_option
from personakit.cli.options import json_option, with_settings
from personakit.config import Settings
from personakit_sdk.errors import DocumentInvalid, InvalidInput
from personakit_sdk.transport import Reply, ServiceError, Transport
from personakit_sdk.wire import Mapper


@click.command()
@FILES
@click.option("--draft", is_flag=True, help="Upload without making it active.")
@reason_option
@if_match_option
@json_option
@with_settings
def push(
    settings: Settings,
    *,
    files: tuple[Path, ...],
    draft: bool,
    reason: str,
    if_match: str | None,
    as_json: bool,
) -> None:
    """Upload FILES, one after the other; the first that is refused ends it.

    Each fault that the service finds has a line `file:line:column: /pointer: what is wrong`.
    """
    if if_match is not None and len(files) > 1:
        raise InvalidInput("--if-match is of one mapper; push one FILE with it.")
    transport = connect(settings)
    for path in files:
        try:
            reply = _send(transport, path, draft=draft, reason=reason, if_match=if_match)
        except ServiceError as error:
            say_refused(path, error)
            click.get_current_context().exit(exit_code(error))
        mapper = reply.decode(Mapper)
        made = "" if if_match else " published" if reply.status == 201 else " unchanged"
        told = f"{path}: {mapper.id} version {mapper.version}{made}, {mapper.status}"
        click.echo(reply.body if as_json else told)


def _send(transport: Transport, path: Path, *, draft: bool, reason: str, if_match: str | None) -> Reply:
    """A condition needs the mapper's address: PUT answers 200 whether a version was made or not."""
    address = "/mappers" if if_match is None else f"/mappers/{compiled(path).mapper_id}"
    query = {"status": "draft" if draft else None, "reason": reason or None}
    return upload(transport, address, path, query=query, if_match=if_match)


def upload(
    transport: Transport, address: str, path: Path, *, query: dict[str, str | None], if_match: str | None
) -> Reply:
    """Sends a file to where documents of its kind are made, or, with a condition, to its own address."""
    return transport.request(
        "POST" if if_match is None else "PUT",
        address,
        body=content(path),
        query=query,
        headers={
            "Content-Type": "application/json" if is_json(path) else "application/yaml",
            **if_match_header(if_match),
        },
        # The same document twice is one version: what was lost on the way may be sent again.
        idempotent=True,
    )


def say_refused(path: Path, error: ServiceError) -> None:
    """The sentence on stderr, and a line for each fault with where in the file it is."""
    click.echo(f"personakit: {error}", err=True)
    try:
        marks = read(path).marks
    except DocumentInvalid:
        marks = {}  # the service said so as well, with the place
    for fault in placed(error.errors, marks):
        click.echo(fault.told(str(path)), err=True)
