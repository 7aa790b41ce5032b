"""People whose rhythms are known, because a seed made them: 90 days of work sessions and check-ins each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from random import Random
from statistics import NormalDist
from typing import Final, NamedTuple
from uuid import UUID

from personakit.domain.computed_traits import Observed

DAYS: Final = 90
FIRST_DAY: Final = datetime(2026, 1, 5)  # noqa: DTZ001 - the wall clock of each person's own zone
PERIODS: Final = {"morning": (7, 9, 10), "afternoon": (14, 15), "evening": (19,), "night": (0, 2, 23)}
HOURS_APART: Final = 1.25
"""Standard deviation of when a session begins, in hours."""
OFFSETS: Final = (-480, -300, 0, 60, 330, 540)
SLOPES: Final = {"rising": 0.4, "steady": 0.0, "falling": -0.4}
"""Change of pages read a day, each day."""
NOISE: Final = 10.0
"""Standard deviation of pages read, about the line."""


class Person(NamedTuple):
    """What is true of somebody. Sessions last exp(N(log_minutes, scatter)) minutes and begin around half past
    `hour` on their own clock; on one day in `rest` nothing happens at all."""

    number: int
    period: str
    hour: int
    offset: int
    log_minutes: float
    scatter: float
    sessions: float
    rest: float
    direction: str
    pages: float

    def minutes(self, share: float) -> float:
        """The true quantile of how long a session lasts."""
        return math.exp(NormalDist(self.log_minutes, self.scatter).inv_cdf(share))


def person(number: int, seed: int) -> Person:
    """The truth about one of them."""
    random = Random(seed * 1000 + number)
    period = random.choice(sorted(PERIODS))
    return Person(
        number=number,
        period=period,
        hour=random.choice(PERIODS[period]),
        offset=random.choice(OFFSETS),
        log_minutes=math.log(random.uniform(20, 120)),
        scatter=random.uniform(0.2, 0.5),
        sessions=random.uniform(2, 5),
        rest=random.uniform(0.05, 0.3),
        direction=random.choice(sorted(SLOPES)),
        pages=random.uniform(50, 150),
    )


def days_of(who: Person, seed: int) -> Iterator[Observed]:
    """What was observed of them, in the order in which it happened."""
    random = Random(f"{seed}/{who.number}")
    zone = timezone(timedelta(minutes=who.offset))
    for day in range(DAYS):
        midnight = (FIRST_DAY + timedelta(days=day)).replace(tzinfo=zone)
        if random.random() < who.rest:
            continue
        for _ in range(round(random.gauss(who.sessions, 1))):
            began = midnight + timedelta(hours=random.gauss(who.hour + 0.5, HOURS_APART))
            minutes = random.lognormvariate(who.log_minutes, who.scatter)
            yield Observed(_id(random), "work_session", {"duration_minutes": round(minutes, 1)}, began)
        pages = who.pages + SLOPES[who.direction] * day + random.gauss(0, NOISE)
        yield Observed(_id(random), "reading", {"pages": round(pages, 1)}, midnight + timedelta(hours=21))


def _id(random: Random) -> UUID:
    return UUID(int=random.getrandbits(128))
