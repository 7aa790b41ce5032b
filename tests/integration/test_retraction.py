"""Retraction: what is taken back counts no longer, anywhere, and nothing else is touched."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from litestar.testing import TestClient

from personakit.agents.mindscaper import Mindscaper
from personakit.agents.service import Service
from personakit.api.app import create_app
from personakit.domain.computed_traits import Observed
from personakit.domain.mindscape import Mindscape
from personakit.eventlog.access import create_key, create_tenant
from personakit.eventlog.corrections import SupersedesNothing
from personakit.eventlog.intake import IdTaken, Receipt
from personakit.eventlog.person_keys import PersonErased
from personakit.eventlog.retractions import NotRecorded
from personakit.projections.verify import verify
from personakit_sdk import wire
from tests.history import TENANT, observation, surrogate
from tests.integration.conftest import Client, follow
from tests.postgres import MASTER_KEY

NOW = datetime(2026, 3, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def client(quiet: Service) -> Iterator[Client]:
    key = create_key(quiet.recorder, TENANT, "test")
    with TestClient(create_app(quiet), raise_server_exceptions=False) as client:
        client.headers["Authorization"] = f"Bearer {key}"
        yield client


def record(service: Service, *observations: wire.Observation) -> list[UUID]:
    """Records them, and lets the read models follow."""
    fates = service.intake.record(TENANT, observations)
    assert all(isinstance(fate, Receipt) for fate in fates), fates
    follow(service)
    return [fate.id for fate in fates]


def traits(service: Service, person: str) -> dict[str, Any]:
    """A person's computed traits, after all there is to derive was derived."""
    follow(service)
    for bucket in range(16):
        service.mindscaper.derive_due(bucket)
    service.mindscaper.derive(TENANT, surrogate(service, person))  # the rest of what is more than a batch
    follow(service)
    with service.reader.snapshot_of_all() as snapshot:
        row = snapshot.row("mindscapes.by_person", tenant=TENANT, person=surrogate(service, person))
    return dict(row["traits"]) if row else {}


def listed(client: Client, person: str, **asked: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = client.get("/observations", params={"personId": person, **asked}).json()[
        "items"
    ]
    return items


def only(service: Service, those: Sequence[wire.Observation]) -> dict[str, Any]:
    """The traits computed from these observations, as they would come back from the database."""
    observed = [Observed(each.id or uuid4(), each.type, each.content, each.occurred_at) for each in those]
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(service.rules.shipped.fold({}, observed)))
    return plain


def test_traits_are_those_of_the_remaining_observations(quiet: Service) -> None:
    mine = [observation("ada", hour) for hour in range(30)]
    ids = record(quiet, *mine)
    assert traits(quiet, "ada") == only(quiet, mine)
    for id_ in ids[::3]:
        quiet.retractions.retract(TENANT, id_)
    assert traits(quiet, "ada") == only(quiet, [each for n, each in enumerate(mine[::-1]) if n % 3 != 2])


def test_what_loses_its_last_sample_is_gone_and_a_core_that_has_it_is_stale(quiet: Service) -> None:
    ids = record(quiet, *(observation("last", hour) for hour in range(5)))
    assert "work.commits" in traits(quiet, "last")
    quiet.regenerator.regenerate(TENANT, surrogate(quiet, "last"))
    for id_ in ids:
        quiet.retractions.retract(TENANT, id_)
    assert traits(quiet, "last") == {}
    with quiet.reader.snapshot_of_all() as snapshot:
        row = snapshot.row("personas.by_id", tenant=TENANT, personas=[surrogate(quiet, "last")])
    assert row is not None
    assert row["is_stale"] is True
    newest = quiet.past.history(TENANT, surrogate(quiet, "last"), before=2**62, limit=1)[0]
    assert "derived anew, without what was retracted, what it reads of code_commit" in newest.reason


