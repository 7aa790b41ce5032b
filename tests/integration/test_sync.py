"""`GET /sync`: everything once, then only what changed; nothing missed, nothing old under a new version."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar.testing import TestClient
from psycopg import sql

from personakit.agents.service import Service
from personakit.api.app import create_app
from personakit.api.sync.cursor import Cursor, encode_cursor
from personakit.api.sync.items import READ, items_of
from personakit.api.sync.scope import Scope
from personakit.domain.events import PersonaDefined, PersonaRetired
from personakit.eventlog.access import create_key, create_tenant
from personakit.projections import builds
from personakit.projections.read import Snapshot
from personakit_sdk import wire
from personakit_sdk.rules.document import RULE_LANGUAGE
from tests.integration.conftest import Client, follow
from tests.mapper_changes import publish_mapper, withdraw_mapper


@pytest.fixture
def tenant(quiet: Service) -> str:
    """A tenant of its own for each test."""
    name = f"t-{uuid4().hex[:12]}"
    create_tenant(quiet.recorder, name, name)
    return name


@pytest.fixture
def reader(quiet: Service, tenant: str) -> Iterator[Client]:
    with TestClient(create_app(quiet)) as client:
        client.headers["Authorization"] = f"Bearer {create_key(quiet.recorder, tenant, 'test')}"
        yield client


def pull(client: Client, since: str | None = None, **query: Any) -> dict[str, Any]:
    answer = client.get("/sync", params={"limit": 100, **query, **({"since": since} if since else {})})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def refused(client: Client, since: str, **query: Any) -> tuple[int, str, str | None]:
    answer = client.get("/sync", params={"since": since, **query})
    slug = answer.json()["type"].removeprefix("urn:personakit:problem:")
    return answer.status_code, slug, answer.headers.get("Cache-Control")


def ids(page: dict[str, Any]) -> list[str]:
    return [item["id"] for item in page["items"]]


def record(service: Service, tenant: str, *people: str) -> list[UUID]:
    """Records something about each; their surrogates."""
    sent = [
        wire.Observation(
            id=uuid4(),
            person_id=person,
            type="code_commit",
            content={"lines_changed": 3, "languages": ["Python"], "merge": False},
            occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        for person in people
    ]
    service.intake.record(tenant, sent)
    found = [service.people.find(tenant, person) for person in people]
    return [person.surrogate for person in found if person is not None]


def derive(service: Service, tenant: str, *surrogates: UUID) -> None:
    """Derives somebody's traits anew, and lets all read models take that."""
    follow(service)
    for surrogate in surrogates:
        service.mindscaper.derive(tenant, surrogate)
    follow(service)


class Replica:
    """What a client has: items applied as SYNC has it, newer versions only."""

    def __init__(self) -> None:
        self.bodies: dict[tuple[str, str], Any] = {}
        self.versions: dict[tuple[str, str], int] = {}

    def apply(self, page: dict[str, Any]) -> None:
        for item in page["items"]:
            key = (item["kind"], item["id"])
            if item["version"] <= self.versions.get(key, 0):
                continue
            self.versions[key] = item["version"]
            if item["op"] == "put":
                self.bodies[key] = item["body"]
            else:
                self.bodies.pop(key, None)

    def digest(self) -> str:
        """As docs/reference/sync.md has it, in words of its own."""
        lines = sorted(f"{kind}\t{id_}\t{self.versions[kind, id_]}\n".encode() for kind, id_ in self.bodies)
        return sha256(b"".join(lines)).hexdigest()


# --- a full pull, and what comes after it


