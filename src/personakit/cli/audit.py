"""`personakit audit`: who read or changed whose data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import click
import msgspec

from personakit.cli.connection import connect
from personakit.cli.options import PersonIdType, json_option, with_settings
from personakit.cli.values import printable
from personakit.config import Settings
from personakit_sdk.transport import Transport
from personakit_sdk.wire import AuditEntry, AuditList

_PAGE: Final = 500


@click.command()
@click.option("--person", type=PersonIdType(), help="Of this person's data.  [default: everybody's]")
@click.option("--key", metavar="ID", help="By the key that begins so, or by commands: cli.")
@click.option("--operation", metavar="NAME", help="By this operation, for example mapPersona.")
@click.option(
    "--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many entries."
)
@json_option
@with_settings
def audit(
    settings: Settings,
    *,
    person: str | None,
    key: str | None,
    operation: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Say who read or changed whose data, the newest first. What is equal within an hour is one entry.

    The API key needs the scope admin.
    """
    asked = {"personId": person, "key": key, "operation": operation}
    for entry in _entries(connect(settings), asked, limit):
        click.echo(msgspec.json.encode(entry) if as_json else _line(entry))


def _entries(transport: Transport, asked: dict[str, str | None], limit: int) -> Iterator[AuditEntry]:
    after: str | None = None
    left = limit
    while left:
        query = {**asked, "after": after, "limit": min(left, _PAGE)}
        page = transport.request("GET", "/audit", query=query).decode(AuditList)
        yield from page.items
        after, left = page.next, left - len(page.items)
        if after is None:
            return


def _line(entry: AuditEntry) -> str:
    whom = entry.person_id or "(nobody any more)"
    who = entry.key if entry.key_name is None else f"{entry.key} ({printable(entry.key_name)})"
    outcome = "" if entry.status is None else f" {entry.status}"
    at = "" if entry.position is None else f", position {entry.position}"
    return f"{entry.last_at:%Y-%m-%d %H:%M:%S}  {whom}  {entry.operation}{outcome}  {entry.times}x{at}  {who}"
