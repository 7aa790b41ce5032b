"""Uploads documents from files, and says what became of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from personakit.cli.connection import connect
from personakit.cli.documents.files import content, is_json, placed, read
from personakit.cli.documents.options import if_match_header
from personakit.cli.exit_codes import exit_code
from personakit.config import Settings
from personakit_sdk.errors import DocumentInvalid, InvalidInput
from personakit_sdk.transport import Reply, ServiceError, Transport


class Kind(NamedTuple):
    """A kind of document. `address` is where the service has all of it; `id_of` reads the id of the one in a
    file; `told` says in words which document a reply is, and what was made of it by the word given."""

    what: str
    address: str
    id_of: Callable[[Path], str]
    told: Callable[[Reply, str], str]


def push_files(
    settings: Settings,
    kind: Kind,
    files: Sequence[Path],
    query: Mapping[str, str | None],
    if_match: str | None,
    *,
    as_json: bool,
) -> None:
    """Uploads files, and says what became of each; one that is refused ends the command. Raises InvalidInput
    for a condition on several files."""
    if if_match is not None and len(files) > 1:
        raise InvalidInput(f"--if-match is of one {kind.what}; push one FILE with it.")
    transport = connect(settings)
    for path in files:
        try:
            reply = _upload(transport, kind, path, query, if_match)
        except ServiceError as error:
            _say_refused(kind, path, error)
            click.get_current_context().exit(exit_code(error))
        made = "" if if_match else " published" if reply.status == 201 else " unchanged"
        click.echo(reply.body if as_json else f"{path}: {kind.told(reply, made)}")


def _upload(
    transport: Transport, kind: Kind, path: Path, query: Mapping[str, str | None], if_match: str | None
) -> Reply:
    """Sends a file to where documents of its kind are made; with a condition, to its own address, which
    answers 200 whether a version was made or not."""
    return transport.request(
        "POST" if if_match is None else "PUT",
        kind.address if if_match is None else f"{kind.address}/{kind.id_of(path)}",
        body=content(path),
        query=query,
        headers={
            "Content-Type": "application/json" if is_json(path) else "application/yaml",
            **if_match_header(if_match),
        },
        # The same document twice is one version: what was lost on the way may be sent again.
        idempotent=True,
    )


def _say_refused(kind: Kind, path: Path, error: ServiceError) -> None:
    """The sentence on stderr, and a line for each fault with where in the file it is."""
    click.echo(f"personakit: {error}", err=True)
    try:
        marks = read(path, kind.what).marks
    except DocumentInvalid:
        marks = {}  # the service said so as well, with the place
    for fault in placed(error.errors, marks):
        click.echo(fault.told(str(path)), err=True)
