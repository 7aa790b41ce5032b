"""`personakit map`: asks a mapper for suggestions for a persona, and shows them."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any, get_args

import click
import msgspec

from personakit.cli.connection import connect
from personakit.cli.machine_zone import machine_zone
from personakit.cli.observe import pair
from personakit.cli.options import InstantType, json_option, with_settings
from personakit.cli.values import printable
from personakit.config import Settings
from personakit_sdk.errors import InvalidInput
from personakit_sdk.rules.evaluate import Suggestion
from personakit_sdk.wire import DetailLevel, MapAnswer, MapPersona


@click.command(name="map")
@click.argument("mapper")
@click.argument("persona")
@click.option(
    "--detail-level", type=click.Choice(get_args(DetailLevel)), default="balanced", show_default=True
)
@click.option("--at", type=InstantType(), help="The instant to decide for.  [default: now]")
@click.option(
    "--timezone", metavar="ZONE", help="Where the person is, as Europe/Berlin.  [default: this machine's]"
)
@click.option(
    "--context", multiple=True, metavar="KEY=VALUE", help="What the rules may know; may be repeated."
)
@click.option("--limit", type=click.IntRange(1, 100), help="At most so many suggestions.")
@click.option("--explain", is_flag=True, help="Say of every rule why it fired or not.")
@json_option
@with_settings
def map_(
    settings: Settings,
    *,
    mapper: str,
    persona: str,
    context: tuple[str, ...],
    as_json: bool,
    **asked: Any,
) -> None:
    """Suggestions of MAPPER for PERSONA (a person's own persona has the person's id), best first."""
    asked["timezone"] = asked["timezone"] or machine_zone(datetime.now().astimezone())
    said = {name: value for name, value in asked.items() if value is not None}
    body = _request({"mapper_id": mapper, "persona_id": persona, "context": dict(map(pair, context)), **said})
    reply = connect(settings).request("POST", "/map-persona", body=body, idempotent=True)
    answer = reply.decode(MapAnswer)
    if as_json:
        click.echo(reply.body)
    else:
        _show(answer, explain=bool(asked["explain"]))


def _request(said: dict[str, Any]) -> MapPersona:
    """The request, checked as the service will; Python's names become the wire's on the way."""
    try:
        return msgspec.convert(msgspec.to_builtins(MapPersona(**said)), MapPersona)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"This cannot be asked: {error}.") from error


def _show(answer: MapAnswer, *, explain: bool) -> None:
    from rich.console import Console  # noqa: PLC0415 - not paid for by --json and --help
    from rich.text import Text  # noqa: PLC0415

    console = Console(file=sys.stdout, soft_wrap=True, highlight=False)
    for suggestion in answer.suggestions:
        console.print(Text(printable(suggestion.title), style="bold"), _standing(suggestion), markup=False)
        console.print(f"  {printable(suggestion.description)}", markup=False)
    for line in _remarks(answer):
        console.print(line, style="dim", markup=False)
    if explain and answer.withheld is None:
        console.print(msgspec.json.format(msgspec.json.encode(answer.explanation)).decode(), markup=False)


def _standing(suggestion: Suggestion) -> str:
    return f"({suggestion.priority}, score {suggestion.score:.2f}, rule {suggestion.rule_id})"


def _remarks(answer: MapAnswer) -> list[str]:
    """What a person should know about the answer beside the suggestions."""
    remarks = [] if answer.suggestions or answer.withheld else ["No rule fired."]
    if answer.withheld:
        remarks.append(f"Nothing is mapped. {answer.withheld.reason}")
    if answer.missing_traits:
        remarks.append(f"Not known yet: {', '.join(answer.missing_traits)}.")
    if answer.persona.is_stale:
        since = f" since {answer.persona.stale_since.isoformat()}" if answer.persona.stale_since else ""
        remarks.append(
            f"The persona's core is stale{since}; POST {answer.regenerate.href} makes a fresh one."
        )
    mapper = answer.mapper
    remarks.append(f"{mapper.id}, version {mapper.version}, at position {answer.freshness.position}.")
    return remarks