def test_everything_comes_once_and_then_only_what_changed(
    quiet: Service, reader: Client, tenant: str
) -> None:
    ada, _ = record(quiet, tenant, "ada", "bob")
    publish_mapper(quiet, tenant, "m")
    derive(quiet, tenant, ada)
    everything = pull(reader)
    assert {(item["kind"], item["id"], item["op"]) for item in everything["items"]} == {
        ("mapper", "m", "put"),
        ("persona", "ada", "put"),
        ("persona", "bob", "put"),
    }
    assert (everything["intent"], everything["upToDate"], everything["hasMore"]) == ("full", True, False)
    assert everything["ruleLanguage"] == RULE_LANGUAGE
    assert everything["timeZoneData"].startswith("20")
    quiet_page = pull(reader, everything["next"])
    assert (quiet_page["intent"], quiet_page["items"], quiet_page["digest"]) == ("none", [], None)

    record(quiet, tenant, "ada")
    derive(quiet, tenant, ada)
    changed = pull(reader, quiet_page["next"])
    assert (changed["intent"], ids(changed)) == ("changes", ["ada"])


def test_a_version_is_where_the_body_was_changed_last_and_one_version_has_one_body(
    quiet: Service, reader: Client, tenant: str
) -> None:
    (ada,) = record(quiet, tenant, "ada")
    derive(quiet, tenant, ada)
    first = pull(reader)["items"]
    record(quiet, tenant, "bob")
    follow(quiet)
    again = [item for item in pull(reader)["items"] if item["id"] == "ada"]
    assert again == first
    streams = quiet.recorder.select_events(f"{tenant}/mindscape/{ada}")
    assert first[0]["version"] == streams[-1].id


@pytest.mark.parametrize("size", [1, 2, 3, 5, 50])
def test_a_full_pull_ends_in_the_state_at_its_position_whatever_moves_meanwhile(
    quiet: Service, reader: Client, tenant: str, size: int
) -> None:
    people = [f"p{n}" for n in range(6)]
    surrogates = record(quiet, tenant, *people)
    for n in range(3):
        publish_mapper(quiet, tenant, f"m{n}")
    pair = quiet.personas.create(tenant, PersonaDefined(people=tuple(surrogates[:2]))).persona
    follow(quiet)
    replica, moves = Replica(), iter(range(100))
    page = pull(reader, limit=size)
    while not page["upToDate"]:
        assert page["intent"] == "full"
        assert page["digest"] is None
        replica.apply(page)
        match next(moves):
            case 0:
                derive(quiet, tenant, surrogates[0], surrogates[5])
            case 1:
                withdraw_mapper(quiet, tenant, "m0")
            case 2:
                quiet.personas.retire(tenant, pair, PersonaRetired(origin="t"))
            case 3:
                record(quiet, tenant, "later")
        follow(quiet)
        page = pull(reader, page["next"], limit=size)
    replica.apply(page)
    assert page["digest"] == replica.digest()
    fresh = Replica()
    fresh.apply(pull(reader))
    assert fresh.bodies == replica.bodies
    assert pull(reader, page["next"])["items"] == []


class Story:
    """A tenant to which things happen, and a client that pulls a page now and then."""

    def __init__(self, service: Service, client: Client, size: int) -> None:
        self.tenant = f"t-{uuid4().hex[:12]}"
        create_tenant(service.recorder, self.tenant, self.tenant)
        self._key = {"Authorization": f"Bearer {create_key(service.recorder, self.tenant, 'test')}"}
        self._service = service
        self._client = client
        self._size = size
        self._people: dict[str, UUID] = {}
        self._views: list[UUID] = []
        self._mappers: set[str] = set()
        self._next: str | None = None
        self.replica = Replica()

    def record(self, which: int) -> None:
        (self._people[f"p{which}"],) = record(self._service, self.tenant, f"p{which}")

    def derive(self, which: int) -> None:
        follow(self._service, "observations", "derivation_due", "mindscapes")
        for person in list(self._people.values())[which : which + 1]:
            self._service.mindscaper.derive(self.tenant, person)

    def publish(self, which: int) -> None:
        publish_mapper(self._service, self.tenant, f"m{which % 2}")
        self._mappers.add(f"m{which % 2}")

    def withdraw(self, which: int) -> None:
        for mapper_id in self._mappers & {f"m{which % 2}"}:
            withdraw_mapper(self._service, self.tenant, mapper_id)

    def define(self, which: int) -> None:
        if people := tuple(self._people.values())[: which + 1]:
            self._views.append(self._service.personas.create(self.tenant, PersonaDefined(people=people))[0])

    def retire(self, _: int) -> None:
        follow(self._service)
        if self._views:
            retired = PersonaRetired(origin="t")
            self._service.personas.retire(self.tenant, self._views.pop(), retired)

    def follow(self, _: int) -> None:
        follow(self._service)

    def follow_changes(self, _: int) -> None:
        follow(self._service, "changes")

    def follow_bodies(self, _: int) -> None:
        follow(self._service, "observations", "mindscapes", "personas", "mappers")

    def pull(self, _: int = 0) -> bool:
        """A page more; whether that is all. Of a full pull, what the client has is what the digest says."""
        query = {"limit": self._size, **({} if self._next is None else {"since": self._next})}
        answer = self._client.get("/sync", params=query, headers=self._key)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        self.replica.apply(page)
        self._next = page["next"]
        assert len(page["items"]) <= self._size
        assert page["digest"] in {None, self.replica.digest()}
        return bool(page["upToDate"])

    def everything(self) -> Replica:
        """What a client has that begins now."""
        fresh = Replica()
        fresh.apply(self._client.get("/sync", params={"limit": 500}, headers=self._key).json())
        return fresh


