"""`personakit import`: real histories, sent through the service's front door as any application would."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import msgspec

from personakit.cli.connection import connect_for_import
from personakit.cli.delivery import Report, Summary
from personakit.cli.git_import import import_git
from personakit.cli.ics import import_ics
from personakit.cli.jsonl import import_jsonl
from personakit.cli.options import FILE, PersonIdType, json_option, with_settings
from personakit.cli.progress import progress
from personakit.cli.sessions import GAP, LEAD_IN
from personakit.config import Settings
from personakit_sdk.transport import Transport, Unreachable

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
MINUTES = click.IntRange(min=0, max=24 * 60)


@click.group(name="import")
def import_() -> None:
    """Import a history. Importing again is safe: what is recorded already is not recorded twice."""


@import_.command()
@click.argument("path", type=FOLDER, default=".")
@click.option(
    "--author",
    "authors",
    multiple=True,
    required=True,
    metavar="EMAIL",
    help="Whose commits; may be repeated.",
)
@click.option("--person", required=True, type=PersonIdType(), help="Who that is in PersonaKit.")
@click.option(
    "--session-gap",
    type=MINUTES,
    default=int(GAP.total_seconds() // 60),
    show_default=True,
    help="Minutes of silence that end a work session. Keep to one: another value adds other sessions.",
)
@click.option(
    "--lead-in",
    type=MINUTES,
    default=int(LEAD_IN.total_seconds() // 60),
    show_default=True,
    help="Minutes of work before a session's first commit.",
)
@json_option
@with_settings
def git(
    settings: Settings,
    *,
    path: Path,
    authors: tuple[str, ...],
    person: str,
    session_gap: int,
    lead_in: int,
    as_json: bool,
) -> None:
    """Import the commits and work sessions of one person from the git repository at PATH.

    Only numbers, languages and hashes are sent: no messages, addresses or file names.
    """
    gap, before = timedelta(minutes=session_gap), timedelta(minutes=lead_in)

    def run(transport: Transport, report: Report) -> Summary:
        now = datetime.now(UTC)
        return import_git(transport, path, authors, person, now=now, report=report, gap=gap, lead_in=before)

    _import(settings, run, as_json=as_json)


@import_.command()
@click.argument("file", type=FILE)
@click.option("--person", type=PersonIdType(), help="Send every line as this person's.")
@json_option
@with_settings
def jsonl(settings: Settings, *, file: Path, person: str | None, as_json: bool) -> None:
    """Import FILE: one observation a line, as `POST /observations` takes them. The id may be missing."""
    _import(
        settings, lambda transport, report: import_jsonl(transport, file, person, report), as_json=as_json
    )


@import_.command()
@click.argument("file", type=FILE)
@click.option("--person", required=True, type=PersonIdType(), help="Whose calendar it is.")
@click.option("--timezone", metavar="ZONE", help="The zone of times that name none, as Europe/Berlin.")
@click.option("--with-summaries", is_flag=True, help="Send the events' titles as well.")
@json_option
@with_settings
def ics(
    settings: Settings, *, file: Path, person: str, timezone: str | None, with_summaries: bool, as_json: bool
) -> None:
    """Import the past events of the calendar FILE. Titles, places and addresses are not sent."""

    def run(transport: Transport, report: Report) -> Summary:
        return import_ics(
            transport,
            file,
            person,
            now=datetime.now(UTC),
            report=report,
            timezone=timezone,
            with_summaries=with_summaries,
        )

    _import(settings, run, as_json=as_json)


def _import(settings: Settings, run: Callable[[Transport, Report], Summary], *, as_json: bool) -> None:
    """Run an import, say what it did, and exit 1 when something was not taken."""
    transport = connect_for_import(settings)
    with _resumable(), progress(sys.stderr) as report:
        summary = run(transport, report)
    click.echo(msgspec.json.encode(summary).decode() if as_json else _told(summary))
    if not summary.complete:
        click.get_current_context().exit(1)


@contextmanager
def _resumable() -> Iterator[None]:
    try:
        yield
    except (Unreachable, KeyboardInterrupt):
        click.echo("What was sent is kept; the same command again goes on from there.", err=True)
        raise


def _told(summary: Summary) -> str:
    took = f"sent {summary.sent:,} in {summary.seconds:.1f} s"
    lines = [
        f"{took}: {summary.stored:,} stored, {summary.duplicates:,} duplicates, {summary.rejected:,} rejected"
    ]
    if summary.changed:
        lines.append(f"{summary.changed:,} changed since the last import; kept as first recorded")
    if summary.invalid:
        lines.append(f"{summary.invalid:,} could not be read and were not sent")
    return "\n".join([*lines, *summary.notes, *(f"  {problem}" for problem in summary.problems)])
