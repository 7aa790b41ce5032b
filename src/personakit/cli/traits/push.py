"""`personakit traits push`: uploads documents of computed traits."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from personakit.cli.documents.files import FILES, read_as
from personakit.cli.documents.options import if_match_option, reason_option
from personakit.cli.documents.upload import Kind, push_files
from personakit.cli.options import json_option, with_settings
from personakit.config import Settings
from personakit.domain.computed_trait_documents import WHAT, read_document
from personakit_sdk.transport import Reply
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
    push_files(settings, TRAITS, files, {"reason": reason or None}, if_match, as_json=as_json)


def _id_in(path: Path) -> str:
    """The id of the document at `path`. Raises FileInvalid, with a line for each fault."""
    return read_as(path, WHAT, read_document).id


def _told(reply: Reply, made: str) -> str:
    document = reply.decode(ComputedTraits)
    return f"{document.id} version {document.version}{made}"


TRAITS: Final = Kind(WHAT, "/computed-traits", _id_in, _told)
