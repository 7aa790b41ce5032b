"""When a calendar event takes place: RFC 5545's recurrence rules, additions and exceptions. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import chain, islice, takewhile

# dateutil ships no types; rrulestr(text, dtstart=…) iterates over datetimes.
from dateutil.rrule import rrulestr  # type: ignore[import-untyped]
from icalendar import Event, vRecur

from personakit_sdk.errors import InvalidInput

EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
"""What took place before is left out, as with commits: a date below this is mostly a mistake."""
MOST_REPEATS = 20_000
"""Times that one rule is followed: each day for 54 years."""
GREGORIAN = 1583
"""The first whole year of the calendar; a rule that never matches is looked for in all years since."""
CYCLE = 400
"""Years after which the Gregorian calendar begins again; Easter does not, which no rule of RFC 5545 names."""
TOO_OFTEN = frozenset({"SECONDLY", "MINUTELY", "HOURLY"})
"""No meeting repeats so; and a rule of these that never matches would be searched for minutes."""


class NoTimezone(InvalidInput):
    """A time that names no zone, in a calendar that names none either."""

    def __init__(self) -> None:
        super().__init__(
            "The calendar has times that name no time zone; say which is meant, as --timezone Europe/Berlin."
        )


def instant(value: date, zone: tzinfo | None) -> datetime:
    """`value` as an aware instant: a day as its midnight, and what has no zone of its own in `zone`."""
    moment = value if isinstance(value, datetime) else datetime.combine(value, time.min)
    if moment.tzinfo is not None:
        return moment
    if zone is None:
        raise NoTimezone
    return moment.replace(tzinfo=zone)


def starts(event: Event, zone: tzinfo | None, until: datetime) -> list[datetime]:
    """When `event` begins, up to `until`, oldest first. Raises ValueError for rules that cannot be read."""
    first = instant(event.start, zone)
    own = first.tzinfo
    repeated = (start for rule in event.rrules for start in _repeats(rule, first, until))
    added = (instant(start, own) for start, _ in event.rdates)
    left_out = {instant(start, own).astimezone(UTC) for start in event.exdates}
    # Told apart as UTC: where a clock is set back, two zones never compare as equal in Python.
    found = {start.astimezone(UTC): start for start in chain((first,), repeated, added)}
    return [found[at] for at in sorted(found.keys() - left_out) if at <= until]


def _repeats(rule: vRecur, first: datetime, until: datetime) -> Iterator[datetime]:
    """The starts that `rule` gives, by the clock on the wall where the event takes place."""
    if TOO_OFTEN.intersection(rule.get("FREQ", ())):
        raise ValueError("it repeats every hour or more often, which no meeting does")
    if "BYEASTER" in rule:
        raise ValueError("it repeats by Easter, which RFC 5545 does not know")
    if min(rule.get("INTERVAL", (1,))) < 1:
        raise ValueError("it repeats at an interval below 1, which is for ever at once")
    if first.year < GREGORIAN:
        raise ValueError("it repeats from before 1583 on, when the calendar of RFC 5545 began")
    zone = first.tzinfo
    end = min([until, *(_last_instant(limit, zone) for limit in rule.get("UNTIL", ()))])
    # UNTIL may be given in another zone than the wall's: it is applied to instants, not by dateutil.
    kept = {name: value for name, value in rule.items() if name not in {"UNTIL", "COUNT"}}
    text: bytes = vRecur(kept).to_ical()  # type: ignore[no-untyped-call]  # icalendar's own
    later = _cycles_to_the_end(max(first, end))
    walls = rrulestr(text.decode(), dtstart=first.replace(year=first.year + later, tzinfo=None))
    counted = islice(walls, min([MOST_REPEATS, *rule.get("COUNT", ())]))
    starts_ = (wall.replace(year=wall.year - later, tzinfo=zone) for wall in counted)
    return takewhile(lambda start: start <= end, starts_)


def _cycles_to_the_end(last: datetime) -> int:
    """Years to put a rule off by, so that what follows `last` ends soon: one that never matches is looked for
    up to the year 9999. The calendar is the same every 400 years, weekdays and all."""
    return (9999 - last.year) // CYCLE * CYCLE


def _last_instant(limit: date, zone: tzinfo | None) -> datetime:
    """The last instant that an UNTIL lets in: a day is let in to its end."""
    last = instant(limit, zone)
    return last if isinstance(limit, datetime) else last + timedelta(days=1) - timedelta(microseconds=1)
