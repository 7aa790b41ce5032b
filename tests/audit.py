"""`make audit`: what the packages that we depend on are. Asks the package index, and nobody else.

No version in a lock was withdrawn by its author, and each still has the files that were locked. What needs no
network (licences, hashes, the number of packages) `tests/unit/test_supply_chain.py` checks at each run.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
LOCKS: Final = ("requirements.lock", "requirements-production.lock", "requirements-bench.lock")
_UV: Final = Path(sys.executable).with_name("uv")
_WITHDRAWN: Final = "is yanked"


def withdrawn(lock: Path) -> list[str]:
    """What the index says of versions in a lock that were withdrawn, a line for each. Raises
    CalledProcessError where the index cannot be asked, or has other files than were locked."""
    done = subprocess.run(
        [
            *(_UV, "pip", "install", "--python", sys.executable, "--dry-run", "--reinstall", "--no-deps"),
            *("--require-hashes", "--requirements", lock),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return [line.strip() for line in done.stderr.splitlines() if _WITHDRAWN in line]


def main() -> int:
    """Ends with 1 where there is anything to do, and with 2 where the index could not be asked."""
    found = 0
    for name in LOCKS:
        try:
            lines = withdrawn(ROOT / name)
        except subprocess.CalledProcessError as error:
            print(f"{name}: {error.stderr.strip()}", file=sys.stderr)
            return 2
        found += len(lines)
        print(f"{name}: {'; '.join(lines) or 'nothing was withdrawn'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
