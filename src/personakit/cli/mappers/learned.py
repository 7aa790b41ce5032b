"""`personakit mappers weights|approve|freeze|thaw|roll-back`: what feedback taught, and what follows."""

from __future__ import annotations

from collections.abc import Callable
from math import log2
from typing import Any, Final

import click
import msgspec

from personakit.cli.connection import connect
from personakit.cli.documents.options import if_match_header, if_match_option, reason_option
from personakit.cli.mappers.options import NameType
from personakit.cli.options import json_option, with_settings
from personakit.config import Settings
from personakit_sdk.errors import InvalidInput
from personakit_sdk.transport import Reply
from personakit_sdk.wire import AdjustWeights, LearnedVersion, LearnedWeights, RuleLearning

_HALF: Final = 5
"""Cells of the bar on each side of 1; a full side is twice the weight, or half of it."""
_VERSIONS: Final = 5
"""So many of the history are shown."""
_HEAD: Final = (
    f"{'weight':>8}  {'learned':>7}  {'':<{2 * _HALF + 1}}  {'votes':>7}  {'good':>5}  {'of':>4}  rule"
)


@click.command()
@click.argument("mapper_id", type=NameType(), metavar="ID")
@json_option
@with_settings
def weights(settings: Settings, *, mapper_id: str, as_json: bool) -> None:
    """What was learned of each rule of the mapper ID: the author's weight, what feedback multiplies it with,
    how many votes that rests on (the older the less), how many of them are good, of how many personas; what
    is proposed; and which versions changed it last."""
    _tell(connect(settings).request("GET", f"/mappers/{mapper_id}/weights"), as_json=as_json)


def _changing(command: Callable[..., None]) -> Callable[..., None]:
    """The arguments and options of what changes what was learned."""
    with_options = reason_option(if_match_option(json_option(with_settings(command))))
    return click.argument("mapper_id", type=NameType(), metavar="ID")(with_options)


_rules = click.argument("rules", type=NameType(), metavar="[RULE]...", nargs=-1)


@click.command()
@_changing
@_rules
@click.option(
    "--seen",
    multiple=True,
    metavar="RULE=MULTIPLIER",
    help="Only if what is proposed is still this; may be repeated.",
)
def approve(
    settings: Settings, *, mapper_id: str, rules: tuple[str, ...], seen: tuple[str, ...], **options: Any
) -> None:
    """Publish what is proposed for the mapper ID: for each RULE, or for all."""
    body = AdjustWeights(
        action="approve",
        rules=list(rules) or None,
        weights=dict(map(_multiplier, seen)) or None,
    )
    _adjust(settings, mapper_id, body, **options)


@click.command()
@_changing
@_rules
def freeze(settings: Settings, *, mapper_id: str, rules: tuple[str, ...], **options: Any) -> None:
    """Let each RULE of the mapper ID, or all, stay as they are, whatever is said of them."""
    body = AdjustWeights(action="freeze", rules=list(rules) or None)
    _adjust(settings, mapper_id, body, **options)


@click.command()
@_changing
@_rules
def thaw(settings: Settings, *, mapper_id: str, rules: tuple[str, ...], **options: Any) -> None:
    """Let each RULE of the mapper ID, or all, learn again."""
    body = AdjustWeights(action="thaw", rules=list(rules) or None)
    _adjust(settings, mapper_id, body, **options)


@click.command(name="roll-back")
@_changing
@click.argument("version", type=click.IntRange(1), metavar="VERSION")
def roll_back(settings: Settings, *, mapper_id: str, version: int, **options: Any) -> None:
    """Bring back what the mapper ID had learned at VERSION. The rules that this changes are frozen: they
    would learn the same again. `personakit mappers thaw` lets them learn."""
    body = AdjustWeights(action="roll_back", version=version)
    _adjust(settings, mapper_id, body, **options)


def _adjust(
    settings: Settings,
    mapper_id: str,
    body: AdjustWeights,
    *,
    reason: str,
    if_match: str | None,
    as_json: bool,
) -> None:
    reply = connect(settings).request(
        "POST",
        f"/mappers/{mapper_id}/weights",
        body=msgspec.structs.replace(body, reason=reason),
        headers=if_match_header(if_match),
        idempotent=True,  # what is so already makes no version
    )
    _tell(reply, as_json=as_json)


def _multiplier(text: str) -> tuple[str, float]:
    rule, _, number = text.partition("=")
    try:
        return rule, float(number)
    except ValueError:
        raise InvalidInput(f"{text!r} is no RULE=MULTIPLIER, such as late_nights=0.9.") from None


def _tell(reply: Reply, *, as_json: bool) -> None:
    if as_json:
        click.echo(reply.body)
        return
    found = reply.decode(LearnedWeights)
    click.echo(f"{found.id} version {found.version}, publishing {found.publishing}")
    click.echo(_HEAD)
    for rule in found.rules:
        click.echo(_line(rule))
    if found.gone:
        click.echo("Rules of earlier versions:")
    for rule in found.gone:
        click.echo(_line(rule))
    if found.history:
        click.echo("History:")
    for version in found.history[:_VERSIONS]:
        click.echo(_told(version))


def _line(rule: RuleLearning) -> str:
    weight = "gone" if rule.weight is None else f"{rule.weight:g}"
    good = "" if rule.rate is None else f"{rule.rate:.0%}"
    notes = [
        *([f"-> {rule.proposed:g} proposed"] if rule.proposed is not None else []),
        *(["frozen"] if rule.frozen else []),
        *([f"since version {rule.version}"] if rule.version is not None else []),
    ]
    said = f"  ({', '.join(notes)})" if notes else ""
    return (
        f"{weight:>8}  {rule.learned:>7g}  {bar(rule.learned)}  {rule.votes:>7.1f}  {good:>5}  "
        f"{rule.personas:>4}  {rule.rule_id}{said}"
    )


def _told(version: LearnedVersion) -> str:
    """A version in a line: when it was made, why, and which multipliers it changed."""
    each = ", ".join(f"{rule.rule_id} {rule.learned:g}" for rule in version.changed)
    said = [version.cause.replace("_", " "), *([each] if each else [])]
    why = f" ({version.reason})" if version.reason and version.cause != "learned" else ""
    return f"{version.version:>8}  {version.created_at:%Y-%m-%d %H:%M}  {': '.join(said)}{why}"


def bar(multiplier: float) -> str:
    """How far a multiplier lies above 1 or below, in doublings."""
    cells = min(_HALF, max(-_HALF, round(_HALF * log2(multiplier))))
    below, above = max(-cells, 0), max(cells, 0)
    return f"{'<' * below:>{_HALF}}|{'>' * above:<{_HALF}}"
