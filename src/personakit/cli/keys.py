"""`personakit keys`: what opens a tenant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click
import msgspec

from personakit.cli.database import FIRST_TENANT, database
from personakit.cli.options import InstantType, PersonaIdType, PersonIdType, json_option, with_settings
from personakit.config import Settings
from personakit.domain.grant import OF_ALL, SCOPES, granted
from personakit.domain.rate import Rate
from personakit.eventlog.access import ApiKey, NewKey, grant_key, list_keys, revoke_key, rotate_key
from personakit.eventlog.recorder import LogRecorder, open_datastore
from personakit_sdk import wire

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_PAGE: Final = 500
ITEMS_A_REQUEST: Final = 10
"""For one request that a key may make, so many items, unless said otherwise."""
_tenant = click.option("--tenant", default=FIRST_TENANT, show_default=True, help="Whose data the key opens.")


class DurationType(click.ParamType[timedelta]):
    """A length of time: a number and s, m, h or d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """`value` as a length of time."""
        found = re.fullmatch(r"(\d{1,6})([smhd])", value)
        if found is None:
            self.fail(f"{value!r} is no length of time; write one as 90s, 30m, 24h or 7d.", param, ctx)
        return timedelta(**{_UNITS[found[2]]: int(found[1])})


class EndType(click.ParamType[datetime]):
    """An instant, or how long from now."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """`value` as an instant."""
        if re.fullmatch(r"\d+[a-z]", value):
            return datetime.now(UTC) + DurationType().convert(value, param, ctx)
        return InstantType().convert(value, param, ctx)


class RateType(click.ParamType[Rate]):
    """Requests a second, and perhaps items a second."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Rate:
        """`value` as a rate."""
        found = re.fullmatch(r"([\d.]+)(?:,([\d.]+))?", value)
        try:
            requests = float(found[1]) if found else 0.0
            items = float(found[2]) if found and found[2] else requests * ITEMS_A_REQUEST
            rate = msgspec.convert({"requests": requests, "items": items}, wire.KeyRate)
        except (ValueError, msgspec.ValidationError):
            self.fail(f"{value!r} is no rate; write one as 20, or 20,500: up to a million.", param, ctx)
        return Rate(rate.requests, rate.items)


@click.group()
def keys() -> None:
    """Create, list, revoke and rotate API keys."""


@keys.command()
@with_settings
@_tenant
@click.option("--name", default="made by personakit keys create", help="What the key is for.")
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(SCOPES), help="What it may; all unless given."
)
@click.option("--person", "people", multiple=True, type=PersonIdType(), help="Limit it to this person.")
@click.option("--persona", "personas", multiple=True, type=PersonaIdType(), help="Limit it to this persona.")
@click.option(
    "--rate",
    type=RateType(),
    metavar="N[,ITEMS]",
    help="Requests a second, and observations and feedback a second: ten times as many unless given.",
)
@click.option("--expires", type=EndType(), help="When it ends: an instant, or how long from now, as 90d.")
@json_option
def create(
    settings: Settings,
    tenant: str,
    name: str,
    scopes: Sequence[str],
    people: Sequence[str],
    personas: Sequence[str],
    rate: Rate | None,
    expires: datetime | None,
    as_json: bool,
) -> None:
    """Create an API key and show it, once: only a hash of it is kept.

    --scope, --person and --persona may be repeated. A key that is limited sees those people, each persona
    that views nobody else, and the personas that are named; it cannot have mappers:write or admin.
    """
    limited = bool(people or personas)
    every = [scope for scope in SCOPES if not (limited and scope in OF_ALL)]
    grant = granted(scopes or every, people if limited else None, personas if limited else None)
    with _log(settings) as recorder:
        _show_new(grant_key(recorder, tenant, name, grant, expires, rate), as_json)


@keys.command("list")
@with_settings
@_tenant
@json_option
def list_(settings: Settings, tenant: str, as_json: bool) -> None:
    """List the keys of a tenant, without their secrets; those too that open nothing any more."""
    with _log(settings) as recorder:
        found = list(_all(recorder, tenant))
    if as_json:
        click.echo(msgspec.json.encode([key.shown() for key in found]))
        return
    for key in found:
        click.echo(_line(key, datetime.now(UTC)))


@keys.command()
@with_settings
@_tenant
@click.argument("key_id", metavar="ID")
def revoke(settings: Settings, tenant: str, key_id: str) -> None:
    """Let a key open nothing any more, within a second in every process. ID is how it begins."""
    with _log(settings) as recorder:
        revoke_key(recorder, tenant, key_id)
    click.echo(f"The key {key_id} is revoked.")


@keys.command()
@with_settings
@_tenant
@click.argument("key_id", metavar="ID")
@click.option(
    "--overlap", type=DurationType(), default="24h", show_default=True, help="How long the old one goes on."
)
@json_option
def rotate(settings: Settings, tenant: str, key_id: str, overlap: timedelta, as_json: bool) -> None:
    """Create a key that may the same as the one with this ID, and show it, once; the old one ends after
    --overlap."""
    with _log(settings) as recorder:
        _show_new(rotate_key(recorder, tenant, key_id, overlap, datetime.now(UTC)), as_json)


@contextmanager
def _log(settings: Settings) -> Iterator[LogRecorder]:
    with database(settings) as conninfo:
        recorder = LogRecorder(open_datastore(conninfo, pool_size=1))
        try:
            recorder.create_table()
            yield recorder
        finally:
            recorder.datastore.close()


def _all(recorder: LogRecorder, tenant: str) -> Iterator[ApiKey]:
    page = list_keys(recorder, tenant, "", _PAGE)
    while page:
        yield from page
        page = list_keys(recorder, tenant, page[-1].prefix, _PAGE)


def _show_new(made: NewKey, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(made.shown()))
    else:
        click.echo(made.secret)


def _line(key: ApiKey, now: datetime) -> str:
    limits = key.grant.limits
    may = ",".join(scope for scope in SCOPES if scope in key.grant.scopes)
    whom = "everybody" if limits is None else ",".join(sorted(limits.people | limits.personas)) or "nobody"
    used = "never used" if key.last_used_at is None else f"last used {key.last_used_at:%Y-%m-%d %H:%M}"
    return f"{key.prefix}  {_state(key, now)}  {may}  {whom}  {used}  {key.name}"


def _state(key: ApiKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.ends_at is None:
        return "open"
    return f"{'expired' if key.ends_at <= now else 'until'} {key.ends_at:%Y-%m-%d %H:%M}"
