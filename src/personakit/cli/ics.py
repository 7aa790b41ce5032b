"""Imports a calendar file: the events that took place, as observations of one person."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from personakit.cli.calendar_events import BadEvent, Occurrence, read_calendar, zone_named
from personakit.cli.delivery import PROBLEMS_KEPT, Report, Summary, deliver
from personakit.cli.observation_ids import observation_id
from personakit_sdk.errors import InvalidInput
from personakit_sdk.transport import Transport
from personakit_sdk.wire import Observation


def import_ics(
    transport: Transport,
    path: Path,
    person: str,
    *,
    now: datetime,
    report: Report,
    timezone: str | None = None,
    with_summaries: bool = False,
) -> Summary:
    """Send the events of the calendar at `path` that have ended by `now` as `calendar_event`s.

    An event's UID and the instant it was planned for make its id. What cannot be read is counted as
    `invalid`, the rest is sent. Raises InvalidInput for what is no calendar or needs a `timezone`.
    """
    zone = zone_named(timezone) if timezone else None
    read = list(read_calendar(_content(path), zone, now))
    bad = [event for event in read if isinstance(event, BadEvent)]
    held = sorted(
        (event for event in read if isinstance(event, Occurrence)), key=lambda event: (event.start, event.uid)
    )
    summary = deliver(transport, observations(held, person, with_summaries), report, total=len(held))
    reasons = tuple(f"event {event.uid or 'without UID'}: {event.reason}" for event in bad)
    return msgspec.structs.replace(
        summary, invalid=len(bad), problems=(reasons + summary.problems)[:PROBLEMS_KEPT]
    )


def observations(held: list[Occurrence], person: str, with_summaries: bool) -> Iterator[Observation]:
    """The observation of each occurrence; the events' titles only where they are asked for."""
    for event in held:
        content: dict[str, Any] = {
            "duration_minutes": round(event.duration.total_seconds() / 60),
            "attendees": event.attendees,
            "all_day": event.all_day,
            "recurring": event.recurring,
            "status": event.status,
        }
        if with_summaries and event.summary:
            content["summary"] = event.summary
        yield Observation(
            id=observation_id(
                "calendar_event", person, f"{event.planned.astimezone(UTC).isoformat()}\n{event.uid}"
            ),
            person_id=person,
            type="calendar_event",
            content=content,
            occurred_at=event.start,
            source="ics",
        )


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error
