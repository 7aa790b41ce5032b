"""`personakit people consent|consent-policy`: what people consent to, and whether mapping takes it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import click
import msgspec

from personakit.cli.connection import connect
from personakit.cli.options import PersonIdType, json_option, with_settings
from personakit.cli.values import printable
from personakit.config import Settings
from personakit_sdk.errors import InvalidInput
from personakit_sdk.transport import Reply, ServiceError, Transport
from personakit_sdk.wire import (
    ChangeConsent,
    Consent,
    ConsentChange,
    ConsentPolicy,
    ConsentPolicyName,
    Purpose,
    SetConsentPolicy,
)

_TRIES: Final = 10
"""So often somebody else may have changed it meanwhile."""
_CHANGED: Final = 412
_UNKNOWN: Final = 404


class PurposeType(click.ParamType[str]):
    """A purpose, checked before anything is sent."""

    name = "purpose"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """`value` if it is a purpose."""
        try:
            return msgspec.convert(value, Purpose)
        except msgspec.ValidationError:
            self.fail(f"{value!r} is no purpose: 1 to 64 of a-z 0-9 _, beginning with a letter.", param, ctx)


@click.command()
@click.argument("person", metavar="ID", type=PersonIdType())
@click.option("--allow", multiple=True, type=PurposeType(), help="Consent to this; may be repeated.")
@click.option("--withdraw", multiple=True, type=PurposeType(), help="And no more to this; may be repeated.")
@click.option("--reason", default="", help="How it was given or withdrawn; kept with the change.")
@json_option
@with_settings
def consent(
    settings: Settings,
    *,
    person: str,
    allow: tuple[str, ...],
    withdraw: tuple[str, ...],
    reason: str,
    as_json: bool,
) -> None:
    """Show what the person ID consents to, who told of it and when; with --allow or --withdraw, change it:
    what is not named stays as it is, whoever else changes it meanwhile.

    It takes a key with read, and to change it one with observe too. --allow makes somebody known who is not
    yet; where there is only something to withdraw, nobody is made.
    """
    if both := sorted(set(allow) & set(withdraw)):
        raise InvalidInput(f"{both[0]!r} is both to be allowed and to be withdrawn; name it once.")
    service = connect(settings)
    if allow or withdraw:
        reply = _changed(service, person, allow, withdraw, reason)
    else:
        reply = service.request("GET", f"/people/{person}/consent")
    if as_json:
        click.echo(reply.body)
        return
    for line in told(reply.decode(Consent)):
        click.echo(line)


@click.command("consent-policy")
@click.argument("policy", type=click.Choice(["off", "required"]), required=False)
@click.option("--reason", default="", help="Why; kept with the change.")
@json_option
@with_settings
def consent_policy(
    settings: Settings, *, policy: ConsentPolicyName | None, reason: str, as_json: bool
) -> None:
    """Show whether people are mapped only for purposes that they have consented to, or set it.

    Where it is required, mappers that do not say what they are for map nobody: they are named.
    """
    service = connect(settings)
    if policy is None:
        reply = service.request("GET", "/consent-policy")
    else:
        body = SetConsentPolicy(policy=policy, reason=reason)
        reply = service.request("PUT", "/consent-policy", body=body)
    if as_json:
        click.echo(reply.body)
        return
    for line in told_of_policy(reply.decode(ConsentPolicy)):
        click.echo(line)


def _changed(
    service: Transport,
    person: str,
    allow: Collection[str],
    withdraw: Collection[str],
    reason: str,
    tries: int = _TRIES,
) -> Reply:
    """The answer to the change, made on what stood before, as often as that is another by then."""
    before = _read(service, person, known=not allow)
    purposes = sorted({*(before.purposes if before else ()), *allow} - {*withdraw})
    body = ChangeConsent(purposes=purposes, reason=reason)
    headers = {"If-Match": f'"{before.version if before else 0}"'}
    try:
        return service.request("PUT", f"/people/{person}/consent", body=body, headers=headers)
    except ServiceError as error:
        if error.status != _CHANGED or tries == 1:
            raise
    return _changed(service, person, allow, withdraw, reason, tries - 1)


def _read(service: Transport, person: str, *, known: bool) -> Consent | None:
    """What stands; None for somebody who is not known yet, unless they have to be."""
    try:
        return service.request("GET", f"/people/{person}/consent").decode(Consent)
    except ServiceError as error:
        if known or error.status != _UNKNOWN:
            raise
        return None


def told(consent: Consent) -> list[str]:
    """What somebody consents to, and how that came about, the newest first."""
    if consent.version == 0:
        return [f"{consent.person_id} was never said to consent to anything."]
    purposes = ", ".join(consent.purposes) or "nothing"
    return [f"{consent.person_id} consents to {purposes}.", *map(_line, consent.history)]


def _line(change: ConsentChange) -> str:
    said = f": {printable(change.reason)}" if change.reason else ""
    purposes = ", ".join(change.purposes) or "nothing"
    when = f"{change.changed_at:%Y-%m-%d %H:%M}"
    return f"  {change.version}. {when}  {purposes}  ({printable(change.origin)}{said})"


def told_of_policy(policy: ConsentPolicy) -> list[str]:
    """The policy, who set it, and what it leaves in the dark."""
    if policy.policy == "off":
        said = "Consent is off: people are mapped whatever they consented to."
    else:
        said = "Consent is required: people are mapped for what all of them have consented to."
    lines = [said]
    if policy.changed_at is not None:
        why = f": {printable(policy.reason)}" if policy.reason else ""
        lines.append(f"  set {policy.changed_at:%Y-%m-%d %H:%M} by {printable(policy.origin)}{why}")
    if policy.undeclared:
        maps = "map nobody" if policy.policy == "required" else "would map nobody where it is required"
        lines.append(f"  without purposes, these {maps}: {', '.join(policy.undeclared)}")
    return lines
