"""What a log of 1,000,000 events costs beside one of 20,000, both on the one server at the same time."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import msgspec

from bench.catalogue import Key
from bench.database import Database
from bench.figures import Figure, ratio
from bench.fill import COHORT_EVENTS
from bench.grown import fill, follow, map_requests
from bench.history import history, people, with_ids
from bench.load import Load
from bench.rebuild import rebuild
from bench.requests import post_requests
from bench.serving import ALONE, Served
from bench.workbench import Workbench

COHORTS = 50
ROUNDS = 5
BUDGET_SECONDS = 90
CONNECTIONS = 16
POSTS = 1000
MAP_SECONDS = 2.0
REBUILT = "observations"
_LOAD = f"median latency in ms over {CONNECTIONS} kept connections, {ALONE}"


class Two(msgspec.Struct, frozen=True):
    """The same thing at both sizes."""

    small: float
    large: float


def growths(bench: Workbench, keys: Sequence[Key]) -> list[Figure]:
    """`growth_post`, `growth_map` and `growth_rebuild`, those that are asked for."""
    names = {key.name for key in keys}
    small, large = bench.database(), bench.database()
    for database, cohorts in ((small, 1), (large, COHORTS)):
        bench.say(f"growth: making a history of {cohorts * COHORT_EVENTS:,} events")
        fill(database, range(cohorts), mapper=True)
        bench.say("growth: letting the read models take it")
        follow(database)
    figures = [_rebuild(bench, small, large)] if "growth_rebuild" in names else []
    if names & {"growth_post", "growth_map"}:
        figures += _requests(bench, small, large, names)
    return figures


def _rebuild(bench: Workbench, small: Database, large: Database) -> Figure:
    """Once over the large log, between two rebuilds of the small one."""
    bench.say(f"growth: rebuilding {REBUILT}")
    before = rebuild(small, REBUILT)
    grown = rebuild(large, REBUILT)
    after = rebuild(small, REBUILT)
    little = statistics.mean(one.seconds / one.events for one in (before, after)) * 1e6
    note = f"µs an event to rebuild {REBUILT}, of {grown.events:,} events once; of {before.events:,} twice"
    return ratio("growth_rebuild", [grown.seconds / grown.events * 1e6], [little], note)


def _requests(bench: Workbench, small: Database, large: Database, names: set[str]) -> list[Figure]:
    posts: list[Two] = []
    maps: list[Two] = []
    with _both(bench, small, large) as servers:
        for number in bench.rounds("growth", ROUNDS + 1, BUDGET_SECONDS):
            if "growth_post" in names:
                posts.append(Two(*(_post(bench, served, number).p50_ms for served in servers)))
            if "growth_map" in names:
                maps.append(Two(*(_map(bench, served).p50_ms for served in servers)))
    note = f"{_LOAD}, at {COHORTS * COHORT_EVENTS:,} events; at {COHORT_EVENTS:,} and what was posted"
    measured = {"growth_post": posts[1:], "growth_map": maps[1:]}  # the first round warms up
    return [
        ratio(name, [two.large for two in found], [two.small for two in found], note)
        for name, found in measured.items()
        if found
    ]


@contextmanager
def _both(bench: Workbench, *databases: Database) -> Iterator[list[Served]]:
    with ExitStack() as stack:
        yield [stack.enter_context(bench.serving(database)) for database in databases]


def _post(bench: Workbench, served: Served, number: int) -> Load:
    known = [f"0-{person}" for person in people(100)]
    observations = with_ids(history(known, POSTS // len(known)), 5000 + number)
    return bench.generator.send(served.port, post_requests(served.key, observations), CONNECTIONS)


def _map(bench: Workbench, served: Served) -> Load:
    return bench.generator.repeat(served.port, map_requests(served), CONNECTIONS, MAP_SECONDS)
