"""`personakit observe`: records one observation."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import click
import msgspec

from personakit.cli.connection import connect
from personakit.cli.options import InstantType, PersonIdType, json_option, with_settings
from personakit.config import Settings
from personakit_sdk.errors import InvalidInput
from personakit_sdk.wire import Observation, Written


@click.command()
@click.option("--person", required=True, type=PersonIdType(), help="Whom it is about.")
@click.option("--type", "kind", required=True, metavar="TYPE", help="What was seen, as work_session.")
@click.option("--at", type=InstantType(), help="When, as 2026-03-02T09:00:00+01:00.  [default: now]")
@click.option("--json-content", metavar="JSON", help="The content as one JSON object.")
@click.option("--id", "given_id", type=click.UUID, help="An id of your own: sent twice, recorded once.")
@click.option("--source", help="Where it comes from.")
@click.argument("content", nargs=-1, metavar="[KEY=VALUE]...")
@json_option
@with_settings
def observe(
    settings: Settings,
    *,
    person: str,
    kind: str,
    at: datetime | None,
    json_content: str | None,
    given_id: UUID | None,
    source: str | None,
    content: tuple[str, ...],
    as_json: bool,
) -> None:
    """Record an observation of a person, with the content KEY=VALUE…

    A VALUE that reads as JSON is taken so (50, true, [1, 2], "50"); any other is text.
    """
    said = {
        "id": given_id or uuid4(),
        "personId": person,
        "type": kind,
        "content": _json_object(json_content) | dict(map(pair, content)),
        "occurredAt": at or datetime.now().astimezone(),
        "source": source,
    }
    body = _observation(said)
    reply = connect(settings).request("POST", "/observations", body=body, idempotent=True)
    written = reply.decode(Written)
    told = f"{written.status} at position {written.position} as {written.id}"
    click.echo(reply.body.decode() if as_json else told)


def pair(text: str) -> tuple[str, Any]:
    """The key and value of `KEY=VALUE`. Raises InvalidInput when there is no key."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise InvalidInput(f"{text!r} is no KEY=VALUE.")
    try:
        return key, msgspec.json.decode(value)
    except msgspec.DecodeError:
        return key, value


def _json_object(text: str | None) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise InvalidInput(f"--json-content is no JSON object: {error}.") from error


def _observation(said: dict[str, Any]) -> Observation:
    try:
        return msgspec.convert(said, Observation)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"This is no observation: {error}.") from error
