"""Databases with a history in them, filled and followed without a server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager

from bench.database import Database
from bench.exchange import request
from bench.fifty_rules import MAPPER_ID
from bench.fill import COHORT_PEOPLE, Filler
from bench.history import people
from bench.serving import Served
from personakit.agents.service import Service
from personakit.cli.database import FIRST_TENANT
from personakit.eventlog.access import create_tenant
from personakit.projections.follow import Followers


@contextmanager
def quiet(database: Database) -> Iterator[Service]:
    """A service in this process whose agents are asleep."""
    with closing(Service(database.conninfo, database.master_key)) as service:
        create_tenant(service.recorder, FIRST_TENANT, "The first tenant")
        yield service


def fill(database: Database, cohorts: Iterable[int], *, mapper: bool) -> None:
    """Adds cohorts to the log, and the mapper of fifty rules if asked."""
    with quiet(database) as service:
        filler = Filler(service)
        if mapper:
            filler.publish_mapper()
        filler.add(cohorts)


def follow(database: Database) -> None:
    """Lets the read models take what is in the log."""
    with quiet(database) as service:
        Followers(service.pool, service.projections.values(), service.keys).catch_up()


def map_requests(served: Served) -> list[bytes]:
    """`GET /map-persona` by the mapper of fifty rules, of each person of the first cohort."""
    return [
        request("GET", f"/map-persona?mapperId={MAPPER_ID}&personaId=0-{person}", key=served.key)
        for person in people(COHORT_PEOPLE)
    ]
