"""`personakit doctor`: is an application's store well, and does what it holds reach the service?"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from personakit.cli.connection import api_key
from personakit.cli.options import json_option, with_settings
from personakit.config import Settings
from personakit_sdk.checkup import Checkup, check_up
from personakit_sdk.client import PersonaKit
from personakit_sdk.errors import InvalidInput
from personakit_sdk.transport import Transport

TIMEOUT = 5.0
"""Seconds that a person is made to wait for a service that does not answer."""


@click.command()
@click.option(
    "--store",
    "store",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The store file of an application that uses the SDK.",
)
@click.option(
    "--store-key",
    envvar="PERSONAKIT_STORE_KEY",
    metavar="BASE64",
    help="The key that the store's bodies are encrypted with.  [env: PERSONAKIT_STORE_KEY]",
)
@json_option
@with_settings
def doctor(settings: Settings, *, store: Path, store_key: str | None, as_json: bool) -> None:
    """Look at an application's store: its health, what waits in it, what was rejected, how old its cache is,
    the clock, and whether the service can be reached.

    Exit codes: 0 all is well, 1 something should be looked at, 2 the store cannot be opened as asked, 3 all
    else is well but the service cannot be reached.
    """
    found = _examined(settings, store, store_key)
    if as_json:
        click.echo(msgspec.json.encode(found))
    else:
        for line in _told(found):
            click.echo(line)
    raise click.exceptions.Exit(_code(found))


def _examined(settings: Settings, store: Path, store_key: str | None) -> Checkup:
    key = api_key(settings)
    with PersonaKit(
        settings.url, key, store=store, background=False, encryption_key=_decoded(store_key)
    ) as kit:
        status = kit.status()
    return check_up(status, Transport(settings.url, key, timeout=TIMEOUT), datetime.now(UTC))


def _decoded(key: str | None) -> bytes | None:
    try:
        return None if key is None else base64.b64decode(key, validate=True)
    except ValueError as error:
        raise InvalidInput(f"The store's key is not base64: {error}.") from error


def _code(found: Checkup) -> int:
    if not found.findings:
        return 0
    return 3 if found.findings == [found.service.detail] else 1


def _told(found: Checkup) -> list[str]:
    outbox, cache, store = found.status.outbox, found.status.cache, found.status.store
    sealed = "encrypted" if store.encrypted else "not encrypted"
    said = {
        "store": f"{store.path}, {sealed}; SQLite {store.sqlite_version}, journal {store.journal_mode}",
        "outbox": f"{outbox.waiting} waiting ({outbox.waiting_bytes} bytes), {outbox.confirmed} confirmed, "
        f"{outbox.dead_letters} rejected, {outbox.lost} lost; next try in {outbox.retry_in:.0f} s",
        "cache": f"{cache.mappers} mappers and {cache.personas} personas as of position {cache.position}, "
        f"checked at {cache.checked_at}, valid until {cache.valid_until}",
        "cursor": cache.cursor,
        "service": f"{found.service.url}: {found.service.detail}",
        "clock": f"the service's is {_ahead(found.service.clock_offset)}",
    }
    findings = [f"! {finding}" for finding in found.findings] or ["All is well."]
    return [*(f"{name:8} {text}" for name, text in said.items()), *findings]


def _ahead(seconds: float | None) -> str:
    return "not known" if seconds is None else f"{seconds:+.1f} s ahead"
