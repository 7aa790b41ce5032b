"""`personakit mappers push`: uploads mapper documents."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from personakit.cli.documents.files import FILES
from personakit.cli.documents.options import if_match_option, reason_option
from personakit.cli.documents.upload import Kind, push_files
from personakit.cli.mappers.files import WHAT, compiled
from personakit.cli.options import json_option, with_settings
from personakit.config import Settings
from personakit_sdk.transport import Reply
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
    query = {"status": "draft" if draft else None, "reason": reason or None}
    push_files(settings, MAPPERS, files, query, if_match, as_json=as_json)


def _told(reply: Reply, made: str) -> str:
    mapper = reply.decode(Mapper)
    return f"{mapper.id} version {mapper.version}{made}, {mapper.status}"


MAPPERS: Final = Kind(WHAT, "/mappers", lambda path: compiled(path).mapper_id, _told)
