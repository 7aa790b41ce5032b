"""Optimistic locking: a conflict is re-read and re-applied, and no change is lost."""

from __future__ import annotations

import threading
from uuid import uuid4

from personakit.domain.events import MindscapeUpdated
from personakit.domain.mindscape import EMPTY, Mindscape, evolve
from personakit.domain.traits import Trait
from personakit.eventlog.appender import Appender
from personakit.eventlog.person_keys import Person, PersonKeys
from personakit.eventlog.recorder import LogRecorder
from personakit.eventlog.stored import StreamId
from personakit.eventlog.streams import Loaded, Streams
from personakit.projections.builds import open_pool
from personakit.projections.follow import install
from personakit.projections.read import Reader
from personakit.projections.sql import load_projections
from personakit.shipped import projections_dir
from tests.people import somebody

TENANT = "default"
WRITERS, UPDATES = 8, 200


def one_more(path: str, mindscape: Mindscape) -> MindscapeUpdated:
    """A read-modify-write: a trait counts one up from what was read."""
    before = mindscape.traits[path].value if path in mindscape.traits else 0
    return MindscapeUpdated(
        traits={path: Trait(value=before + 1)}, derivation="test", definition="x", read_through=before
    )


def write(
    recorder: LogRecorder, keys: PersonKeys, stream: StreamId, path: str, person: Person, tries: list[str]
) -> None:
    appender = Appender(recorder)
    streams = Streams(recorder, appender, keys)
    seen = Loaded(EMPTY, 0)

    def decide(state: Mindscape) -> MindscapeUpdated:
        tries.append(path)
        return one_more(path, state)

    for _ in range(UPDATES):
        updated = streams.update(stream, seen, evolve, decide, person=person.surrogate)
        seen = Loaded(updated.state, updated.version)
    appender.close()
    streams.conflicts.keep()


def test_eight_writers_of_one_mindscape_lose_no_update(
    recorder: LogRecorder, keys: PersonKeys, appender: Appender, database: str
) -> None:
    """8 writers, each with an appender of its own as 8 processes would have, 200 updates each: half of
    the writers count in one trait that they share, the others each in their own."""
    person = somebody(recorder, keys, TENANT)
    stream = StreamId(TENANT, "mindscape", person.surrogate)
    paths = ["shared" if n % 2 else f"own.{n}" for n in range(WRITERS)]
    tries: list[str] = []
    threads = [
        threading.Thread(target=write, args=(recorder, keys, stream, path, person, tries)) for path in paths
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    versions = [event.originator_version for event in recorder.select_events(str(stream))]
    streams = Streams(recorder, appender, keys)
    final = streams.load(stream, Loaded(EMPTY, 0), evolve)
    met = len(tries) - WRITERS * UPDATES
    assert met > 0, "they never met"
    assert streams.conflicts.totals() == {(TENANT, "test"): met}
    assert versions == list(range(1, WRITERS * UPDATES + 1))
    assert final.version == final.state.version == 1600
    assert final.state.traits["shared"].value == 4 * UPDATES
    assert all(final.state.traits[path].value == UPDATES for path in paths if path != "shared")

    with open_pool(database, 1) as pool:
        projections = load_projections(projections_dir())
        install(pool, projections.values(), keys)
        with Reader(pool, projections, reading=pool).snapshot_of_all() as snapshot:
            row = snapshot.row("mindscapes.by_person", tenant=TENANT, person=person.surrogate)
    assert row is not None
    assert row["version"] == 1600
    assert row["traits"]["shared"]["value"] == 4 * UPDATES


def test_loading_begins_at_the_read_models_version(
    recorder: LogRecorder, keys: PersonKeys, appender: Appender
) -> None:
    person = somebody(recorder, keys, TENANT).surrogate
    streams = Streams(recorder, appender, keys)
    stream = StreamId(TENANT, "mindscape", person)
    for _ in range(3):
        streams.update(stream, Loaded(EMPTY, 0), evolve, lambda state: one_more("a", state), person=person)
    at_two = streams.load(stream, Loaded(EMPTY, 0), evolve).state
    lagging = Loaded(Mindscape(version=2, traits={"a": Trait(value=2)}, derivations={}), 2)
    assert streams.load(stream, lagging, evolve).state.traits["a"].value == at_two.traits["a"].value == 3


def test_a_decision_for_nothing_appends_nothing(
    recorder: LogRecorder, keys: PersonKeys, appender: Appender
) -> None:
    stream = StreamId(TENANT, "mindscape", uuid4())
    updated = Streams(recorder, appender, keys).update(stream, Loaded(EMPTY, 0), evolve, lambda _: None)
    assert updated.position is None
    assert recorder.select_events(str(stream)) == []
