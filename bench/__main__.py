"""`make bench`: what the service does beside what its database, its server and its peers could do.

    python -m bench [--only KEY,KEY] [--topology one|split]

Exit code 0 when every bound that was measured holds, 1 when one is missed, 2 for a key that is none.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, get_args

from bench import report
from bench.catalogue import Group, Key, choose, groups
from bench.database import Database
from bench.derive import derivations
from bench.figures import Figure
from bench.freshness import freshness
from bench.growth import growths
from bench.ingest import ingest, sustained
from bench.learning import learning
from bench.rebuild import rebuilds
from bench.requests import maps, posts
from bench.rules import rules
from bench.sdk import sdk
from bench.serving import Topology
from bench.sync import syncs
from bench.workbench import Workbench

MEASURES: Final[Mapping[Group, Callable[[Workbench, Sequence[Key]], list[Figure]]]] = {
    "ingest": ingest,
    "serving": posts,
    "map": maps,
    "growth": growths,
    "derive": derivations,
    "freshness": freshness,
    "rules": rules,
    "learning": learning,
    "sync": syncs,
    "sdk": sdk,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, shows, writes."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--only", metavar="KEY,KEY", help="measure these keys only")
    topologies = [name for name in get_args(Topology) if name != "api"]
    parser.add_argument(
        "--topology", choices=topologies, default="one", help="how the sustained run is served"
    )
    given = parser.parse_args(arguments)
    try:
        chosen = groups(choose(given.only))
    except ValueError as error:
        parser.error(str(error))
    with Workbench(given.topology) as bench:
        machine = report.machine(bench.postgres_version)
        bench.say(machine)
        figures = list(_measure(bench, chosen))
    report.write(figures)
    report.show(figures, machine)
    return _verdict(figures)


def _measure(bench: Workbench, chosen: Mapping[Group, list[Key]]) -> Iterator[Figure]:
    """The figures, group by group; a rebuild is over the log that the sustained run left."""
    left: Database | None = None
    for group, keys in chosen.items():
        if group == "sustained":
            figures, left = sustained(bench)
            yield from figures
        elif group == "rebuild":
            yield from rebuilds(bench, keys, left)
        else:
            yield from MEASURES[group](bench, keys)


def _verdict(figures: Sequence[Figure]) -> int:
    missed = [figure.key for figure in figures if figure.holds is False]
    if missed:
        print(f"Missed: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
