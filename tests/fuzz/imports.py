"""Targets: files that the command line imports, which others have written."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from hypothesis import strategies as st

from personakit.cli.calendar_events import Occurrence, read_calendar
from personakit.cli.git_history import parse_log
from personakit.cli.jsonl import read_lines
from personakit_sdk.errors import InvalidInput
from tests.fuzz.bodies import OBSERVATION, raw
from tests.fuzz.hostile import encoded, repeated, spoilt, texts
from tests.fuzz.target import target

NOW: Final = datetime(2026, 3, 2, 9, tzinfo=UTC)
FREQUENCIES: Final = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "SECONDLY", "NEVER")
PARTS: Final = (
    *("INTERVAL=0", "INTERVAL=-1", "INTERVAL=99999999999", "COUNT=0", "COUNT=99999999999", "UNTIL=20260101"),
    *("BYMONTH=2;BYMONTHDAY=30", "BYMONTHDAY=31;BYMONTH=4", "BYYEARDAY=366", "BYDAY=MO", "BYDAY=-53SU"),
    *("BYDAY=0MO", "BYSETPOS=366", "BYHOUR=" + ",".join(map(str, range(24))), "BYMINUTE=0,15,30,45"),
    *("BYSECOND=0,30", "BYEASTER=1", "WKST=XX", "BYWEEKNO=53", "X=1"),
)
STARTS: Final = (
    *(":19700101T000000Z", ";VALUE=DATE:00010101", ":20200301T090000", ";TZID=Europe/Berlin:20250330T023000"),
    *(";TZID=../../etc/passwd:20250101T090000", ":99991231T235959Z", ":20260101T090000Z", ":nonsense"),
)
LINES: Final = (
    *("DURATION:P99999999999W", "DURATION:-PT1H", "DTEND:20200101T000000Z", "RDATE:20250101T090000Z"),
    *(
        "EXDATE:20250101T090000Z",
        "RECURRENCE-ID:20250101T090000Z",
        "SEQUENCE:99999999999999999999",
        "STATUS:X",
    ),
    *(
        "ATTENDEE:mailto:a@example.org",
        "SUMMARY:" + "x" * 5_000,
        "SUMMARY:\x00",
        "BEGIN:VALARM",
        "END:VEVENT",
    ),
    *("X-WR-TIMEZONE:Nowhere/Place", "BEGIN:VEVENT", "A;B=C;D", " folded", "UID:2", "STATUS:X", "END:VEVENT"),
)
_rules = st.tuples(st.sampled_from(FREQUENCIES), st.sampled_from(PARTS), st.sampled_from(PARTS)).map(";".join)


def event(start: str, rules: list[str], lines: list[str]) -> str:
    """An event of a series, or one time of it."""
    said = [f"DTSTART{start}", *(f"RRULE:FREQ={rule}" for rule in rules), *lines]
    return "\r\n".join(["BEGIN:VEVENT", "UID:1", *said, "END:VEVENT"])


_starts, _lines = st.sampled_from(STARTS), st.lists(st.sampled_from(LINES), max_size=3)
series = st.builds(event, _starts, st.lists(_rules, max_size=1), _lines)
once = st.builds(event, _starts, st.just([]), _lines)
# One rule, which may be followed for 20,000 times: of many the work is as much as the file is long.
calendars = st.tuples(series | texts, once | texts).map(
    lambda made: "\r\n".join(["BEGIN:VCALENDAR", *made, "END:VCALENDAR"]).encode(errors="replace")
)


_pieces = ("BEGIN:VEVENT\r\n", "END:VEVENT\r\n", "BEGIN:VCALENDAR\r\n", "A", " ", "\r\n")
_unshapely = repeated(_pieces, 2_000).map(lambda text: text.encode(errors="replace"))


@target(calendars | _unshapely, InvalidInput)
def a_calendar(data: bytes) -> None:
    """A calendar into which anybody may have sent an invitation."""
    for found in read_calendar(data, UTC, NOW):
        assert not isinstance(found, Occurrence) or found.start <= NOW


paths = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=20)
dates = st.builds(
    "{} {}".format, st.integers(-(2**70), 2**70) | texts, st.sampled_from(["+0000", "-9999", "+99", "", "²"])
)


@target(
    st.lists(
        st.tuples(dates, st.lists(st.tuples(st.integers(0, 10**9) | st.just("-"), paths), max_size=3)),
        max_size=3,
    )
)
def a_history(commits: list[tuple[str, list[tuple[Any, str]]]]) -> None:
    """Commits as git tells of them: dates and names of files are what somebody wrote."""
    records: list[str] = []
    for date, changes in commits:
        records.append(f"commit {'0' * 40}\t{date.replace(chr(9), '')}\t")
        records += [f"\n{number}\t{number}\t{path}" for number, path in changes]
    for commit in parse_log(iter(records)):
        if commit.plausible(NOW):
            assert commit.authored_at.year >= 1990


@target(st.lists(encoded(spoilt(OBSERVATION)) | raw, max_size=5).map(b"\n".join), InvalidInput)
def a_file_of_lines(data: bytes) -> None:
    """A file of observations."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        list(read_lines(Path(file.name), "ada"))
