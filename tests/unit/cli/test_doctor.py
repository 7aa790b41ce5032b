"""`personakit doctor` on stores in every state."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from personakit.cli.main import personakit
from personakit_sdk import PersonaKit
from personakit_sdk.rules.document import RULE_LANGUAGE
from tests.processes import free_port
from tests.sync_service import FIRST_KEY, SyncService, sync_service
from tests.unit.sdk.conftest import NOW, mapper


@pytest.fixture
def double() -> Iterator[SyncService]:
    with sync_service() as service:
        service.put("mapper", "focus", mapper())
        yield service


def run(url: str, store: Path, *arguments: str) -> Result:
    environ = {"PERSONAKIT_URL": url, "PERSONAKIT_API_KEY": FIRST_KEY}
    named = ("doctor", "--store", str(store), *arguments)
    return CliRunner().invoke(personakit, named, env=environ, prog_name="personakit")


def examined(url: str, store: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    result = run(url, store, "--json", *arguments)
    return result.exit_code, msgspec.json.decode(result.stdout)


def open_kit(service: SyncService, store: Path, **options: Any) -> PersonaKit:
    return PersonaKit(service.url, FIRST_KEY, store=store, background=False, **options)


def test_a_store_that_is_well(double: SyncService, tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    with open_kit(double, store) as kit:
        kit.observe("ada", "check_in", {})
        kit.flush()
        kit.sync()
    result = run(double.url, store)
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "All is well.")
    code, found = examined(double.url, store)
    assert (code, found["findings"]) == (0, [])
    assert found["status"]["outbox"]["confirmed"] == 1
    assert found["status"]["cache"]["cursor"]
    assert found["status"]["store"]["journalMode"] in {"truncate", "wal"}
    assert abs(found["service"]["clockOffset"]) < 60


def test_a_service_that_is_away_is_exit_code_3(double: SyncService, tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    with open_kit(double, store) as kit:
        kit.sync()
    code, found = examined(f"http://127.0.0.1:{free_port()}", store)
    assert (code, len(found["findings"])) == (3, 1)


def test_what_should_be_looked_at_is_exit_code_1(double: SyncService, tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    double.reject = lambda each: "odd" if each["body"]["type"] == "odd" else None
    double.valid_for = timedelta(seconds=-1)
    store.write_bytes(b"\xff" * 9000)
    with open_kit(double, store, max_items=2, when_full="drop_oldest") as kit:
        double.put("mapper", "later", mapper("later", rule_language=RULE_LANGUAGE + 1))
        kit.sync()
        kit.observe("ada", "odd", {})
        kit.flush()
        for _ in range(3):
            kit.observe("ada", "check_in", {})
        with kit._store.writing() as connection:
            long_ago = (datetime.now(UTC) - timedelta(hours=2)).timestamp()
            connection.execute("UPDATE items SET queued_at = ?", (long_ago,))
    code, found = examined(double.url, store)
    assert code == 1
    for said in ("2 items wait", "1 items were rejected", "1 observations were dropped", "not served since"):
        assert any(said in finding for finding in found["findings"]), said
    assert any("'later' needs a newer SDK" in finding for finding in found["findings"])
    assert any("set aside" in finding for finding in found["findings"])
    assert "! 1 items were rejected" in run(double.url, store).stdout


def test_other_time_zone_data_is_said(
    double: SyncService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store.db"
    with open_kit(double, store) as kit:
        kit.sync()
    monkeypatch.setattr("personakit_sdk.checkup.time_zone_data", lambda: "1999.1")
    code, found = examined(double.url, store)
    assert (code, len(found["findings"])) == (1, 1)
    assert "1999.1" in found["findings"][0]


def test_a_key_that_opens_nothing_is_said(double: SyncService, tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    with open_kit(double, store) as kit:
        kit.sync()
    double.keys = {"another"}
    code, found = examined(double.url, store)
    assert (code, found["findings"]) == (3, ["the key opens nothing"])


def test_a_store_that_is_not_there_or_sealed_is_exit_code_2(double: SyncService, tmp_path: Path) -> None:
    assert run(double.url, tmp_path / "nothing.db").exit_code == 2
    store, key = tmp_path / "sealed.db", b"k" * 32
    with open_kit(double, store, encryption_key=key) as kit:
        kit.observe("ada", "check_in", {}, occurred_at=NOW)
        kit.sync()
    assert run(double.url, store).exit_code == 2
    assert run(double.url, store, "--store-key", "§").exit_code == 2
    assert run(double.url, store, "--store-key", base64.b64encode(key).decode()).exit_code == 0
