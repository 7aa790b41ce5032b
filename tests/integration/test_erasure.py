"""A canary goes in by every route that takes what is about a person. The person is erased, and it is nowhere.

Looked for in a dump of the database (and in all of the log that any key opens), in every answer, in the logs,
the metrics and all that went over Redis, in the file of an application's SDK, and in rebuilt read models.
"""

from __future__ import annotations

import base64
import json
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self
from uuid import uuid4

import httpx
import psycopg
import pytest
from redis import Redis

from personakit.embedded import EmbeddedPostgres
from personakit.embedded.binaries import find_binaries
from personakit.eventlog import codec
from personakit.eventlog.log_sql import SQL
from personakit.eventlog.person_keys import PersonKey, PersonKeys
from personakit.eventlog.recorder import LogRecorder, notification_of, open_datastore
from personakit_sdk import PersonaKit
from tests.integration.test_authorisation import ROUTES, mapper, traits
from tests.postgres import bin_dir, data_dir
from tests.processes import Installation, installation
from tests.production import RedisServer

CANARY: Final = "canary8d21f"
ADA: Final = f"{CANARY}-ada"
START: Final = datetime(2026, 3, 2, 21, 15, tzinfo=UTC)


_OVER: Final = "that is all"


class Site:
    """A whole service as `personakit up` runs it, with Redis, and an application with the SDK."""

    def __init__(self, installed: Installation, redis: RedisServer, folder: Path) -> None:
        self.installed = installed
        self.redis = redis
        self.log = folder / "service.log"
        self.store = folder / "store.db"
        self.key = (installed.data_dir / "api-key").read_text().strip()
        self.url = f"http://127.0.0.1:{installed.port}"
        self.http = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {self.key}"}, timeout=60
        )
        self.made: dict[str, str] = {}
        self.sent: list[tuple[str, str, dict[str, Any]]] = []

    def call(self, method: str, path: str, *statuses: int, **sent: Any) -> httpx.Response:
        """The answer, which must have one of the statuses; what is read next reflects it."""
        answer = self.http.request(method, path, **sent)
        assert answer.status_code in (statuses or (200, 201)), answer.text
        self.sent.append((method, path, sent))
        if method != "GET" and "PersonaKit-Position" in answer.headers:
            self.http.headers["PersonaKit-Min-Position"] = answer.headers["PersonaKit-Position"]
        return answer

    def kit(self) -> PersonaKit:
        return PersonaKit(self.url, self.key, store=self.store, background=False)


def observation(person: str, hour: int = 0, text: str = CANARY) -> dict[str, Any]:
    content = {"lines_changed": 40, "files_changed": 2, "languages": [text], "merge": False, "said": text}
    return {
        "id": str(uuid4()),
        "personId": person,
        "type": "code_commit",
        "content": content,
        "occurredAt": (START + timedelta(hours=hour)).isoformat(),
        "source": text,
        "metadata": {text: text},
    }


def record_one(site: Site) -> None:
    site.call("POST", "/observations", json=observation(ADA))
    site.call(
        "POST",
        "/observations",
        json={k: v for k, v in observation(ADA).items() if k != "id"},
        headers={"Idempotency-Key": CANARY},
    )


def record_many(site: Site) -> None:
    sent = [observation(ADA, hour) for hour in range(12)]
    sent += [observation("bob", hour, "Python") for hour in range(12)]
    site.call("POST", "/observations/batch", json=sent)


def retract(site: Site) -> None:
    id_ = site.call("POST", "/observations", json=observation(ADA, 20)).json()["id"]
    site.call("DELETE", f"/observations/{id_}", params={"reason": CANARY})


def pin(site: Site) -> None:
    for path in ("diet", "gone"):
        body = {"value": CANARY, "reason": CANARY}
        site.call("PUT", f"/mindscapes/{ADA}/traits/{path}", json=body)


def unpin(site: Site) -> None:
    site.call("DELETE", f"/mindscapes/{ADA}/traits/gone", params={"reason": CANARY})


