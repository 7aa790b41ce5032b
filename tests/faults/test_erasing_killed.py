"""kill -9 while somebody is erased: it is whole, or it is finished from the journal at the next start."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from personakit.agents.service import Service
from personakit.domain.events import PersonaDefined
from personakit.eventlog.access import create_tenant
from personakit.eventlog.erasure_journal import ErasureJournal
from personakit.eventlog.people import persona_id
from personakit.projections.verify import verify
from personakit_sdk import wire
from tests.history import follow
from tests.postgres import MASTER_KEY

TENANT = "default"
PROGRAM = """
import os, signal, sys
from pathlib import Path
from personakit.eventlog import eraser as module
from personakit.eventlog.erasure_journal import ErasureJournal
from personakit.eventlog.person_keys import PersonKeys
from personakit.eventlog.recorder import LogRecorder, open_datastore

conninfo, journal, moment, person = sys.argv[1:]
owner, name = {
    "before the journal": (ErasureJournal, "append"),
    "after the journal": (module.Eraser, "_carry_out"),
    "before the commit": (module.msgspec, "convert"),
    "after the commit": (module.Eraser, "_tell"),
}[moment]
setattr(owner, name, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
recorder = LogRecorder(open_datastore(conninfo))
keys = PersonKeys(recorder.datastore.get_connection, bytes(range(32)))
module.Eraser(recorder, keys, ErasureJournal(Path(journal))).erase("default", person)
"""


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("journal") / "erasures.jsonl"


@pytest.fixture(scope="module")
def known(database: str) -> Iterator[Service]:
    """A service that recorded, and whose agents sleep."""
    service = Service(database, MASTER_KEY)
    create_tenant(service.recorder, TENANT, "Default")
    yield service
    service.close()


def observe(service: Service, *people: str) -> None:
    for person in people:
        sent = wire.Observation(
            id=uuid4(),
            person_id=person,
            type="note",
            content={"said": person},
            occurred_at=datetime(2026, 3, 2, tzinfo=UTC),
        )
        service.intake.record(TENANT, [sent])
    follow(service)


@pytest.mark.parametrize(
    ("moment", "journalled"),
    [
        ("before the journal", False),
        ("after the journal", True),
        ("before the commit", True),
        ("after the commit", True),
    ],
)
def test_somebody_is_erased_whole_or_not_at_all(
    database: str, known: Service, journal: Path, moment: str, journalled: bool
) -> None:
    person, friend = (f"{each}.{moment.replace(' ', '.')}" for each in ("ada", "bob"))
    observe(known, person, friend)
    before = [known.people.register(TENANT, [each])[each] for each in (person, friend)]
    pair = known.personas.create(TENANT, PersonaDefined(people=tuple(each.surrogate for each in before)))
    follow(known)
    killed = subprocess.run(
        [sys.executable, "-c", PROGRAM, database, journal, moment, person], check=False, timeout=60
    )
    assert killed.returncode == -signal.SIGKILL
    assert (before[0].surrogate in [each.person for each in ErasureJournal(journal).read()]) == journalled
    known.people.forget(None)
    there = known.people.find(TENANT, person)
    assert (there is None) == (moment == "after the commit")

    started = Service(database, MASTER_KEY, erasure_journal=journal)
    try:
        follow(started)
        assert (started.people.find(TENANT, person) is None) == journalled
        assert len(started.people.erased(TENANT, person)) == journalled
        with started.reader.snapshot_of_all() as snapshot:
            row = snapshot.row("personas.by_id", tenant=TENANT, personas=[pair.persona])
            own = snapshot.row("personas.by_id", tenant=TENANT, personas=[before[0].surrogate])
        assert row is not None
        assert row["person_id"] == persona_id(pair.persona)
        assert row["people_ids"] == ([friend] if journalled else [person, friend])
        assert (own is None) == journalled
        for projection in started.projections.values():
            assert verify(started.pool, projection, started.keys).clean
        head = started.reader.head()
        assert started.eraser.complete() == 0
        assert started.reader.head() == head
    finally:
        started.close()
