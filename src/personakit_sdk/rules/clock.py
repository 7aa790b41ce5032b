"""The time of day where a person is. Zone data comes from the pinned `tzdata` package, never from the
system, so that a service and an SDK on different machines agree."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from importlib import import_module
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final
from zoneinfo import ZoneInfo

from personakit_sdk.rules.facts import later

PERIODS: Final = {"morning": (5, 12), "afternoon": (12, 17), "evening": (17, 21), "night": (21, 5)}
"""Hours from (included) to (not included)."""

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_NAME = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,3}")


def period_of(hour: int) -> str:
    """The period of the day that an hour from 0 to 23 lies in."""
    return _PERIOD_OF_HOUR[hour]


def in_hours(hour: int, start: int, end: int) -> bool:
    """Whether `hour` lies from `start` to before `end`; the range may cross midnight."""
    if start <= end:
        return start <= hour < end
    return hour >= start or hour < end


_PERIOD_OF_HOUR: Final = tuple(
    next(name for name, (start, end) in PERIODS.items() if in_hours(hour, start, end)) for hour in range(24)
)


def weekday(name: str) -> str | None:
    """The full lower-case name of a day given in full or by three letters, in any case; or None."""
    given = name.lower()
    return next((day for day in WEEKDAYS if given in (day, day[:3])), None)


def weekday_of(at: datetime) -> str:
    """The day of the week on the calendar that `at` is shown in."""
    return WEEKDAYS[at.weekday()]


def local(at: datetime, zone: tzinfo) -> datetime:
    """`at` as a clock in `zone` shows it; UTC on the first and last day that a calendar has, where the
    zone would leave it."""
    try:
        return at.astimezone(zone)
    except OverflowError:
        return at.replace(tzinfo=UTC)


def end_of_second(at: datetime) -> datetime:
    """When a clock shows the next second."""
    return later(local(at, UTC), timedelta(microseconds=1_000_000 - at.microsecond))


def end_of_hour(now: datetime) -> datetime:
    """When the clock that shows `now` shows the next hour; `now` itself where it is set anew before that."""
    left = timedelta(minutes=60 - now.minute) - timedelta(seconds=now.second, microseconds=now.microsecond)
    try:
        at = now.astimezone(UTC)
        as_before = (at + left).astimezone(now.tzinfo).utcoffset() == now.utcoffset()
    except OverflowError:
        return now
    return at + left if as_before else at


@lru_cache(maxsize=1024)
def find_zone(name: str) -> tzinfo | None:
    """The time zone of an IANA name, spelt exactly; None where there is none."""
    if name == "UTC":
        return UTC
    if not _NAME.fullmatch(name):
        return None
    resource = _zone_file(name)
    if resource is None:
        return None
    with resource.open("rb") as data:
        try:
            return ZoneInfo.from_file(data, key=name)
        except ValueError:  # a file that is not zone data, such as `leapseconds`
            return None


def _zone_file(name: str) -> Traversable | None:
    """Compares with the listing, because some file systems would find `europe/berlin` too."""
    place: Traversable = files("tzdata") / "zoneinfo"
    for part in name.split("/"):
        found = (
            next((entry for entry in place.iterdir() if entry.name == part), None) if place.is_dir() else None
        )
        if found is None:
            return None
        place = found
    return place if place.is_file() else None


@lru_cache(maxsize=1)
def time_zone_data() -> str:
    """The version of the time-zone data, for example 2026.6."""
    return str(import_module("tzdata").__version__)


@lru_cache(maxsize=1)
def zone_names() -> tuple[str, ...]:
    """The canonical names, for a "did you mean"."""
    return tuple((files("tzdata") / "zones").read_text(encoding="utf-8").split())
