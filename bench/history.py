"""Made-up people at work: commits, sessions, meetings and check-ins, as they would arrive.

The same seed gives the same history. Ids are made like UUIDv7, as the SDK makes them: the time in front,
so that they arrive in about their own order.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, Final
from uuid import UUID

import msgspec

Observation = dict[str, Any]

HOME: Final = timezone(timedelta(hours=1))
FIRST_DAY: Final = datetime(2026, 1, 5, tzinfo=HOME)
DAYS: Final = 60
LANGUAGES: Final = ("Python", "TypeScript", "Rust", "Go", "SQL", "Java", "Kotlin", "C", "Ruby", "Swift")
REPOSITORIES: Final = ("lantern", "harbour", "orchard")
TYPES: Final = ("code_commit", "work_session", "check_in", "calendar_event")
SHARES: Final = (55, 20, 15, 10)
_V7_BEGINS: Final = 1_767_600_000_000  # milliseconds; an instant in January 2026


class Habits(msgspec.Struct, frozen=True):
    """What makes one person's history differ from another's."""

    hour: int
    languages: tuple[str, ...]
    lines: float
    minutes: float
    mood: int


def people(count: int, prefix: str = "person") -> list[str]:
    """The ids of `count` people."""
    return [f"{prefix}-{number}@example.org" for number in range(count)]


def history(person_ids: Sequence[str], each: int, seed: int = 1) -> list[Observation]:
    """`each` observations of each person, without ids, all interleaved by when they occurred."""
    chance = random.Random(seed)
    made = [
        (when, _observation(chance, person, habits, when))
        for person in person_ids
        for habits in [_habits(chance)]
        for when in _instants(chance, habits, each)
    ]
    made.sort(key=lambda pair: pair[0])
    return [observation for _, observation in made]


def with_ids(observations: Sequence[Observation], seed: int) -> list[Observation]:
    """The observations under fresh ids; another seed gives other ids."""
    ids = uuid7s(seed)
    return [{"id": str(next(ids)), **observation} for observation in observations]


def uuid7s(seed: int) -> Iterator[UUID]:
    """Ids laid out as RFC 9562 lays out version 7, four a millisecond; the rest is chance."""
    chance = random.Random(seed)
    number = 0
    while True:
        milliseconds = _V7_BEGINS + seed * 100_000_000 + number // 4
        bits = milliseconds << 80 | 7 << 76 | chance.getrandbits(12) << 64 | 2 << 62 | chance.getrandbits(62)
        yield UUID(int=bits)
        number += 1


def batches(observations: Sequence[Observation], size: int = 500) -> Iterator[bytes]:
    """The bodies of `POST /observations/batch` that bring them in."""
    for start in range(0, len(observations), size):
        yield msgspec.json.encode(observations[start : start + size])


def _habits(chance: random.Random) -> Habits:
    return Habits(
        hour=chance.choice((8, 9, 10, 14, 15, 20, 22)),
        languages=tuple(chance.sample(LANGUAGES, chance.randint(1, 4))),
        lines=chance.choice((20, 60, 140)),
        minutes=chance.choice((30, 60, 110)),
        mood=chance.randint(2, 4),
    )


def _instants(chance: random.Random, habits: Habits, count: int) -> Iterator[datetime]:
    for number in range(count):
        day = number * DAYS // count
        hour = min(23.9, max(0.0, chance.gauss(habits.hour, 2)))
        yield FIRST_DAY + timedelta(days=day, seconds=round(hour * 3600))


def _observation(chance: random.Random, person: str, habits: Habits, when: datetime) -> Observation:
    type_ = chance.choices(TYPES, SHARES)[0]
    content, source = _CONTENTS[type_](chance, habits)
    return {
        "personId": person,
        "type": type_,
        "occurredAt": when.isoformat(),
        "source": source,
        "content": content,
    }


def _changes(chance: random.Random, habits: Habits) -> dict[str, Any]:
    added, deleted = int(chance.expovariate(1 / habits.lines)) + 1, int(chance.expovariate(1 / 25))
    return {
        "repository": chance.choice(REPOSITORIES),
        "files_changed": 1 + int(chance.expovariate(0.5)),
        "lines_added": added,
        "lines_deleted": deleted,
        "lines_changed": added + deleted,
        "languages": list(habits.languages[: chance.randint(1, len(habits.languages))]),
    }


def _commit(chance: random.Random, habits: Habits) -> tuple[dict[str, Any], str]:
    changes = _changes(chance, habits)
    commit = {"sha": f"{chance.getrandbits(160):040x}", "merge": chance.random() < 0.1, **changes}
    return commit, f"git:{changes['repository']}"


def _session(chance: random.Random, habits: Habits) -> tuple[dict[str, Any], str]:
    minutes = max(10, round(chance.gauss(habits.minutes, 25)))
    changes = _changes(chance, habits)
    return {"duration_minutes": minutes, "commits": 1 + minutes // 42, **changes}, "git:lantern"


def _check_in(chance: random.Random, habits: Habits) -> tuple[dict[str, Any], str]:
    felt = min(5, habits.mood + chance.choice((-1, 0, 0, 1)))
    content = {"energy": felt, "mood": habits.mood, "stress": chance.randint(1, 4)}
    return {**content, "sleep_hours": round(chance.gauss(7, 0.8), 1), "timezone": "Europe/Berlin"}, "app"


def _meeting(chance: random.Random, _: Habits) -> tuple[dict[str, Any], str]:
    content = {
        "duration_minutes": chance.choice((30, 30, 45, 60)),
        "attendees": chance.randint(2, 6),
        "all_day": False,
        "recurring": chance.random() < 0.3,
        "status": "confirmed",
    }
    return content, "ics"


_CONTENTS: Final = {
    "code_commit": _commit,
    "work_session": _session,
    "check_in": _check_in,
    "calendar_event": _meeting,
}
