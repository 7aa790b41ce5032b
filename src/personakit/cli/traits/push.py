"""`personakit traits push`: uploads documents of computed traits."""

from __future__ import annotations

from pathlib import Path

import click

from personakit.cli.connection import connect
from personakit.cli.exit_codes import exit_code
from personakit.cli.mappers.files import FILES, FileInvalid, placed, read
from personakit.cli.mappers.options import if_match_option, reason_option
from personakit.cli.mappers.push import say_refused, upload
from personakit.cli.options import json_option, with_settings
from personakit.config import Settings
from personakit.domain.computed_trait_documents import WHAT, read_document
from personakit_sdk.errors import DocumentInvalid, InvalidInput
from personakit_sdk.transport import ServiceError
from personakit_sdk.wire import ComputedTraits


@click.command()
@FILES
@reason_option
@if_match_option
@json_option
@with_settings
def push(
    settings: Settings, *, files: tuple[Path, ...], reason: str, if_match: str | None, as_json: bool
) -> None:
    """Upload FILES, one after the other; the first that is refused ends it.

    Each fault that the service finds has a line `file:line:column: /pointer: what is wrong`.
    """
    if if_match is not None and len(files) > 1:
        raise InvalidInput("--if-match is of one document; push one FILE with it.")
    push_files(settings, files, reason, if_match, as_json=as_json)


def push_files(
    settings: Settings, files: tuple[Path, ...], reason: str, if_match: str | None, *, as_json: bool
) -> None:
    """Uploads files, and says what became of each; one that is refused ends the command."""
    transport = connect(settings)
    for path in files:
        address = "/computed-traits" if if_match is None else f"/computed-traits/{_id_in(path)}"
        try:
            reply = upload(transport, address, path, query={"reason": reason or None}, if_match=if_match)
        except ServiceError as error:
            say_refused(path, error)
            click.get_current_context().exit(exit_code(error))
        document = reply.decode(ComputedTraits)
        made = "" if if_match else " published" if reply.status == 201 else " unchanged"
        click.echo(reply.body if as_json else f"{path}: {document.id} version {document.version}{made}")


def _id_in(path: Path) -> str:
    """The id of the document at `path`. Raises FileInvalid, with a line for each fault."""
    marked = None
    try:
        marked = read(path, WHAT)
        return read_document(marked.document).id
    except DocumentInvalid as error:
        faults = placed(error.faults, marked.marks if marked else {})
        raise FileInvalid(path, faults, what=WHAT) from error
