"""`personakit people list|export`: who is known, and what is held about them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import click
import msgspec

from personakit.cli.connection import connect
from personakit.cli.options import PersonIdType, json_option, with_settings
from personakit.cli.own_file import own_file
from personakit.cli.progress import progress
from personakit.config import Settings
from personakit_sdk.transport import Transport, Unreachable
from personakit_sdk.wire import KnownPerson, PersonList

_PAGE: Final = 500
_END: Final = b"]}"
"""How a whole export ends. None of its pieces does but the last."""


@click.command("list")
@json_option
@with_settings
def list_(settings: Settings, *, as_json: bool) -> None:
    """List the people whom the API key may see, by id, with since when they are known."""
    for person in _listed(connect(settings)):
        if as_json:
            click.echo(msgspec.json.encode(person))
        else:
            click.echo(f"{person.registered_at:%Y-%m-%d %H:%M}  {person.id}")


@click.command()
@click.argument("person", metavar="ID", type=PersonIdType())
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write it; only its owner may read the file.  [default: what is printed]",
)
@with_settings
def export(settings: Settings, *, person: str, output: Path | None) -> None:
    """Export everything that is held about a person, as one JSON document.

    The file is there when all of it is: what breaks off leaves none, and one that was there before stays as
    it was.
    """
    transport = connect(settings)
    with transport.download(f"/people/{quote(person, safe='')}/export") as pieces:
        if output is None:
            for piece in _whole(transport, pieces):
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            return
        with progress(sys.stderr) as report, own_file(output) as file:
            for piece in _whole(transport, pieces):
                file.write(piece)
                report("bytes", file.tell(), None)
    click.echo(f"{output} has everything that is held about {person}.", err=True)


def _listed(transport: Transport) -> Iterator[KnownPerson]:
    after: str | None = ""
    while after is not None:
        reply = transport.request("GET", "/people", query={"after": after, "limit": _PAGE})
        page = reply.decode(PersonList)
        yield from page.items
        after = page.next


def _whole(transport: Transport, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces. Raises Unreachable after the last one where that is not the end of the document."""
    end = b""
    for piece in pieces:
        yield piece
        end = (end + piece)[-len(_END) :]
    if end != _END:
        raise Unreachable(transport.url, "the answer broke off")
