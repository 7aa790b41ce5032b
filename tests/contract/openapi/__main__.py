"""`make schemathesis`: Schemathesis over the whole description of the API, against a service as it is
installed. Says what it found, and ends with 1 where that is anything."""

from __future__ import annotations

import argparse
import sys

from tests.contract.openapi.site import run_cases


def main() -> int:
    """Runs until there were as many cases as were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=5_000, help="how many requests at least")
    parser.add_argument("--seed", type=int, default=1, help="the same seed, the same requests")
    asked = parser.parse_args()
    done = run_cases(asked.cases, asked.seed)
    print(done.output)
    print(f"{done.cases} cases, seed {asked.seed}: {'nothing was found' if done.passed else 'see above'}.")
    return 0 if done.passed else 1


if __name__ == "__main__":
    sys.exit(main())
