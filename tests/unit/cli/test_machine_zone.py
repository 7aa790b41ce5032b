"""What is asked from here is asked in the time of here."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from personakit.cli.machine_zone import machine_zone


@pytest.mark.parametrize(
    ("hours", "zone"), [(1, "Etc/GMT-1"), (-5, "Etc/GMT+5"), (0, None), (5.75, None), (12, "Etc/GMT-12")]
)
def test_the_zone_asked_for_is_the_one_of_the_clock_here(hours: float, zone: str | None) -> None:
    now = datetime(2026, 3, 2, 9, tzinfo=timezone(timedelta(hours=hours)))
    assert machine_zone(now) == zone
    if zone is not None:
        assert now.astimezone(ZoneInfo(zone)).utcoffset() == timedelta(hours=hours)
