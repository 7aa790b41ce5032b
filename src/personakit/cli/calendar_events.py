"""Reads an iCalendar file (RFC 5545) into what took place: one occurrence for each time an event was held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from icalendar import Calendar, Event

from personakit.cli.recurrence import EARLIEST, instant, starts
from personakit_sdk.errors import InvalidInput

MOST_HELD = 200_000
"""Occurrences in one file: a short rule may say very many."""


class Occurrence(msgspec.Struct, frozen=True, kw_only=True):
    """One time that an event was held. `planned` is when its series had it begin, before any move."""

    uid: str
    planned: datetime
    start: datetime
    duration: timedelta
    all_day: bool
    recurring: bool
    status: str
    attendees: int
    summary: str


class BadEvent(msgspec.Struct, frozen=True):
    """An event that cannot be read, and why."""

    uid: str
    reason: str


def zone_named(name: str) -> ZoneInfo:
    """The time zone of that IANA name. Raises InvalidInput when there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInput(f"{name!r} is no time zone; give an IANA name such as Europe/Berlin.") from error


def read_calendar(data: bytes, zone: tzinfo | None, now: datetime) -> Iterator[Occurrence | BadEvent]:
    """What took place by `now` in the calendars of `data`; what was cancelled did not.

    Times without a zone are taken in `zone`, else in the one that the calendar names (X-WR-TIMEZONE);
    UTC times are told in it too, because programs that store UTC lose where the person was. Raises
    InvalidInput for what is no calendar, and when a zone is needed that nobody named.
    """
    try:
        calendars = Calendar.from_ical(data, multiple=True)
    except ValueError as error:
        raise InvalidInput(f"This is no iCalendar file: {error}.") from error
    if not calendars:
        raise InvalidInput("This is no iCalendar file: it has no VCALENDAR.")
    found = 0
    for calendar in calendars:
        home = zone or _own_zone(calendar)
        for series in _series(event for event in calendar.walk() if isinstance(event, Event)):
            for held in _held(series, home, now):
                yield held
                found += 1
            if found > MOST_HELD:
                raise InvalidInput(
                    f"The calendar has more than {MOST_HELD} events; export less of it at once."
                )


def _own_zone(calendar: Calendar) -> tzinfo | None:
    name = calendar.get("X-WR-TIMEZONE")
    return zone_named(str(name)) if name else None


def _series(events: Iterable[Event]) -> Iterable[list[Event]]:
    """Events by their UID: a series together with the instances of it that were changed."""
    by_uid: dict[str, list[Event]] = {}
    for event in events:
        by_uid.setdefault(str(event.uid), []).append(event)
    return by_uid.values()


def _held(series: list[Event], zone: tzinfo | None, now: datetime) -> Iterator[Occurrence | BadEvent]:
    uid = str(series[0].uid)
    try:
        occurrences = _occurrences(series, zone, now)
    except (ValueError, OverflowError) as error:
        yield BadEvent(uid, str(error))
        return
    for occurrence in occurrences:
        if occurrence.status != "cancelled" and _is_past(occurrence, now):
            yield occurrence


def _occurrences(series: list[Event], zone: tzinfo | None, now: datetime) -> list[Occurrence]:
    if not series[0].uid:
        raise ValueError("it has no UID, by which it would be known again")
    found: dict[datetime, Occurrence] = {}
    # A file may hold several versions of an event; the one with the highest SEQUENCE is the newest.
    for event in sorted(series, key=lambda event: (event.RECURRENCE_ID is not None, event.sequence)):
        if event.RECURRENCE_ID is None:
            held = starts(event, zone, now)
            found = dict(_repeated(event, held, zone))
        else:
            planned = instant(event.RECURRENCE_ID, zone)
            found[planned.astimezone(UTC)] = _occurrence(event, planned, instant(event.start, zone), zone)
    return list(found.values())


def _repeated(
    event: Event, held: list[datetime], zone: tzinfo | None
) -> Iterator[tuple[datetime, Occurrence]]:
    """An event at each of these times, which says the same of all: it is read once."""
    if not held:
        return
    one = _occurrence(event, held[0], held[0], zone)
    for at in held:
        yield at.astimezone(UTC), msgspec.structs.replace(one, planned=at, start=_told(at, zone))


def _told(start: datetime, zone: tzinfo | None) -> datetime:
    return start.astimezone(zone) if zone and start.tzname() == "UTC" else start


def _occurrence(event: Event, planned: datetime, start: datetime, zone: tzinfo | None) -> Occurrence:
    return Occurrence(
        uid=str(event.uid),
        planned=planned,
        start=_told(start, zone),
        duration=_duration(event, zone),
        all_day=not isinstance(event.start, datetime),
        recurring="RRULE" in event or "RDATE" in event or "RECURRENCE-ID" in event,
        status=str(event.get("STATUS", "CONFIRMED")).lower(),
        attendees=len(event.attendees),
        summary=str(event.summary or ""),
    )


def _duration(event: Event, zone: tzinfo | None) -> timedelta:
    """How long the event takes: whole days by the calendar, else from instant to instant."""
    if not isinstance(event.start, datetime):
        length = event.end - event.start
    else:
        length = instant(event.end, zone).astimezone(UTC) - instant(event.start, zone).astimezone(UTC)
    if length < timedelta(0):
        raise ValueError("it ends before it begins")
    return length


def _is_past(occurrence: Occurrence, now: datetime) -> bool:
    return occurrence.start >= EARLIEST and occurrence.start + occurrence.duration <= now
