"""Makes the sample history that ships with PersonaKit: sixty days of a developer who works late.

    python bench/make_sample_history.py rules/samples/work_history.jsonl

The same numbers every time. The person, robin, is made up: work from early afternoon until after
midnight, best around 22:00, long sessions, few meetings, weekends mostly off, a tired Monday.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec

PERSON = "robin"
HOME = timezone(timedelta(hours=1))
FIRST_DAY = date(2026, 1, 5)
DAYS = 60
REPOSITORIES = ("lantern", "harbour")
LANGUAGES = (("Python",), ("Python", "SQL"), ("Python", "Markdown"), ("TypeScript",), ("Rust",))
SESSION_STARTS = ((13.5, 0.6, 0.55), (17.0, 0.7, 0.35), (21.2, 0.5, 0.95))
"""When a session begins on a working day: hour, spread in hours, how likely."""

Line = dict[str, Any]


def history(chance: random.Random) -> list[Line]:
    """All lines, oldest first."""
    lines: list[Line] = []
    for number in range(DAYS):
        day = FIRST_DAY + timedelta(days=number)
        lines += _free_day(chance, day) if day.weekday() >= 5 else _working_day(chance, day)
    return sorted(lines, key=lambda line: (line["occurredAt"], line["type"]))


def _working_day(chance: random.Random, day: date) -> Iterator[Line]:
    yield from _check_in(chance, day, 11.2, energy=2 if day.weekday() == 0 else 3, mood=2)
    if chance.random() < 0.6:
        yield _meeting(chance, day, 14.0 + chance.choice((0, 0.5, 1)), recurring=day.weekday() == 1)
    for hour, spread, likely in SESSION_STARTS:
        if chance.random() < likely:
            yield from _session(chance, day, chance.gauss(hour, spread), late=hour > 20)
    if chance.random() < 0.7:
        yield from _check_in(chance, day, 22.6, energy=5, mood=4)


def _free_day(chance: random.Random, day: date) -> Iterator[Line]:
    if chance.random() < 0.25:
        yield from _session(chance, day, chance.gauss(21.5, 0.5), late=True)
    if chance.random() < 0.4:
        yield from _check_in(chance, day, 12.5, energy=4, mood=4)


def _session(chance: random.Random, day: date, hour: float, *, late: bool) -> Iterator[Line]:
    """A work session with the commits that were made in it."""
    minutes = max(25, round(chance.gauss(135 if late else 60, 25)))
    repository, count = chance.choice(REPOSITORIES), max(1, round(minutes / 42))
    commits = [_changes(chance) for _ in range(count)]
    for number, changes in enumerate(commits, start=1):
        sha = f"{chance.getrandbits(160):040x}"
        content = {"sha": sha, "merge": False, "repository": repository, **changes}
        yield _line(
            "code_commit", _at(day, hour + minutes / 60 * number / count), content, f"git:{repository}"
        )
    totals = {name: sum(changes[name] for changes in commits) for name in commits[0] if name != "languages"}
    languages = sorted({language for changes in commits for language in changes["languages"]})
    content = {"duration_minutes": minutes, "commits": count, "repository": repository, **totals}
    yield _line("work_session", _at(day, hour), {**content, "languages": languages}, f"git:{repository}")


def _changes(chance: random.Random) -> Line:
    added, deleted = int(chance.expovariate(1 / 60)) + 1, int(chance.expovariate(1 / 25))
    return {
        "files_changed": 1 + int(chance.expovariate(1 / 2)),
        "lines_added": added,
        "lines_deleted": deleted,
        "lines_changed": added + deleted,
        "languages": list(chance.choice(LANGUAGES)),
    }


def _meeting(chance: random.Random, day: date, hour: float, *, recurring: bool) -> Line:
    content = {
        "duration_minutes": chance.choice((30, 30, 45, 60)),
        "attendees": chance.randint(2, 6),
        "all_day": False,
        "recurring": recurring,
        "status": "confirmed",
    }
    return _line("calendar_event", _at(day, hour), content, "ics")


def _check_in(chance: random.Random, day: date, hour: float, *, energy: int, mood: int) -> Iterator[Line]:
    felt = min(5, max(1, energy + chance.choice((-1, 0, 0, 0))))
    stress = 2 + (day.weekday() == 4) + chance.choice((0, 0, 1))
    content = {"energy": felt, "mood": mood, "stress": stress}
    yield _line("check_in", _at(day, hour + chance.uniform(0, 0.4)), content, "app")


def _line(kind: str, at: datetime, content: Line, source: str) -> Line:
    return {
        "personId": PERSON,
        "type": kind,
        "occurredAt": at.isoformat(),
        "source": source,
        "content": content,
    }


def _at(day: date, hour: float) -> datetime:
    midnight = datetime(day.year, day.month, day.day, tzinfo=HOME)
    return midnight + timedelta(seconds=round(hour * 3600))


def text() -> bytes:
    """The file's whole content."""
    lines = history(random.Random(20260105))
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(text())
