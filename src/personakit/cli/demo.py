"""`personakit demo`: a history imported into a running service, and what to ask of it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import click

from personakit import shipped
from personakit.cli.connection import api_key, connect_for_import
from personakit.cli.delivery import Summary
from personakit.cli.git_history import most_frequent_author
from personakit.cli.git_import import import_git
from personakit.cli.jsonl import import_jsonl
from personakit.cli.machine_zone import machine_zone
from personakit.cli.options import with_settings
from personakit.cli.progress import progress
from personakit.config import Settings
from personakit_sdk.transport import Transport
from personakit_sdk.wire import MapAnswer

PERSON = "me"
MAPPER = "work_rhythm"


@click.command()
@with_settings
@click.option(
    "--repository",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=".",
    show_default=True,
    help="Whose git history to import; a sample where it has none.",
)
def demo(settings: Settings, repository: Path) -> None:
    """Import a history into a running service, and show what to ask of it."""
    run_demo(settings, repository)


def run_demo(settings: Settings, repository: Path) -> None:
    """Imports, waits until the traits are derived, and shows suggestions and how to get them."""
    transport = connect_for_import(settings)
    summary = import_history(transport, repository)
    click.echo(
        f"Imported {summary.sent} observations of the person {PERSON!r} in {summary.seconds:.1f} s "
        f"({summary.stored} new, {summary.duplicates} known already)."
    )
    show_suggestions(transport, summary.position)
    key = api_key(settings)
    query = urlencode(question())
    click.echo("\nAsk yourself:\n")
    for path in (f"/map-persona?{query}", f"/mindscapes/{PERSON}"):
        click.echo(f"  curl -s -H 'Authorization: Bearer {key}' '{settings.url}{path}'")
    click.echo("")


def question() -> dict[str, str]:
    """What to ask; with the zone, for "morning" to be ours."""
    zone = machine_zone(datetime.now().astimezone())
    return {"mapperId": MAPPER, "personaId": PERSON, **({"timezone": zone} if zone else {})}


def import_history(transport: Transport, repository: Path) -> Summary:
    """The git history of the most frequent author there, or the shipped sample."""
    author = most_frequent_author(repository)
    with progress(sys.stderr) as report:
        if author is None:
            return import_jsonl(transport, shipped.samples_dir() / "work_history.jsonl", PERSON, report)
        return import_git(transport, repository, [author], PERSON, now=datetime.now(UTC), report=report)


def show_suggestions(transport: Transport, position: int) -> None:
    """The suggestions of this moment, once all that was imported up to `position` is derived."""
    answer = transport.request(
        "GET",
        "/map-persona",
        query=question(),
        headers={"PersonaKit-Min-Position": str(position)},
    ).decode(MapAnswer)
    click.echo(f"\n{len(answer.suggestions)} suggestions right now, from mapper {MAPPER}:")
    for suggestion in answer.suggestions:
        click.echo(f"  - {suggestion.title}: {suggestion.description}")