def test_only_traits_of_the_type_concerned_are_derived_anew(quiet: Service) -> None:
    record(quiet, *(observation("two", hour) for hour in range(3)))
    session = msgspec.structs.replace(
        observation("two", 4), type="work_session", content={"duration_minutes": 50, "kind": "focus"}
    )
    (id_,) = record(quiet, session)
    before = traits(quiet, "two")
    quiet.retractions.retract(TENANT, id_)
    after = traits(quiet, "two")
    commits = {path: trait for path, trait in before.items() if "code_commit" in trait["source"]}
    assert after == commits != before
    newest = quiet.past.history(TENANT, surrogate(quiet, "two"), before=2**62, limit=1)[0]
    assert newest.event.anew == ("work_session",)  # type: ignore[union-attr]  # an update


def test_what_is_retracted_before_it_is_derived_never_counts(quiet: Service) -> None:
    """Of more than one batch, with something new after it; and it is read once."""
    ids = record(quiet, *(observation("early", hour) for hour in range(5)))
    quiet.retractions.retract(TENANT, ids[0])
    for n in range(3):
        record(quiet, *(observation("early", 10 + n) for _ in range(500)))
    assert traits(quiet, "early")["work.commits"]["value"] == 1504
    versions = len(quiet.past.history(TENANT, surrogate(quiet, "early"), before=2**62, limit=50))
    traits(quiet, "early")
    assert len(quiet.past.history(TENANT, surrogate(quiet, "early"), before=2**62, limit=50)) == versions == 1


def test_a_long_history_is_read_anew_in_batches_and_into_one_version(quiet: Service) -> None:
    for n in range(5):
        ids = record(quiet, *(observation("long", n) for _ in range(500)))
    assert traits(quiet, "long")["work.commits"]["value"] == 2500
    before = len(quiet.past.history(TENANT, surrogate(quiet, "long"), before=2**62, limit=50))
    for id_ in ids[:100]:
        quiet.retractions.retract(TENANT, id_)
    assert traits(quiet, "long")["work.commits"]["value"] == 2400
    assert len(quiet.past.history(TENANT, surrogate(quiet, "long"), before=2**62, limit=50)) == before + 1


