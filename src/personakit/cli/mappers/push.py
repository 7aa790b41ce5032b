"""`personakit mappers push`: uploads mapper documents."""

from __future__ import annotations

from pathlib import Path

import click

from personakit.cli.connection import connect
from personakit.cli.exit_codes import exit_code
from personakit.cli.mappers.files import FILES, content, is_json, placed, read
from personakit.cli.options import json_option, with_settings
from personakit.config import Settings
from personakit_sdk.errors import DocumentInvalid
from personakit_sdk.transport import Reply, ServiceError, Transport
from personakit_sdk.wire import Mapper


@click.command()
@FILES
@click.option("--draft", is_flag=True, help="Upload without making it active.")
@json_option
@with_settings
def push(settings: Settings, *, files: tuple[Path, ...], draft: bool, as_json: bool) -> None:
    """Upload FILES, one after the other; the first that is refused ends it."""
    transport = connect(settings)
    for path in files:
        try:
            reply = _send(transport, path, draft=draft)
        except ServiceError as error:
            _say_refused(path, error)
            click.get_current_context().exit(exit_code(error))
        mapper = reply.decode(Mapper)
        made = "published" if reply.status == 201 else "unchanged"
        told = f"{path}: {mapper.id} version {mapper.version} {made}, {mapper.status}"
        click.echo(reply.body if as_json else told)


def _send(transport: Transport, path: Path, *, draft: bool) -> Reply:
    return transport.request(
        "POST",
        "/mappers",
        body=content(path),
        query={"status": "draft" if draft else None},
        headers={"Content-Type": "application/json" if is_json(path) else "application/yaml"},
        # The same document twice is one version: what was lost on the way may be sent again.
        idempotent=True,
    )


def _say_refused(path: Path, error: ServiceError) -> None:
    """The sentence on stderr, and a line for each fault with where in the file it is."""
    click.echo(f"personakit: {error}", err=True)
    try:
        marks = read(path).marks
    except DocumentInvalid:
        marks = {}  # the service said so as well, with the place
    for fault in placed(error.errors, marks):
        click.echo(fault.told(str(path)), err=True)
