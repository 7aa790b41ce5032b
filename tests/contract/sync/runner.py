"""Runs the cases against an SDK: `python -m tests.contract.sync.runner --sdk COMMAND [CASE…]`."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.contract.sync.case import Case, read_all
from tests.contract.sync.driven import Driven
from tests.contract.sync.play import Failed, play


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a line a case; 0 when all passed, 1 when one failed, 2 for a case that there is not."""
    parser = argparse.ArgumentParser(prog="python -m tests.contract.sync.runner", description=__doc__)
    parser.add_argument("--sdk", required=True, help="the command that starts the SDK under test")
    parser.add_argument("case", nargs="*", help="names of cases; without any, all of them")
    asked = parser.parse_args(arguments)
    cases = read_all()
    unknown = set(asked.case) - cases.keys()
    if unknown:
        print(f"There is no case {', '.join(sorted(unknown))}.", file=sys.stderr)
        return 2
    chosen = asked.case or list(cases)
    with Driven(shlex.split(asked.sdk)) as driven:
        passed = [_passes(name, cases[name], driven) for name in chosen]
    print(f"{passed.count(True)} passed, {passed.count(False)} failed")
    return 0 if all(passed) else 1


def _passes(name: str, case: Case, driven: Driven) -> bool:
    """Plays one and prints its line."""
    with TemporaryDirectory() as folder:
        try:
            play(case, driven, Path(folder))
        except Failed as error:
            print(f"FAILED  {name}  {error}", flush=True)
            return False
    print(f"passed  {name}", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
