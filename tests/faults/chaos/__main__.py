"""`make faults`: kill -9 of everything, at random moments, under load; then everything is checked.

    python -m tests.faults.chaos [--kills N] [--seed S] [--logs FOLDER]

Exit code 0 when nothing was lost, doubled or misread, 1 when something was.
"""

from __future__ import annotations

import argparse
import logging
import secrets
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.faults.chaos.run import run

KILLS = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs, and says what came of it."""
    parser = argparse.ArgumentParser(prog="make faults")
    parser.add_argument("--kills", type=int, default=KILLS, help=f"how many, {KILLS} unless given")
    parser.add_argument("--seed", type=int, help="decides what is killed and when; by chance unless given")
    parser.add_argument("--logs", type=Path, help="a folder to leave the output of the processes in")
    given = parser.parse_args(arguments)
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # a connection that is cut is what this is about
    print(f"{given.kills} kills, seed {seed} …", flush=True)
    outcome = run(given.kills, seed, given.logs)
    print(outcome)
    return 1 if outcome.findings else 0


if __name__ == "__main__":
    sys.exit(main())
