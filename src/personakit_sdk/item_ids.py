"""Ids of items: UUIDs of version 7 (RFC 9562, 5.7), which sort by the time they were made at."""

from __future__ import annotations

import os
from uuid import UUID


def uuid7(milliseconds: int) -> UUID:
    """A new id, made at `milliseconds` since 1970; all other bits are random."""
    chance = int.from_bytes(os.urandom(10))
    value = (milliseconds & (1 << 48) - 1) << 80 | chance
    value = value & ~(0xF << 76) | 0x7 << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)
