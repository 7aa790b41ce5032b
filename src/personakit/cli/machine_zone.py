"""The time zone of this machine, as far as its clock tells it."""

from __future__ import annotations

from datetime import datetime, timedelta


def machine_zone(now: datetime) -> str | None:
    """The zone of `now`, which is in the machine's own; None in UTC, or where it is not whole hours off.

    The zones `Etc/GMT+n` lie n hours behind UTC: their sign is POSIX's.
    """
    hours, rest = divmod(now.utcoffset() or timedelta(), timedelta(hours=1))
    return None if rest or not hours else f"Etc/GMT{-hours:+d}"
