"""The demo asks in the caller's own time."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from personakit.cli.demo import question


@pytest.mark.parametrize(
    ("hours", "zone"), [(1, "Etc/GMT-1"), (-5, "Etc/GMT+5"), (0, None), (5.75, None), (12, "Etc/GMT-12")]
)
def test_the_zone_asked_for_is_the_one_of_the_clock_here(hours: float, zone: str | None) -> None:
    now = datetime(2026, 3, 2, 9, tzinfo=timezone(timedelta(hours=hours)))
    assert question(now).get("timezone") == zone
    if zone is not None:
        assert now.astimezone(ZoneInfo(zone)).utcoffset() == timedelta(hours=hours)
