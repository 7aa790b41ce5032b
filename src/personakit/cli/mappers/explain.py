"""`personakit mappers explain`: why each rule fired or not, with the values that its conditions saw."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click
import msgspec

from personakit.cli.machine_zone import machine_zone
from personakit.cli.mappers.explained import show
from personakit.cli.mappers.explaining import Asked, Explained, by_given, by_persona, by_service
from personakit.cli.mappers.options import context_of, context_option, is_file
from personakit.cli.options import FILE, InstantType, PersonIdType, json_option, with_settings
from personakit.config import Settings
from personakit_sdk.errors import InvalidInput


@click.command()
@click.argument("target", metavar="FILE|ID")
@click.option("--person", type=PersonIdType(), help="Whose persona is mapped.")
@click.option(
    "--given",
    type=FILE,
    help="Facts from a file instead, as `given` of a test: traits, context, at, timezone, learned.",
)
@click.option("--at", type=InstantType(), help="The instant to decide for.  [default: now]")
@click.option(
    "--timezone", metavar="ZONE", help="Where the person is, as Europe/Berlin.  [default: this machine's]"
)
@context_option
@click.option("--limit", type=click.IntRange(1, 100), default=5, show_default=True, help="Cut after so many.")
@click.option("--rule", "rules", multiple=True, metavar="ID", help="Only this rule; may be repeated.")
@json_option
@with_settings
def explain(
    settings: Settings,
    *,
    target: str,
    person: str | None,
    given: Path | None,
    at: datetime | None,
    timezone: str | None,
    context: tuple[str, ...],
    limit: int,
    rules: tuple[str, ...],
    as_json: bool,
) -> None:
    """Say of each rule of a mapper why it fired or not, and what became of its suggestions.

    ID is a mapper of the service, decided there. FILE is decided here: with the facts of --given and without
    a service, or with the persona of --person as the service has it now.
    """
    if (person is None) == (given is None):
        raise InvalidInput("Say whose persona is mapped with --person, or give the facts with --given.")
    zone = timezone or (None if given else machine_zone(datetime.now().astimezone()))
    asked = Asked(context=context_of(context), timezone=zone, at=at, limit=limit)
    explained = _chosen(_explained(settings, target, person, given, asked), rules)
    if as_json:
        click.echo(msgspec.json.encode(explained))
    else:
        show(explained)


def _explained(
    settings: Settings, target: str, person: str | None, given: Path | None, asked: Asked
) -> Explained:
    if not is_file(target):
        if person is None:
            raise InvalidInput("--given goes with a FILE; a mapper of the service takes --person.")
        return by_service(settings, target, person, asked)
    return by_given(target, given, asked) if given else by_persona(settings, target, person or "", asked)


def _chosen(explained: Explained, wanted: tuple[str, ...]) -> Explained:
    """The explanation of these rules only; of all where none is named. Raises InvalidInput."""
    rules = explained.explanation.rules
    unknown = sorted(set(wanted) - {rule.id for rule in rules})
    if unknown and explained.withheld is None:
        raise InvalidInput(f"{explained.mapper} has no rule {unknown[0]!r}; --json without --rule lists all.")
    kept = [rule for rule in rules if rule.id in wanted or not wanted]
    explanation = msgspec.structs.replace(explained.explanation, rules=kept)
    return msgspec.structs.replace(explained, explanation=explanation)