def test_sixteen_workers_lose_no_retraction_and_no_observation(quiet: Service) -> None:
    record(quiet, observation("crowd"))
    kept = 1
    for n in range(8):
        ids = record(quiet, *(observation("crowd", 10 * n + m) for m in range(10)))
        for id_ in ids[: n % 4]:
            quiet.retractions.retract(TENANT, id_)
        kept += 10 - n % 4
        follow(quiet, "observations", "derivation_due")
        threads = [
            threading.Thread(target=quiet.mindscaper.derive, args=(TENANT, surrogate(quiet, "crowd")))
            for _ in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert traits(quiet, "crowd")["work.commits"]["value"] == kept


class Slow(Mindscaper):
    """Something happens between what it reads and what it appends, once."""

    between: Any = None

    def _read_on(self, tenant: str, person: UUID, mindscape: Mindscape) -> Any:
        read = super()._read_on(tenant, person, mindscape)
        if self.between is not None:
            between, self.between = self.between, None
            between()
        return read


def test_a_pass_that_read_before_a_retraction_cannot_append_after_it(quiet: Service) -> None:
    """The retraction is read by another pass, for which it changes nothing: what the slow one is about to
    fold in was not folded in yet."""
    ids = record(quiet, observation("slow", 1), observation("slow", 2))
    slow = Slow(quiet.reader, quiet.streams, quiet.rules)

    def overtake() -> None:
        quiet.retractions.retract(TENANT, ids[0])
        quiet.retractions.retract(TENANT, ids[1])
        follow(quiet)
        quiet.mindscaper.derive(TENANT, surrogate(quiet, "slow"))
        follow(quiet)

    slow.between = overtake
    slow.derive(TENANT, surrogate(quiet, "slow"))
    assert traits(quiet, "slow") == {}


def test_a_correction_takes_the_place_of_what_it_corrects(quiet: Service, client: Client) -> None:
    wrong = observation("corrected", 700)
    record(quiet, wrong)
    assert traits(quiet, "corrected")["work.commit_size"]["samples"] == 1
    right = msgspec.structs.replace(observation("corrected", 7), supersedes=wrong.id)
    record(quiet, right)
    assert traits(quiet, "corrected")["work.commits"]["value"] == 1
    assert [item["id"] for item in listed(client, "corrected")] == [str(right.id)]
    old, new = listed(client, "corrected", retracted="true")
    assert (old["retraction"]["cause"], old["retraction"]["supersededBy"]) == ("superseded", str(right.id))
    assert (new["retraction"], new["supersedes"]) == (None, str(wrong.id))
    assert old["retraction"]["position"] == new["position"] + 1


def test_a_correction_sent_again_is_a_duplicate_and_another_body_retracts_nothing(quiet: Service) -> None:
    first, second = observation("again", 1), observation("again", 2)
    fix = msgspec.structs.replace(observation("again", 3), supersedes=first.id)
    record(quiet, first, second, fix)
    (again,) = quiet.intake.record(TENANT, [fix])
    (other,) = quiet.intake.record(TENANT, [msgspec.structs.replace(fix, supersedes=second.id)])
    assert isinstance(again, Receipt)
    assert again.status == "duplicate"
    assert isinstance(other, IdTaken)
    assert traits(quiet, "again")["work.commits"]["value"] == 2


def test_what_is_corrected_must_be_there_and_of_the_same_person(quiet: Service, client: Client) -> None:
    (others,) = record(quiet, observation("another"))
    mine = observation("mine")
    bad = [
        msgspec.structs.replace(observation("mine"), supersedes=uuid4()),
        msgspec.structs.replace(observation("mine"), supersedes=others),
        msgspec.structs.replace(mine, supersedes=mine.id),
    ]
    fates = quiet.intake.record(TENANT, [*bad, observation("mine")])
    assert [type(fate) for fate in fates] == [SupersedesNothing] * 3 + [Receipt]
    sent = client.post("/observations", json=msgspec.to_builtins(bad[0]))
    assert (sent.status_code, sent.json()["errors"][0]["pointer"]) == (422, "/supersedes")
    batch = client.post("/observations/batch", json=msgspec.to_builtins(bad)).json()["results"]
    assert {result["status"] for result in batch} == {"rejected"}
    assert traits(quiet, "another")["work.commits"]["value"] == 1


def test_many_corrections_of_one_observation_are_all_recorded_and_retract_it_once(quiet: Service) -> None:
    (old,) = record(quiet, observation("raced"))
    fixes = [msgspec.structs.replace(observation("raced", n), supersedes=old) for n in range(16)]
    with ThreadPoolExecutor(16) as pool:
        fates = list(pool.map(lambda fix: quiet.intake.record(TENANT, [fix])[0], fixes))
    assert all(isinstance(fate, Receipt) and fate.status == "stored" for fate in fates)
    assert traits(quiet, "raced")["work.commits"]["value"] == 16


def test_an_observation_expires_at_its_instant_and_is_retracted_by_an_event(
    quiet: Service, client: Client
) -> None:
    ends = datetime(2099, 1, 1, tzinfo=UTC)
    soon = msgspec.structs.replace(observation("brief", 1), expires_at=ends)
    late = msgspec.structs.replace(observation("brief", 2), expires_at=datetime(2999, 1, 1, tzinfo=UTC))
    record(quiet, soon, late, observation("brief", 3))
    assert traits(quiet, "brief")["work.commits"]["value"] == 3
    assert quiet.expiry.sweep(ends - timedelta(seconds=1)) == 0
    assert traits(quiet, "brief")["work.commits"]["value"] == 3
    assert quiet.expiry.sweep(ends) == 1
    assert quiet.expiry.sweep(ends) == 0  # before the read models have followed: nothing is retracted twice
    assert traits(quiet, "brief")["work.commits"]["value"] == 2
    first = listed(client, "brief", retracted="true")[0]
    assert (first["retraction"]["cause"], first["expiresAt"]) == ("expired", "2099-01-01T00:00:00Z")


def test_what_had_expired_when_it_came_never_counts_and_is_shown_as_nobodys_evidence(
    quiet: Service, client: Client
) -> None:
    over = msgspec.structs.replace(observation("tardy", 1), expires_at=NOW)
    record(quiet, over)
    assert traits(quiet, "tardy") == {}
    (kept,) = record(quiet, observation("tardy", 2))
    assert traits(quiet, "tardy")["work.commits"]["value"] == 1
    evidence = client.get("/mindscapes/tardy/traits/work.commits/evidence").json()["items"]
    assert [item["id"] for item in evidence] == [str(kept)]
    assert [item["id"] for item in listed(client, "tardy")] == [str(kept)]
    assert quiet.expiry.sweep(NOW) == 1
    before = traits(quiet, "tardy")
    assert before["work.commits"]["value"] == 1
    quiet.retractions.retract(TENANT, kept)  # all that counts is derived anew, and it stays out
    assert traits(quiet, "tardy").get("work.commits") is None


def test_an_expiry_reaches_devices_with_their_next_pull(quiet: Service, client: Client) -> None:
    def pulled(since: str | None) -> tuple[str, dict[str, Any]]:
        page = client.get("/sync", params={"limit": "500"} | ({"since": since} if since else {})).json()
        return page["next"], {item["id"]: item["body"] for item in page["items"]}

    ends = datetime(2096, 1, 1, tzinfo=UTC)
    record(quiet, msgspec.structs.replace(observation("away", 1), expires_at=ends))
    assert traits(quiet, "away")
    since, before = pulled(None)
    assert before["away"]["core"]["traits"]
    assert quiet.expiry.sweep(ends) == 1
    assert traits(quiet, "away") == {}
    _, after = pulled(since)
    assert (after["away"]["core"]["traits"], after["away"]["overlay"]) == ({}, {})


def test_what_corrects_another_and_expires_does_not_bring_it_back(quiet: Service) -> None:
    ends = datetime(2098, 1, 1, tzinfo=UTC)
    (old,) = record(quiet, msgspec.structs.replace(observation("fickle", 1), expires_at=ends))
    record(quiet, observation("fickle", 5))
    new = msgspec.structs.replace(observation("fickle", 2), supersedes=old, expires_at=ends)
    record(quiet, new)
    assert traits(quiet, "fickle")["work.commits"]["value"] == 2
    assert quiet.expiry.sweep(ends) == 1  # the new one: the old one was taken back already
    assert traits(quiet, "fickle")["work.commits"]["value"] == 1
    assert quiet.expiry.sweep(ends) == 0


def test_those_that_cannot_be_retracted_hold_up_no_others(quiet: Service) -> None:
    """Of the first ones the person is gone: they stay in the read model, and a page is full of them."""
    ends = datetime(2097, 1, 1, tzinfo=UTC)
    for number in range(4):
        record(quiet, msgspec.structs.replace(observation("gone", number), expires_at=ends))
    later = ends + timedelta(seconds=1)
    record(quiet, msgspec.structs.replace(observation("stays", 9), expires_at=later))
    assert traits(quiet, "gone").keys() == traits(quiet, "stays").keys() != set()
    with quiet.recorder.datastore.get_connection() as connection:
        connection.execute("DELETE FROM personakit.person_keys WHERE person_id = 'gone'")
    assert quiet.expiry.sweep(later, at_once=2) == 1
    assert traits(quiet, "stays") == {}


def test_who_is_erased_in_the_middle_of_it_holds_up_no_others(
    quiet: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = datetime(2095, 1, 1, tzinfo=UTC)
    for number, person in enumerate(("kept", "erased", "other")):
        at = ends + timedelta(seconds=number)
        record(quiet, msgspec.structs.replace(observation(person, number), expires_at=at))
    gone, of = surrogate(quiet, "erased"), quiet.keys.of

    def gone_since(person: UUID) -> Any:
        if person == gone:
            raise PersonErased
        return of(person)

    monkeypatch.setattr(quiet.keys, "of", gone_since)
    assert quiet.expiry.sweep(ends + timedelta(seconds=9)) == 2


def test_the_agents_retract_what_has_expired(database: str) -> None:
    with Service(database, MASTER_KEY) as service:
        create_tenant(service.recorder, TENANT, "Default")
        past = msgspec.structs.replace(observation("awake", 1), expires_at=NOW)
        service.intake.record(TENANT, [past, observation("awake", 2)])
        person, deadline = surrogate(service, "awake"), time.monotonic() + 30

        def counted() -> Any:
            traits = service.past.mindscape(TENANT, person, 2**62).mindscape.traits
            return traits["work.commits"].value if traits else None

        while counted() != 1 or due(service):
            assert time.monotonic() < deadline, "it never came"
            time.sleep(0.05)


def due(service: Service) -> bool:
    """Whether there is still something to derive, as far as the read models have come."""
    with service.reader.snapshot_of_all() as snapshot:
        return bool(snapshot.rows("derivation_due.due_buckets", **service.rules.asked(snapshot))) or any(
            state.lag_events for state in service.reader.states()
        )


def test_retracting_over_http_says_what_happened_and_again_what_did(quiet: Service, client: Client) -> None:
    sent = observation("http")
    (id_,) = record(quiet, sent)
    first = client.delete(f"/observations/{id_}", params={"reason": "counted twice ✗"})
    again = client.delete(f"/observations/{id_}")
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() | {"status": "repeated"} == again.json()
    assert first.json()["reason"] == "counted twice ✗"
    assert first.headers["PersonaKit-Position"] == str(first.json()["position"])
    follow(quiet)
    assert listed(client, "http") == []
    (kept,) = listed(client, "http", retracted="true")
    assert kept["retraction"]["reason"] == "counted twice ✗"
    # then its id stays taken
    body = msgspec.to_builtins(sent)
    assert client.post("/observations", json=body).json()["status"] == "duplicate"
    assert client.post("/observations", json=body | {"type": "note"}).status_code == 409


def test_what_cannot_be_retracted_is_said_to_be_so(quiet: Service, client: Client) -> None:
    create_tenant(quiet.recorder, "theirs", "Theirs")
    (fate,) = quiet.intake.record("theirs", [observation("theirs")])
    for id_ in (uuid4(), fate.id):  # of another tenant: as unknown as any
        assert client.delete(f"/observations/{id_}").status_code == 404
        with pytest.raises(NotRecorded):
            quiet.retractions.retract(TENANT, id_)
    assert client.delete("/observations/nonsense").status_code == 404
    (mine,) = record(quiet, observation("nul"))
    assert client.delete(f"/observations/{mine}", params={"reason": "a\x00b"}).status_code == 422


def test_evidence_is_without_what_was_retracted(quiet: Service, client: Client) -> None:
    ids = record(quiet, *(observation("shown", hour) for hour in range(3)))
    quiet.retractions.retract(TENANT, ids[1])
    traits(quiet, "shown")
    answer = client.get("/mindscapes/shown/traits/work.commits/evidence").json()
    assert {item["id"] for item in answer["items"]} == {str(ids[0]), str(ids[2])}
    assert set(answer["trait"]["evidence"]) == {str(ids[0]), str(ids[2])}


def test_all_of_it_is_what_a_replay_makes(quiet: Service) -> None:
    follow(quiet)
    for projection in quiet.projections.values():
        assert verify(quiet.pool, projection, quiet.keys).clean
