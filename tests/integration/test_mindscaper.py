"""The mindscaper reads everything once, whoever else is at it and whichever rules it has."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from personakit.agents.mindscaper import Mindscaper
from personakit.agents.service import Service
from personakit.agents.tenant_rules import TenantRules
from personakit.eventlog.access import create_tenant
from personakit.eventlog.stored import StreamId
from personakit.shipped import computed_traits_dir
from personakit_sdk import wire
from personakit_sdk.rules.yaml import load_yaml
from tests.integration.conftest import follow
from tests.postgres import MASTER_KEY

TENANT = "default"
START = datetime(2026, 1, 5, 21, tzinfo=UTC)


def observation(person: str, n: int = 0, kind: str = "code_commit") -> wire.Observation:
    return wire.Observation(
        id=uuid4(),
        person_id=person,
        type=kind,
        content={"lines_changed": n, "languages": ["Python"], "merge": False},
        occurred_at=START + timedelta(hours=n),
    )


def surrogate(service: Service, person: str) -> UUID:
    found = service.people.find(TENANT, person)
    assert found is not None
    return found.surrogate


def traits(service: Service, person: str) -> dict[str, Any]:
    follow(service)
    with service.reader.snapshot_of_all() as snapshot:
        row = snapshot.row("mindscapes.by_person", tenant=TENANT, person=surrogate(service, person))
    return dict(row["traits"]) if row else {}


def events(service: Service, kind: str, person: str) -> int:
    return len(service.recorder.select_events(str(StreamId(TENANT, kind, surrogate(service, person)))))


def other_rules() -> TenantRules:
    """Rules with another fingerprint: the shipped ones for commits, and one trait more."""
    document = load_yaml((computed_traits_dir() / "code_commit.yaml").read_text())
    extra = {"path": "work.smallest_commit", "from": "lines_changed", "aggregate": "min", "volatility": "low"}
    return TenantRules([document | {"traits": [*document["traits"], extra]}])


def test_sixteen_workers_on_one_person_count_every_observation_once(quiet: Service) -> None:
    for n in range(10):
        quiet.intake.record(TENANT, [observation("crowd", 10 * n + m) for m in range(10)])
        follow(quiet, "observations", "derivation_due")
        threads = [
            threading.Thread(target=quiet.mindscaper.derive, args=(TENANT, surrogate(quiet, "crowd")))
            for _ in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert traits(quiet, "crowd")["work.commits"]["value"] == 100
    assert events(quiet, "mindscape", "crowd") == 10


def test_deriving_again_finds_nothing_to_do(quiet: Service) -> None:
    quiet.intake.record(TENANT, [observation("again")])
    follow(quiet)
    for _ in range(3):
        quiet.mindscaper.derive(TENANT, surrogate(quiet, "again"))
    assert events(quiet, "mindscape", "again") == 1


def test_observations_that_no_trait_uses_are_read_once_and_said_to_be_read(quiet: Service) -> None:
    """More than a batch of them: the second pass goes on where the first one stopped."""
    for n in range(3):
        quiet.intake.record(TENANT, [observation("notes", n, "note") for _ in range(500)])
    follow(quiet)
    for _ in range(4):
        quiet.mindscaper.derive(TENANT, surrogate(quiet, "notes"))
        follow(quiet)
    assert events(quiet, "mindscape", "notes") == 0
    assert events(quiet, "derivation.computed", "notes") == 2
    assert surrogate(quiet, "notes") not in due(quiet, quiet.rules)


def due(service: Service, rules: TenantRules) -> set[UUID]:
    """Who awaits derivation by these rules, in whichever bucket."""
    with service.reader.snapshot_of_all() as snapshot:
        asked = rules.asked(snapshot)
        buckets = {row["bucket"] for row in snapshot.rows("derivation_due.due_buckets", **asked)}
        return {
            row["person"]
            for bucket in buckets
            for row in snapshot.rows("derivation_due.due", **asked, bucket=bucket, limit=500)
        }


def test_other_rules_begin_again_from_the_first_observation(quiet: Service) -> None:
    quiet.intake.record(TENANT, [observation("ruled", n) for n in range(5, 30)])
    follow(quiet)
    quiet.mindscaper.derive(TENANT, surrogate(quiet, "ruled"))
    before = traits(quiet, "ruled")
    changed = Mindscaper(quiet.reader, quiet.streams, other_rules())
    changed.derive(TENANT, surrogate(quiet, "ruled"))
    after = traits(quiet, "ruled")
    assert after["work.smallest_commit"]["value"] == 5
    assert after["work.commits"]["value"] == before["work.commits"]["value"] == 25


def test_a_person_who_records_nothing_new_is_due_when_the_rules_have_changed(quiet: Service) -> None:
    quiet.intake.record(TENANT, [observation("resting")])
    follow(quiet)
    quiet.mindscaper.derive(TENANT, surrogate(quiet, "resting"))
    follow(quiet)

    assert surrogate(quiet, "resting") not in due(quiet, quiet.rules)
    assert surrogate(quiet, "resting") in due(quiet, other_rules())


def test_a_position_counts_as_derived_though_newer_observations_are_not(quiet: Service) -> None:
    """Read your own writes, on a tenant where somebody always writes."""
    (mine,) = quiet.intake.record(TENANT, [observation("mine")])
    follow(quiet)
    quiet.mindscaper.derive(TENANT, surrogate(quiet, "mine"))
    (busy,) = quiet.intake.record(TENANT, [observation("mine", 1)])
    follow(quiet)

    def pending(position: int) -> bool:
        with quiet.reader.snapshot_of_all() as snapshot:
            row = snapshot.row("derivation_due.derived_through", tenant=TENANT, position=position)
        return bool(row and row["pending"])

    others = {
        name: pending(position) for name, position in (("mine", mine.position), ("busy", busy.position))
    }
    assert others == {"mine": False, "busy": True}


def core(service: Service, person: str) -> dict[str, Any]:
    follow(service)
    with service.reader.snapshot_of_all() as snapshot:
        row = snapshot.row("personas.by_id", tenant=TENANT, personas=[surrogate(service, person)])
    assert row is not None
    return row


def test_a_core_that_raced_an_update_is_born_stale(quiet: Service) -> None:
    """It was read at mindscape version 1; version 2 came before it was written."""
    quiet.intake.record(TENANT, [observation("raced", n) for n in range(3)])
    follow(quiet)
    quiet.mindscaper.derive(TENANT, surrogate(quiet, "raced"))
    follow(quiet)
    lagging = {"observations", "derivation_due"}
    quiet.intake.record(TENANT, [observation("raced", 100 + n) for n in range(40)])
    follow(quiet, *lagging)
    quiet.mindscaper.derive(TENANT, surrogate(quiet, "raced"))
    assert quiet.regenerator.regenerate(TENANT, surrogate(quiet, "raced")) is not None
    born = core(quiet, "raced")
    assert born["made_from"] == {str(surrogate(quiet, "raced")): 1}
    assert born["is_stale"] is True
    assert "work.commits" in born["changed"]


def test_first_cores_are_made_together_and_once(quiet: Service) -> None:
    names = ["first", "second", "third"]
    quiet.intake.record(TENANT, [observation(person) for person in names])
    quiet.intake.record(TENANT, [observation("traitless", kind="note")])
    follow(quiet)
    for person in names:
        quiet.mindscaper.derive(TENANT, surrogate(quiet, person))
    follow(quiet)
    without = quiet.regenerator.first_cores(1000)
    assert quiet.regenerator.first_cores(1000) == 0  # they are in the log, though not followed yet
    follow(quiet)
    assert without >= len(names)
    assert quiet.regenerator.first_cores(1000) == 0
    assert [events(quiet, "persona", person) for person in names] == [1, 1, 1]
    assert events(quiet, "persona", "traitless") == 0
    assert core(quiet, "third")["made_from"] == {str(surrogate(quiet, "third")): 1}


def test_staleness_dates_from_the_first_change_and_ends_with_a_new_core(quiet: Service) -> None:
    def derive(*hours: int) -> None:
        quiet.intake.record(TENANT, [observation("dated", n) for n in hours])
        follow(quiet)
        quiet.mindscaper.derive(TENANT, surrogate(quiet, "dated"))
        follow(quiet)

    derive(1, 2, 3)
    quiet.regenerator.regenerate(TENANT, surrogate(quiet, "dated"))
    assert core(quiet, "dated")["is_stale"] is False
    derive(*range(20, 60))
    first = core(quiet, "dated")
    derive(*range(1000, 1200))
    second = core(quiet, "dated")
    assert first["is_stale"] is second["is_stale"] is True
    assert first["stale_since"] == second["stale_since"]
    quiet.regenerator.regenerate(TENANT, surrogate(quiet, "dated"))
    assert core(quiet, "dated")["is_stale"] is False
    assert quiet.regenerator.regenerate(TENANT, surrogate(quiet, "dated")) is None


def test_one_persons_update_leaves_anothers_core_alone(quiet: Service) -> None:
    for person in ("left", "right"):
        quiet.intake.record(TENANT, [observation(person, n) for n in range(3)])
        follow(quiet)
        quiet.mindscaper.derive(TENANT, surrogate(quiet, person))
        follow(quiet)
        quiet.regenerator.regenerate(TENANT, surrogate(quiet, person))
    quiet.intake.record(TENANT, [observation("left", 100 + n) for n in range(40)])
    follow(quiet)
    quiet.mindscaper.derive(TENANT, surrogate(quiet, "left"))
    assert (core(quiet, "left")["is_stale"], core(quiet, "right")["is_stale"]) == (True, False)


def wait_until(reached: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def test_many_people_with_much_that_no_trait_uses_do_not_stop_the_agents(database: str) -> None:
    """As many as there are worker threads, and more, each with more than a batch to read."""
    with Service(database, MASTER_KEY) as service:
        create_tenant(service.recorder, TENANT, "Default")
        for n in range(3):
            for person in range(8):
                service.intake.record(TENANT, [observation(f"busy{person}", n, "note") for _ in range(500)])
        (last,) = service.intake.record(TENANT, [observation("after")])
        service.reader.wait_for(TENANT, last.position, 60)
        wait_until(lambda: "work.commits" in traits(service, "after"))
        assert events(service, "derivation.computed", "busy0") >= 1