def create(site: Site) -> None:
    for name, people in (
        ("shared", [ADA, "bob"]),
        ("once", [ADA, "bob"]),
        ("alone", [ADA]),
        ("retired", [ADA]),
    ):
        body = {"name": CANARY, "people": people}
        answer = site.call("POST", "/personas", json=body, headers={"Idempotency-Key": f"{CANARY}{name}"})
        site.made[name] = answer.json()["id"]


def redefine(site: Site) -> None:
    site.call("POST", f"/personas/{site.made['once']}/regenerate")
    site.call("PUT", f"/personas/{site.made['once']}", json={"name": "Bob", "people": ["bob"]})


def retire(site: Site) -> None:
    site.call("DELETE", f"/personas/{site.made['retired']}", params={"reason": CANARY})


def regenerate(site: Site) -> None:
    for persona in (ADA, "bob", site.made["shared"], site.made["alone"], site.made["once"]):
        site.call("POST", f"/personas/{persona}/regenerate")


def question(**other: Any) -> dict[str, Any]:
    return {"mapperId": "focus", "personaId": ADA, **other}


def map_by_query(site: Site) -> None:
    asked = question(context=json.dumps({CANARY: CANARY}))
    site.made["suggestion"] = site.call("GET", "/map-persona", params=asked).json()["suggestions"][0]["id"]


def map_by_body(site: Site) -> None:
    site.call("POST", "/map-persona", json=question(context={CANARY: CANARY}, explain=True))


def feedback(site: Site) -> None:
    said = {"helpful": False, "comment": CANARY}
    site.call("POST", "/feedback", json={"suggestionId": site.made["suggestion"], **said})
    about = {"mapperId": "focus", "ruleId": "always"}
    for persona in (ADA, site.made["shared"]):
        for _ in range(6):
            site.call("POST", "/feedback", json={"personaId": persona, **about, **said})


def push(site: Site) -> None:
    """As an application does it, which keeps what it sent, and what was refused."""
    with site.kit() as kit:
        kit.observe(ADA, "note", {"said": CANARY})
        kit.feedback(suggestion_id=site.made["suggestion"], helpful=True, comment=CANARY)
        kit.feedback(mapper_id=f"{CANARY}", rule_id="none", persona_id=ADA, helpful=True, comment=CANARY)
        kit.flush()
        assert len(kit.dead_letters) == 1


def pull(site: Site) -> None:
    with site.kit() as kit:
        kit.sync()
        assert ADA in kit.personas.ids()
        kit.observe(ADA, "note", {"said": CANARY})  # it waits, and is sent when it is too late


def consent(site: Site) -> None:
    site.call("PUT", f"/people/{ADA}/consent", json={"purposes": ["learning"], "reason": CANARY})


def limit_a_key(site: Site) -> None:
    scopes = ["read", "map", "observe"]
    site.call("POST", "/keys", json={"name": "app", "scopes": scopes, "people": [ADA], "personas": [ADA]})


TAKES: Mapping[str, Callable[[Site], None]] = {
    "recordObservation": record_one,
    "recordObservations": record_many,
    "retractObservation": retract,
    "pinTrait": pin,
    "unpinTrait": unpin,
    "createPersona": create,
    "redefinePersona": redefine,
    "retirePersona": retire,
    "regeneratePersona": regenerate,
    "mapPersona": map_by_query,
    "mapPersonaByBody": map_by_body,
    "giveFeedback": feedback,
    "push": push,
    "sync": pull,
    "changeConsent": consent,
    "createKey": limit_a_key,
}
"""What takes something about a person, in the order in which it is sent here."""
OF_NOBODY = {
    "uploadMapper",
    "updateMapper",
    "withdrawMapper",
    "validateMapper",
    "publishMapperVersion",
    "changeRuleWeight",
    "adjustLearnedWeights",
    "uploadComputedTraits",
    "updateComputedTraits",
    "withdrawComputedTraits",
    "validateComputedTraits",
    "revokeKey",
    "rotateKey",
    "setConsentPolicy",
}
"""What takes what its author wrote for all: documents, weights, which key ends, a policy."""
ERASING = {"erasePerson", "makePerson"}
ASKED = {"listObservations": {"personId": ""}, "mapPersona": {"mapperId": "focus", "personaId": ""}}
"""The parameters that a question cannot do without; those that name somebody do so in turn."""
GIVEN = {"mapperId": "focus", "documentId": "counted", "path": "work.main_language", "version": "1"}
READS = {operation for operation, (method, _) in ROUTES.items() if method == "GET"}


