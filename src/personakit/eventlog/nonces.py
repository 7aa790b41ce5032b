"""Nonces for sealing: random, from the operating system, many at a time.

Each call to the operating system lets go of the interpreter's lock. Where an event loop seals while the
appender's thread works, each of them then waits for the other twice a request.
"""

from __future__ import annotations

import os
from typing import Final

BYTES: Final = 12
_AT_ONCE: Final = 64
_unused: list[bytes] = []

# A child must not use those that its parent will use.
os.register_at_fork(after_in_child=_unused.clear)


def nonce() -> bytes:
    """A nonce of BYTES bytes that nobody was given before; from any thread."""
    try:
        return _unused.pop()
    except IndexError:
        drawn = os.urandom(_AT_ONCE * BYTES)
        _unused.extend(drawn[at : at + BYTES] for at in range(BYTES, len(drawn), BYTES))
        return drawn[:BYTES]
