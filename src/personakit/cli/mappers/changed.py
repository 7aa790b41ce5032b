"""`personakit mappers weight|publish|withdraw`: changes mappers of the service, each a version of its own."""

from __future__ import annotations

import click

from personakit.cli.connection import connect
from personakit.cli.documents.options import if_match_header, if_match_option, reason_option
from personakit.cli.mappers.options import NameType
from personakit.cli.options import json_option, with_settings
from personakit.config import Settings
from personakit_sdk.errors import InvalidInput
from personakit_sdk.transport import Reply
from personakit_sdk.wire import Mapper, RuleWeight


@click.command()
@click.argument("mapper_id", type=NameType(), metavar="ID")
@click.argument("rule_id", type=NameType(), metavar="RULE")
@click.option("--to", "weight", type=float, help="The new weight, 0 to 10.")
@click.option("--by", "change", type=float, help="What is added to the present weight; may be negative.")
@reason_option
@if_match_option
@json_option
@with_settings
def weight(
    settings: Settings,
    *,
    mapper_id: str,
    rule_id: str,
    weight: float | None,
    change: float | None,
    reason: str,
    if_match: str | None,
    as_json: bool,
) -> None:
    """Give the rule RULE of the mapper ID another weight: --to one, or changed --by some."""
    if (weight is None) == (change is None):
        raise InvalidInput("Give the new weight with --to, or what is added to the present one with --by.")
    reply = connect(settings).request(
        "PATCH",
        f"/mappers/{mapper_id}/rules/{rule_id}",
        body=RuleWeight(weight=weight, change=change, reason=reason),
        headers=if_match_header(if_match),
        idempotent=weight is not None,
    )
    now = next(
        (rule["weight"] for rule in reply.decode(Mapper).document["rules"] if rule["id"] == rule_id), None
    )
    _tell(reply, f"the rule {rule_id} weighs {now}", as_json=as_json)


@click.command()
@click.argument("mapper_id", type=NameType(), metavar="ID")
@click.argument("version", type=click.IntRange(1), metavar="VERSION")
@reason_option
@if_match_option
@json_option
@with_settings
def publish(
    settings: Settings, *, mapper_id: str, version: int, reason: str, if_match: str | None, as_json: bool
) -> None:
    """Publish an older VERSION of the mapper ID anew, or a draft: it becomes the next version, and active."""
    reply = connect(settings).request(
        "POST",
        f"/mappers/{mapper_id}/versions/{version}/publish",
        query={"reason": reason or None},
        headers=if_match_header(if_match),
        idempotent=True,  # what is in use already makes no version
    )
    _tell(reply, f"as version {version} was", as_json=as_json)


@click.command()
@click.argument("mapper_id", type=NameType(), metavar="ID")
@reason_option
@if_match_option
@json_option
@with_settings
def withdraw(settings: Settings, *, mapper_id: str, reason: str, if_match: str | None, as_json: bool) -> None:
    """Take the mapper ID out of use; its versions stay, and publishing one brings it back."""
    reply = connect(settings).request(
        "DELETE",
        f"/mappers/{mapper_id}",
        query={"reason": reason or None},
        headers=if_match_header(if_match),
    )
    _tell(reply, "nothing is mapped with it", as_json=as_json)


def _tell(reply: Reply, what: str, *, as_json: bool) -> None:
    mapper = reply.decode(Mapper)
    click.echo(reply.body if as_json else f"{mapper.id} version {mapper.version}, {mapper.status}: {what}")
