"""kill -9 of a service between a model's answer and its append: it is in the log once, and paid once more at
most."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

import msgspec
import psycopg
import pytest
from psycopg.rows import dict_row

from personakit.config import ModelSettings, Prices
from personakit.embedded import EmbeddedPostgres
from personakit_sdk.errors import PersonaKitError
from personakit_sdk.transport import Transport
from tests.integration.asked_model import PRICES, USD_A_CALL, reads_interests
from tests.messages_api import Asked, MessagesApi, Reply, message, messages_api
from tests.postgres import MASTER_KEY_TEXT, create_database, data_dir, url_of
from tests.processes import Installation, installation

LOG_LOCK = 7165064741
TIMEOUT = 10.0
DERIVED = "SELECT count(*) FROM personakit.events WHERE kind IN ('derivation.computed', 'mindscape')"
"""That what is computed was, so that nobody else has anything to append."""
MARGIN = 60.0
"""The longer of the margins that leases have over what a question takes."""


class Site:
    """A service and its model, whose answers can be held up on their way into the log."""

    def __init__(self, installed: Installation, api: MessagesApi, database: str) -> None:
        self.installed = installed
        self.api = api
        self.database = psycopg.connect(database, autocommit=True, row_factory=dict_row)
        self._lock = psycopg.connect(database, autocommit=True)

    def held_up(self, answer: Callable[[Asked], Reply]) -> Callable[[Asked], Reply]:
        """The same answer; but before it is given, when all else is done, the log is locked, so that nothing
        is appended from then on."""

        def locking(asked: Asked) -> Reply:
            until(lambda: self.one(DERIVED))
            self._lock.execute("SELECT pg_advisory_lock(%s)", [LOG_LOCK])
            return answer(asked)

        return locking

    def let_go(self) -> None:
        """The log can be appended to again."""
        self._lock.execute("SELECT pg_advisory_unlock(%s)", [LOG_LOCK])

    def waiters(self) -> list[int]:
        """The backends that wait to append."""
        waiting = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        here = "database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        return [row["pid"] for row in self.database.execute(f"{waiting} AND {here}")]  # type: ignore[arg-type]

    def one(self, query: str, *values: Any) -> Any:
        """The only value of a query."""
        row = self.database.execute(query, values).fetchone()  # type: ignore[arg-type]
        return None if row is None else next(iter(row.values()))

    def close(self) -> None:
        self.database.close()
        self._lock.close()


@pytest.fixture
def site(postgres: EmbeddedPostgres) -> Iterator[Site]:
    database = create_database(postgres)
    with messages_api() as api, data_dir() as folder:
        prices = "/".join(str(price) for price in (PRICES.input, PRICES.output, 0.1, 1.25))
        own = {
            "PERSONAKIT_DATABASE_URL": url_of(database),
            "PERSONAKIT_MASTER_KEY": MASTER_KEY_TEXT,
            "PERSONAKIT_ANTHROPIC_API_KEY": "sk-test",
            "PERSONAKIT_ANTHROPIC_BASE_URL": api.url,
            "PERSONAKIT_MODEL": "claude-test",
            "PERSONAKIT_MODEL_PRICES": prices,
            "PERSONAKIT_MODEL_TIMEOUT": f"{TIMEOUT:g}",
            "PERSONAKIT_MODEL_BATCH_TOKENS": "1",
            "PERSONAKIT_MODEL_BATCH_MINUTES": "0",
        }
        with installation(folder, **own) as installed:
            made = Site(installed, api, database)
            yield made
            made.close()


def until(reached: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while not (found := reached()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)
    return found


def shown(transport: Transport, path: str, method: str = "GET") -> Any:
    return msgspec.json.decode(transport.request(method, path, patience=0.0).body)


def send(site: Site, type_: str, content: dict[str, Any]) -> None:
    body = {
        "id": str(uuid4()),
        "personId": "ada",
        "type": type_,
        "content": content,
        "occurredAt": "2026-03-02T09:00:00Z",
    }
    site.installed.transport().request("POST", "/observations", body=body, idempotent=True)


def killed_before_its_append(site: Site, committed: bool) -> None:
    """Waits until an answer is on its way into the log, and kills the service there. What it sent to the
    database by then comes to nothing, or goes on without it (`committed`)."""
    until(lambda: site.api.sent and site.waiters())
    with suppress(ProcessLookupError):
        site.installed.kill()
    if not committed:
        for pid in site.waiters():
            site.one("SELECT pg_terminate_backend(%s, 10000)", pid)
    site.let_go()


def most_seconds() -> float:
    settings = ModelSettings(api_key="", prices=Prices(0, 0, 0, 0), timeout=TIMEOUT)
    return settings.ask_seconds + MARGIN


def run_out(site: Site, kind: str) -> None:
    """Lets the time pass for which the lease of whoever is gone says that it holds: no longer than that."""
    left = "SELECT extract(epoch FROM until - clock_timestamp()) FROM personakit.leases WHERE kind = %s"
    assert 0 < site.one(left, kind) <= most_seconds()
    site.one("UPDATE personakit.leases SET until = clock_timestamp() WHERE kind = %s RETURNING 1", kind)


@pytest.mark.parametrize("committed", [False, True], ids=["before its append", "before it heard of it"])
@pytest.mark.timeout(180)
def test_what_a_model_read_is_in_the_log_once_and_paid_once_more_at_most(site: Site, committed: bool) -> None:
    read = "SELECT count(*) FROM personakit.events WHERE kind = 'mindscape'"
    site.installed.start()
    answer = reads_interests()
    site.api.answer = site.held_up(answer)
    send(site, "note", {"text": "I would love to go climbing again"})
    killed_before_its_append(site, committed)
    assert site.api.calls == 1
    site.api.answer = answer
    site.installed.start()
    if committed:
        until(lambda: site.one(read))
    else:
        assert site.one(read) == 0
        run_out(site, "inference")
    traits = until(lambda: mindscape(site))
    assert traits["interests.climbing"]["value"] is True
    assert site.api.calls == (1 if committed else 2)
    assert site.one(read) == 1
    assert used(site) == {"anthropic": (1, pytest.approx(USD_A_CALL))}


def mindscape(site: Site) -> Any:
    return shown(site.installed.transport(), "/mindscapes/ada")["traits"]


def used(site: Site) -> dict[str, Any]:
    """Calls and USD that the log has, by agent."""
    today = shown(site.installed.transport(), "/model-use")
    return {each["agent"]: (each["calls"], each["usd"]) for each in today["items"]}


@pytest.mark.timeout(180)
def test_a_core_that_a_model_worded_is_in_the_log_once_and_paid_once_more_at_most(site: Site) -> None:
    worded = "SELECT count(*) FROM personakit.events WHERE kind = 'persona'"
    said = message('{"summary": "They write software."}')
    transport = site.installed.start()
    for number in range(5):
        send(site, "code_commit", {"lines_changed": number, "languages": ["Python"], "merge": False})
    until(lambda: shown(transport, "/mindscapes/ada")["traits"].get("work.commits", {}).get("value") == 5)
    until(lambda: shown(transport, "/personas/ada")["coreVersion"] == 1)
    site.api.answer = site.held_up(lambda _: said)
    with in_background(lambda: shown(transport, "/personas/ada/regenerate", "POST")):
        killed_before_its_append(site, committed=False)
    assert (site.api.calls, site.one(worded)) == (1, 1)
    site.api.answer = lambda _: said
    transport = site.installed.start()
    run_out(site, "core")
    core = shown(transport, "/personas/ada/regenerate", "POST")
    assert (core["core"]["source"], core["coreVersion"]) == ("model", 2)
    assert (site.api.calls, site.one(worded)) == (2, 2)


@contextmanager
def in_background(call: Callable[[], Any]) -> Iterator[None]:
    """A call that is cut off under way."""

    def calling() -> None:
        with suppress(PersonaKitError):
            call()

    thread = threading.Thread(target=calling)
    thread.start()
    try:
        yield
    finally:
        thread.join()
