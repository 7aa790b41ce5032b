"""`make fuzz`: all targets in turn with new inputs, until the time is over. Ends with 1 where one does
not hold, and shows the input."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from itertools import cycle
from random import SystemRandom

from tests.fuzz import bodies, documents, imports, kept_files
from tests.fuzz.target import TARGETS

INPUTS = 50
assert bodies, (documents, imports, kept_files)


def main() -> int:
    """Fuzzes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long")
    parser.add_argument("--only", default="", help="targets, separated by commas")
    parser.add_argument("--seed", type=int, default=None, help="where to begin; told at the start")
    asked = parser.parse_args()
    number = SystemRandom().randrange(10**6) if asked.seed is None else asked.seed
    chosen = asked.only.split(",") if asked.only else list(TARGETS)
    print(f"{len(chosen)} targets, from seed {number} on.")
    deadline, inputs, failed = time.monotonic() + asked.seconds, 0, set[str]()
    for name in cycle(chosen):
        if time.monotonic() > deadline or failed.issuperset(chosen):
            break
        if name in failed:
            continue
        if not _holds(name, number):
            failed.add(name)
        inputs += INPUTS
        number += 1
    print(f"{inputs} inputs: {', '.join(sorted(failed)) or 'all held'}.")
    return 1 if failed else 0


def _holds(name: str, number: int) -> bool:
    made = TARGETS[name]
    try:
        made.check(made.hold, INPUTS, number=number)
        made.check(made.weigh, INPUTS // 10, number=number)
    except Exception:  # noqa: BLE001 - whatever it is, it is shown, and the others go on
        print(f"{name} does not hold, with seed {number}:\n{traceback.format_exc(limit=-8)}")
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
