"""The checks of `make faults` find what they are there for: each kind of loss, made by hand, is named."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any
from uuid import UUID

import msgspec
import pytest
from psycopg import Connection

from personakit.agents.service import Service
from personakit.domain.mindscape import Pin
from personakit.eventlog.access import create_tenant
from personakit.eventlog.intake import Receipt
from personakit.projections.follow import Followers
from personakit_sdk import wire
from tests.faults.chaos import change_checks, log_checks
from tests.faults.chaos.changes import PIN, RETRACTION, UNPIN, Changes
from tests.faults.chaos.items import Items
from tests.faults.chaos.ledger import Acknowledged, Claim, Ledger
from tests.faults.chaos.settled import open_models
from tests.postgres import MASTER_KEY

TENANT = "default"


@pytest.fixture(scope="module")
def stored(database: str) -> Iterator[list[Acknowledged]]:
    """Three observations of Ada that are in the log and in the read models, with her mindscape."""
    items = Items("test", Random(1))
    service = Service(database, MASTER_KEY)
    create_tenant(service.recorder, TENANT, "Default")
    followers = Followers(service.pool, service.projections.values(), service.keys)
    entries = [_recorded(service, items.observation("ada", "code_commit")) for _ in range(3)]
    followers.catch_up()
    ada = service.people.find(TENANT, "ada")
    assert ada is not None
    service.mindscaper.derive(TENANT, ada.surrogate)
    followers.catch_up()
    yield entries
    service.close()


def _recorded(service: Service, body: dict[str, Any]) -> Acknowledged:
    sent = msgspec.convert(body, wire.Observation)
    (receipt,) = service.intake.record(TENANT, [sent])
    assert isinstance(receipt, Receipt)
    return Acknowledged("observation", str(receipt.id), "ada", body, receipt.position)


@pytest.fixture
def models(stored: list[Acknowledged], database: str) -> Iterator[Connection[dict[str, Any]]]:
    """A transaction to break things in, that is rolled back."""
    with open_models(database) as connection, connection.transaction(force_rollback=True):
        yield connection


def test_nothing_is_found_where_nothing_is_lost(
    stored: list[Acknowledged], models: Connection[dict[str, Any]]
) -> None:
    shown = Claim("mindscape", "ada", 1, stored[-1].position + 1)
    assert list(log_checks.in_the_log(models, stored)) == []
    assert list(log_checks.in_order(models)) == []
    assert list(log_checks.claims(models, [shown])) == []


def test_what_is_lost_or_stands_elsewhere_is_named(
    stored: list[Acknowledged], models: Connection[dict[str, Any]]
) -> None:
    models.execute("DELETE FROM personakit.events WHERE position = %s", [stored[0].position])
    elsewhere = stored[1]._replace(position=stored[1].position + 7)
    not_hers = stored[2]._replace(person="bo")
    found = list(log_checks.in_the_log(models, [stored[0], elsewhere, not_hers]))
    assert [stored[n].id in sentence for n, sentence in enumerate(found)] == [True, True, True]
    assert "nothing" in found[0]


def test_a_version_that_is_missing_and_a_time_that_does_not_rise_are_named(
    models: Connection[dict[str, Any]],
) -> None:
    models.execute("UPDATE personakit.events SET version = 2 WHERE kind = 'mindscape'")
    models.execute(
        "UPDATE personakit.events SET recorded_at = recorded_at - interval '1 h' WHERE kind = 'mindscape'"
    )
    models.execute("DELETE FROM personakit.events WHERE kind = 'person'")
    assert len(list(log_checks.in_order(models))) == 3


def test_an_answer_that_claimed_more_than_it_showed_is_named(
    stored: list[Acknowledged], models: Connection[dict[str, Any]]
) -> None:
    too_old = Claim("mindscape", "ada", 0, stored[-1].position + 1)
    beyond = Claim("mindscape", "ada", 1, stored[-1].position + 100)
    assert len(list(log_checks.claims(models, [too_old, beyond]))) == 2


def test_an_item_that_is_acknowledged_as_stored_twice_or_at_two_places_is_named() -> None:
    ledger = Ledger()
    entry = Acknowledged("observation", "x", "ada", {}, 5)
    for status in ("stored", "duplicate"):
        ledger.acknowledge(entry, status)
    assert ledger.findings == []
    ledger.acknowledge(entry, "stored")
    ledger.acknowledge(entry._replace(position=6), "duplicate")
    assert len(ledger.findings) == 2


@pytest.fixture(scope="module")
def changed(stored: list[Acknowledged], database: str) -> Iterator[Changes]:
    """Of Ada's observations one is taken back, and two of her traits are pinned, one of them no longer."""
    service = Service(database, MASTER_KEY)
    ada = service.people.find(TENANT, "ada")
    assert ada is not None
    made = Changes("ada")
    gone = service.retractions.retract(TENANT, UUID(stored[0].id), "not mine")
    made.retracted[stored[0].id] = gone.position
    for path in ("taste", "rest"):
        service.curator.pin(TENANT, ada.surrogate, path, Pin(path, "low", "told", "key: me"))
    service.curator.unpin(TENANT, ada.surrogate, "rest", "not any more", "key: me")
    made.done.update({RETRACTION: 1, PIN: 2, UNPIN: 1})
    yield made
    service.close()


def test_changes_that_stand_as_acknowledged_are_no_finding(
    changed: Changes, models: Connection[dict[str, Any]]
) -> None:
    assert list(change_checks.in_the_log(models, [changed])) == []


@pytest.mark.parametrize("topic", ["ObservationRetracted", "TraitPinned", "TraitUnpinned"])
def test_a_change_that_is_lost_is_named(
    topic: str, changed: Changes, models: Connection[dict[str, Any]]
) -> None:
    newest = "SELECT max(position) FROM personakit.events WHERE topic LIKE %s"
    models.execute(f"DELETE FROM personakit.events WHERE position = ({newest})", [f"{topic}.%"])  # type: ignore[arg-type]
    assert len(list(change_checks.in_the_log(models, [changed]))) == 1


def test_a_change_that_was_done_twice_or_that_nobody_asked_for_is_named(
    changed: Changes, models: Connection[dict[str, Any]]
) -> None:
    nothing = Changes("ada")
    assert len(list(change_checks.in_the_log(models, [nothing]))) == 3
    nothing.unsure = (PIN, "taste")  # one may have been done, and two were
    assert len(list(change_checks.in_the_log(models, [nothing]))) == 3
    nothing.done[PIN] = 1
    assert len(list(change_checks.in_the_log(models, [nothing]))) == 2