def test_every_route_is_asked_or_sent_a_canary_or_takes_nothing_about_anybody() -> None:
    assert ROUTES.keys() == TAKES.keys() | READS | OF_NOBODY | ERASING


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, redis = tmp_path_factory.mktemp("site"), RedisServer()
    try:
        with data_dir() as data, installation(data, PERSONAKIT_REDIS_URL=redis.url) as installed:
            installed.log = folder / "service.log"
            installed.start()
            site = Site(installed, redis, folder)
            yield site
            site.http.close()
    finally:
        redis.stop()


class Overheard:
    """All that any client says to Redis, for as long as the block lasts."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._said: list[str] = []
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        with Redis.from_url(self._url) as client:
            client.echo(_OVER)
        self._thread.join()

    def _listen(self) -> None:
        with Redis.from_url(self._url) as client, client.monitor() as monitor:
            self._listening.set()
            while _OVER not in (said := monitor.next_command()["command"]):
                self._said.append(said)

    @property
    def text(self) -> str:
        return "\n".join(self._said)


def questions(site: Site) -> Iterator[tuple[str, dict[str, str]]]:
    """Every GET there is, about Ada, about Bob, and about each persona."""
    places = {**GIVEN, "suggestionId": site.made["suggestion"]}
    for operation in sorted(READS):
        _, path = ROUTES[operation]
        query = ASKED.get(operation, {})
        named = any(name in path for name in ("{personId}", "{personaId}")) or query
        for who in [ADA, "bob", *site.made.values()] if named else [ADA]:
            if who == site.made["suggestion"]:
                continue
            filled = path.format(**{**places, "personId": who, "personaId": who})
            yield filled, {name: value or who for name, value in query.items()}


def send_again(site: Site) -> dict[str, int]:
    """All that was written about Ada once more, and what is answered. Not the key, which names whom its
    author likes, nor what is about the persona that went on for Bob."""
    found = {}
    for method, path, sent in site.sent.copy():
        said = json.dumps([path, sent])
        hers = CANARY in said or site.made["suggestion"] in said
        if method != "GET" and path != "/keys" and hers and site.made["shared"] not in said[:200]:
            found[f"{method} {path}"] = site.http.request(method, path, **sent).status_code
    return found


def answers(site: Site) -> dict[str, str]:
    """What each of them is answered, headers and all."""
    found = {}
    for path, query in questions(site):
        answer = site.http.get(path, params=query)
        assert answer.status_code < 500, answer.text
        found[f"{path} {query}"] = f"{answer.status_code} {answer.headers} {answer.text}"
    for path in ("/metrics", "/openapi.json", "/docs", "/health/ready"):
        found[path] = site.http.get(path).text
    return found


def dump(site: Site) -> str:
    """A logical dump, and what of the log any key that is left opens."""
    with EmbeddedPostgres(site.installed.data_dir, bin_dir=bin_dir()) as postgres:
        program = find_binaries(bin_dir()).postgres.with_name("pg_dump")
        done = subprocess.run([program, "--dbname", postgres.conninfo], capture_output=True, check=True)
        return done.stdout.decode() + opened(site, postgres.conninfo)


def cut_off(site: Site) -> None:
    """Gives the service's log, and PostgreSQL's, something to say: all connections end, under what is asked
    about Ada."""
    body = observation(ADA)
    with EmbeddedPostgres(site.installed.data_dir, bin_dir=bin_dir()) as postgres:
        query = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()"""
        with psycopg.connect(postgres.conninfo, autocommit=True) as connection:
            connection.execute(query)
    site.http.get(f"/people/{ADA}/export")
    while site.http.post("/observations", json=body).status_code not in {200, 201}:
        pass  # it is not back yet


