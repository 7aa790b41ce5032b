"""Random commands on mappers, followed now and then: read models, log and commands say the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from personakit.agents.mappers import mapper_stream
from personakit.agents.service import Service
from personakit.domain.mapper import (
    MapperEvent,
    MapperState,
    change_weight,
    evolve,
    publish,
    restore,
    withdraw,
)
from personakit.domain.publishing import Provenance, VersionWentDown
from personakit.eventlog.stored import Row
from personakit.eventlog.streams import Loaded
from personakit.projections.verify import verify
from personakit_sdk.rules import compile_mapper
from tests.integration.conftest import follow
from tests.mapper_documents import mapper

GOLDEN = Path(__file__).parents[1] / "golden" / "events"
BY = Provenance("key: test", "at random")
Command = Callable[[str, MapperState], MapperEvent | None]
_names = count()


def publishing(minor: int, weight: float, status: Any, id_: str, state: MapperState) -> MapperEvent | None:
    """Of few documents, so that the same one comes again; not those whose version went down."""
    plan = compile_mapper(mapper(id_, f"1.{minor}.0", a=weight, b=1.0))
    try:
        return publish(state, plan, status, BY)
    except VersionWentDown:
        return None


def weighing(weight: float, _: str, state: MapperState) -> MapperEvent | None:
    if state.shown.status not in ("draft", "active"):
        return None
    return change_weight(state, "a", lambda _: weight, BY)


def restoring(weight: float, id_: str, state: MapperState) -> MapperEvent | None:
    return restore(state, compile_mapper(mapper(id_, a=weight, b=1.0)), 1, BY) if state.version else None


def withdrawing(id_: str, state: MapperState) -> MapperEvent | None:
    return withdraw(state, id_, BY) if state.version else None


WEIGHTS = st.sampled_from([0.5, 1.0, 2.0])
COMMANDS: st.SearchStrategy[Command | None] = st.one_of(
    st.builds(partial, st.just(publishing), st.integers(0, 1), WEIGHTS, st.sampled_from(["draft", "active"])),
    st.builds(partial, st.just(weighing), WEIGHTS),
    st.builds(partial, st.just(restoring), WEIGHTS),
    st.just(withdrawing),
    st.none(),
)
"""None lets the read models follow."""


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(COMMANDS, min_size=3, max_size=12))
def test_commands_begin_at_the_read_model_and_end_where_the_whole_stream_does(
    quiet: Service, commands: list[Command | None]
) -> None:
    id_ = f"random{next(_names)}"
    stream = mapper_stream("default", id_)
    for command in commands:
        if command is None:
            follow(quiet, "mappers")
            continue
        done = quiet.mappers.change("default", id_, partial(command, id_))
        folded = quiet.streams.load(stream, Loaded(MapperState(), 0), evolve)
        assert (done.state, done.version) == (folded.state, folded.version)
    follow(quiet)
    state = quiet.streams.load(stream, Loaded(MapperState(), 0), evolve).state
    with quiet.reader.snapshot_of_all() as snapshot:
        row = snapshot.row("mappers.by_id", tenant="default", mapper_id=id_)
        asked = {"tenant": "default", "mapper_id": id_}
        versions = [
            snapshot.row("mapper_versions.one", version=number, **asked)
            for number in range(1, state.version + 1)
        ]
        changes = snapshot.rows(
            "changes.since",
            tenant="default",
            after=0,
            after_kind="",
            after_entity="",
            through=snapshot.position,
            personas=None,
            limit=10**6,
        )
    assert (row is None) == (state.version == 0)
    if row is not None:
        shown = state.shown
        assert (row["version"], row["status"], row["hash"]) == (shown.version, shown.status, shown.hash)
        assert row["document"] == shown.document
    for version in versions:
        assert version is not None
        assert compile_mapper(version["document"]).hash == version["hash"]
    statuses = [version["status"] for version in versions if version is not None]
    assert statuses.count("active") == (1 if state.shown.status == "active" else 0)
    told = [change["op"] for change in changes if change["entity"] == id_]
    if state.shown.status == "active":
        assert told == ["put"]
    else:  # one that was never active is nobody's business
        assert told == (["delete"] if "deprecated" in statuses and told else [])


def test_a_command_reads_no_more_of_the_stream_than_the_read_model_lacks(
    quiet: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    select, read = quiet.recorder.select_events, list[int]()

    def noting(stream: str, **bounds: Any) -> Any:
        found = select(stream, **bounds)
        read.extend(event.originator_version for event in found)
        return found

    for weight in (0.5, 1.0, 2.0):
        command = partial(publishing, 0, weight, "active", "long")
        assert quiet.mappers.change("default", "long", command).position
    follow(quiet)
    quiet.mappers.change("default", "long", partial(weighing, 3.0, "long"))
    monkeypatch.setattr(quiet.recorder, "select_events", noting)
    done = quiet.mappers.change("default", "long", partial(weighing, 4.0, "long"))
    assert (done.version, read) == (5, [4])


def test_a_mapper_that_an_older_release_published_is_read_as_it_was(quiet: Service) -> None:
    payload = (GOLDEN / "MapperPublished.1.json").read_bytes()
    stream = mapper_stream("default", "work_rhythm")
    row = Row(stream, 1, "MapperPublished.1", payload, None)
    with quiet.recorder.datastore.get_connection() as connection:
        quiet.recorder.append(connection, [row], uuid4())
    follow(quiet)
    with quiet.reader.snapshot_of_all() as snapshot:
        asked = {"tenant": "default", "mapper_id": "work_rhythm"}
        shown = snapshot.row("mappers.by_id", **asked)
        version = snapshot.row("mapper_versions.one", version=1, **asked)
    assert shown is not None
    assert version is not None
    for found in (shown, version):
        assert (found["reason"], found["change"], found["source"]) == ("", "published", None)
        assert (found["origin"], found["status"]) == ("upload", "active")
    done = quiet.mappers.change("default", "work_rhythm", partial(withdrawing, "work_rhythm"))
    assert done.version == 2


def test_what_random_commands_left_is_what_a_replay_makes(quiet: Service) -> None:
    follow(quiet)
    for name in ("mappers", "mapper_versions", "changes"):
        found = verify(quiet.pool, quiet.projections[name], quiet.keys)
        assert found.clean
        assert found.rows > 0
    with quiet.pool.connection() as connection:
        assert connection.execute("SELECT FROM personakit.quarantine").fetchall() == []
