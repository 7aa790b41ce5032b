"""`make overload`: more than the service can do, with slow and broken clients; then everything is checked.

    python -m tests.faults.overload [--seconds N] [--times X] [--seed S]

Exit code 0 when every bound holds, 1 when one does not.
"""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
from collections.abc import Sequence

from tests.faults.overload.run import run

SECONDS = 60.0
TIMES = 4.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs, and says what came of it."""
    parser = argparse.ArgumentParser(prog="make overload")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long; 60 unless given")
    parser.add_argument(
        "--times", type=float, default=TIMES, help="how many times the capacity; 4 unless given"
    )
    parser.add_argument("--seed", type=int, help="decides what is sent; by chance unless given")
    given = parser.parse_args(arguments)
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    outcome = run(given.seconds, seed, given.times)
    print(outcome)
    return 1 if outcome.findings else 0


if __name__ == "__main__":
    sys.exit(main())