def opened(site: Site, conninfo: str) -> str:
    recorder = LogRecorder(open_datastore(conninfo))
    try:
        master = base64.b64decode((site.installed.data_dir / "master-key").read_text())
        keys = PersonKeys(recorder.datastore.get_connection, master)
        with recorder.datastore.get_connection() as connection:
            left = connection.execute("SELECT * FROM personakit.person_keys").fetchall()
            values = {"after": 0, "stop": None, "topics": None, "limit": 100_000}
            rows = connection.execute(SQL["notifications"], values).fetchall()
        known = [keys.unwrapped(row) for row in left]
        return "\n".join(said for row in rows for said in _opened(notification_of(row), known))
    finally:
        recorder.datastore.close()


def _opened(stored: Any, keys: list[PersonKey]) -> Iterator[str]:
    """What any of the keys opens of an event, whosever it is, and whatever it is said to open."""
    for key in keys:
        with suppress(codec.SealBroken):
            yield codec.open_state(stored, key).decode()


def of_bob(site: Site, at: str) -> list[bytes]:
    """What is known of Bob as of a position."""
    asked = [
        ("/observations", {"personId": "bob"}),
        ("/mindscapes/bob", {"asOf": at}),
        ("/mindscapes/bob/history", {}),
        ("/mindscapes/bob/traits/work.main_language/evidence", {}),
        ("/personas/bob", {"asOf": at}),
    ]
    return [site.call("GET", path, params=query).content for path, query in asked]


def has(text: str) -> bool:
    """Whether the canary is in it, as it is or as PostgreSQL writes bytes."""
    return CANARY in text or CANARY.encode().hex() in text


def test_after_an_erasure_a_canary_is_nowhere(site: Site) -> None:
    with Overheard(site.redis.url) as overheard:
        go_in_and_be_erased(site)
    assert len(overheard.text) > 1000
    assert not has(overheard.text)


def go_in_and_be_erased(site: Site) -> None:
    site.call("POST", "/mappers", json=mapper("focus") | {"tests": []})
    site.call("POST", "/computed-traits", json=traits("counted"))
    for send in TAKES.values():
        send(site)
    cut_off(site)
    at = site.http.headers["PersonaKit-Min-Position"]
    site.call("GET", "/personas/bob")
    before, bob = answers(site), of_bob(site, str(at))
    assert has(dump(site))
    assert sum(has(each) for each in before.values()) > 10
    assert CANARY.encode() in site.store.read_bytes()

    done = site.installed.run("--json", "people", "erase", ADA, "--yes")

    assert done.returncode == 0, done.stderr
    receipt = json.loads(done.stdout)
    assert set(receipt["personas"]) == {site.made[each] for each in ("shared", "once", "alone", "retired")}
    del site.http.headers["PersonaKit-Min-Position"]  # it was answered when nothing read has her
    assert [where for where, said in answers(site).items() if has(said)] == []
    with site.kit() as kit:
        kit.sync()
        kit.flush()
        assert kit.personas.ids() == sorted(["bob", site.made["shared"], site.made["once"]])
        assert len(kit.dead_letters) == 0
        assert kit.status().outbox.waiting == 0
    assert CANARY.encode() not in b"".join(each.read_bytes() for each in site.store.parent.glob("store.db*"))
    again, retired = send_again(site), f"DELETE /personas/{site.made['retired']}"
    assert f"PUT /people/{ADA}/consent" in again
    assert {asked for asked, status in again.items() if status != 410} == {
        "POST /observations/batch",
        retired,
    }
    assert again[retired] == 404
    assert [where for where, said in answers(site).items() if has(said)] == []
    assert [line for line in dump(site).splitlines() if has(line)] == []
    assert of_bob(site, str(at)) == bob
    assert site.call("GET", f"/personas/{site.made['shared']}").json()["people"] == ["bob"]
    rebuilt = site.installed.run("projections", "rebuild", "--all")
    assert rebuilt.returncode == 0, rebuilt.stderr
    verified = site.installed.run("projections", "verify", "--all")
    assert verified.returncode == 0, verified.stdout
    assert not has(dump(site))
    logs = [site.log, *site.installed.data_dir.rglob("*.log"), site.installed.data_dir / "erasures.jsonl"]
    assert all("terminating connection" in log.read_text() for log in logs[:-1])
    assert [log.name for log in logs if has(log.read_text(errors="replace"))] == []