ACTIONS = (
    Story.record,
    Story.derive,
    Story.publish,
    Story.withdraw,
    Story.define,
    Story.retire,
    Story.follow,
    Story.follow_changes,
    Story.follow_bodies,
    Story.pull,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[*HealthCheck])
@given(
    story=st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 3)), max_size=24),
    size=st.integers(1, 4),
)
def test_whatever_happens_between_pages_a_client_comes_to_have_what_there_is(
    quiet: Service, reader: Client, monkeypatch: pytest.MonkeyPatch, story: list[tuple[Any, int]], size: int
) -> None:
    monkeypatch.setattr("personakit.api.sync.pull.SETTLE_SECONDS", 0.0)
    told = Story(quiet, reader, size)
    beginning = [(Story.record, 0), (Story.record, 1), *[(Story.define, 1)] * 3, (Story.publish, 0)]
    for action, which in beginning:
        action(told, which)
    follow(quiet)
    for action, which in story:
        action(told, which)
    follow(quiet)
    while not told.pull():
        pass
    fresh = told.everything()
    assert told.replica.bodies == fresh.bodies
    assert told.replica.digest() == fresh.digest()


def test_a_full_pull_sends_no_deletes(quiet: Service, reader: Client, tenant: str) -> None:
    publish_mapper(quiet, tenant, "m")
    withdraw_mapper(quiet, tenant, "m")
    follow(quiet)
    assert pull(reader)["items"] == []


def test_one_event_that_changes_several_is_told_whole_on_pages_of_one(
    quiet: Service, reader: Client, tenant: str
) -> None:
    ada, bob = record(quiet, tenant, "ada", "bob")
    views = {f"~{quiet.personas.create(tenant, PersonaDefined(people=(ada, bob)))[0]}" for _ in range(4)}
    follow(quiet)
    page = pull(reader)
    derive(quiet, tenant, ada)
    seen: list[str] = []
    while True:
        page = pull(reader, page["next"], limit=1)
        seen += ids(page)
        if page["upToDate"]:
            break
    assert sorted(seen) == sorted({"ada", *views})
    versions = {item["id"]: item["version"] for item in pull(reader)["items"]}
    assert len({versions[id_] for id_ in seen}) == 1


def test_a_view_of_several_is_told_where_the_last_of_them_changed(
    quiet: Service, reader: Client, tenant: str
) -> None:
    """All changes are taken in one batch, of which one person's are split over two statements."""
    ada, bob = record(quiet, tenant, "ada", "bob")
    view = quiet.personas.create(tenant, PersonaDefined(people=(ada, bob))).persona
    follow(quiet)
    others = [name for name in quiet.projections if name != "changes"]
    quiet.mindscaper.derive(tenant, ada)
    record(quiet, tenant, "ada")
    follow(quiet, *others)
    quiet.mindscaper.derive(tenant, ada)
    quiet.mindscaper.derive(tenant, bob)
    follow(quiet, *others)
    follow(quiet)
    versions = {item["id"]: item["version"] for item in pull(reader)["items"]}
    assert versions[f"~{view}"] == versions["bob"] > versions["ada"]


