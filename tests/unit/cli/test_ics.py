"""Importing calendars: what took place, once, in the zone where it took place."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personakit.cli.calendar_events import BadEvent, Occurrence, read_calendar
from personakit.cli.ics import import_ics
from personakit.cli.recurrence import MOST_REPEATS
from personakit_sdk.errors import InvalidInput
from tests.fuzz.watchdog import within_seconds

NOW = datetime(2026, 6, 1, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def quiet(what: str, done: int, total: int | None) -> None:
    """A report that nobody reads."""


def event(*lines: str, uid: str = "1") -> str:
    return "\r\n".join(["BEGIN:VEVENT", f"UID:{uid}", *lines, "END:VEVENT"])


def calendar(*events: str, head: str = "VERSION:2.0") -> bytes:
    return "\r\n".join(["BEGIN:VCALENDAR", head, *events, "END:VCALENDAR", ""]).encode()


def held(
    *events: str, zone: ZoneInfo | None = None, now: datetime = NOW, head: str = "VERSION:2.0"
) -> list[Occurrence]:
    read = list(read_calendar(calendar(*events, head=head), zone, now))
    assert not [found for found in read if isinstance(found, BadEvent)]
    return read


def starts(*events: str, **options: object) -> list[str]:
    return [found.start.isoformat() for found in held(*events, **options)]


def bad(*events: str) -> list[str]:
    return [
        found.reason for found in read_calendar(calendar(*events), None, NOW) if isinstance(found, BadEvent)
    ]


WEEKLY = "DTSTART;TZID=Europe/Berlin:20260316T090000"
RULE = "RRULE:FREQ=WEEKLY;COUNT=4"


def test_an_event_is_sent_as_numbers_and_its_title_only_on_request(
    service, transport, tmp_path: Path
) -> None:
    path = tmp_path / "c.ics"
    people = ("ATTENDEE:mailto:a@example.org", "ATTENDEE:mailto:b@example.org")
    path.write_bytes(calendar(event(WEEKLY, "DURATION:PT45M", "SUMMARY:Secret", "LOCATION:Cellar", *people)))
    import_ics(transport, path, "ann", now=NOW, report=quiet)
    [sent] = service.observations.values()
    assert sent["occurredAt"] == "2026-03-16T09:00:00+01:00"
    assert sent["content"] == {
        "duration_minutes": 45,
        "attendees": 2,
        "all_day": False,
        "recurring": False,
        "status": "confirmed",
    }
    for word in ("Secret", "Cellar", "example.org"):
        assert word not in str(sent)
    service.observations.clear()
    import_ics(transport, path, "ann", now=NOW, report=quiet, with_summaries=True)
    assert next(iter(service.observations.values()))["content"]["summary"] == "Secret"


def test_importing_again_later_adds_only_what_took_place_since(service, transport, tmp_path: Path) -> None:
    path = tmp_path / "c.ics"
    path.write_bytes(calendar(event(WEEKLY, "DURATION:PT45M", "RRULE:FREQ=WEEKLY")))
    first = import_ics(transport, path, "ann", now=datetime(2026, 4, 1, tzinfo=UTC), report=quiet)
    again = import_ics(transport, path, "ann", now=datetime(2026, 4, 8, tzinfo=UTC), report=quiet)
    assert (first.stored, again.stored, again.duplicates, again.changed) == (3, 1, 3, 0)


def test_a_series_keeps_its_hour_on_the_wall_when_the_clock_changes() -> None:
    assert starts(event(WEEKLY, RULE)) == [
        "2026-03-16T09:00:00+01:00",
        "2026-03-23T09:00:00+01:00",
        "2026-03-30T09:00:00+02:00",
        "2026-04-06T09:00:00+02:00",
    ]


def test_exceptions_are_left_out_and_additions_taken_in() -> None:
    exceptions = "EXDATE;TZID=Europe/Berlin:20260323T090000,20260330T090000"
    added = "RDATE;TZID=Europe/Berlin:20260317T100000"
    assert starts(event(WEEKLY, RULE, exceptions, added)) == [
        "2026-03-16T09:00:00+01:00",
        "2026-03-17T10:00:00+01:00",
        "2026-04-06T09:00:00+02:00",
    ]


def test_a_moved_instance_takes_the_place_of_the_planned_one() -> None:
    moved = event(
        "RECURRENCE-ID;TZID=Europe/Berlin:20260323T090000", "DTSTART;TZID=Europe/Berlin:20260324T150000"
    )
    found = held(moved, event(WEEKLY, RULE))
    assert len(found) == 4
    changed = [at for at in found if at.start.isoformat() == "2026-03-24T15:00:00+01:00"]
    assert [at.planned.isoformat() for at in changed] == ["2026-03-23T09:00:00+01:00"]
    assert all(at.recurring for at in found)


def test_what_was_cancelled_did_not_take_place() -> None:
    dropped = event("RECURRENCE-ID;TZID=Europe/Berlin:20260323T090000", WEEKLY, "STATUS:CANCELLED")
    whole = event("DTSTART:20260101T090000Z", "STATUS:CANCELLED", uid="2")
    assert len(starts(event(WEEKLY, RULE), dropped, whole)) == 3


def test_what_has_not_ended_yet_did_not_take_place_yet() -> None:
    lines = ("DTSTART:20260601T090000Z", "DTEND:20260601T100000Z")
    assert starts(event(*lines), now=datetime(2026, 6, 1, 9, 59, tzinfo=UTC)) == []
    assert len(starts(event(*lines), now=datetime(2026, 6, 1, 10, tzinfo=UTC))) == 1


def test_until_is_the_last_instant_that_counts_in_whatever_zone_it_is_given() -> None:
    assert len(starts(event(WEEKLY, "RRULE:FREQ=WEEKLY;UNTIL=20260330T070000Z"))) == 3
    assert len(starts(event(WEEKLY, "RRULE:FREQ=WEEKLY;UNTIL=20260330T065959Z"))) == 2
    assert len(starts(event(WEEKLY, "RRULE:FREQ=WEEKLY;UNTIL=20260330"))) == 3


def test_an_all_day_event_lasts_whole_days_by_the_calendar() -> None:
    [found] = held(event("DTSTART;VALUE=DATE:20260328", "DTEND;VALUE=DATE:20260330"), zone=BERLIN)
    assert (found.all_day, found.duration) == (True, timedelta(days=2))
    assert found.start.isoformat() == "2026-03-28T00:00:00+01:00"
    [single] = held(event("DTSTART;VALUE=DATE:20260328"), zone=BERLIN)
    assert single.duration == timedelta(days=1)


def test_a_night_in_which_the_clock_is_set_forward_is_an_hour_shorter() -> None:
    [found] = held(
        event("DTSTART;TZID=Europe/Berlin:20260329T010000", "DTEND;TZID=Europe/Berlin:20260329T040000")
    )
    assert found.duration == timedelta(hours=2)


def test_a_time_without_a_zone_needs_one_to_be_named() -> None:
    floating = event("DTSTART:20260316T090000", "DTEND:20260316T100000")
    with pytest.raises(InvalidInput, match="--timezone Europe/Berlin"):
        held(floating)
    assert starts(floating, zone=BERLIN) == ["2026-03-16T09:00:00+01:00"]
    assert starts(floating, head="X-WR-TIMEZONE:America/New_York") == ["2026-03-16T09:00:00-04:00"]


def test_times_in_utc_are_told_where_the_calendar_is_at_home() -> None:
    stored = event("DTSTART:20260316T083000Z", "DTEND:20260316T090000Z")
    assert starts(stored) == ["2026-03-16T08:30:00+00:00"]
    assert starts(stored, head="X-WR-TIMEZONE:Europe/Berlin") == ["2026-03-16T09:30:00+01:00"]
    london = event("DTSTART;TZID=Europe/London:20260316T083000", "DURATION:PT1H")
    assert starts(london, zone=BERLIN) == ["2026-03-16T08:30:00+00:00"]


def test_a_zone_that_the_file_defines_itself_is_used() -> None:
    offsets = ("DTSTART:19700101T000000", "TZOFFSETFROM:+0330", "TZOFFSETTO:+0330")
    lines = ("BEGIN:VTIMEZONE", "TZID:Office", "BEGIN:STANDARD", *offsets, "END:STANDARD", "END:VTIMEZONE")
    zone = "\r\n".join(lines)
    assert starts(zone, event("DTSTART;TZID=Office:20260316T090000")) == ["2026-03-16T09:00:00+03:30"]


def test_the_newest_version_of_an_event_counts() -> None:
    old = event("DTSTART:20260316T090000Z", "SEQUENCE:1")
    new = event("DTSTART:20260316T110000Z", "SEQUENCE:12")
    older = event("DTSTART:20260316T070000Z")
    assert starts(new, old, older) == ["2026-03-16T11:00:00+00:00"]


@pytest.mark.parametrize(
    ("start", "rule", "reason"),
    [
        ("DTSTART:00010101T000000Z", "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "before 1583"),
        ("DTSTART:20260101T000000Z", "FREQ=YEARLY;INTERVAL=0;BYMONTH=2;BYMONTHDAY=30", "interval below 1"),
    ],
)
def test_a_rule_that_would_be_followed_for_long_is_refused(start: str, rule: str, reason: str) -> None:
    (said,) = bad(event(start, f"RRULE:{rule}"))
    assert reason in said


def test_a_birthday_without_a_year_is_taken() -> None:
    """Some programs put it into 1604."""
    assert len(starts(event("DTSTART:16040526T000000Z", "RRULE:FREQ=YEARLY"))) == 37


def test_a_rule_without_an_end_is_bounded() -> None:
    assert len(starts(event("DTSTART:20260525T000000Z", "RRULE:FREQ=DAILY"))) == 8
    always = event("DTSTART:19900101T000000Z", "RRULE:FREQ=DAILY")
    assert len(starts(always, now=datetime(2199, 1, 1, tzinfo=UTC))) == MOST_REPEATS


def test_what_took_place_before_1990_is_left_out() -> None:
    assert starts(event("DTSTART:19891231T000000Z", "RRULE:FREQ=DAILY;COUNT=2")) == [
        "1990-01-01T00:00:00+00:00"
    ]


def test_a_rule_that_never_matches_ends() -> None:
    assert len(starts(event(WEEKLY, "RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=31;COUNT=3"))) == 1


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (("DTSTART:bogus",), "bogus"),
        (("DTSTART:20260316T090000Z", "DTEND:20260316T080000Z"), "it ends before it begins"),
        (("DTSTART:20260316T090000Z", "RRULE:FREQ=HOURLY"), "every hour or more often"),
        (("DTSTART:20260316T090000Z", "RRULE:FREQ=NOPE"), "NOPE"),
        (("SUMMARY:no start",), "DTSTART"),
        (("DTSTART:20260316T090000Z", "DTEND;VALUE=DATE:20260317"), "same type"),
    ],
)
def test_an_event_that_cannot_be_read_is_told_and_the_others_are_taken(
    lines: tuple[str, ...], reason: str
) -> None:
    good = event("DTSTART:20260316T090000Z", uid="2")
    [told] = bad(event(*lines), good)
    assert reason in told


def test_an_event_without_uid_is_told() -> None:
    assert bad("BEGIN:VEVENT\r\nDTSTART:20260316T090000Z\r\nEND:VEVENT") == [
        "it has no UID, by which it would be known again"
    ]


def test_bad_events_are_counted_in_the_summary(service, transport, tmp_path: Path) -> None:
    path = tmp_path / "c.ics"
    path.write_bytes(calendar(event("DTSTART:bogus"), event("DTSTART:20260316T090000Z", uid="2")))
    summary = import_ics(transport, path, "ann", now=NOW, report=quiet)
    assert (summary.stored, summary.invalid, summary.complete) == (1, 1, False)
    assert summary.problems[0].startswith("event 1: ")


@pytest.mark.parametrize("data", [b"", b"hello", b"\xff\xfe\x00", b"BEGIN:VCALENDAR\r\n"])
def test_what_is_no_calendar_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="This is no iCalendar file"):
        list(read_calendar(data, None, NOW))


def test_a_zone_that_does_not_exist_is_refused(transport, tmp_path: Path) -> None:
    path = tmp_path / "c.ics"
    path.write_bytes(calendar(event("DTSTART:20260316T090000Z")))
    for zone in ("Mars/Olympus", "../etc/passwd", "Europe"):
        with pytest.raises(InvalidInput, match="is no time zone"):
            import_ics(transport, path, "ann", now=NOW, report=quiet, timezone=zone)


@given(
    first=st.dates(date(2024, 1, 1), date(2026, 5, 1)),
    hour=st.integers(0, 23),
    interval=st.integers(1, 5),
    count=st.integers(1, 30),
    left_out=st.sets(st.integers(0, 29), max_size=5),
)
def test_a_daily_series_is_every_so_many_days_at_the_same_hour_without_its_exceptions(
    first: date, hour: int, interval: int, count: int, left_out: set[int]
) -> None:
    walls = [datetime.combine(first, time(hour)) + timedelta(days=n * interval) for n in range(count)]
    exceptions = [
        f"EXDATE;TZID=Europe/Berlin:{wall:%Y%m%dT%H%M%S}" for n, wall in enumerate(walls) if n in left_out
    ]
    series = event(
        f"DTSTART;TZID=Europe/Berlin:{walls[0]:%Y%m%dT%H%M%S}",
        f"RRULE:FREQ=DAILY;INTERVAL={interval};COUNT={count}",
        *exceptions,
    )
    expected = [wall.replace(tzinfo=BERLIN) for n, wall in enumerate(walls) if n not in left_out]
    found = [at.start for at in held(series, now=NOW)]
    assert found == [at for at in expected if at.astimezone(UTC) <= NOW]


@pytest.mark.parametrize("frequency", ["YEARLY", "MONTHLY", "WEEKLY", "DAILY"])
def test_a_rule_that_never_matches_is_not_looked_for_long(frequency: str) -> None:
    never = f"RRULE:FREQ={frequency};BYMONTH=2;BYMONTHDAY=30"
    with within_seconds(2.0):
        assert starts(event("DTSTART:20250301T090000Z", never)) == ["2025-03-01T09:00:00+00:00"]


def test_a_rule_is_followed_on_its_own_calendar_leap_days_and_weekdays_too() -> None:
    leap = "DTSTART:20160229T090000Z"
    days = starts(event(leap, "RRULE:FREQ=YEARLY"), now=datetime(2100, 6, 1, tzinfo=UTC))
    assert [day[:4] for day in days] == [str(year) for year in range(2016, 2100, 4)]
    mondays = held(event("DTSTART:20250303T090000Z", "RRULE:FREQ=MONTHLY;BYDAY=1MO"))
    assert {found.start.strftime("%A") for found in mondays} == {"Monday"}
    assert "Easter" in bad(event("DTSTART:20250301T090000Z", "RRULE:FREQ=YEARLY;BYEASTER=0"))[0]


def test_a_short_file_that_says_very_many_events_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("personakit.cli.calendar_events.MOST_HELD", 30)
    ten = [event(WEEKLY, "RRULE:FREQ=WEEKLY;COUNT=10", uid=str(each)) for each in range(4)]
    assert len(held(*ten[:3])) == 30
    with pytest.raises(InvalidInput, match="more than 30 events"):
        held(*ten)
