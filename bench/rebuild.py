"""Read models built anew from the log. The limit is COPY of the log's rows."""

from __future__ import annotations

import os
import statistics
import subprocess
from collections.abc import Sequence

import msgspec

from bench.catalogue import Key, read_model_of
from bench.copy_limit import beside, copy_limit, rates
from bench.database import Database
from bench.figures import Figure, ratio
from bench.history import history, people, with_ids
from bench.ingest import EACH, PEOPLE, sustain
from bench.workbench import Workbench
from tests.processes import COMMAND

ROUNDS = 3
BUDGET_SECONDS = 120


class Rebuilt(msgspec.Struct, frozen=True):
    """What `personakit projections rebuild --json` says: the positions it passed over, how many of those
    events the read model handles, and the seconds."""

    events: int
    handled: int
    seconds: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds


def rebuild(database: Database, name: str) -> Rebuilt:
    """Builds a read model anew beside the old one, from the first event to the last, by the command."""
    database.checkpoint()
    command = [*COMMAND, "projections", "rebuild", name, "--json"]
    done = subprocess.run(command, env={**os.environ, **database.environ}, capture_output=True, check=True)
    (rebuilt,) = msgspec.json.decode(done.stdout, type=list[Rebuilt])
    return rebuilt


def rebuilds(bench: Workbench, keys: Sequence[Key], sustained: Database | None) -> list[Figure]:
    """`rebuild_…`, over the log that the sustained run left, or one like it."""
    database = sustained or _one_like_it(bench)
    built: dict[str, list[Rebuilt]] = {key.name: [] for key in keys}
    limits = []
    for _ in bench.rounds("rebuild", ROUNDS, BUDGET_SECONDS):
        limits.append(copy_limit(database))
        for key in keys:
            built[key.name].append(rebuild(database, read_model_of(key.name)))
    return [
        ratio(name, [one.rate for one in found], rates(limits), f"{_note(found)} ({beside(limits)})")
        for name, found in built.items()
    ]


def _note(found: Sequence[Rebuilt]) -> str:
    events, handled = (
        int(statistics.median(getattr(r, name) for r in found)) for name in ("events", "handled")
    )
    return f"events/s replayed, of the {events:,} it handles {handled:,}; rows/s by COPY of all of them"


def _one_like_it(bench: Workbench) -> Database:
    bench.say("rebuild: making the log of a sustained run")
    database = bench.database()
    sustain(bench, database, with_ids(history(people(PEOPLE), EACH), 0))
    return database