# --- where read models lag behind each other


def test_an_item_never_has_an_older_body_than_its_version(
    quiet: Service, reader: Client, tenant: str
) -> None:
    (ada,) = record(quiet, tenant, "ada")
    follow(quiet)
    before = pull(reader)
    quiet.mindscaper.derive(tenant, ada)
    follow(quiet, "changes")
    early = pull(reader, before["next"])
    assert (early["items"], early["position"]) == ([], before["position"])
    follow(quiet)
    late = pull(reader, early["next"])
    assert ids(late) == ["ada"]
    assert "work.commits" in late["items"][0]["body"]["core"]["traits"]
    assert late["items"][0]["version"] > before["items"][0]["version"]
    assert pull(reader, late["next"])["items"] == []


def test_a_person_whose_body_is_still_to_come_is_not_passed_over(
    quiet: Service, reader: Client, tenant: str
) -> None:
    follow(quiet)
    before = pull(reader)["next"]
    record(quiet, tenant, "new")
    follow(quiet, "changes")
    early = pull(reader, before)
    assert early["items"] == []
    follow(quiet)
    assert ids(pull(reader, early["next"])) == ["new"]


def test_a_full_pull_ends_only_where_all_read_models_are_at_one_position(
    quiet: Service, reader: Client, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("personakit.api.sync.pull.SETTLE_SECONDS", 0.05)
    record(quiet, tenant, "ada")
    follow(quiet)
    record(quiet, tenant, "bob")
    follow(quiet, "changes")
    early = pull(reader)
    assert (ids(early), early["upToDate"], early["hasMore"], early["digest"]) == (["ada"], False, True, None)
    follow(quiet)
    late = pull(reader, early["next"])
    assert (late["intent"], ids(late), late["upToDate"]) == ("full", ["bob"], True)
    replica = Replica()
    replica.apply(early)
    replica.apply(late)
    assert late["digest"] == replica.digest()


def test_items_are_made_from_the_read_models_that_are_named(
    quiet: Service, reader: Client, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `position` says is the least of these: one that is not named could lag unseen."""
    (ada,) = record(quiet, tenant, "ada")
    publish_mapper(quiet, tenant, "m")
    derive(quiet, tenant, ada)
    asked: set[str] = {"changes"}
    rows = Snapshot.rows

    def noting(snapshot: Snapshot, query: str, **values: Any) -> list[dict[str, Any]]:
        asked.add(query.partition(".")[0])
        return rows(snapshot, query, **values)

    monkeypatch.setattr(Snapshot, "rows", noting)
    at = datetime.now(UTC)
    put = [("mapper", "m"), ("persona", str(ada))]
    found = [{"kind": k, "entity": e, "position": 1, "changed_at": at, "op": "put"} for k, e in put]
    with quiet.reader.snapshot_of_all() as snapshot:
        assert len(items_of(snapshot, tenant, found)) == 2
    assert asked == set(READ)


# --- since an instant


def test_an_instant_is_inclusive_and_as_of_is_one(quiet: Service, reader: Client, tenant: str) -> None:
    (ada,) = record(quiet, tenant, "ada")
    follow(quiet)
    page = pull(reader)
    assert datetime.fromisoformat(page["asOf"]) == quiet.recorder.recorded_at(page["position"])
    (registered,) = quiet.recorder.select_events(f"{tenant}/person/{ada}")
    assert ids(pull(reader, registered.recorded_at.isoformat())) == ["ada"]
    later = registered.recorded_at + timedelta(microseconds=1)
    assert pull(reader, later.isoformat())["items"] == []
    record(quiet, tenant, "bob")
    follow(quiet)
    assert ids(pull(reader, page["asOf"])) == ["bob"]


def test_an_instant_may_be_a_little_ahead(reader: Client) -> None:
    now = datetime.now(UTC)
    ahead = pull(reader, (now + timedelta(minutes=4)).isoformat())
    assert (ahead["intent"], ahead["items"]) == ("none", [])
    assert refused(reader, (now + timedelta(minutes=6)).isoformat()) == (400, "since-ahead", "no-store")
    assert refused(reader, "2026-01-01T00:00:00")[:2] == (422, "invalid-input")


# --- the cursor


def content_of(quiet: Service, tenant: str, **other: Any) -> str:
    """A cursor at the beginning of the log, genuine whatever it says."""
    scope = other.pop("scope", None)
    values: dict[str, Any] = {
        "epoch": quiet.epoch,
        "tenant": tenant,
        "scope": scope,
        "mode": "changes",
        "position": 0,
        "append_id": None,
        "issued": int(datetime.now(UTC).timestamp()),
    }
    return encode_cursor(Cursor(**values | other), quiet.secret)


def test_a_cursor_is_refused_for_what_is_wrong_with_it(quiet: Service, reader: Client, tenant: str) -> None:
    record(quiet, tenant, "ada")
    follow(quiet)
    scope = Scope(tenant).hash
    old = int((datetime.now(UTC) - timedelta(days=90, seconds=10)).timestamp())
    kept = int((datetime.now(UTC) - timedelta(days=89)).timestamp())
    assert ids(pull(reader, content_of(quiet, tenant, scope=scope, issued=kept))) == ["ada"]
    wrong = {
        "expired": (content_of(quiet, tenant, scope=scope, issued=old), "cursor-expired"),
        "format": (content_of(quiet, tenant, scope=scope, format=2), "cursor-expired"),
        "epoch": (content_of(quiet, tenant, scope=scope, epoch=uuid4()), "epoch-changed"),
        "tenant": (content_of(quiet, "other", scope=Scope("other").hash), "scope-changed"),
        "append id": (content_of(quiet, tenant, scope=scope, append_id=uuid4()), "epoch-changed"),
        "position": (content_of(quiet, tenant, scope=scope, position=10**9), "epoch-changed"),
        "no cursor": ("AAAA", "cursor-expired"),
        "empty": ("", "cursor-expired"),
    }
    found = {name: refused(reader, text) for name, (text, _) in wrong.items()}
    assert found == {name: (410, slug, "no-store") for name, (_, slug) in wrong.items()}


def test_a_cursor_with_any_byte_changed_is_refused(quiet: Service, reader: Client, tenant: str) -> None:
    record(quiet, tenant, "ada")
    follow(quiet)
    cursor = pull(reader)["next"]
    for place in range(0, len(cursor) - 1, 7):
        other = "A" if cursor[place] != "A" else "B"
        assert (
            reader.get("/sync", params={"since": cursor[:place] + other + cursor[place + 1 :]}).status_code
            == 410
        )


# --- only some personas


def test_a_filter_gives_those_personas_and_all_mappers(quiet: Service, reader: Client, tenant: str) -> None:
    ada, bob = record(quiet, tenant, "ada", "bob")
    publish_mapper(quiet, tenant, "m")
    follow(quiet)
    page = pull(reader, personaId=["ada", "later"])
    assert sorted(ids(page)) == ["ada", "m"]
    replica = Replica()
    replica.apply(page)
    assert page["digest"] == replica.digest()
    record(quiet, tenant, "later")
    derive(quiet, tenant, ada, bob)
    assert sorted(ids(pull(reader, page["next"], personaId=["later", "ada", "ada"]))) == ["ada", "later"]


def test_another_filter_needs_another_cursor(quiet: Service, reader: Client, tenant: str) -> None:
    record(quiet, tenant, "ada")
    follow(quiet)
    some, everybody = pull(reader, personaId="ada")["next"], pull(reader)["next"]
    gone = (410, "scope-changed", "no-store")
    assert refused(reader, some) == refused(reader, everybody, personaId="ada") == gone
    assert refused(reader, some, personaId=["ada", "bob"]) == gone
    assert reader.get("/sync", params={"personaId": "no id"}).status_code == 422
    assert reader.get("/sync", params={"personaId": [f"p{n}" for n in range(101)]}).status_code == 422
    created = f"~{uuid4()}"
    assert pull(reader, personaId=[created, f"~{'-' * 36}"])["items"] == []


# --- not at all


def test_nothing_new_is_not_sent(quiet: Service, reader: Client, tenant: str) -> None:
    record(quiet, tenant, "ada")
    follow(quiet)
    answer = reader.get("/sync")
    since, tag = answer.json()["next"], answer.headers["ETag"]
    until = datetime.fromisoformat(answer.headers["PersonaKit-Valid-Until"])
    assert until == datetime.fromisoformat(answer.json()["validUntil"])
    assert timedelta(days=7, minutes=-1) < until - datetime.now(UTC) <= timedelta(days=7)

    record(quiet, "default", "elsewhere")
    follow(quiet)
    same = reader.get("/sync", params={"since": since}, headers={"If-None-Match": tag})
    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", tag)
    assert datetime.fromisoformat(same.headers["PersonaKit-Valid-Until"]) >= until
    assert reader.get("/sync", params={"since": since}, headers={"If-None-Match": '"x"'}).status_code == 200
    assert reader.get("/sync", headers={"If-None-Match": tag}).status_code == 200

    record(quiet, tenant, "bob")
    follow(quiet)
    changed = reader.get("/sync", params={"since": since}, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != tag


def test_a_cursor_that_grows_old_is_renewed_though_nothing_changed(
    quiet: Service, reader: Client, tenant: str
) -> None:
    follow(quiet)
    answer = reader.get("/sync")
    since, tag = answer.json()["next"], {"If-None-Match": answer.headers["ETag"]}
    assert reader.get("/sync", params={"since": since}, headers=tag).status_code == 304
    content = msgspec.json.decode(_content(since), type=Cursor)
    month = msgspec.structs.replace(content, issued=content.issued - 31 * 24 * 3600)
    old = encode_cursor(month, quiet.secret)
    renewed = reader.get("/sync", params={"since": old}, headers=tag)
    assert (renewed.status_code, renewed.json()["intent"]) == (200, "none")


def _content(cursor: str) -> bytes:
    return urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))[16:]


# --- what it costs


MANY = 5000


def plan(service: Service, query: str, **values: Any) -> str:
    """How PostgreSQL answers the query, in its own words."""
    projection = service.projections["changes"]
    with service.pool.connection() as connection, connection.transaction(force_rollback=True):
        schema = sql.Identifier(str(builds.active(connection, projection)))
        connection.execute(sql.SQL("SET LOCAL search_path TO {}").format(schema))
        rows = [("many", "persona", str(uuid4()), n, datetime.now(UTC), "put") for n in range(1, MANY)]
        connection.cursor().executemany("INSERT INTO changes VALUES (%s, %s, %s, %s, %s, %s)", rows)
        connection.execute("ANALYZE changes")
        found = connection.execute("EXPLAIN (COSTS OFF) " + projection.queries[query], values).fetchall()
    return "\n".join(row["QUERY PLAN"] for row in found)


@pytest.mark.parametrize("personas", [None, [str(uuid4())]])
def test_an_index_finds_what_changed_among_thousands(quiet: Service, personas: list[str] | None) -> None:
    scope = {"tenant": "many", "personas": personas, "after_kind": "", "after_entity": "", "limit": 101}
    changed = plan(quiet, "since", **scope, after=MANY - 20, through=MANY)
    assert "Index" in changed
    assert 'ROW("position", kind, entity) > ROW(' in changed
    assert "Sort" not in changed


def test_an_index_finds_the_next_page_of_a_full_pull_among_thousands(quiet: Service) -> None:
    scope = {"tenant": "many", "personas": None, "after_kind": "persona", "after_entity": "8", "limit": 101}
    there = plan(quiet, "there", **scope, head=MANY)
    assert "Index" in there
    assert "ROW(kind, entity) > ROW(" in there
    assert "Sort" not in there
