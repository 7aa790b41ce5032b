"""What followers tell fits into the message that PostgreSQL carries."""

from __future__ import annotations

from uuid import uuid4

import msgspec

from personakit.projections.moved import MOST_MARKS, Moved, mark
from personakit.projections.sql import load_projections
from personakit.shipped import projections_dir


def test_the_longest_message_has_fewer_than_8000_bytes() -> None:
    """Of all projections twice: the ones of this release and of the one before."""
    definitions = [each.definition for each in load_projections(projections_dir()).values()] * 2
    longest = Moved(definitions, 2**63 - 1, [mark(uuid4()) for _ in range(MOST_MARKS)])
    assert len(msgspec.json.encode(longest)) < 8000
